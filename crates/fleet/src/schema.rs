//! The table, made by the first bot that connects.

use tokio_postgres::{Client, Error};

/// The advisory lock under which turns are taken and the table is made. `Flt1`.
pub(crate) const TURN_LOCK: i64 = 0x466c_7431;

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS fleet_repairs (
        id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        incident    uuid NOT NULL,
        host        text NOT NULL,
        host_groups text[] NOT NULL,
        rule        text NOT NULL,
        unit        text NOT NULL,
        begun_at    timestamptz NOT NULL DEFAULT now(),
        -- Past this moment it holds nobody up, whatever became of the bot that noted it.
        lease_until timestamptz NOT NULL,
        ended_at    timestamptz,
        outcome     text
    );
    CREATE UNIQUE INDEX IF NOT EXISTS fleet_repairs_open
        ON fleet_repairs (host, incident) WHERE ended_at IS NULL;
    CREATE INDEX IF NOT EXISTS fleet_repairs_begun ON fleet_repairs (begun_at);
";

/// Makes the table unless it is there.
pub(crate) async fn ensure(client: &mut Client) -> Result<(), Error> {
    let present = client
        .query_one("SELECT to_regclass('fleet_repairs') IS NOT NULL", &[])
        .await?;
    if present.get(0) {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    // Statements that make what is not there still collide when two make it at once.
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&TURN_LOCK])
        .await?;
    transaction.batch_execute(TABLE).await?;
    transaction.commit().await
}
