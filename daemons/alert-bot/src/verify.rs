//! The proof: fresh reads and the probe, until the unit was healthy for long enough or the
//! deadline has passed. Also what a bot does about an action that its predecessor left unfinished.
//!
//! act → **verify** → engine

use std::time::Duration;

use remediation::{Expected, Outcome, Plan};
use tokio::time::Instant;
use units::{ActiveState, UnitFacts};

use crate::act::Done;
use crate::ports::{Prober, UnitControl};

/// Between two looks: short at first, because most repairs take effect within milliseconds, then
/// longer, because those that do not are waiting for something slow.
const FIRST_INTERVAL: Duration = Duration::from_millis(10);
const LAST_INTERVAL: Duration = Duration::from_millis(200);

/// A probe that takes longer is a failed one; another look follows anyway.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// What came of an action, and how that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) detail: String,
}

/// Judges an action that has just been carried out.
pub(crate) async fn judge(
    units: &dyn UnitControl,
    prober: &dyn Prober,
    plan: &Plan,
    done: &Done,
) -> Verdict {
    match done {
        Done::Refused(why) => Verdict {
            outcome: Outcome::Ineffective,
            detail: why.clone(),
        },
        Done::Yielded(why) => Verdict {
            outcome: Outcome::Unknown,
            detail: why.clone(),
        },
        Done::Look(_) => prove(units, prober, plan).await,
    }
}

/// Looks until the plan's proof holds or its deadline passes.
pub(crate) async fn prove(units: &dyn UnitControl, prober: &dyn Prober, plan: &Plan) -> Verdict {
    let began = Instant::now();
    let deadline = began + plan.proof.deadline;
    let mut interval = FIRST_INTERVAL;
    let mut healthy_since: Option<(Instant, Option<String>)> = None;
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
                        format!("healthy for {:?}", now - *since),
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

fn verdict(outcome: Outcome, detail: String) -> Verdict {
    Verdict { outcome, detail }
}

enum Seen {
    /// As the plan expects it; with the invocation that was seen.
    Healthy(Option<String>),
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

async fn look(units: &dyn UnitControl, prober: &dyn Prober, plan: &Plan) -> Seen {
    let facts = match units.facts(&plan.unit).await {
        Ok(facts) => facts,
        Err(error) => return Seen::Nothing(error.to_string()),
    };
    let state = format!("{} ({})", facts.active_state, facts.sub_state);
    match plan.action.expects() {
        Expected::Inactive if is_down(&facts) => Seen::Healthy(facts.invocation_id),
        Expected::Active if facts.is_settled_active() => {
            let answer = match &plan.proof.probe {
                Some(probe) => prober.probe(probe, PROBE_TIMEOUT).await,
                None => Ok(()),
            };
            match answer {
                Ok(()) => Seen::Healthy(facts.invocation_id),
                Err(why) => Seen::Unhealthy(format!("{state}, but the probe failed: {why}")),
            }
        }
        _ => Seen::Unhealthy(state),
    }
}

fn is_down(facts: &UnitFacts) -> bool {
    facts.queued_job.is_none()
        && matches!(
            facts.active_state,
            ActiveState::Inactive | ActiveState::Failed
        )
}
