//! The engine: the only loop, and the sole owner of what the bot knows.
//!
//! ```text
//! intake ─ bell ─┐                       ┌─ look (task) ──▶ Looked ─▶ decide ─┐
//! systemd ───────┼─▶ [ engine ] ─ spawns ┤                                    ├─ follow.rs
//! people ────────┘    admit.rs           └─ repair (task) ─▶ Judged ──────────┘
//! ```
//!
//! The loop itself waits for nothing but events and the ledger. Whatever takes time (reading a
//! unit, a probe, a job, a proof) runs in a task and comes back as an event, so a frozen service
//! never holds up the repair of another. Nothing here polls: an alert rings the bell, systemd's
//! signals are events, and an incident that is held knows when it is due.

mod admit;
mod follow;
mod look;
mod orders;
mod recover;
mod repair;
mod tick;
mod turn;
mod watched;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use daemon_kit::notify::Heartbeat;
use jiff::Timestamp;
use journal::Journal;
use ledger::{AlertId, AttemptId, Input, StoredPause};
use remediation::{
    Alert, Decision, FleetView, History, IncidentView, PastAction, Pause, Plan, Policy, Situation,
    Target, Trigger, Watched,
};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use units::{ActiveState, UnitName};
use uuid::Uuid;

use crate::book::{Book, Incident};
use crate::control::Command;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::ports::{AlertSink, BusEvent, Clock, Ledger, Prober, Turns, UnitControl};
use crate::pressure::Cgroups;
use crate::restarts::Restarts;
use crate::situation::Findings;
use crate::tell::Teller;
use crate::verify::Verdict;
use orders::Explained;
use recover::CatchingUp;

/// Incidents that are worked on at once. Alerts beyond wait in the ledger, not in memory.
const MAX_IN_WORK: usize = 512;

/// Units that are looked at, at once: enough to be quick, few enough to leave PID 1 at ease.
const LOOKS_AT_ONCE: usize = 16;

/// Events that wait for the loop; tasks that bring more wait themselves.
const EVENT_QUEUE: usize = 1_024;

/// Everything outside, as the engine needs it.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) units: Arc<dyn UnitControl>,
    pub(crate) prober: Arc<dyn Prober>,
    pub(crate) sink: Arc<dyn AlertSink>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cgroups: Arc<Cgroups>,
    /// `None` where the host keeps none, as in a simulation.
    pub(crate) journal: Option<Arc<Journal>>,
    /// `None` where this host is by itself.
    pub(crate) turns: Option<Arc<dyn Turns>>,
}

/// What the loop reacts to.
#[derive(Debug)]
pub(crate) enum Event {
    /// systemd spoke.
    Bus(BusEvent),
    /// Alertmanager repeated alerts that were accepted before.
    Repeated(Vec<Alert>),
    /// The alert that always fires arrived.
    WatchdogArrived,
    /// What Alertmanager's list tells of the time before the start is in the ledger, or cannot be
    /// known now.
    CaughtUp,
    /// A target was looked at.
    Looked(Uuid, Box<Findings>),
    /// The fleet said whose turn it is.
    TurnAnswered(Uuid, Box<Plan>, Box<Findings>, FleetView),
    /// An action made its unit healthy; the end of the alert is still waited for.
    Proven(Uuid, AttemptId),
    /// An action was judged.
    Judged(Uuid, AttemptId, Verdict),
    /// A person wants something.
    Command(Command),
    /// An alert was looked at to explain it.
    Explained(Box<Explained>),
}

/// What the engine is made of.
pub(crate) struct Parts<L> {
    pub(crate) host: String,
    pub(crate) policy: Policy,
    pub(crate) ledger: L,
    pub(crate) outside: Outside,
    pub(crate) teller: Teller,
    pub(crate) metrics: Metrics,
    pub(crate) settings: Settings,
}

