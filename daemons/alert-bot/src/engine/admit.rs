//! From alerts and systemd's signals to incidents.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use ledger::{AlertId, Disposition, IncidentChange, LedgerError, Step, StoredAlert};
use remediation::{Alert, AlertStatus, Decision, IncidentView, Reason, Target, Trigger};
use tokio::time::Instant;
use units::{ActiveState, UnitName};
use uuid::Uuid;

use super::{Engine, MAX_IN_WORK};
use crate::book::{AlertKey, Incident, Stage};
use crate::ports::{BusEvent, Ledger};
use crate::record::{self, Subject};
use crate::restarts::RunChange;

/// Alerts taken from the ledger in one turn of the loop; other events get their turn in between.
const BATCH: usize = 128;

/// What one turn writes down about the alerts that need no look.
#[derive(Default)]
struct Notes {
    steps: Vec<Step>,
    joined: Vec<(AlertId, Uuid, &'static str)>,
}

/// Where an alert is from and whether it has had its final decision.
struct Origin {
    alert: Option<AlertId>,
    truncated: bool,
    /// `None` where that was before the start.
    learned: Option<Instant>,
    is_repeat: bool,
}

impl<L: Ledger> Engine<L> {
    /// Takes the next alerts out of the ledger.
    pub(super) async fn pull(&mut self) {
        let room = MAX_IN_WORK.saturating_sub(self.book.in_work()).min(BATCH);
        if room == 0 {
            return;
        }
        let after = self.cursor;
        let waiting = self.ledger.call(move |store| {
            let alerts = store.unsettled_after(after, room)?;
            Ok((alerts, store.unsettled_count()?))
        });
        let (alerts, count) = match waiting.await {
            Ok(found) => found,
            Err(error) => return could_not("take alerts from the ledger", &error),
        };
        self.count_queue(count);
        let Some(last) = alerts.last().map(|stored| stored.id) else {
            return self.queue_is_empty();
        };
        let mut notes = Notes::default();
        for stored in alerts {
            self.admit(stored, &mut notes);
        }
        if let Err(error) = self.write_down(notes).await {
            // They are still in the ledger: the next turn of the clock takes them up again, and
            // passes over those that are in the book by then.
            return could_not("record decisions", &error);
        }
        self.cursor = last;
        self.bell.notify_one();
    }

    fn admit(&mut self, stored: StoredAlert, notes: &mut Notes) {
        let key = AlertKey::of(&stored.alert);
        let known = self.book.of_alert(&key);
        match (stored.alert.status, known) {
            (AlertStatus::Resolved, Some(id)) => {
                notes.joined.push((stored.id, id, "alert-resolved"));
                self.alert_is_over(id, stored.alert);
            }
            (AlertStatus::Resolved, None) => {
                self.at_sight(
                    Trigger::Alert(stored.alert),
                    stored.truncated,
                    stored.id,
                    notes,
                );
            }
            (AlertStatus::Firing, Some(id)) => {
                let owed = self
                    .book
                    .get(id)
                    .is_some_and(|i| i.waiting.contains(&stored.id));
                if !owed {
                    notes.joined.push((stored.id, id, "joined"));
                }
            }
            (AlertStatus::Firing, None) => self.admit_firing(stored, key, notes),
        }
    }

    fn admit_firing(&mut self, stored: StoredAlert, key: AlertKey, notes: &mut Notes) {
        let (id, truncated) = (stored.id, stored.truncated);
        if stored.is_over {
            let over = Alert {
                status: AlertStatus::Resolved,
                ..stored.alert
            };
            return self.at_sight(Trigger::Alert(over), truncated, id, notes);
        }
        let trigger = Trigger::Alert(stored.alert);
        match self.policy.select(&self.host, &trigger) {
            Err(_) => self.at_sight(trigger, truncated, id, notes),
            Ok(selection) => {
                let (target, rule) = (selection.target, selection.rule.name.to_string());
                if let Some(open) = self.book.of_target(&target) {
                    self.metrics.alerts_deduplicated.inc();
                    notes.joined.push((id, open, "joined"));
                    self.book.join(open, key);
                    return;
                }
                let origin = Origin {
                    alert: Some(id),
                    truncated,
                    learned: (id > self.inherited).then(Instant::now),
                    is_repeat: false,
                };
                self.open(trigger, rule, target, Some(key), &origin);
            }
        }
    }

    /// Decides about an alert that needs no look.
    fn at_sight(&mut self, trigger: Trigger, truncated: bool, alert: AlertId, notes: &mut Notes) {
        let (input, decision) = self.decide_at_sight(trigger, truncated);
        self.metrics.decided(&decision);
        let trigger = &input.situation.trigger;
        let selection = self.policy.select(&self.host, trigger).ok();
        let rule = selection.as_ref().map(|s| s.rule.name.to_string());
        let unit = selection.and_then(|s| s.target.unit().cloned());
        let subject = Subject {
            incident: input.situation.incident.id,
            alertname: trigger.name().to_owned(),
            target: unit.as_ref().map(ToString::to_string).unwrap_or_default(),
            rule: rule.clone().unwrap_or_default(),
        };
        // The end of an alert is no refusal of anything.
        if decision.reason() != Reason::AlertResolved {
            record::refused(&subject, decision.reason());
        }
        let disposition = match decision {
            Decision::Deny(_) => Disposition::Refused,
            _ => Disposition::Suppressed,
        };
        notes.steps.push(Step {
            input,
            decision,
            rule,
            unit,
            policy: self.policy.hash().to_string(),
            incident: IncidentChange::None,
            alerts: vec![alert],
            disposition: Some(disposition),
        });
    }

