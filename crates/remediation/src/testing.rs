//! A scene for the tests of single guards: by itself it leads to an action, so that whatever a
//! test changes about it is the reason for what it gets.

use std::time::Duration;

use jiff::Timestamp;
use units::{ActiveState, LoadState, UnitFacts, UnitName};
use uuid::Uuid;

use crate::{
    Action, Alert, AlertNow, AlertStatus, Decision, History, IncidentView, Judgement, Outcome,
    PastAction, Policy, Pressure, Reason, RuleName, Situation, Trigger, Watched, decide,
};

/// Noon of the day on which every test takes place.
pub(crate) fn noon() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// So many seconds before noon.
pub(crate) fn ago(seconds: u64) -> Timestamp {
    crate::time::before(noon(), Duration::from_secs(seconds))
}

/// So many seconds after noon.
pub(crate) fn ahead(seconds: u64) -> Timestamp {
    crate::time::after(noon(), Duration::from_secs(seconds))
}

pub(crate) fn unit(name: &str) -> UnitName {
    name.parse().unwrap()
}

pub(crate) fn policy(text: &str) -> Policy {
    match Policy::parse(&[("policy.toml".into(), text.into())]) {
        Ok(policy) => policy,
        Err(errors) => panic!("{errors}"),
    }
}

/// What systemd would say about a unit that has been like this for an hour.
pub(crate) fn facts(name: &str, state: ActiveState) -> UnitFacts {
    UnitFacts {
        unit: unit(name),
        load_state: LoadState::Loaded,
        active_state: state,
        sub_state: String::new(),
        result: None,
        main_pid: None,
        exec_main_status: None,
        n_restarts: None,
        queued_job: None,
        invocation_id: None,
        inactive_exit_usec: Some(usec(ago(3600))),
        active_enter_usec: None,
        failed_requirements: Vec::new(),
    }
}

pub(crate) fn usec(moment: Timestamp) -> u64 {
    moment.as_microsecond().try_into().unwrap()
}

pub(crate) struct Scene {
    pub(crate) rule: String,
    pub(crate) host: String,
    pub(crate) history: History,
    pub(crate) situation: Situation,
}

impl Scene {
    /// An alert about `api.service`, which is in this state, and a rule that restarts it.
    pub(crate) fn new(state: ActiveState) -> Self {
        Self::of("api.service", state)
    }

    /// An alert about this unit, and a rule for `api.service` and the instances of `worker@`.
    pub(crate) fn of(name: &str, state: ActiveState) -> Self {
        let labels = [("alertname", "Down"), ("unit", name), ("host", "here")];
        let labels = labels.map(|(label, value)| (label.to_owned(), value.to_owned()));
        let alert = Alert {
            fingerprint: "f1".into(),
            status: AlertStatus::Firing,
            labels: labels.into(),
            annotations: [].into(),
            starts_at: ago(10),
            ends_at: None,
        };
        Self {
            rule: String::new(),
            host: String::new(),
            history: History::default(),
            situation: Situation {
                now: noon(),
                host: "here".into(),
                trigger: Trigger::Alert(alert),
                incident: IncidentView::new(Uuid::from_u128(1), ago(10)),
                unit: Some(facts(name, state)),
                siblings: Vec::new(),
                uncounted: false,
                probe_healthy: None,
                alert_now: AlertNow::Unknown,
                pause: None,
                pressure: Pressure::default(),
                watched: Watched::default(),
                truncated: false,
                fleet: None,
            },
        }
    }

    /// Adds lines to the rule; a key given here replaces the scene's own.
    pub(crate) fn rule(mut self, lines: &str) -> Self {
        self.rule = lines.into();
        self
    }

    /// Adds lines to the table `[host]`.
    pub(crate) fn host(mut self, lines: &str) -> Self {
        self.host = lines.into();
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Situation)) -> Self {
        change(&mut self.situation);
        self
    }

    /// Takes the unit's label from the alert, and with it the read of the unit.
    pub(crate) fn without_unit(self) -> Self {
        self.with(|situation| {
            situation.unit = None;
            if let Trigger::Alert(alert) = &mut situation.trigger {
                alert.labels.remove("unit");
            }
        })
    }

    pub(crate) fn facts(self, change: impl FnOnce(&mut UnitFacts)) -> Self {
        self.with(|situation| change(situation.unit.as_mut().unwrap()))
    }

    /// Adds a past action by the scene's rule, of an earlier incident.
    pub(crate) fn past(mut self, name: &str, at: Timestamp, outcome: Option<Outcome>) -> Self {
        let incident = Uuid::from_u128(1000 + self.history.actions.len() as u128);
        self.history.actions.push(PastAction {
            at,
            incident,
            rule: rule_name(),
            unit: unit(name),
            also: Vec::new(),
            action: Action::Restart,
            judged: outcome.map(|outcome| Judgement { at, outcome }),
        });
        self
    }

    pub(crate) fn policy(&self) -> Policy {
        let own = [
            ("units", r#"["api.service", "worker@*.service"]"#),
            ("mode", r#""auto""#),
            ("ladder", r#"[{ action = "restart" }]"#),
            ("cooldown", r#""1s""#),
            ("backoff", r#"{ initial = "0s", jitter = "0%" }"#),
        ];
        let given = |key: &str| self.rule.lines().any(|line| line.trim().starts_with(key));
        let own = own.iter().filter(|(key, _)| !given(key));
        let own: Vec<_> = own.map(|(key, value)| format!("{key} = {value}")).collect();
        policy(&format!(
            "[host]\n{}\n[[rule]]\nname = \"rule\"\nmatch = ['alertname=\"Down\"']\n{}\n{}",
            self.host,
            own.join("\n"),
            self.rule,
        ))
    }

    pub(crate) fn decide(&self) -> Decision {
        decide(&self.policy(), &self.history, &self.situation)
    }

    pub(crate) fn reason(&self) -> Reason {
        self.decide().reason()
    }
}

pub(crate) fn rule_name() -> RuleName {
    "rule".parse().unwrap()
}
