//! Whose turn it is: where hosts share a table of repairs, a plan is carried out once the table
//! says so. Asking takes a network, so it is a task, and the answer an event. Meanwhile another host
//! may have mended what was broken here too, so the same task looks once more.

use remediation::{Decision, FleetView, Outcome, Plan, Situation};
use uuid::Uuid;

use super::{Engine, Event};
use crate::book::Stage;
use crate::ports::Ledger;
use crate::situation::{self, Findings};

impl<L: Ledger> Engine<L> {
    /// Asks for this host's turn where nothing but that stands against the plan; returns whether
    /// it did. [`Event::TurnAnswered`] brings the answer.
    pub(super) fn asks_for_turn(
        &mut self,
        id: Uuid,
        situation: &Situation,
        decision: &Decision,
    ) -> bool {
        let (Decision::Act(plan), None) = (decision, &situation.fleet) else {
            return false;
        };
        let Some(turns) = self.outside.turns.clone() else {
            return false;
        };
        let Some(incident) = self.book.get(id) else {
            return false;
        };
        let question = self.question(&incident.trigger, &incident.target);
        let (plan, outside) = (plan.clone(), self.outside.clone());
        let (limits, events) = (self.policy.host().fleet, self.sender.clone());
        self.tasks.spawn(async move {
            let view = turns.take(&plan, limits).await;
            let findings = Box::new(situation::look(&outside, &question).await);
            let answer = Event::TurnAnswered(id, Box::new(plan), findings, view);
            let _ = events.send(answer).await;
        });
        true
    }

    /// Decides once more, with what the fleet said, by the look, the history and the policy of now.
    pub(super) async fn turn_answered(
        &mut self,
        id: Uuid,
        plan: Plan,
        findings: Findings,
        view: FleetView,
    ) {
        let was_taken = match &view {
            FleetView::Reached(others) => self.policy.host().fleet.objection(others).is_none(),
            FleetView::Unreachable => false,
        };
        let waiting = self.book.get(id).and_then(|incident| match incident.stage {
            Stage::Looking { again } => Some((again, incident)),
            _ => None,
        });
        let Some((again, incident)) = waiting else {
            if was_taken {
                self.give_turn_back(plan, None);
            }
            return;
        };
        let situation = Situation {
            fleet: Some(view),
            ..self.situation(incident, findings)
        };
        let decision = remediation::decide(&self.policy, &self.history, &situation);
        if was_taken && !matches!(decision, Decision::Act(_)) {
            self.give_turn_back(plan, None);
        }
        self.conclude(id, situation, decision, again).await;
    }

    /// Lets the next host have its turn; without an outcome, nothing was done in this one.
    pub(super) fn give_turn_back(&mut self, plan: Plan, outcome: Option<Outcome>) {
        if let Some(turns) = self.outside.turns.clone() {
            self.tasks
                .spawn(async move { turns.give_back(&plan, outcome).await });
        }
    }
}