    async fn write_down(&self, notes: Notes) -> Result<(), LedgerError> {
        if notes.steps.is_empty() && notes.joined.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let write = self.ledger.call(move |store| {
            for step in &notes.steps {
                store.record(step)?;
            }
            for (alert, incident, why) in &notes.joined {
                store.settle(*alert, Disposition::Joined, why, Some(*incident), now)?;
            }
            Ok(())
        });
        write.await
    }

    fn alert_is_over(&mut self, id: Uuid, alert: Alert) {
        let Some(incident) = self.book.get_mut(id) else {
            return;
        };
        let is_its_own = matches!(
            &incident.trigger,
            Trigger::Alert(own) if own.fingerprint == alert.fingerprint
        );
        if is_its_own {
            incident.trigger = Trigger::Alert(alert);
            if let Stage::Acting { watch, .. } = &incident.stage {
                watch.over.store(true, Ordering::Relaxed);
            }
        }
        self.look_again(id);
    }

    /// Alertmanager still sends alerts that were settled before. Where the incident is closed, the
    /// unit may have broken again before the alert could end: that deserves a look.
    ///
    /// Where one of two Prometheus sees an alert end before the other does, it fires again after its
    /// end, under the same key, and ends a second time.
    pub(super) fn repeated(&mut self, alerts: Vec<Alert>) {
        for alert in alerts {
            let key = AlertKey::of(&alert);
            match (alert.status, self.book.of_alert(&key)) {
                (AlertStatus::Resolved, Some(id)) => {
                    self.alert_is_over(id, alert);
                    continue;
                }
                (AlertStatus::Resolved, None) | (AlertStatus::Firing, Some(_)) => continue,
                (AlertStatus::Firing, None) => {}
            }
            let trigger = Trigger::Alert(alert);
            let Ok(selection) = self.policy.select(&self.host, &trigger) else {
                continue;
            };
            let (target, rule) = (selection.target, selection.rule.name.to_string());
            if self.book.of_target(&target).is_some() || self.book.in_work() >= MAX_IN_WORK {
                continue;
            }
            let origin = Origin {
                alert: None,
                truncated: false,
                learned: Some(Instant::now()),
                is_repeat: true,
            };
            self.open(trigger, rule, target, Some(key), &origin);
        }
    }

    pub(super) fn bus(&mut self, event: BusEvent) {
        match event {
            BusEvent::Up(units) => self.bus_is_up(units),
            BusEvent::Down => {
                self.bus_up = false;
                self.metrics.bus_connected.set(0);
            }
            BusEvent::Unloaded(unit) => {
                self.loaded.remove(&unit);
                self.restarts.forget(&unit);
            }
            BusEvent::Changed(unit, state, run) => {
                self.count_restart(&unit, &run);
                if let Some(state) = state {
                    self.loaded.insert(unit.clone(), state);
                }
                self.unit_changed(&unit, state);
            }
        }
    }

    fn bus_is_up(&mut self, units: Vec<(UnitName, ActiveState)>) {
        self.bus_up = true;
        self.metrics.bus_connected.set(1);
        self.loaded = units.into_iter().collect();
        self.look_at_everything();
        for (unit, state) in self.loaded.clone() {
            if state == ActiveState::Failed {
                self.unit_changed(&unit, Some(state));
            }
        }
    }

    fn count_restart(&mut self, unit: &UnitName, run: &RunChange) {
        if !self.policy.watches(unit) {
            return;
        }
        let bot_acts = self
            .history
            .in_flight()
            .any(|past| past.units().any(|acted_on| acted_on == unit));
        if let Some(cause) = self.restarts.note(unit, run, bot_acts) {
            let labels = [unit.as_str(), cause.as_str()];
            self.metrics.unit_restarts.with_label_values(&labels).inc();
        }
    }

    /// The second source: systemd's own signal that a unit failed. Any change is a reason to look
    /// again at an incident that waits.
    pub(super) fn unit_changed(&mut self, unit: &UnitName, state: Option<ActiveState>) {
        let touched = self.book.touched_by(unit);
        let is_new = touched.is_empty();
        for id in touched {
            self.look_again(id);
        }
        let failed = state == Some(ActiveState::Failed);
        if is_new && failed && self.policy.reacts_to_failure_of(unit) {
            let trigger = Trigger::UnitFailed(unit.clone());
            let Ok(selection) = self.policy.select(&self.host, &trigger) else {
                return;
            };
            let (target, rule) = (selection.target, selection.rule.name.to_string());
            let origin = Origin {
                alert: None,
                truncated: false,
                learned: Some(Instant::now()),
                is_repeat: false,
            };
            self.open(trigger, rule, target, None, &origin);
        }
    }

    fn open(
        &mut self,
        trigger: Trigger,
        rule: String,
        target: Target,
        key: Option<AlertKey>,
        origin: &Origin,
    ) {
        let id = self.outside.clock.new_incident();
        self.book.insert(Incident {
            view: IncidentView::new(id, self.now()),
            trigger,
            rule,
            target,
            truncated: origin.truncated,
            stage: Stage::Looking { again: false },
            due: None,
            waiting: origin.alert.into_iter().collect(),
            keys: key.into_iter().collect(),
            recorded: false,
            held_for: None,
            learned: origin.learned,
            memory_events: BTreeMap::new(),
            lines: Vec::new(),
            is_repeat: origin.is_repeat,
        });
        self.start_look(id);
    }
}

fn could_not(what: &str, error: &LedgerError) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(%error, cause, "could not {what}; trying again");
}
