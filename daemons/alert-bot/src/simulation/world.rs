//! The world of the simulation: units that break, a bus that hangs, a disk that refuses, a clock
//! that is stepped. It implements the engine's ports and checks every action as it happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use ledger::{AttemptId, LedgerError, Store};
use remediation::{
    Alert, AlertNow, FleetLimits, FleetView, Others, Outcome, Plan, Probe, Signal, Trigger,
};
use systemd_bus::{BusError, Verb};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use units::{ActiveState, JobResult, LoadState, UnitFacts, UnitName};
use uuid::Uuid;

use super::seeded::Seeded;
use crate::listing::{Entry, Listing};
use crate::ports::{AlertSink, Clock, Ledger, Prober, TellError, Turns, UnitControl};
use crate::tell::OwnAlert;

/// The most instances of the pool that the bot may bring to run; nobody else starts any.
pub(super) const POOL_MAX: usize = 3;

pub(super) fn is_of_pool(unit: &UnitName) -> bool {
    unit.as_str().starts_with("pool@")
}

/// Begins well after the epoch, so that a clock that is stepped back stays after it.
const EPOCH_SECONDS: i64 = 1_800_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Well,
    /// Runs, and answers nobody.
    Frozen,
    Stopped,
    Crashed,
}

#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) health: Health,
    run: u64,
    started_usec: u64,
}

/// An action that reached a unit.
#[derive(Clone, Debug)]
pub(super) struct Executed {
    /// A step of scaling reaches several units.
    pub(super) attempt: AttemptId,
    pub(super) unit: UnitName,
    pub(super) at: Timestamp,
}

pub(super) struct State {
    pub(super) chance: Seeded,
    pub(super) units: BTreeMap<UnitName, Unit>,
    pub(super) bus_up: bool,
    /// Faults strike only while this holds.
    pub(super) faults: bool,
    pub(super) clock_offset: SignedDuration,
    pub(super) executed: Vec<Executed>,
    /// What the bot took from Alertmanager, in order.
    pub(super) acknowledged: Vec<Alert>,
    /// What Alertmanager has on its list.
    pub(super) listed: Vec<Alert>,
    /// Attempts whose action has begun, with the unit that it has begun on.
    begun: BTreeSet<(AttemptId, UnitName)>,
    running: BTreeSet<UnitName>,
    /// Whether the host shares a table of repairs with others: in every other story.
    in_fleet: bool,
    /// Incidents whose turn in the fleet has come and not been given back.
    turns: BTreeSet<Uuid>,
    born: Instant,
}

/// Everything outside the bot. It survives the bot's crashes.
#[derive(Clone)]
pub(super) struct World {
    state: Arc<Mutex<State>>,
    store: Arc<Mutex<Store>>,
}

