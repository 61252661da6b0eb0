//! Turns in the fleet: the port over the adapter, and what both sides of it take for granted.
//!
//! engine → decide: act → **turns** → decide again → act → verify → **turns**

use std::sync::Arc;
use std::time::Duration;

use fleet::{Fleet, Member, Turn};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use postgresql::{ConnectorError, DatabaseUrl};
use remediation::{FleetLimits, FleetView, Outcome, Plan};
use serde::Deserialize;

use crate::ports::Turns;

/// Beyond the job's and the proof's deadlines: what announcing and recording may take.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// `[fleet]`: the table of repairs that this host shares with others.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FleetConfig {
    /// The database, as a libpq URL without a password; that comes as the credential
    /// `postgresql-password`.
    pub(crate) store: DatabaseUrl,
    /// What this host serves for. Hosts that share a group are repaired one after the other.
    pub(crate) groups: Vec<String>,
}

impl FleetConfig {
    /// The table as `host` uses it. Connects only when there is something to repair.
    ///
    /// # Errors
    /// Names the file of the password or of the authorities that cannot be read.
    pub(crate) fn open(&self, host: &str) -> Result<Arc<dyn Turns>, ConnectorError> {
        let member = Member {
            host: host.to_owned(),
            groups: self.groups.clone(),
        };
        Ok(Arc::new(Fleet::new(self.store.connector()?, member)))
    }
}

/// The longest that a plan may take before nobody waits for it any more.
fn lease(plan: &Plan) -> Duration {
    plan.job_deadline + plan.proof.healthy_for + plan.proof.deadline + LEASE_MARGIN
}

impl Turns for Fleet {
    fn take<'a>(&'a self, plan: &'a Plan, limits: FleetLimits) -> BoxFuture<'a, FleetView> {
        async move {
            let turn = Turn {
                incident: plan.incident,
                rule: plan.rule.to_string(),
                unit: plan.unit.to_string(),
                lease: lease(plan),
            };
            match self.claim(&turn, &limits).await {
                Ok(others) => FleetView::Reached(others),
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(incident_id = %plan.incident, %error, cause, "the fleet could not be asked");
                    FleetView::Unreachable
                }
            }
        }
        .boxed()
    }

    fn give_back<'a>(&'a self, plan: &'a Plan, outcome: Option<Outcome>) -> BoxFuture<'a, ()> {
        async move {
            let word = outcome.map_or("not-begun", Outcome::as_str);
            self.release_for_sure(plan.incident, word, lease(plan))
                .await;
        }
        .boxed()
    }
}
