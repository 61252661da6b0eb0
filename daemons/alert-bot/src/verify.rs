//! The proof: fresh reads and the probe, until the unit was healthy for long enough or the
//! deadline has passed; then the end of the alert that asked for the repair, with a deadline of its
//! own. Also what a bot does about an action that its predecessor left unfinished.
//!
//! ```text
//! act → prove ── not healthy in time ─────────────────────────────▶ ineffective
//!         └─ healthy ─▶ outlast ── the alert ends, or nobody can say ─▶ effective
//!                         └─ it goes on beyond its deadline ──▶ ineffective: alert-lasts
//! ```

use std::time::Duration;

use futures_util::future::join_all;
use remediation::{AlertNow, Expected, Outcome, Plan, Reason, Trigger};
use systemd_bus::BusError;
use tokio::time::Instant;
use units::{ActiveState, UnitFacts};

use crate::act::Done;
use crate::book::AlertWatch;
use crate::engine::Outside;
use crate::ports::{Prober, UnitControl};

/// Between two looks: short at first, because most repairs take effect within milliseconds, then
/// longer, because those that do not are waiting for something slow.
const FIRST_INTERVAL: Duration = Duration::from_millis(10);
const LAST_INTERVAL: Duration = Duration::from_millis(200);

/// A probe that takes longer is a failed one; another look follows anyway.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two questions to Alertmanager: it tells the end of an alert by itself, so these are for
/// when that is lost.
const FIRST_ALERT_INTERVAL: Duration = Duration::from_millis(500);
const LAST_ALERT_INTERVAL: Duration = Duration::from_secs(5);

/// Alertmanager answers in about a millisecond.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// What came of an action, and how that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    /// Why it did not help, where there is a word for it.
    pub(crate) reason: Option<Reason>,
    pub(crate) detail: String,
    /// The action helped, but the unit is no longer as it left it.
    pub(crate) has_changed_since: bool,
}

/// Judges an action that has just been carried out.
pub(crate) async fn judge(
    units: &dyn UnitControl,
    prober: &dyn Prober,
    plan: &Plan,
    done: &Done,
) -> Verdict {
    match done {
        Done::Refused(why) => verdict(Outcome::Ineffective, why.clone()),
        Done::Yielded(why) => verdict(Outcome::Unknown, why.clone()),
        Done::Look(_) => prove(units, prober, plan).await,
    }
}

/// Looks until the plan's proof holds or its deadline passes.
pub(crate) async fn prove(units: &dyn UnitControl, prober: &dyn Prober, plan: &Plan) -> Verdict {
    let began = Instant::now();
    let deadline = began + plan.proof.deadline;
    let mut interval = FIRST_INTERVAL;
    let mut healthy_since: Option<(Instant, Vec<Option<String>>)> = None;
    loop {
        let seen = look(units, prober, plan).await;
        let now = Instant::now();
        match &seen {
            Seen::Healthy(run) => {
                // A new invocation in between means that it died and came back: no proof.
                let (since, _) = match healthy_since.take() {
                    Some((since, same)) if same == *run => healthy_since.insert((since, same)),
                    _ => healthy_since.insert((now, run.clone())),
                };
                if now.duration_since(*since) >= plan.proof.healthy_for {
                    return verdict(
                        Outcome::Effective,
                        format!("healthy for {:.2?}", now - *since),
                    );
                }
            }
            Seen::Unhealthy(_) | Seen::Nothing(_) => healthy_since = None,
        }
        // Seen at the last moment still counts; what would need longer does not.
        if now >= deadline {
            return seen.at_the_deadline(plan.proof.deadline);
        }
        tokio::time::sleep_until((now + interval).min(deadline)).await;
        interval = (interval * 2).min(LAST_INTERVAL);
    }
}