impl World {
    pub(super) fn new(seed: u64, units: &[&str]) -> Self {
        let started_usec = u64::try_from(EPOCH_SECONDS - 3_600).unwrap() * 1_000_000;
        let unit = |name: &&str| {
            let unit = Unit {
                health: Health::Well,
                run: 1,
                started_usec,
            };
            (name.parse().unwrap(), unit)
        };
        Self {
            state: Arc::new(Mutex::new(State {
                chance: Seeded::new(seed),
                units: units.iter().map(unit).collect(),
                bus_up: true,
                faults: true,
                clock_offset: SignedDuration::ZERO,
                executed: Vec::new(),
                acknowledged: Vec::new(),
                listed: Vec::new(),
                begun: BTreeSet::new(),
                running: BTreeSet::new(),
                in_fleet: seed.is_multiple_of(2),
                turns: BTreeSet::new(),
                born: Instant::now(),
            })),
            store: Arc::new(Mutex::new(Store::in_memory().unwrap())),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    fn fault(&self, one_in: u64) -> bool {
        let mut state = self.state();
        state.faults && state.chance.one_in(one_in)
    }

    /// A moment that passes; the bot may be killed in it.
    async fn moment(&self) {
        let millis = self.state().chance.below(4);
        if millis > 0 {
            sleep(Duration::from_millis(millis)).await;
        }
    }

    fn reach_bus(&self) -> Result<(), BusError> {
        if self.state().bus_up {
            return Ok(());
        }
        Err(BusError::Disconnected {
            call: "simulated",
            reason: "the bus is away".into(),
        })
    }

    /// The heart of the matter: whenever an action reaches a unit there is an intent for it on
    /// the disk, no action has begun under that intent before, and none runs on the unit now.
    fn begin(&self, unit: &UnitName) {
        let open = self.store().open_incidents().unwrap();
        let intents = open.into_iter().filter_map(|incident| incident.in_flight);
        let mine = intents
            .filter(|(_, plan)| plan.units().any(|planned| planned == unit))
            .map(|(id, _)| id);
        let latest = mine.max().expect("an action without an intent on the disk");
        let at = self.now();
        let mut state = self.state();
        let is_first = state.begun.insert((latest, unit.clone()));
        assert!(is_first, "{unit}: {latest:?} acted twice");
        assert!(
            state.running.insert(unit.clone()),
            "{unit}: two actions at once"
        );
        state.executed.push(Executed {
            attempt: latest,
            unit: unit.clone(),
            at,
        });
    }

    fn end(&self, unit: &UnitName) {
        self.state().running.remove(unit);
    }

    /// The bot was killed: the jobs that it followed go on without it, and its turns run out.
    pub(super) fn forget_running(&self) {
        let mut state = self.state();
        state.running.clear();
        state.turns.clear();
    }

    pub(super) fn is_in_fleet(&self) -> bool {
        self.state().in_fleet
    }

    /// Says whether the fleet still waits for this host.
    pub(super) fn holds_a_turn(&self) -> bool {
        !self.state().turns.is_empty()
    }

    fn effect(&self, unit: &UnitName, verb: Verb) -> JobResult {
        let now = u64::try_from(self.now().as_microsecond()).unwrap();
        let mut state = self.state();
        let helps = !state.chance.one_in(4);
        let Some(unit) = state.units.get_mut(unit) else {
            return JobResult::Invalid;
        };
        match verb {
            Verb::Stop => unit.health = Health::Stopped,
            Verb::Reload => {}
            Verb::Start | Verb::Restart => {
                unit.run += 1;
                unit.started_usec = now;
                unit.health = if helps { Health::Well } else { Health::Crashed };
            }
        }
        let pool = state.units.iter().filter(|(name, _)| is_of_pool(name));
        let running = pool.filter(|(_, unit)| unit.health == Health::Well).count();
        assert!(running <= POOL_MAX, "{running} instances run");
        if helps {
            JobResult::Done
        } else {
            JobResult::Failed
        }
    }
}

impl UnitControl for World {
    fn facts<'a>(&'a self, unit: &'a UnitName) -> BoxFuture<'a, Result<UnitFacts, BusError>> {
        async move {
            self.moment().await;
            self.reach_bus()?;
            Ok(facts_of(unit, self.state().units.get(unit)))
        }
        .boxed()
    }

    fn run<'a>(
        &'a self,
        unit: &'a UnitName,
        verb: Verb,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<JobResult, BusError>> {
        async move {
            // Killed here: intent without action.
            self.moment().await;
            self.reach_bus()?;
            self.begin(unit);
            let timeout = Err(BusError::Timeout {
                call: "simulated",
                after: deadline,
            });
            if self.fault(12) {
                sleep(deadline).await;
                self.end(unit);
                return timeout;
            }
            let result = self.effect(unit, verb);
            // Killed here: action without record.
            self.moment().await;
            if self.fault(12) {
                sleep(deadline).await;
                self.end(unit);
                return timeout;
            }
            self.end(unit);
            Ok(result)
        }
        .boxed()
    }

    fn reset_failed<'a>(&'a self, _: &'a UnitName) -> BoxFuture<'a, Result<(), BusError>> {
        async move {
            self.moment().await;
            self.reach_bus()
        }
        .boxed()
    }

    fn kill<'a>(&'a self, _: &'a UnitName, _: Signal) -> BoxFuture<'a, Result<(), BusError>> {
        unreachable!("no rule of the simulation sends signals")
    }
}

fn facts_of(name: &UnitName, unit: Option<&Unit>) -> UnitFacts {
    let (load_state, active_state) = match unit.map(|unit| unit.health) {
        None => (LoadState::NotFound, ActiveState::Inactive),
        Some(Health::Well | Health::Frozen) => (LoadState::Loaded, ActiveState::Active),
        Some(Health::Stopped) => (LoadState::Loaded, ActiveState::Inactive),
        Some(Health::Crashed) => (LoadState::Loaded, ActiveState::Failed),
    };
    UnitFacts {
        unit: name.clone(),
        load_state,
        active_state,
        sub_state: "simulated".into(),
        result: None,
        main_pid: None,
        exec_main_status: None,
        n_restarts: None,
        queued_job: None,
        invocation_id: unit.map(|unit| unit.run.to_string()),
        inactive_exit_usec: unit.map(|unit| unit.started_usec),
        active_enter_usec: unit.map(|unit| unit.started_usec),
        failed_requirements: Vec::new(),
    }
}

impl Prober for World {
    fn probe<'a>(&'a self, probe: &'a Probe, _: Duration) -> BoxFuture<'a, Result<(), String>> {
        async move {
            self.moment().await;
            let Probe::Tcp { address } = probe else {
                unreachable!("the rules of the simulation probe by TCP");
            };
            // The address names the unit, as in `api:1`.
            let stem = address.split(':').next().unwrap_or_default();
            let name: UnitName = format!("{stem}.service").parse().unwrap();
            match self.state().units.get(&name).map(|unit| unit.health) {
                Some(Health::Well) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        }
        .boxed()
    }
}

impl AlertSink for World {
    fn post<'a>(&'a self, _: &'a [OwnAlert]) -> BoxFuture<'a, Result<(), TellError>> {
        async move {
            self.moment().await;
            if self.fault(5) {
                sleep(Duration::from_secs(2)).await;
                return Err(TellError("Alertmanager hangs".into()));
            }
            Ok(())
        }
        .boxed()
    }

    fn ask<'a>(&'a self, _: &'a Trigger) -> BoxFuture<'a, AlertNow> {
        async move {
            self.moment().await;
            if self.fault(5) {
                sleep(Duration::from_secs(5)).await;
            }
            AlertNow::Unknown
        }
        .boxed()
    }

    fn list(&self, entries: mpsc::Sender<Entry>) -> BoxFuture<'_, Vec<Result<Listing, String>>> {
        async move {
            self.moment().await;
            if self.fault(3) {
                sleep(Duration::from_secs(5)).await;
                return vec![Err("Alertmanager hangs".into())];
            }
            // It was started with the bot, and Prometheus has told it nothing yet.
            if self.fault(3) {
                return vec![Ok(Listing::Young)];
            }
            let listed = self.state().listed.clone();
            for alert in listed {
                let entry = Entry {
                    fingerprint: alert.fingerprint.clone(),
                    ours: Some(alert),
                };
                if entries.send(entry).await.is_err() {
                    return vec![Err("nobody takes the list in".into())];
                }
            }
            vec![Ok(Listing::Complete)]
        }
        .boxed()
    }
}

impl Turns for World {
    fn take<'a>(&'a self, plan: &'a Plan, limits: FleetLimits) -> BoxFuture<'a, FleetView> {
        async move {
            self.moment().await;
            if self.fault(6) {
                sleep(Duration::from_secs(2)).await;
                return FleetView::Unreachable;
            }
            let mut others = Others::default();
            if self.fault(3) {
                others.under_repair.insert("there".into());
            }
            if limits.objection(&others).is_none() {
                self.state().turns.insert(plan.incident);
            }
            // Killed here: taken, and nobody was told.
            self.moment().await;
            FleetView::Reached(others)
        }
        .boxed()
    }

    fn give_back<'a>(&'a self, plan: &'a Plan, _: Option<Outcome>) -> BoxFuture<'a, ()> {
        async move {
            self.moment().await;
            self.state().turns.remove(&plan.incident);
        }
        .boxed()
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        let state = self.state();
        let elapsed = SignedDuration::try_from(state.born.elapsed()).unwrap();
        let epoch = Timestamp::from_second(EPOCH_SECONDS).unwrap();
        let now = epoch + elapsed + state.clock_offset;
        Timestamp::from_microsecond(now.as_microsecond()).unwrap()
    }

    fn new_incident(&self) -> Uuid {
        let millis = u64::try_from(self.now().as_millisecond()).unwrap();
        let mut state = self.state();
        let mut random = [0; 10];
        random[..8].copy_from_slice(&state.chance.next().to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

impl Ledger for World {
    fn call<T, F>(&self, operation: F) -> BoxFuture<'_, Result<T, LedgerError>>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> Result<T, LedgerError> + Send + 'static,
    {
        async move {
            self.moment().await;
            if self.fault(60) {
                return Err(LedgerError::Stopped);
            }
            let result = self.store().atomically(operation);
            // Killed here: on the disk, but nobody was told.
            self.moment().await;
            if self.fault(60) {
                return Err(LedgerError::Stopped);
            }
            result
        }
        .boxed()
    }
}
