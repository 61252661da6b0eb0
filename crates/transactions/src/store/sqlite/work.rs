//! The writes, each a step of the transaction that the writer has open.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension, named_params, params};

use super::super::LEASE_MAX;
use super::super::request::{
    Claim, ClaimRequest, ClaimTicket, Insertion, SettleResult, Settlement,
};
use super::rows::{self, TRANSACTION_COLUMNS};
use crate::{Amount, IdempotencyKey, NewTransaction, Status, Transaction};

/// Works on one open write transaction.
pub(super) struct Work<'a> {
    transaction: &'a Connection,
    /// How the counts change; written once a group instead of once a row.
    added: i64,
    ended: [i64; 2],
}

impl<'a> Work<'a> {
    pub(super) fn new(transaction: &'a Connection) -> Self {
        Self {
            transaction,
            added: 0,
            ended: [0, 0],
        }
    }

    pub(super) fn insert(&mut self, new: &NewTransaction) -> rusqlite::Result<Insertion> {
        let inserted = self
            .statement(
                "INSERT INTO transactions
                    (id, amount_minor, currency, created_at_ms, idempotency_key)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING",
            )?
            .execute(params![
                new.id.as_bytes(),
                new.amount.minor_units(),
                new.amount.currency().code(),
                new.created_at.as_millisecond(),
                new.idempotency_key.as_ref().map(IdempotencyKey::as_str),
            ])?;
        if inserted == 1 {
            self.added += 1;
            return Ok(Insertion::Created(Transaction {
                id: new.id,
                amount: new.amount,
                status: Status::Pending,
                created_at: new.created_at,
                settled_at: None,
            }));
        }
        let key = new.idempotency_key.as_ref().map(IdempotencyKey::as_str);
        let earlier = self
            .statement(&format!(
                "SELECT {TRANSACTION_COLUMNS} FROM transactions WHERE idempotency_key = ?1"
            ))?
            .query_row([key], rows::transaction)?;
        Ok(if same_request(&earlier, new.amount) {
            Insertion::Replayed(earlier)
        } else {
            Insertion::KeyReused
        })
    }

    pub(super) fn claim(&mut self, request: &ClaimRequest) -> rusqlite::Result<Vec<Claim>> {
        let now = Timestamp::now().as_millisecond();
        let lease = request.lease.min(LEASE_MAX);
        let mut statement = self.statement(&format!(
            "UPDATE transactions
             SET claimed_by = :holder, claim_number = claim_number + 1, lease_expires_ms = :expiry
             WHERE id IN (
                 SELECT id FROM transactions
                 WHERE status = 'pending'
                   AND (lease_expires_ms IS NULL
                        OR lease_expires_ms <= :now
                        OR lease_expires_ms > :no_lease_beyond)
                 ORDER BY id
                 LIMIT :limit)
             RETURNING {TRANSACTION_COLUMNS}, claim_number"
        ))?;
        let claims = statement.query_map(
            named_params! {
                ":holder": request.holder,
                ":expiry": now.saturating_add(millis(lease)),
                ":now": now,
                ":no_lease_beyond": now.saturating_add(millis(LEASE_MAX)),
                ":limit": request.limit,
            },
            |row| {
                let transaction = rows::transaction(row)?;
                let ticket = ClaimTicket {
                    id: transaction.id,
                    claim_number: row.get("claim_number")?,
                };
                Ok(Claim {
                    transaction,
                    ticket,
                })
            },
        )?;
        let mut claims = claims.collect::<Result<Vec<_>, _>>()?;
        // RETURNING promises no order; workers are to process the oldest first.
        claims.sort_unstable_by_key(|claim| claim.transaction.id);
        Ok(claims)
    }

    pub(super) fn settle(
        &mut self,
        settlements: &[Settlement],
    ) -> rusqlite::Result<Vec<SettleResult>> {
        settlements
            .iter()
            .map(|settlement| self.settle_one(*settlement))
            .collect()
    }

    fn settle_one(&mut self, settlement: Settlement) -> rusqlite::Result<SettleResult> {
        let ClaimTicket { id, claim_number } = settlement.ticket;
        let status = settlement.outcome.status();
        let now = Timestamp::now().as_millisecond();
        // Never before it was created, whatever the clock did in between.
        let settled_at = self
            .statement(
                "UPDATE transactions
                 SET status = ?3, settled_at_ms = max(?4, created_at_ms), lease_expires_ms = NULL
                 WHERE id = ?1 AND claim_number = ?2 AND status = 'pending'
                 RETURNING settled_at_ms",
            )?
            .query_row(
                params![id.as_bytes(), claim_number, status.as_str(), now],
                |row| rows::timestamp(row, 0),
            )
            .optional()?;
        let Some(settled_at) = settled_at else {
            return Ok(SettleResult::ClaimLost);
        };
        self.ended[usize::from(status == Status::Declined)] += 1;
        Ok(SettleResult::Settled(settled_at))
    }

    pub(super) fn release(&mut self, tickets: &[ClaimTicket]) -> rusqlite::Result<()> {
        let mut statement = self.statement(
            "UPDATE transactions SET lease_expires_ms = NULL
             WHERE id = ?1 AND claim_number = ?2 AND status = 'pending'",
        )?;
        for ticket in tickets {
            statement.execute(params![ticket.id.as_bytes(), ticket.claim_number])?;
        }
        Ok(())
    }

    pub(super) fn beat(&mut self) -> rusqlite::Result<()> {
        let now = Timestamp::now().as_millisecond();
        self.statement("UPDATE heartbeat SET beat_at_ms = ?1")?
            .execute([now])?;
        Ok(())
    }

    /// Writes what the group changed in the counts.
    pub(super) fn finish(self) -> rusqlite::Result<()> {
        let [settled, declined] = self.ended;
        let changes = [
            (Status::Pending, self.added - settled - declined),
            (Status::Settled, settled),
            (Status::Declined, declined),
        ];
        for (status, change) in changes.into_iter().filter(|(_, change)| *change != 0) {
            self.statement("UPDATE transaction_counts SET rows = rows + ?2 WHERE status = ?1")?
                .execute(params![status.as_str(), change])?;
        }
        Ok(())
    }

    fn statement(&self, sql: &str) -> rusqlite::Result<CachedStatement<'a>> {
        self.transaction.prepare_cached(sql)
    }
}

/// Whether a repeat asks for what was stored. The amount carries its currency.
fn same_request(earlier: &Transaction, amount: Amount) -> bool {
    earlier.amount == amount
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