/// Waits until the alert is over as well, at most until its deadline. A unit that breaks meanwhile
/// ends the wait: the proof has held, and what follows is another repair.
pub(crate) async fn outlast(
    outside: &Outside,
    plan: &Plan,
    trigger: &Trigger,
    watch: &AlertWatch,
    proof: Verdict,
) -> Verdict {
    let Some(patience) = plan.alert_deadline() else {
        return proof;
    };
    let deadline = Instant::now() + patience;
    let mut interval = FIRST_ALERT_INTERVAL;
    loop {
        let asked = tokio::time::timeout(ASK_TIMEOUT, outside.sink.ask(trigger));
        let alert_now = asked.await.unwrap_or_default();
        let is_over = watch.is_over() || matches!(alert_now, AlertNow::Resolved | AlertNow::Absent);
        if is_over || alert_now == AlertNow::Silenced {
            return proof;
        }
        if !matches!(
            look(&*outside.units, &*outside.prober, plan).await,
            Seen::Healthy(_)
        ) {
            return Verdict {
                has_changed_since: true,
                ..proof.with("; it has changed since")
            };
        }
        let now = Instant::now();
        if now >= deadline {
            return match alert_now {
                AlertNow::Firing => Verdict {
                    outcome: Outcome::Ineffective,
                    reason: Some(Reason::AlertLasts),
                    detail: format!("{}, but the alert goes on after {patience:?}", proof.detail),
                    has_changed_since: false,
                },
                _ => proof.with("; whether the alert has ended cannot be asked"),
            };
        }
        tokio::select! {
            () = watch.changed.notified() => {}
            () = tokio::time::sleep_until((now + interval).min(deadline)) => {}
        }
        interval = (interval * 2).min(LAST_ALERT_INTERVAL);
    }
}

impl Verdict {
    fn with(mut self, addition: &str) -> Self {
        self.detail.push_str(addition);
        self
    }
}

fn verdict(outcome: Outcome, detail: String) -> Verdict {
    Verdict {
        outcome,
        reason: None,
        detail,
        has_changed_since: false,
    }
}

enum Seen {
    /// As the plan expects it; with the invocation of each unit that was seen.
    Healthy(Vec<Option<String>>),
    Unhealthy(String),
    Nothing(String),
}

impl Seen {
    fn at_the_deadline(self, deadline: Duration) -> Verdict {
        let (outcome, what) = match self {
            Self::Healthy(_) => (
                Outcome::Ineffective,
                "healthy, but not for long enough".into(),
            ),
            Self::Unhealthy(what) => (Outcome::Ineffective, what),
            Self::Nothing(what) => (Outcome::Unknown, what),
        };
        verdict(outcome, format!("{what} (after {deadline:?})"))
    }
}

/// Looks at every unit of the plan. A probe asks about the service as a whole, once.
async fn look(units: &dyn UnitControl, prober: &dyn Prober, plan: &Plan) -> Seen {
    let facts = join_all(plan.units().map(|unit| units.facts(unit))).await;
    let facts: Vec<UnitFacts> = match facts.into_iter().collect() {
        Ok(facts) => facts,
        Err(error) => return Seen::Nothing(BusError::to_string(&error)),
    };
    let expected = plan.action.expects();
    let is_expected = |facts: &UnitFacts| match expected {
        Expected::Inactive => is_down(facts),
        Expected::Active => facts.is_settled_active(),
    };
    let is_alone = facts.len() == 1;
    let state = |facts: &UnitFacts| {
        let state = format!("{} ({})", facts.active_state, facts.sub_state);
        if is_alone {
            state
        } else {
            format!("{}: {state}", facts.unit)
        }
    };
    if let Some(other) = facts.iter().find(|facts| !is_expected(facts)) {
        return Seen::Unhealthy(state(other));
    }
    let answer = match &plan.proof.probe {
        Some(probe) if expected == Expected::Active => prober.probe(probe, PROBE_TIMEOUT).await,
        _ => Ok(()),
    };
    match answer {
        Ok(()) => Seen::Healthy(facts.into_iter().map(|facts| facts.invocation_id).collect()),
        Err(why) => {
            let states: Vec<String> = facts.iter().map(state).collect();
            let states = states.join(", ");
            Seen::Unhealthy(format!("{states}, but the probe failed: {why}"))
        }
    }
}

fn is_down(facts: &UnitFacts) -> bool {
    facts.queued_job.is_none()
        && matches!(
            facts.active_state,
            ActiveState::Inactive | ActiveState::Failed
        )
}