/// What of the configuration the engine itself needs.
pub(crate) struct Settings {
    /// Reads the policy's files; the error is for people.
    pub(crate) read_policy: Box<dyn Fn() -> Result<Policy, String> + Send + Sync>,
    /// How long what has ended stays in the ledger.
    pub(crate) keep: Duration,
    /// Without the alert that always fires for this long, the chain counts as broken.
    pub(crate) watchdog_timeout: Duration,
}

/// How everybody else reaches the loop.
#[derive(Clone)]
pub(crate) struct Wires {
    /// For events.
    pub(crate) events: mpsc::Sender<Event>,
    /// Rung when alerts were accepted.
    pub(crate) bell: Arc<Notify>,
    /// What the loop says about itself.
    pub(crate) health: watch::Receiver<Health>,
}

/// The loop's state.
pub(crate) struct Engine<L> {
    host: String,
    policy: Policy,
    policy_rejected: bool,
    ledger: L,
    outside: Outside,
    teller: Teller,
    metrics: Metrics,
    settings: Settings,
    book: Book,
    history: History,
    pauses: Vec<StoredPause>,
    /// Every unit that systemd has loaded, while the bus is up.
    loaded: BTreeMap<UnitName, ActiveState>,
    restarts: Restarts,
    bus_up: bool,
    /// Alerts up to this one are in the book or settled.
    cursor: AlertId,
    /// Alerts up to this one were accepted before the start.
    inherited: AlertId,
    catching_up: Option<CatchingUp>,
    watchdog_seen: Instant,
    watchdog_lost: bool,
    forgot_at: Option<Instant>,
    looks: Arc<Semaphore>,
    tasks: JoinSet<()>,
    sender: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
    bell: Arc<Notify>,
    health: watch::Sender<Health>,
}

impl<L: Ledger> Engine<L> {
    pub(crate) fn new(parts: Parts<L>) -> (Self, Wires) {
        let (sender, events) = mpsc::channel(EVENT_QUEUE);
        let (health, health_receiver) = watch::channel(Health::default());
        let bell = Arc::new(Notify::new());
        let wires = Wires {
            events: sender.clone(),
            bell: bell.clone(),
            health: health_receiver,
        };
        let engine = Self {
            host: parts.host,
            policy: parts.policy,
            policy_rejected: false,
            ledger: parts.ledger,
            outside: parts.outside,
            teller: parts.teller,
            metrics: parts.metrics,
            settings: parts.settings,
            book: Book::default(),
            history: History::default(),
            pauses: Vec::new(),
            loaded: BTreeMap::new(),
            restarts: Restarts::default(),
            bus_up: false,
            cursor: AlertId::BEFORE_ALL,
            inherited: AlertId::BEFORE_ALL,
            catching_up: None,
            watchdog_seen: Instant::now(),
            watchdog_lost: false,
            forgot_at: None,
            looks: Arc::new(Semaphore::new(LOOKS_AT_ONCE)),
            tasks: JoinSet::new(),
            sender,
            events,
            bell,
            health,
        };
        (engine, wires)
    }

