//! From a reason to look to a decision. The look itself is a task; the decision is made here, with
//! the history as it is when the look has ended, so that two repairs never overtake each other.

use std::time::Duration;

use remediation::{Decision, Reason, Situation, Target, Trigger};
use tokio::time::Instant;
use units::UnitName;
use uuid::Uuid;

use super::{Engine, Event};
use crate::book::Stage;
use crate::ports::Ledger;
use crate::situation::{self, Findings, Question};

/// After the ledger refused to take a decision.
const LEDGER_RETRY: Duration = Duration::from_secs(1);

impl<L: Ledger> Engine<L> {
    /// Something may have changed: an incident that waits is looked at, one that is being looked
    /// at is looked at once more, and the proof of one under repair learns of it.
    pub(super) fn look_again(&mut self, id: Uuid) {
        let Some(incident) = self.book.get_mut(id) else {
            return;
        };
        match &mut incident.stage {
            Stage::Looking { again } => *again = true,
            Stage::Acting { watch, .. } => watch.changed.notify_one(),
            Stage::Held | Stage::Escalated => {
                incident.stage = Stage::Looking { again: false };
                self.start_look(id);
            }
        }
    }

    pub(super) fn look_at_due(&mut self) {
        for id in self.book.due_at(Instant::now()) {
            if let Some(incident) = self.book.get_mut(id) {
                incident.due = None;
            }
            self.look_again(id);
        }
    }

    /// Starts to gather what a decision needs; [`Event::Looked`] brings it.
    pub(super) fn start_look(&mut self, id: Uuid) {
        let waits_until = self.waits_for_list(id);
        let Some(incident) = self.book.get_mut(id) else {
            return;
        };
        incident.due = waits_until;
        if waits_until.is_some() {
            incident.stage = Stage::Held;
            return;
        }
        let (trigger, target) = (incident.trigger.clone(), incident.target.clone());
        let wants_lines = !incident.recorded;
        let question = Question {
            wants_lines,
            ..self.question(&trigger, &target)
        };
        let outside = self.outside.clone();
        let (events, looks) = (self.sender.clone(), self.looks.clone());
        self.tasks.spawn(async move {
            // Only fails once the engine is gone.
            let Ok(_permit) = looks.acquire().await else {
                return;
            };
            let findings = Box::new(situation::look(&outside, &question).await);
            let _ = events.send(Event::Looked(id, findings)).await;
        });
    }

    /// What has to be looked at for a decision about this target.
    pub(super) fn question(&self, trigger: &Trigger, target: &Target) -> Question {
        let selection = self.policy.select(&self.host, trigger).ok();
        let template = target.unit().and_then(UnitName::template);
        let is_sibling = |unit: &&UnitName| match target.unit() {
            Some(own) => *unit != own && template.is_some() && unit.template() == template,
            None => target.covers(unit),
        };
        Question {
            trigger: trigger.clone(),
            target: target.clone(),
            knows_siblings: self.bus_up,
            siblings: self.loaded.keys().filter(is_sibling).cloned().collect(),
            probe: selection.and_then(|s| s.rule.proof.probe.clone()),
            wants_lines: false,
        }
    }

    pub(super) async fn looked(&mut self, id: Uuid, findings: Findings) {
        let now = self.now();
        let Some(incident) = self.book.get_mut(id) else {
            return;
        };
        let Stage::Looking { again } = incident.stage else {
            return;
        };
        let is_moot = incident.is_repeat && !is_visibly_unwell(&incident.target, &findings);
        if is_moot {
            return self.drop_incident(id);
        }
        incident
            .memory_events
            .clone_from(&findings.cgroup.memory_events);
        incident.lines.clone_from(&findings.lines);
        // Until this look, which may be the one that finds that they have let go.
        if matches!(
            incident.held_for,
            Some((Reason::Paused | Reason::Silenced, _))
        ) {
            incident.view.held_by_people_at = Some(now);
        }
        let Some(incident) = self.book.get(id) else {
            return;
        };
        let situation = self.situation(incident, findings);
        let decision = remediation::decide(&self.policy, &self.history, &situation);
        if !self.asks_for_turn(id, &situation, &decision) {
            self.conclude(id, situation, decision, again).await;
        }
    }

    /// Follows a decision, or looks once more where something changed while it was made.
    pub(super) async fn conclude(
        &mut self,
        id: Uuid,
        situation: Situation,
        decision: Decision,
        again: bool,
    ) {
        if again && !matches!(decision, Decision::Act(_)) {
            if let Some(incident) = self.book.get_mut(id) {
                incident.stage = Stage::Looking { again: false };
            }
            return self.start_look(id);
        }
        if let Err(error) = self.follow(id, situation, decision).await {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(incident_id = %id, %error, cause, "nothing is done that cannot be recorded; trying again");
            self.wait(id, LEDGER_RETRY);
        }
    }

    pub(super) fn look_at_everything(&mut self) {
        let open: Vec<Uuid> = self.book.iter().map(|incident| incident.view.id).collect();
        for id in open {
            self.look_again(id);
        }
    }
}

/// A repeat of an alert says nothing new by itself: it may be the same webhook once more, its
/// answer lost on the way. Only a unit that is seen to be unwell, or a template that is scaled
/// step by step for as long as the alert lasts, makes it worth more than a look.
fn is_visibly_unwell(target: &Target, findings: &Findings) -> bool {
    match (target, &findings.unit) {
        (Target::Template(_), _) => true,
        (Target::Unit(_), None) => false,
        (Target::Unit(_), Some(unit)) => {
            !unit.is_settled_active() || findings.probe_healthy == Some(false)
        }
    }
}
