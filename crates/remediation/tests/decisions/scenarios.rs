//! Stories with a clock: what the bot decides as they unfold, kept as traces.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use remediation::{AlertStatus, Answer, Outcome, RuleReset, Trigger};
use units::ActiveState::{self, Active, Failed, Inactive};

use crate::world::{World, unit};

const POLICY: &str = r#"
    [host]
    max_in_flight = 1
    storm = { share = "50%", min_units = 3 }

    [[rule]]
    name = "api-down"
    match = ['alertname=~"ApiDown|UnitFailed"']
    units = ["api.service"]
    also_reset = ["api.socket"]
    on_unit_failed = true
    mode = "auto"
    cooldown = "2s"
    ladder = [
        { action = "start", when = "inactive" },
        { action = "restart", when = "active", times = 2 },
        { action = "reset-failed-start", when = "failed" },
        { action = "escalate" },
    ]
    budget = { max_actions = 4, window = "10m" }
    backoff = { initial = "4s", jitter = "0%" }
    flapping = { repairs = 3, window = "10m" }

    [[rule]]
    name = "worker-failed"
    match = ['alertname="UnitFailed"']
    units = ["worker@*.service"]
    on_unit_failed = true
    mode = "approve"
    approval_ttl = "5m"
    cooldown = "2s"
    ladder = [{ action = "reset-failed-start", times = 2 }]
    budget = { max_actions = 9, window = "10m" }

    [[rule]]
    name = "backlog"
    match = ['alertname="BacklogHigh"']
    units = ["worker@*.service"]
    mode = "auto"
    cooldown = "30s"
    ladder = [{ action = "scale-up", max = 3, times = 3 }, { action = "escalate" }]
"#;

const UNITS: [&str; 6] = [
    "api.service",
    "api.socket",
    "worker@1.service",
    "worker@2.service",
    "worker@3.service",
    "other.service",
];

/// A world that writes down what happens.
struct Story {
    world: World,
    began: Timestamp,
    text: String,
}

impl Story {
    fn new() -> Self {
        let world = World::new(POLICY, &UNITS);
        let began = world.now;
        let text = String::new();
        Self { world, began, text }
    }

    fn note(&mut self, what: &str) {
        let seconds = (self.world.now - self.began).get_seconds();
        writeln!(self.text, "{seconds:>4} s  {what}").unwrap();
    }

    fn after(&mut self, seconds: u64) -> &mut Self {
        self.world.advance(Duration::from_secs(seconds));
        self
    }

    fn unit_is(&mut self, name: &str, state: ActiveState) -> &mut Self {
        self.world.set(&unit(name), state);
        self.note(&format!("{name} is {state}"));
        self
    }

    fn probe(&mut self, healthy: bool) -> &mut Self {
        self.world.probe_healthy = Some(healthy);
        self.note(if healthy {
            "the probe is well"
        } else {
            "the probe is not well"
        });
        self
    }

    fn alert(&mut self, name: &str, unit: &str) -> &mut Self {
        let trigger = self.world.alert(name, unit, AlertStatus::Firing);
        self.trigger(&format!("alert {name} {unit}"), trigger)
    }

    fn failed(&mut self, name: &str) -> &mut Self {
        self.world.set(&unit(name), Failed);
        self.trigger(
            &format!("systemd: {name} failed"),
            Trigger::UnitFailed(unit(name)),
        )
    }

    fn trigger(&mut self, what: &str, trigger: Trigger) -> &mut Self {
        let decision = self.world.receive(trigger, false);
        let reason = decision.reason();
        self.note(&format!("{what} → {decision}: {reason}"));
        self
    }

    fn judged(&mut self, outcome: Outcome) -> &mut Self {
        let action = self.world.judge(outcome).expect("an action under way");
        self.note(&format!(
            "{} {}: {}",
            action.action,
            action.unit,
            outcome.as_str()
        ));
        self
    }

    fn person(&mut self, answer: Answer) -> &mut Self {
        self.world.answer(answer);
        self.note(&format!("a person says {answer:?}"));
        self
    }

    fn settled(&mut self, rule: &str) -> &mut Self {
        let (at, rule) = (self.world.now, rule.parse().unwrap());
        self.world.history.resets.push(RuleReset { at, rule });
        self.note("a person declares the rule's past as settled");
        self
    }
}

macro_rules! assert_story {
    ($story:expr) => {
        insta::assert_snapshot!($story.text)
    };
}

#[test]
fn a_stopped_service_is_started_and_breaks_again_five_seconds_later() {
    let mut story = Story::new();
    story
        .unit_is("api.service", Inactive)
        .probe(false)
        .alert("ApiDown", "api.service")
        .alert("ApiDown", "api.service")
        .after(1)
        .judged(Outcome::Effective)
        .probe(true)
        .alert("ApiDown", "api.service")
        .after(4)
        .unit_is("api.service", Inactive)
        .probe(false)
        .alert("ApiDown", "api.service")
        .after(1)
        .judged(Outcome::Effective);
    assert_story!(story);
}

