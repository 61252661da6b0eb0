//! Coming back: the ledger says what was begun, a fresh look says what came of it, and Alertmanager's
//! list which of the alerts still stand.

use std::collections::BTreeMap;
use std::time::Duration;

use ledger::{LedgerError, OpenIncident};
use remediation::{AlertStatus, Reason, Standing, Target, Trigger};
use tokio::time::Instant;
use uuid::Uuid;

use super::Engine;
use super::follow::{about, as_gauge, masks_a_fault};
use crate::book::{AlertKey, AlertWatch, Incident, Stage};
use crate::ports::Ledger;
use crate::tell::Notice;

/// The history is loaded with this much to spare, so that a clock that was stepped back between
/// two lives of the bot does not hide an action from a budget.
const SPARE: Duration = Duration::from_secs(2 * 60 * 60);

/// What alerts of an earlier life ask for waits so long for Alertmanager's list, which says whether
/// they still stand. It comes within milliseconds; a repair does not wait for one that hangs.
const LIST_PATIENCE: Duration = Duration::from_secs(2);

/// The time between the start and the moment at which the ledger has what the list tells.
pub(super) struct CatchingUp {
    until: Instant,
    /// The list is in the ledger; some of it is still to be taken out.
    is_heard: bool,
}

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
                store.last_alert()?,
            ))
        });
        let (open, pauses, unsettled, last) = load.await?;
        self.inherited = last;
        self.catching_up = Some(CatchingUp {
            until: Instant::now() + LIST_PATIENCE,
            is_heard: false,
        });
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

    /// What can be known of alerts that ended meanwhile is in the ledger, and so in the queue.
    pub(super) fn caught_up(&mut self) {
        if let Some(catching_up) = &mut self.catching_up {
            catching_up.is_heard = true;
            self.bell.notify_one();
        }
    }

    /// The queue is empty: after [`caught_up`](Self::caught_up) nothing waits any longer.
    pub(super) fn queue_is_empty(&mut self) {
        if self.catching_up.take_if(|it| it.is_heard).is_some() {
            self.look_at_everything();
        }
    }

    /// Until when this incident waits for Alertmanager's list: an alert of an earlier life asks for
    /// it, and may be over.
    pub(super) fn waits_for_list(&self, id: Uuid) -> Option<Instant> {
        let incident = self.book.get(id)?;
        let is_doubtful =
            incident.learned.is_none() && matches!(incident.trigger, Trigger::Alert(_));
        let until = self.catching_up.as_ref().map(|it| it.until)?;
        (is_doubtful && until > Instant::now()).then_some(until)
    }

    fn take_up(&mut self, mut stored: OpenIncident) {
        let id = stored.view.id;
        note_end(&mut stored);
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

/// What opened the incident may have ended before the bot did, while another reason kept it open.
fn note_end(stored: &mut OpenIncident) {
    let Trigger::Alert(trigger) = &mut stored.trigger else {
        return;
    };
    let mut told = stored.alerts.iter().map(|told| &told.alert);
    let last = told.rfind(|told| told.fingerprint == trigger.fingerprint);
    if let Some(over) = last.filter(|last| last.status == AlertStatus::Resolved) {
        trigger.clone_from(over);
    }
}
