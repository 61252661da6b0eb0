//! Looking before deciding: gathers everything about a target at once, each part bounded in time.
//!
//! engine → **look** → engine → `remediation::decide`

use std::time::Duration;

use futures_util::future::{OptionFuture, join_all, join4};
use journal::Line;
use remediation::{AlertNow, Probe, Target, Trigger};
use units::{UnitFacts, UnitName};

use crate::engine::Outside;
use crate::evidence;
use crate::ports::{Prober, UnitControl};
use crate::pressure::Reading;

/// How long a probe may take before the unit counts as not answering. A healthy one answers in
/// milliseconds; a frozen one costs this much before every repair.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// Alertmanager answers in about a millisecond. A repair does not wait for one that does not.
const ASK_TIMEOUT: Duration = Duration::from_millis(150);

/// Other instances that are read; a template with more is judged by these.
const MAX_SIBLINGS: usize = 64;

/// What to look at.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) trigger: Trigger,
    pub(crate) target: Target,
    /// Loaded instances of the target's template, the target itself excepted.
    pub(crate) siblings: Vec<UnitName>,
    /// Whether systemd has said which there are.
    pub(crate) knows_siblings: bool,
    pub(crate) probe: Option<Probe>,
    /// Whether the unit's last lines are wanted: before an incident is recorded.
    pub(crate) wants_lines: bool,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Findings {
    pub(crate) unit: Option<UnitFacts>,
    pub(crate) siblings: Vec<UnitFacts>,
    /// There may be others.
    pub(crate) uncounted: bool,
    pub(crate) probe_healthy: Option<bool>,
    pub(crate) alert_now: AlertNow,
    pub(crate) cgroup: Reading,
    pub(crate) lines: Vec<Line>,
}

/// Looks at everything that the question names, in parallel.
pub(crate) async fn look(outside: &Outside, question: &Question) -> Findings {
    let (units, prober) = (&*outside.units, &*outside.prober);
    let unit: OptionFuture<_> = question
        .target
        .unit()
        .map(|unit| look_at_unit(units, prober, unit, question.probe.as_ref()))
        .into();
    let siblings = question.siblings.iter().take(MAX_SIBLINGS);
    let siblings = join_all(siblings.map(|unit| read(units, unit)));
    let alert_now = tokio::time::timeout(ASK_TIMEOUT, outside.sink.ask(&question.trigger));
    let lines: OptionFuture<_> = question
        .target
        .unit()
        .filter(|_| question.wants_lines)
        .map(|unit| evidence::last_lines(outside.journal.as_ref(), unit))
        .into();
    let (unit, siblings, alert_now, lines) = join4(unit, siblings, alert_now, lines).await;
    let (unit, probe_healthy) = unit.unwrap_or_default();
    let siblings: Vec<UnitFacts> = siblings.into_iter().flatten().collect();
    Findings {
        unit,
        uncounted: !question.knows_siblings || siblings.len() < question.siblings.len(),
        siblings,
        probe_healthy,
        alert_now: alert_now.unwrap_or_default(),
        cgroup: outside.cgroups.read(question.target.unit()),
        lines: lines.unwrap_or_default(),
    }
}

/// The probe is only asked of a unit that runs: what is down cannot be healthy.
async fn look_at_unit(
    units: &dyn UnitControl,
    prober: &dyn Prober,
    unit: &UnitName,
    probe: Option<&Probe>,
) -> (Option<UnitFacts>, Option<bool>) {
    let facts = read(units, unit).await;
    let healthy = match (&facts, probe) {
        (Some(facts), Some(probe)) if facts.is_settled_active() => {
            Some(prober.probe(probe, PROBE_TIMEOUT).await.is_ok())
        }
        _ => None,
    };
    (facts, healthy)
}

async fn read(units: &dyn UnitControl, unit: &UnitName) -> Option<UnitFacts> {
    match units.facts(unit).await {
        Ok(facts) => Some(facts),
        Err(error) => {
            tracing::warn!(target_unit = %unit, %error, "a unit's state could not be read");
            None
        }
    }
}