#[test]
fn a_frozen_service_is_restarted_because_its_probe_says_so() {
    let mut story = Story::new();
    story
        .probe(false)
        .alert("ApiDown", "api.service")
        .after(2)
        .judged(Outcome::Effective)
        .probe(true)
        .alert("ApiDown", "api.service");
    assert_story!(story);
}

#[test]
fn a_service_past_its_start_limit_climbs_the_ladder_to_people() {
    let mut story = Story::new();
    story
        .failed("api.service")
        .alert("UnitFailed", "api.service")
        .after(3)
        .judged(Outcome::Ineffective)
        .alert("ApiDown", "api.service")
        .unit_is("api.service", Active)
        .probe(false)
        .after(4)
        .alert("ApiDown", "api.service")
        .after(3)
        .judged(Outcome::Ineffective)
        .after(8)
        .alert("ApiDown", "api.service")
        .after(3)
        .judged(Outcome::Unknown)
        .after(16)
        .alert("ApiDown", "api.service")
        .after(60)
        .alert("ApiDown", "api.service");
    assert_story!(story);
}

#[test]
fn repairs_that_do_not_last_end_with_people() {
    let mut story = Story::new();
    for _ in 0..3 {
        story
            .after(60)
            .failed("api.service")
            .after(1)
            .judged(Outcome::Effective);
    }
    story
        .after(60)
        .failed("api.service")
        .after(1)
        .alert("ApiDown", "api.service");
    assert_story!(story);
}

#[test]
fn failing_repairs_open_the_circuit_until_a_person_closes_it() {
    let mut story = Story::new();
    for name in ["worker@1.service", "worker@2.service", "worker@3.service"] {
        story
            .after(60)
            .failed(name)
            .person(Answer::Approved)
            .failed(name);
        story.judged(Outcome::Ineffective).unit_is(name, Active);
    }
    story
        .after(60)
        .failed("worker@1.service")
        .after(1)
        .settled("worker-failed")
        .failed("worker@2.service");
    assert_story!(story);
}

#[test]
fn an_approval_is_asked_for_once_and_lapses() {
    let mut story = Story::new();
    story
        .failed("worker@1.service")
        .after(1)
        .alert("UnitFailed", "worker@1.service")
        .after(1)
        .person(Answer::Approved)
        .alert("UnitFailed", "worker@1.service")
        .judged(Outcome::Effective)
        .after(60)
        .failed("worker@2.service")
        .after(299)
        .alert("UnitFailed", "worker@2.service")
        .after(1)
        .alert("UnitFailed", "worker@2.service")
        .failed("worker@3.service")
        .person(Answer::Denied)
        .alert("UnitFailed", "worker@3.service");
    assert_story!(story);
}

#[test]
fn a_storm_stops_everything_and_is_told_once() {
    let mut story = Story::new();
    story.unit_is("worker@3.service", Inactive);
    story
        .unit_is("worker@1.service", Failed)
        .unit_is("worker@2.service", Failed)
        .failed("api.service")
        .alert("BacklogHigh", "")
        .unit_is("worker@1.service", Active)
        .alert("BacklogHigh", "");
    assert_story!(story);
}

#[test]
fn a_backlog_adds_one_worker_at_a_time_up_to_the_limit() {
    let mut story = Story::new();
    story.unit_is("worker@2.service", Inactive);
    story
        .unit_is("worker@3.service", Inactive)
        .alert("BacklogHigh", "")
        .alert("BacklogHigh", "")
        .after(5)
        .judged(Outcome::Effective)
        .alert("BacklogHigh", "")
        .after(25)
        .alert("BacklogHigh", "worker@1.service")
        .after(5)
        .judged(Outcome::Effective)
        .after(60)
        .alert("BacklogHigh", "");
    assert_story!(story);
}

#[test]
fn what_is_not_the_bots_business_is_left_alone() {
    let mut story = Story::new();
    story
        .alert("SomethingElse", "api.service")
        .alert("ApiDown", "other.service")
        .alert("ApiDown", "../api.service")
        .alert("BacklogHigh", "api.service")
        .failed("other.service");
    assert_story!(story);
}

#[test]
fn another_policy_shows_what_it_would_have_done_otherwise() {
    let mut story = Story::new();
    story
        .unit_is("api.service", Inactive)
        .alert("ApiDown", "api.service")
        .judged(Outcome::Effective)
        .after(60)
        .alert("ApiDown", "other.service")
        .failed("api.service");
    let observing = POLICY.replacen("mode = \"auto\"", "mode = \"observe\"", 1);
    let files = [("policy.toml".into(), observing)];
    let policy = remediation::Policy::parse(&files).unwrap();
    let told: Vec<_> = remediation::replay(&policy, story.world.recorded)
        .map(|difference| format!("{} → {}", difference.recorded.decision, difference.now))
        .collect();
    let expected = [
        "act (start api.service) → observe (start api.service)",
        "act (reset-failed-start api.service) → observe (reset-failed-start api.service)",
    ];
    assert_eq!(told, expected);
}
