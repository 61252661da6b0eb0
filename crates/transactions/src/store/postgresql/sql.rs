//! The statements. Each write changes rows and counts together and commits by itself.

/// The server's clock in milliseconds.
macro_rules! now {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}

macro_rules! transaction_columns {
    () => {
        "id, amount_minor, currency, status, created_at_ms, settled_at_ms"
    };
}

/// Inserts what does not have its key in the table yet; returns how many that were. One number costs
/// less than a row for each, and nearly always it is all of them.
pub(super) const INSERT: &str = "
    WITH inserted AS (
        INSERT INTO transactions (id, amount_minor, currency, created_at_ms, idempotency_key)
        SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::text[])
        ON CONFLICT (idempotency_key) DO NOTHING
        RETURNING id
    ), counted AS (
        UPDATE transaction_counts
        SET pending = pending + (SELECT count(*) FROM inserted) WHERE shard = $6
    )
    SELECT count(*) AS stored FROM inserted";

/// Transactions by idempotency key.
pub(super) const BY_KEYS: &str = concat!(
    "SELECT ",
    transaction_columns!(),
    ", idempotency_key
     FROM transactions WHERE idempotency_key = ANY($1)"
);

/// Leases the oldest pending ones; rows that another claim has locked are passed over.
pub(super) const CLAIM: &str = concat!(
    "UPDATE transactions
     SET claimed_by = $1, claim_number = claim_number + 1, lease_expires_ms = ",
    now!(),
    " + $2
     WHERE id IN (
         SELECT id FROM transactions
         WHERE status = 'pending'
           AND (lease_expires_ms IS NULL
                OR lease_expires_ms <= ",
    now!(),
    "
                OR lease_expires_ms > ",
    now!(),
    " + $3)
         ORDER BY id
         LIMIT $4
         FOR UPDATE SKIP LOCKED)
     RETURNING ",
    transaction_columns!(),
    ", claim_number"
);

/// Ends claimed transactions; returns the places, from 1, of those that were ended.
pub(super) const SETTLE: &str = concat!(
    "WITH wanted AS (
         SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[])
         WITH ORDINALITY AS wanted (id, claim_number, status, place)
     ), ended AS (
         UPDATE transactions
         SET status = wanted.status, lease_expires_ms = NULL,
             settled_at_ms = greatest(",
    now!(),
    ", transactions.created_at_ms)
         FROM wanted
         WHERE transactions.id = wanted.id
           AND transactions.claim_number = wanted.claim_number
           AND transactions.status = 'pending'
         RETURNING wanted.place, transactions.status, transactions.settled_at_ms
     ), counted AS (
         UPDATE transaction_counts
         SET pending = pending - (SELECT count(*) FROM ended),
             settled = settled + (SELECT count(*) FROM ended WHERE status = 'settled'),
             declined = declined + (SELECT count(*) FROM ended WHERE status = 'declined')
         WHERE shard = $4
     )
     SELECT place, settled_at_ms FROM ended"
);

/// Gives claims back.
pub(super) const RELEASE: &str = "
    UPDATE transactions SET lease_expires_ms = NULL
    FROM unnest($1::uuid[], $2::bigint[]) AS given (id, claim_number)
    WHERE transactions.id = given.id
      AND transactions.claim_number = given.claim_number
      AND transactions.status = 'pending'";

/// A durable write that changes nothing of meaning.
pub(super) const BEAT: &str = concat!(
    "UPDATE transaction_counts SET beat_at_ms = ",
    now!(),
    " WHERE shard = $1"
);

pub(super) const GET: &str = concat!(
    "SELECT ",
    transaction_columns!(),
    " FROM transactions WHERE id = $1"
);

pub(super) const PAGE: &str = concat!(
    "SELECT ",
    transaction_columns!(),
    " FROM transactions
     WHERE id < $1 ORDER BY id DESC LIMIT $2"
);

pub(super) const PAGE_OF_STATUS: &str = concat!(
    "SELECT ",
    transaction_columns!(),
    " FROM transactions
     WHERE status = $3 AND id < $1 ORDER BY id DESC LIMIT $2"
);

pub(super) const COUNTS: &str = "
    SELECT sum(pending)::bigint AS pending, sum(settled)::bigint AS settled,
           sum(declined)::bigint AS declined,
           (SELECT created_at_ms FROM transactions
            WHERE status = 'pending' ORDER BY id LIMIT 1) AS oldest_pending_ms
    FROM transaction_counts";
