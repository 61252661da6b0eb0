//! Carrying a plan out: exactly what it says, once. Its intent is on the disk already.
//!
//! engine → **act** → verify

use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use remediation::{Action, Plan};
use systemd_bus::{BusError, Verb};
use units::{JobResult, UnitName};

use crate::ports::UnitControl;

/// systemd's word for a job that did as asked.
const DONE: &str = "done";

/// How the action itself went. Whether it helped is for [`verify`](crate::verify) to find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// systemd did as asked, or may have: a fresh look decides.
    Look(String),
    /// systemd refused, so nothing was done and nothing can have helped.
    Refused(String),
    /// A job of someone else was in the way: nothing was done, and what became of the unit is
    /// that job's doing.
    Yielded(String),
}

impl Done {
    /// What the ledger's column `job_result` says.
    pub(crate) fn word(&self) -> &str {
        match self {
            Self::Look(word) | Self::Refused(word) | Self::Yielded(word) => word,
        }
    }
}

/// Does what the plan says and waits for the end of its job.
pub(crate) async fn carry_out(units: &dyn UnitControl, plan: &Plan) -> Done {
    let jobs = plan.units().map(|unit| run(units, plan, unit).map(done));
    together(join_all(jobs).await)
}

fn done(ended: Result<Option<JobResult>, BusError>) -> Done {
    match ended {
        Ok(None) => Done::Look(DONE.into()),
        Ok(Some(result)) => Done::Look(result.as_str().into()),
        Err(error) if error.may_have_acted() => Done::Look(error.to_string()),
        Err(error @ BusError::JobInTheWay { .. }) => Done::Yielded(error.to_string()),
        Err(error) => Done::Refused(error.to_string()),
    }
}

/// Only a step of scaling has several. Where systemd did as asked with any of them, a fresh look decides about
/// all; what it says of them is the first word that is not "done".
fn together(jobs: Vec<Done>) -> Done {
    let to_look_at = jobs.iter().any(|job| matches!(job, Done::Look(_)));
    let telling = jobs.iter().position(|job| job.word() != DONE);
    let telling = jobs.into_iter().nth(telling.unwrap_or_default());
    match telling.expect("a plan has a unit") {
        Done::Refused(word) | Done::Yielded(word) if to_look_at => Done::Look(word),
        job => job,
    }
}

async fn run(
    units: &dyn UnitControl,
    plan: &Plan,
    unit: &UnitName,
) -> Result<Option<JobResult>, BusError> {
    let verb = match &plan.action {
        Action::Kill { signal } => return units.kill(unit, *signal).await.map(|()| None),
        Action::Runbook { runbook } => {
            let job = units.run(runbook, Verb::Start, plan.job_deadline);
            return job.await.map(Some);
        }
        Action::ResetFailedStart { also_reset } => {
            return forget_and_start(units, plan, also_reset).await;
        }
        Action::Start | Action::ScaleUp => Verb::Start,
        Action::Stop | Action::ScaleDown => Verb::Stop,
        Action::Restart => Verb::Restart,
        Action::Reload => Verb::Reload,
    };
    let job = units.run(unit, verb, plan.job_deadline);
    job.await.map(Some)
}

/// Asks for everything at once: each question waits for polkit, and the unit for all of them.
///
/// The resets are sent first. PID 1 and polkit answer in order, so the start finds the failures
/// forgotten; if one of them ever did not, systemd would refuse a unit at its start limit, and the
/// proof would say so.
async fn forget_and_start(
    units: &dyn UnitControl,
    plan: &Plan,
    also_reset: &[UnitName],
) -> Result<Option<JobResult>, BusError> {
    let failed = also_reset.iter().chain([&plan.unit]);
    let resets = join_all(failed.map(|unit| forget_failure(units, unit)));
    let start = units.run(&plan.unit, Verb::Start, plan.job_deadline);
    let (resets, started) = join(resets, start).await;
    // A unit that was started was not kept from it by what could not be forgotten.
    match (started, resets.into_iter().collect::<Result<(), _>>()) {
        (Err(_), Err(refused)) => Err(refused),
        (started, _) => started.map(Some),
    }
}

/// A unit that is not loaded has no failure to forget.
async fn forget_failure(units: &dyn UnitControl, unit: &UnitName) -> Result<(), BusError> {
    match units.reset_failed(unit).await {
        Err(BusError::NoSuchUnit { .. }) => Ok(()),
        other => other,
    }
}