    /// Works until told to stop. What is in flight then is left to the next start, which verifies
    /// it: waiting for a slow job would only make the stop slow.
    pub(crate) async fn run(mut self, heartbeat: Heartbeat, stop: CancellationToken) {
        self.bell.notify_one();
        let mut tick = tokio::time::interval(Heartbeat::interval().min(tick::LONGEST_INTERVAL));
        loop {
            let due = self.book.next_due();
            tokio::select! {
                () = stop.cancelled() => return,
                Some(event) = self.events.recv() => self.handle(event).await,
                () = self.bell.notified() => self.pull().await,
                () = sleep_until(due) => self.look_at_due(),
                _ = tick.tick() => self.tick().await,
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a task of the engine ended early");
                    }
                }
            }
            heartbeat.beat();
            self.publish_health();
        }
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Bus(event) => self.bus(event),
            Event::Repeated(alerts) => self.repeated(alerts),
            Event::WatchdogArrived => self.watchdog_arrived(),
            Event::CaughtUp => self.caught_up(),
            Event::Looked(id, findings) => self.looked(id, *findings).await,
            Event::TurnAnswered(id, plan, findings, view) => {
                self.turn_answered(id, *plan, *findings, view).await;
            }
            Event::Proven(id, attempt) => self.proven(id, attempt),
            Event::Judged(id, attempt, verdict) => self.judged(id, attempt, verdict).await,
            Event::Command(command) => self.command(command).await,
            Event::Explained(explained) => self.explained(*explained),
        }
    }

    fn now(&self) -> Timestamp {
        self.outside.clock.now()
    }

    /// Everything that a decision about this incident depends on, but the past.
    fn situation(&self, incident: &Incident, findings: Findings) -> Situation {
        Situation {
            incident: incident.view.clone(),
            truncated: incident.truncated,
            ..self.situation_of_new(incident.trigger.clone(), findings)
        }
    }

    /// The same for a trigger that has no incident.
    fn situation_of_new(&self, trigger: Trigger, findings: Findings) -> Situation {
        let now = self.now();
        let target = self.policy.select(&self.host, &trigger).map(|s| s.target);
        Situation {
            now,
            host: self.host.clone(),
            incident: IncidentView::new(self.outside.clock.new_incident(), now),
            trigger,
            unit: findings.unit,
            siblings: findings.siblings,
            uncounted: findings.uncounted,
            probe_healthy: findings.probe_healthy,
            alert_now: findings.alert_now,
            pause: target.ok().and_then(|target| self.pause_of(&target, now)),
            pressure: findings.cgroup.pressure,
            watched: self.watched_health(),
            truncated: false,
            fleet: None,
        }
    }

    /// A decision that needs no look at any unit: no rule, no target, an alert that is over.
    fn decide_at_sight(&self, trigger: Trigger, truncated: bool) -> (Input, Decision) {
        let situation = Situation {
            truncated,
            ..self.situation_of_new(trigger, Findings::default())
        };
        let history = History::default();
        let decision = remediation::decide(&self.policy, &history, &situation);
        (Input { history, situation }, decision)
    }

    fn pause_of(&self, target: &Target, now: Timestamp) -> Option<Pause> {
        self.pauses
            .iter()
            .filter(|pause| pause.until > now)
            .filter(|pause| {
                let unit = pause.unit.as_ref();
                unit.is_none_or(|unit| target.covers(unit))
            })
            .map(|pause| Pause { until: pause.until })
            .max_by_key(|pause| pause.until)
    }

    fn watched_health(&self) -> Watched {
        let troubled = self.book.iter().filter(|incident| !incident.is_proven());
        let troubled = troubled.filter_map(|incident| incident.target.unit());
        watched::watched(&self.policy, &self.loaded, troubled)
    }

    fn publish_health(&self) {
        let health = Health {
            bus_up: self.bus_up,
            incidents_open: self.book.len(),
            queue_depth: u64::try_from(self.metrics.queue_depth.get()).unwrap_or_default(),
            paused: self.pauses.iter().any(|pause| pause.unit.is_none()),
            policy: self.policy.hash().to_string(),
            rules: self.policy.rules().len(),
            policy_rejected: self.policy_rejected,
            watchdog_lost: self.watchdog_lost,
            last_action: self.history.actions.last().map(summary),
        };
        self.health.send_if_modified(|current| {
            let changed = *current != health;
            if changed {
                *current = health;
                daemon_kit::notify::status(&current.to_string());
            }
            changed
        });
    }
}

/// An action in a few words, for the status line.
fn summary(past: &PastAction) -> String {
    let came = past.judged.map_or("under way", |it| it.outcome.as_str());
    format!("{} of {}, {came}", past.action.as_str(), past.names())
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
