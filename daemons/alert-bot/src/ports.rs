//! What the engine needs of the world. [`wiring`](crate::wiring) implements it over the adapters,
//! the simulation over fakes with seeded faults.

use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use ledger::{LedgerError, Store};
use remediation::{AlertNow, FleetLimits, FleetView, Outcome, Plan, Probe, Signal, Trigger};
use systemd_bus::{BusError, Verb};
use tokio::sync::mpsc;
use units::{ActiveState, JobResult, UnitFacts, UnitName};
use uuid::Uuid;

use crate::listing::{Entry, Listing};
use crate::restarts::RunChange;
use crate::tell::OwnAlert;

/// systemd: fresh facts, and the few things that can be asked of it.
pub(crate) trait UnitControl: Send + Sync {
    /// Everything about one unit, read now and never from a cache.
    fn facts<'a>(&'a self, unit: &'a UnitName) -> BoxFuture<'a, Result<UnitFacts, BusError>>;

    /// Asks for a job and waits for its end.
    fn run<'a>(
        &'a self,
        unit: &'a UnitName,
        verb: Verb,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<JobResult, BusError>>;

    /// Makes systemd forget that the unit failed.
    fn reset_failed<'a>(&'a self, unit: &'a UnitName) -> BoxFuture<'a, Result<(), BusError>>;

    /// Sends a signal to every process of the unit.
    fn kill<'a>(
        &'a self,
        unit: &'a UnitName,
        signal: Signal,
    ) -> BoxFuture<'a, Result<(), BusError>>;
}

/// What systemd tells unasked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum BusEvent {
    /// systemd can be heard; these units are loaded.
    Up(Vec<(UnitName, ActiveState)>),
    /// systemd cannot be heard.
    Down,
    /// Something about the unit changed; its state and its run, where the message told them.
    Changed(UnitName, Option<ActiveState>, RunChange),
    /// The unit is no longer loaded.
    Unloaded(UnitName),
}

/// The durable memory. One operation is atomic, and durable once it is answered.
pub(crate) trait Ledger: Clone + Send + Sync + 'static {
    /// Runs `operation` in a transaction of its own.
    fn call<T, F>(&self, operation: F) -> BoxFuture<'_, Result<T, LedgerError>>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> Result<T, LedgerError> + Send + 'static;
}

/// Alertmanager, as one who tells and as one who is told.
pub(crate) trait AlertSink: Send + Sync {
    /// Tells every Alertmanager. Says how many could not be told.
    fn post<'a>(&'a self, alerts: &'a [OwnAlert]) -> BoxFuture<'a, Result<(), TellError>>;

    /// What Alertmanager says about a trigger now; `Unknown` where it cannot be asked in time.
    fn ask<'a>(&'a self, trigger: &'a Trigger) -> BoxFuture<'a, AlertNow>;

    /// Hands over what each Alertmanager lists, entry by entry. Where a list could not be read to
    /// its end the error says whose, and why.
    fn list(&self, entries: mpsc::Sender<Entry>) -> BoxFuture<'_, Vec<Result<Listing, String>>>;
}

/// Nobody, or not everybody, could be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TellError(pub String);

/// Health probes.
pub(crate) trait Prober: Send + Sync {
    /// Whether the probe succeeds within `timeout`; the error says why not.
    fn probe<'a>(
        &'a self,
        probe: &'a Probe,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(), String>>;
}

/// The hosts that share a table of repairs.
pub(crate) trait Turns: Send + Sync {
    /// Asks for the plan's turn and says what others do. It was taken exactly where the limits
    /// have no objection to that.
    fn take<'a>(&'a self, plan: &'a Plan, limits: FleetLimits) -> BoxFuture<'a, FleetView>;

    /// Gives the plan's turn back; without an outcome, nothing was done in it.
    fn give_back<'a>(&'a self, plan: &'a Plan, outcome: Option<Outcome>) -> BoxFuture<'a, ()>;
}

/// The wall clock, and ids that grow with it.
pub(crate) trait Clock: Send + Sync {
    /// Now, in whole microseconds.
    fn now(&self) -> Timestamp;

    /// A new incident's id, a `UUIDv7`.
    fn new_incident(&self) -> Uuid;
}
