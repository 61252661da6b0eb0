//! A small pure host around [`decide`]: units that break, a bot that carries plans out at once and
//! judges them when it is told to, and a clock that only moves when somebody moves it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use remediation::{
    Alert, AlertNow, AlertStatus, Answer, Approval, Attempt, Decision, Expected, History,
    IncidentView, Judgement, Outcome, PastAction, PastEscalation, Pause, Plan, Policy, Pressure,
    Recorded, Situation, Target, Trigger, Watched, decide,
};
use units::{ActiveState, LoadState, UnitFacts, UnitName};
use uuid::Uuid;

pub(crate) struct World {
    pub(crate) policy: Policy,
    pub(crate) now: Timestamp,
    pub(crate) history: History,
    pub(crate) recorded: Vec<Recorded>,
    pub(crate) paused_until: Option<Timestamp>,
    pub(crate) alert_now: AlertNow,
    pub(crate) probe_healthy: Option<bool>,
    units: BTreeMap<UnitName, Unit>,
    incidents: BTreeMap<(String, Target), IncidentView>,
    incidents_opened: u128,
}

#[derive(Clone, Copy)]
struct Unit {
    state: ActiveState,
    started_at: Timestamp,
}

pub(crate) fn unit(name: &str) -> UnitName {
    name.parse().unwrap()
}

impl World {
    pub(crate) fn new(policy: &str, names: &[&str]) -> Self {
        let policy = match Policy::parse(&[("policy.toml".into(), policy.into())]) {
            Ok(policy) => policy,
            Err(errors) => panic!("{errors}\n{policy}"),
        };
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let up = Unit {
            state: ActiveState::Active,
            started_at: now - Duration::from_secs(24 * 60 * 60),
        };
        Self {
            policy,
            now,
            history: History::default(),
            recorded: Vec::new(),
            paused_until: None,
            alert_now: AlertNow::Unknown,
            probe_healthy: None,
            units: names.iter().map(|name| (unit(name), up)).collect(),
            incidents: BTreeMap::new(),
            incidents_opened: 0,
        }
    }

    pub(crate) fn advance(&mut self, time: Duration) {
        self.now += time;
    }

    pub(crate) fn set_back(&mut self, time: Duration) {
        self.now -= time;
    }

    pub(crate) fn set(&mut self, name: &UnitName, state: ActiveState) {
        if let Some(unit) = self.units.get_mut(name) {
            unit.state = state;
        }
    }

    pub(crate) fn state(&self, name: &UnitName) -> ActiveState {
        self.units[name].state
    }

    pub(crate) fn alert(&self, name: &str, unit: &str, status: AlertStatus) -> Trigger {
        let labels = [("alertname", name), ("unit", unit)];
        let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
        Trigger::Alert(Alert {
            fingerprint: format!("{name}/{unit}"),
            status,
            labels: labels.map(|(k, v)| (k.into(), v.into())).collect(),
            annotations: BTreeMap::new(),
            starts_at: self.now,
            ends_at: None,
        })
    }

    /// Decides about a trigger and does what follows, as the bot's engine would.
    pub(crate) fn receive(&mut self, trigger: Trigger, truncated: bool) -> Decision {
        let situation = self.look(trigger, truncated);
        let decision = decide(&self.policy, &self.history, &situation);
        self.recorded.push(Recorded {
            policy: self.policy.hash().to_string(),
            history: self.history.clone(),
            situation: situation.clone(),
            decision: decision.clone(),
        });
        self.follow(&situation, &decision);
        decision
    }

    /// The engine finds out what came of the oldest action under way.
    pub(crate) fn judge(&mut self, outcome: Outcome) -> Option<PastAction> {
        let now = self.now;
        let action = self
            .history
            .actions
            .iter_mut()
            .find(|action| action.is_in_flight())?;
        action.judged = Some(Judgement { at: now, outcome });
        let action = action.clone();
        if outcome == Outcome::Effective {
            for unit in action.units() {
                self.set(unit, settled(action.action.expects()));
            }
        }
        let incidents = self.incidents.values_mut();
        for incident in incidents.filter(|incident| incident.id == action.incident) {
            for attempt in &mut incident.attempts {
                attempt.outcome = attempt.outcome.or(Some(outcome));
            }
        }
        if outcome == Outcome::Effective {
            self.incidents
                .retain(|_, incident| incident.id != action.incident);
        }
        Some(action)
    }

    /// A person answers every open question.
    pub(crate) fn answer(&mut self, answer: Answer) {
        for incident in self.incidents.values_mut() {
            if let Some(approval) = &mut incident.approval {
                approval.answer = Some(answer);
            }
        }
    }

