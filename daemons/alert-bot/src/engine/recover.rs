//! Coming back: the ledger says what was begun, a fresh look says what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use ledger::{LedgerError, OpenIncident};
use remediation::{Reason, Standing, Target, Trigger};

use super::Engine;
use super::follow::{about, as_gauge, masks_a_fault};
use crate::book::{AlertKey, AlertWatch, Incident, Stage};
use crate::ports::Ledger;
use crate::tell::Notice;

/// The history is loaded with this much to spare, so that a clock that was stepped back between
/// two lives of the bot does not hide an action from a budget.
const SPARE: Duration = Duration::from_secs(2 * 60 * 60);

impl<L: Ledger> Engine<L> {
    /// Loads the past, and takes up what was left open: an action in flight is verified and never
    /// repeated, everything else is looked at afresh.
    ///
    /// # Errors
    /// Where the ledger cannot be read; without its past the bot must not act.
    pub(crate) async fn recover(&mut self) -> Result<(), LedgerError> {
        let now = self.now();
        let orphans = self
            .ledger
            .call(move |store| store.give_up_orphans(now))
            .await?;
        if orphans > 0 {
            tracing::warn!(orphans, "attempts that nobody could judge count as unknown");
        }
        self.load_history().await?;
        let load = self.ledger.call(move |store| {
            Ok((
                store.open_incidents()?,
                store.pauses(now)?,
                store.unsettled_count()?,
            ))
        });
        let (open, pauses, unsettled) = load.await?;
        self.pauses = pauses;
        self.count_queue(unsettled);
        for incident in open {
            self.take_up(incident);
        }
        self.metrics.incidents_open.set(as_gauge(self.book.len()));
        self.metrics.policy_loaded(now);
        Ok(())
    }

    /// Loads as much of the past as the policy in force looks back on.
    pub(super) async fn load_history(&mut self) -> Result<(), LedgerError> {
        let reach = self.policy.history_window() + SPARE;
        let since = self
            .now()
            .saturating_sub(reach)
            .unwrap_or(jiff::Timestamp::MIN);
        self.history = self.ledger.call(move |store| store.history(since)).await?;
        Ok(())
    }

    fn take_up(&mut self, stored: OpenIncident) {
        let id = stored.view.id;
        let Some(target) = self.target_of(&stored) else {
            tracing::warn!(incident_id = %id, "an open incident names no unit; it stays as it is");
            return;
        };
        let stage = match &stored.in_flight {
            Some((attempt, plan)) => Stage::Acting {
                attempt: *attempt,
                plan: Box::new(plan.clone()),
                watch: AlertWatch::default(),
                proven: false,
            },
            None => Stage::Looking { again: false },
        };
        let unsettled = stored.alerts.iter().filter(|alert| !alert.settled);
        let incident = Incident {
            waiting: unsettled.map(|alert| alert.id).collect(),
            keys: stored
                .alerts
                .iter()
                .map(|alert| AlertKey::of(&alert.alert))
                .collect(),
            truncated: stored.alerts.iter().any(|alert| alert.truncated),
            view: stored.view,
            trigger: stored.trigger,
            rule: stored.rule.map(|rule| rule.to_string()).unwrap_or_default(),
            target,
            stage,
            due: None,
            recorded: true,
            held_for: None,
            learned: None,
            memory_events: BTreeMap::new(),
            lines: Vec::new(),
            is_repeat: false,
        };
        if let Some((notice, summary)) = self.notice_of(&incident) {
            self.teller.stand(notice, about(&incident, summary));
            if notice == Notice::AwaitingApproval && self.has_demoted(&incident.rule) {
                self.teller
                    .stand(Notice::Ineffective, masks_a_fault(&incident));
            }
        }
        tracing::info!(incident_id = %id, target_unit = %incident.target, "an open incident is taken up again");
        self.book.insert(incident);
        match stored.in_flight {
            Some((_, plan)) => self.start_verification(id, plan),
            None => self.start_look(id),
        }
    }

    /// What people were told about it, which ended with the bot.
    fn notice_of(&self, incident: &Incident) -> Option<(Notice, String)> {
        let id = incident.view.id;
        if incident.view.escalated {
            let mut told = self.history.escalations.iter();
            let reason = told
                .rfind(|past| past.incident == id)
                .map(|past| past.reason);
            let reason = reason.unwrap_or(Reason::Escalated);
            return Some((Notice::of_escalation(reason), reason.describe().to_owned()));
        }
        let approval = incident.view.approval.as_ref()?;
        let open = approval.answer.is_none() && approval.expires_at > self.now();
        open.then(|| {
            let summary = format!("{} waits for: alert-bot approve {id}", incident.target);
            (Notice::AwaitingApproval, summary)
        })
    }

    fn has_demoted(&self, rule: &str) -> bool {
        let standing = Standing::of(&self.policy, &self.history, self.now());
        standing.demoted.iter().any(|name| name.as_str() == rule)
    }

    /// The policy may have changed since: the recorded unit is what the incident is about.
    fn target_of(&self, stored: &OpenIncident) -> Option<Target> {
        let selected = self.policy.select(&self.host, &stored.trigger);
        match (selected, &stored.unit, &stored.trigger) {
            (Ok(selection), _, _) => Some(selection.target),
            (Err(_), Some(unit), _) | (Err(_), None, Trigger::UnitFailed(unit)) => {
                Some(Target::Unit(unit.clone()))
            }
            (Err(_), None, Trigger::Alert(_)) => None,
        }
    }
}
