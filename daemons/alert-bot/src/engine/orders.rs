//! What people order, carried out between two events.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use ledger::{LedgerError, StoredPause};
use remediation::{
    Alert, Answer, Explanation, Policy, RuleName, RuleReset, Situation, Standing, Trigger,
};
use tokio::sync::oneshot;
use units::UnitName;
use uuid::Uuid;

use super::{Engine, Event};
use crate::control::{Command, LONGEST_PAUSE, Order, Outcome};
use crate::ports::Ledger;
use crate::record;
use crate::situation::{self, Findings};

/// An alert that was looked at only to say what would be decided about it.
#[derive(Debug)]
pub(crate) struct Explained {
    trigger: Trigger,
    findings: Findings,
    reply: oneshot::Sender<Outcome>,
}

impl<L: Ledger> Engine<L> {
    pub(super) async fn command(&mut self, command: Command) {
        let Command { order, by, reply } = command;
        let outcome = match order {
            Order::Status => Ok(self.status()),
            Order::Reload => self.reload().await,
            Order::Pause { unit, seconds, why } => self.pause(unit, seconds, why, by).await,
            Order::Resume { unit } => self.resume(unit, &by).await,
            Order::Reset { rule } => self.reset(rule, by).await,
            Order::Approve { incident } => self.answer(&incident, Answer::Approved, by).await,
            Order::Deny { incident } => self.answer(&incident, Answer::Denied, by).await,
            Order::Explain { alert } => return self.explain(*alert, reply),
        };
        let outcome = outcome.map_or_else(Outcome::Refused, Outcome::Done);
        // The one who asked may be gone.
        let _ = reply.send(outcome);
    }

    /// Puts the policy in the files into force, or leaves the old one.
    async fn reload(&mut self) -> Result<String, String> {
        match (self.settings.read_policy)() {
            Err(error) => {
                self.policy_rejected = true;
                self.metrics.policy_rejected();
                record::policy_rejected(&error);
                Err(format!("the old policy stays in force:\n{error}"))
            }
            Ok(policy) => {
                self.put_in_force(policy)
                    .await
                    .map_err(|error| unavailable(&error))?;
                let (hash, rules) = (self.policy.hash(), self.policy.rules().len());
                record::policy_reloaded(&hash.to_string(), rules);
                Ok(format!("policy {hash} with {rules} rules is in force"))
            }
        }
    }

    async fn put_in_force(&mut self, policy: Policy) -> Result<(), LedgerError> {
        let old = std::mem::replace(&mut self.policy, policy);
        // The new policy may look further back.
        if let Err(error) = self.load_history().await {
            self.policy = old;
            return Err(error);
        }
        self.policy_rejected = false;
        self.metrics.policy_loaded(self.now());
        self.look_at_everything();
        Ok(())
    }

    async fn pause(
        &mut self,
        unit: Option<UnitName>,
        seconds: u64,
        why: String,
        by: String,
    ) -> Result<String, String> {
        let length = Duration::from_secs(seconds);
        if length.is_zero() || length > LONGEST_PAUSE {
            return Err("a pause lasts between 1 s and 7 days".into());
        }
        if why.trim().is_empty() {
            return Err("say why, for those who find the bot paused".into());
        }
        let now = self.now();
        let until = now.saturating_add(length).unwrap_or(Timestamp::MAX);
        let pause = StoredPause {
            unit,
            why,
            paused_by: by,
            paused_at: now,
            until,
        };
        let stored = pause.clone();
        let store = self.ledger.call(move |store| store.pause(&stored));
        store.await.map_err(|error| unavailable(&error))?;
        let target = name_of(pause.unit.as_ref());
        record::paused(&target, &pause.paused_by, &pause.why, until);
        self.pauses.push(pause);
        self.publish_pause();
        Ok(format!("repairs of {target} are paused until {until:.0}"))
    }

    async fn resume(&mut self, unit: Option<UnitName>, by: &str) -> Result<String, String> {
        let (now, who, which) = (self.now(), by.to_owned(), unit.clone());
        let lift = self
            .ledger
            .call(move |store| store.lift_pauses(which.as_ref(), &who, now));
        let lifted = lift.await.map_err(|error| unavailable(&error))?;
        let target = name_of(unit.as_ref());
        self.pauses.retain(|pause| pause.unit != unit);
        self.publish_pause();
        if lifted == 0 {
            return Err(format!("repairs of {target} were not paused"));
        }
        record::resumed(&target, by);
        self.look_at_everything();
        Ok(format!("repairs of {target} go on"))
    }

    async fn reset(&mut self, rule: RuleName, by: String) -> Result<String, String> {
        if self.policy.rule(&rule).is_none() {
            return Err(format!("the policy has no rule {rule}"));
        }
        let (now, name) = (self.now(), rule.to_string());
        tracing::info!(%rule, by, "a rule's past is declared settled");
        let store = self
            .ledger
            .call(move |store| store.reset_rule(&name, &by, now));
        store.await.map_err(|error| unavailable(&error))?;
        let text = format!("the circuit of {rule} is closed, and its demotion is over");
        self.history.resets.push(RuleReset { at: now, rule });
        self.look_at_everything();
        Ok(text)
    }