    pub(crate) fn look(&mut self, trigger: Trigger, truncated: bool) -> Situation {
        let selected = self.policy.select("here", &trigger).ok();
        let key = selected.map(|s| (s.rule.name.to_string(), s.target));
        let target = key.as_ref().map(|(_, target)| target.clone());
        let of_template = |unit: &UnitName| match &target {
            Some(Target::Unit(target)) => unit != target && unit.template() == target.template(),
            Some(Target::Template(pattern)) => pattern.matches(unit),
            None => false,
        };
        let siblings = self.units.keys().filter(|unit| unit.instance().is_some());
        let siblings = siblings.filter(|unit| of_template(unit));
        Situation {
            siblings: siblings.map(|unit| self.facts(unit)).collect(),
            uncounted: false,
            unit: target
                .as_ref()
                .and_then(|target| target.unit())
                .map(|unit| self.facts(unit)),
            incident: self.incident(key),
            now: self.now,
            host: "here".into(),
            trigger,
            probe_healthy: self.probe_healthy,
            alert_now: self.alert_now,
            pause: self.paused_until.map(|until| Pause { until }),
            pressure: Pressure::default(),
            watched: self.watched(),
            truncated,
            fleet: None,
        }
    }

    fn incident(&mut self, key: Option<(String, Target)>) -> IncidentView {
        self.incidents_opened += 1;
        let fresh = IncidentView::new(Uuid::from_u128(self.incidents_opened), self.now);
        match key {
            Some(key) => self.incidents.entry(key).or_insert(fresh).clone(),
            None => fresh,
        }
    }

    fn follow(&mut self, situation: &Situation, decision: &Decision) {
        let id = situation.incident.id;
        let now = self.now;
        let mut incidents = self.incidents.iter_mut();
        let Some(((rule, _), incident)) = incidents.find(|(_, incident)| incident.id == id) else {
            return;
        };
        match decision {
            Decision::Act(plan) => {
                incident.attempts.push(Attempt {
                    rung: plan.rung,
                    at: now,
                    outcome: None,
                    reason: None,
                });
                self.carry_out(plan);
            }
            Decision::AwaitApproval {
                plan, expires_at, ..
            } => {
                let asked = incident.approval.take().filter(|a| a.rung == plan.rung);
                incident.approval = Some(asked.unwrap_or(Approval {
                    rung: plan.rung,
                    expires_at: *expires_at,
                    answer: None,
                }));
            }
            Decision::Escalate(reason) => {
                incident.escalated = true;
                self.history.escalations.push(PastEscalation {
                    at: now,
                    incident: id,
                    rule: rule.parse().unwrap(),
                    reason: *reason,
                });
            }
            Decision::Ignore(_)
            | Decision::Observe(_)
            | Decision::Hold { .. }
            | Decision::Deny(_) => {}
        }
    }

    fn carry_out(&mut self, plan: &Plan) {
        self.history.actions.push(PastAction {
            at: self.now,
            incident: plan.incident,
            rule: plan.rule.clone(),
            unit: plan.unit.clone(),
            also: plan.also.clone(),
            action: plan.action.clone(),
            judged: None,
        });
        let started_at = self.now;
        for name in plan.units() {
            self.units
                .entry(name.clone())
                .and_modify(|unit| unit.started_at = started_at)
                .or_insert(Unit {
                    state: ActiveState::Inactive,
                    started_at,
                });
        }
    }

    fn facts(&self, name: &UnitName) -> UnitFacts {
        let known = self.units.get(name);
        let state = known.map_or(ActiveState::Inactive, |unit| unit.state);
        let started = known.map(|unit| unit.started_at.as_microsecond());
        UnitFacts {
            unit: name.clone(),
            load_state: known.map_or(LoadState::NotFound, |_| LoadState::Loaded),
            active_state: state,
            sub_state: String::new(),
            result: None,
            main_pid: None,
            exec_main_status: None,
            n_restarts: None,
            queued_job: None,
            invocation_id: None,
            inactive_exit_usec: started.and_then(|usec| usec.try_into().ok()),
            active_enter_usec: None,
            failed_requirements: Vec::new(),
        }
    }

    pub(crate) fn watched(&self) -> Watched {
        let watched = self
            .units
            .iter()
            .filter(|(name, _)| self.policy.watches(name));
        let broken = watched
            .clone()
            .filter(|(_, unit)| unit.state == ActiveState::Failed);
        Watched {
            total: watched.count(),
            unhealthy: broken.map(|(name, _)| name.clone()).collect(),
        }
    }

    /// Units that are broken or under repair, of those that are watched.
    pub(crate) fn unhealthy(&self) -> BTreeSet<UnitName> {
        let under_repair = self
            .history
            .in_flight()
            .flat_map(PastAction::units)
            .cloned();
        self.watched()
            .unhealthy
            .into_iter()
            .chain(under_repair)
            .collect()
    }
}

fn settled(expected: Expected) -> ActiveState {
    match expected {
        Expected::Active => ActiveState::Active,
        Expected::Inactive => ActiveState::Inactive,
    }
}
