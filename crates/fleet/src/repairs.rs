//! Taking a turn, and giving it back.

use std::time::Duration;

use postgresql::Connector;
use remediation::{FleetLimits, Others};
use tokio::time::Instant;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::connection::Connection;
use crate::schema::TURN_LOCK;

/// Between two attempts to give a turn back.
const RELEASE_PAUSE: Duration = Duration::from_secs(2);

/// What ended this long ago is forgotten; it is longer than any budget's window that makes sense.
const KEPT_DAYS: i32 = 30;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// This host's label.
    pub host: String,
    /// What it serves for. Hosts that share a group wait for each other.
    pub groups: Vec<String>,
}

/// The repair that a turn is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The incident that it belongs to. One that has a turn already keeps it.
    pub incident: Uuid,
    /// The rule that allows it.
    pub rule: String,
    /// The unit that is repaired.
    pub unit: String,
    /// The longest that the repair may take, its proof included.
    pub lease: Duration,
}

/// The fleet's database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// No connection, or the server's own refusal.
    #[error("the fleet's database refused")]
    Refused(#[source] tokio_postgres::Error),
    /// No answer in time.
    #[error("the fleet's database did not answer within {0:?}")]
    Silent(Duration),
}

/// The fleet's table of repairs, as one host uses it.
pub struct Fleet {
    connection: Connection,
    member: Member,
}

impl Fleet {
    /// Connects only when it is used.
    pub fn new(connector: Connector, member: Member) -> Self {
        Self {
            connection: Connection::new(connector),
            member,
        }
    }

    /// Asks for a turn and says what others do. The turn was taken exactly where `limits` have no
    /// objection to that.
    pub async fn claim(&self, turn: &Turn, limits: &FleetLimits) -> Result<Others, FleetError> {
        self.connection
            .run(async |client| claim(client, &self.member, turn, limits).await)
            .await
    }

    /// Gives a turn back. One that was never taken, or has ended, is given back already.
    pub async fn release(&self, incident: Uuid, outcome: &str) -> Result<(), FleetError> {
        self.connection
            .run(async |client| {
                let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
                    [&incident, &self.member.host, &outcome];
                client.execute(RELEASE, &values).await.map(|_| ())
            })
            .await
    }

    /// Gives a turn back, and tries again until it would have ended by itself.
    pub async fn release_for_sure(&self, incident: Uuid, outcome: &str, lease: Duration) {
        let give_up = Instant::now() + lease;
        while let Err(error) = self.release(incident, outcome).await {
            if Instant::now() >= give_up {
                tracing::warn!(incident_id = %incident, %error, "the fleet was not told that a repair ended; its lease has");
                return;
            }
            tokio::time::sleep(RELEASE_PAUSE).await;
        }
    }
}

const OTHERS: &str = "
    SELECT
        coalesce(array_agg(DISTINCT host) FILTER (
            WHERE ended_at IS NULL AND lease_until > now()
              AND host <> $1 AND host_groups && $2
        ), '{}'),
        count(*) FILTER (
            WHERE begun_at > now() - make_interval(secs => $3)
              AND NOT (host = $1 AND incident = $4 AND ended_at IS NULL)
        )
    FROM fleet_repairs
    WHERE begun_at > now() - make_interval(secs => $3) OR ended_at IS NULL
";

const CLAIM: &str = "
    INSERT INTO fleet_repairs (incident, host, host_groups, rule, unit, lease_until)
    VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
    ON CONFLICT (host, incident) WHERE ended_at IS NULL
    DO UPDATE SET rule = excluded.rule, unit = excluded.unit, lease_until = excluded.lease_until
";

const RELEASE: &str = "
    UPDATE fleet_repairs SET ended_at = now(), outcome = $3
    WHERE incident = $1 AND host = $2 AND ended_at IS NULL
";

const FORGET: &str = "
    DELETE FROM fleet_repairs
    WHERE begun_at < now() - make_interval(days => $1) AND lease_until < now()
";

async fn claim(
    client: &mut Client,
    member: &Member,
    turn: &Turn,
    limits: &FleetLimits,
) -> Result<Others, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&TURN_LOCK])
        .await?;
    let window = limits.budget.window.as_secs_f64();
    let row = transaction
        .query_one(
            OTHERS,
            &[&member.host, &member.groups, &window, &turn.incident],
        )
        .await?;
    let others = Others {
        under_repair: row.get::<_, Vec<String>>(0).into_iter().collect(),
        recent_repairs: usize::try_from(row.get::<_, i64>(1)).unwrap_or(usize::MAX),
    };
    if limits.objection(&others).is_none() {
        let lease = turn.lease.as_secs_f64();
        transaction
            .execute(
                CLAIM,
                &[
                    &turn.incident,
                    &member.host,
                    &member.groups,
                    &turn.rule,
                    &turn.unit,
                    &lease,
                ],
            )
            .await?;
        transaction.execute(FORGET, &[&KEPT_DAYS]).await?;
    }
    transaction.commit().await?;
    Ok(others)
}