    async fn answer(&mut self, prefix: &str, answer: Answer, by: String) -> Result<String, String> {
        let id = self.waiting_incident(prefix)?;
        let (now, who) = (self.now(), by.clone());
        let store = self
            .ledger
            .call(move |store| store.answer(id, answer, &who, now));
        if !store.await.map_err(|error| unavailable(&error))? {
            return Err(format!("{id} does not wait for an answer any more"));
        }
        let word = match answer {
            Answer::Approved => "approved",
            Answer::Denied => "denied",
        };
        if let Some(incident) = self.book.get_mut(id) {
            if let Some(approval) = &mut incident.view.approval {
                approval.answer = Some(answer);
            }
            record::answered(&incident.subject(), word, &by);
        }
        self.look_again(id);
        Ok(format!("{id} is {word}"))
    }

    /// The incident that waits for an answer and whose id begins so.
    fn waiting_incident(&self, prefix: &str) -> Result<Uuid, String> {
        let waits = |incident: &&crate::book::Incident| {
            let approval = incident.view.approval.as_ref();
            approval.is_some_and(|approval| approval.answer.is_none())
        };
        let waiting = self
            .book
            .iter()
            .filter(waits)
            .map(|incident| incident.view.id);
        let named: Vec<Uuid> = waiting
            .filter(|id| id.to_string().starts_with(prefix))
            .collect();
        match named.as_slice() {
            [id] => Ok(*id),
            [] => Err(format!("no incident {prefix:?} waits for an answer")),
            _ => Err(format!("{prefix:?} is the beginning of several ids")),
        }
    }

    /// Looks as it would for a repair; [`Event::Explained`] brings what was seen.
    fn explain(&mut self, alert: Alert, reply: oneshot::Sender<Outcome>) {
        let trigger = Trigger::Alert(alert);
        let target = self.policy.select(&self.host, &trigger).map(|s| s.target);
        let Ok(target) = target else {
            let (input, _) = self.decide_at_sight(trigger, false);
            let text = self.explanation(&input.situation);
            let _ = reply.send(Outcome::Done(text));
            return;
        };
        let question = self.question(&trigger, &target);
        let (outside, events) = (self.outside.clone(), self.sender.clone());
        self.tasks.spawn(async move {
            let findings = situation::look(&outside, &question).await;
            let explained = Explained {
                trigger,
                findings,
                reply,
            };
            let _ = events.send(Event::Explained(Box::new(explained))).await;
        });
    }

    pub(super) fn explained(&self, explained: Explained) {
        let Explained {
            trigger,
            findings,
            reply,
        } = explained;
        let situation = self.situation_of_new(trigger, findings);
        let _ = reply.send(Outcome::Done(self.explanation(&situation)));
    }

    fn explanation(&self, situation: &Situation) -> String {
        let explanation: Explanation = remediation::explain(&self.policy, &self.history, situation);
        let mut text = String::new();
        for step in &explanation.steps {
            let mark = if step.held { "yes" } else { "no " };
            let _ = writeln!(text, "{mark}  {}", step.claim);
        }
        let decision = &explanation.decision;
        let reason = decision.reason();
        let _ = write!(
            text,
            "=> {}: {reason} ({})",
            decision.as_str(),
            reason.describe()
        );
        if let Some(plan) = decision.plan() {
            let _ = write!(
                text,
                "\n   {} of {}, rung {}",
                plan.action,
                plan.names(),
                plan.rung + 1
            );
        }
        text
    }

    fn status(&self) -> String {
        let now = self.now();
        let mut text = self.health.borrow().to_string();
        for pause in self.pauses.iter().filter(|pause| pause.until > now) {
            let target = name_of(pause.unit.as_ref());
            let (by, until, why) = (&pause.paused_by, pause.until, &pause.why);
            let _ = write!(text, "\npaused: {target} until {until:.0} by {by}: {why}");
        }
        let standing = Standing::of(&self.policy, &self.history, now);
        for budget in standing.budgets {
            let (scope, name, left) = (budget.scope, budget.name, budget.left);
            let _ = write!(text, "\nbudget: {left} actions left for {scope} {name}");
        }
        for rule in standing.open_circuits {
            let _ = write!(
                text,
                "\ncircuit open: {rule}; close it with: alert-bot resume --rule {rule}"
            );
        }
        for rule in standing.demoted {
            let _ = write!(text, "\ndemoted to approval: {rule}");
        }
        for incident in self.book.iter() {
            let (id, name) = (incident.view.id, incident.trigger.name());
            let (target, stage) = (&incident.target, incident.stage.word());
            let _ = write!(text, "\nopen: {id} {name} {target}: {stage}");
        }
        text
    }
}

fn name_of(unit: Option<&UnitName>) -> String {
    unit.map_or_else(|| "all units".to_owned(), ToString::to_string)
}

fn unavailable(error: &LedgerError) -> String {
    format!("nothing was changed, since it cannot be recorded: {error}")
}
