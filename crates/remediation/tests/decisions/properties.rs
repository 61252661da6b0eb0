//! What must hold for every policy and every sequence of events.
//!
//! `REMEDIATION_SEQUENCES` sets how many sequences are tried (see `SEQUENCES` for the default):
//!
//! ```text
//! REMEDIATION_SEQUENCES=1000000 cargo test --release -p remediation --test decisions
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use remediation::{
    Action, AlertNow, AlertStatus, Answer, Decision, Expected, Mode, Outcome, PastAction, Percent,
    Plan, Policy, Recorded, Rule, Trigger, decide, granted, is_protected, replay,
};
use units::ActiveState;

use crate::world::{World, unit};

/// A guard that breaks once in ten thousand sequences is found by every test run.
const SEQUENCES: u32 = 100_000;

/// The bounds of scaling.
const MAX_WORKERS: usize = 4;
const MIN_WORKERS: usize = 1;

/// What exists on the host. Some are on the lists of rules, some are protected, some are neither.
const UNITS: [&str; 10] = [
    "api.service",
    "worker@1.service",
    "worker@2.service",
    "worker@3.service",
    "worker@4.service",
    "cache.service",
    "kept.service",
    "foreign.service",
    "alert-bot.service",
    "dbus.service",
];

/// Labels that an alert may carry: units, and texts that are none.
const ODD_LABELS: [&str; 6] = [
    "",
    "*",
    "worker@*.service",
    "../api.service",
    "a b",
    "worker@.service",
];

const ALERTS: [&str; 6] = ["Down", "Slow", "Backlog", "Asked", "Watched", "Unnamed"];

#[derive(Clone, Debug)]
enum Event {
    Alert {
        name: usize,
        label: usize,
        resolved: bool,
        truncated: bool,
    },
    UnitFailed(usize),
    Break(usize, ActiveState),
    Judge(Outcome),
    Answer(Answer),
    Pause(u64),
    AlertNow(AlertNow),
    Probe(Option<bool>),
    Advance(u64),
    SetBack(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let state = prop::sample::select(vec![
        ActiveState::Active,
        ActiveState::Inactive,
        ActiveState::Failed,
        ActiveState::Failed,
        ActiveState::Activating,
    ]);
    let outcome = prop::sample::select(vec![
        Outcome::Effective,
        Outcome::Ineffective,
        Outcome::Unknown,
    ]);
    // Mostly what leads somewhere; the odd labels and the protected units now and then.
    let label = prop_oneof![8 => 0..6_usize, 1 => 0..UNITS.len() + ODD_LABELS.len()];
    let listed = prop_oneof![8 => 0..5_usize, 1 => 0..UNITS.len()];
    let answer = prop::sample::select(vec![Answer::Approved, Answer::Approved, Answer::Denied]);
    let alert_now = prop_oneof![
        6 => Just(AlertNow::Unknown),
        6 => Just(AlertNow::Firing),
        1 => Just(AlertNow::Silenced),
        1 => Just(AlertNow::Resolved),
    ];
    let alert = (
        0..ALERTS.len(),
        label,
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.05),
    );
    let event = prop_oneof![
        8 => alert.prop_map(|(name, label, resolved, truncated)| Event::Alert {
            name,
            label,
            resolved,
            truncated,
        }),
        4 => listed.clone().prop_map(Event::UnitFailed),
        4 => (listed, state).prop_map(|(index, state)| Event::Break(index, state)),
        4 => outcome.prop_map(Event::Judge),
        2 => answer.prop_map(Event::Answer),
        1 => (0_u64..30).prop_map(Event::Pause),
        1 => alert_now.prop_map(Event::AlertNow),
        1 => prop::option::of(any::<bool>()).prop_map(Event::Probe),
        6 => (0_u64..90).prop_map(Event::Advance),
        1 => (0_u64..600).prop_map(Event::SetBack),
    ];
    prop::collection::vec(event, 0..80)
}

/// Policies with every kind of rule, and limits so tight that each of them is reached.
fn policies() -> impl Strategy<Value = String> {
    let budget = || (1_usize..5, 5_u64..300);
    let numbers = (
        budget(),
        budget(),
        budget(),
        1_usize..4,
        40_u32..90,
        0_u64..20,
        0_usize..3,
        1_u32..4,
    );
    numbers.prop_map(|(host, unit, rule, in_flight, share, cooldown, healthy_min, step)| {
        let budget = |(actions, window)| format!("{{ max_actions = {actions}, window = \"{window}s\" }}");
        let rule_of = |name: &str, alert: &str, lines: &str| {
            format!(
                "[[rule]]\nname = \"{name}\"\nmatch = ['alertname=\"{alert}\"']\n\
                 budget = {}\ncooldown = \"{cooldown}s\"\nbackoff = {{ initial = \"2s\" }}\n{lines}\n",
                budget(rule)
            )
        };
        let ladder = r#"ladder = [
            { action = "restart", when = "active" },
            { action = "start", when = "inactive" },
            { action = "reset-failed-start", times = 2 },
        ]"#;
        let acting = |mode: &str, units: &str| {
            format!("mode = \"{mode}\"\nunits = {units}\nhealthy_min = {healthy_min}\n{ladder}")
        };
        let units = r#"["api.service", "worker@*.service", "kept.service"]"#;
        let scaling = format!(
            "mode = \"auto\"\nunits = [\"worker@*.service\"]\nhealthy_min = {healthy_min}\nladder = [\
             {{ action = \"scale-up\", max = {MAX_WORKERS}, times = 3, step = {step} }}, \
             {{ action = \"scale-down\", min = {MIN_WORKERS}, step = {step} }}]"
        );
        [
            format!(
                "[host]\nbudget = {}\nunit_budget = {}\nmax_in_flight = {in_flight}\n\
                 storm = {{ share = \"{share}%\", min_units = 3 }}\nprotected = [\"kept.service\", \"worker@3.service\"]\n",
                budget(host),
                budget(unit)
            ),
            rule_of("down", "Down", &format!("on_unit_failed = true\n{}", acting("auto", units))),
            rule_of("slow", "Slow", &acting("auto", r#"["cache.service", "api.service"]"#)),
            rule_of("backlog", "Backlog", &scaling),
            rule_of("asked", "Asked", &acting("approve", units)),
            rule_of("watched", "Watched", &acting("observe", units)),
            rule_of("unnamed", "Unnamed", &acting("auto", "[]")),
        ]
        .concat()
    })
}

#[test]
#[allow(clippy::print_stderr)] // How much was tried belongs into the transcript.
fn every_sequence_of_events_keeps_every_promise() {
    let sequences = std::env::var("REMEDIATION_SEQUENCES").map_or(SEQUENCES, |number| {
        number.parse().expect("a number of sequences")
    });
    let regressions = FileFailurePersistence::WithSource("regressions");
    let mut runner = TestRunner::new(Config {
        cases: sequences,
        failure_persistence: Some(Box::new(regressions)),
        source_file: Some(file!()),
        ..Config::default()
    });
    let acted = std::cell::Cell::new(0_usize);
    let outcome = runner.run(&(policies(), events()), |(policy, events)| {
        acted.set(acted.get() + play(&policy, &events)?);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    eprintln!(
        "campaign: {sequences} alert sequences, {} actions, every promise kept",
        acted.get()
    );
    assert!(
        acted.get() >= sequences as usize,
        "hardly anything is tried"
    );
}

/// Plays one sequence and checks every decision; returns how many actions there were.
fn play(policy: &str, events: &[Event]) -> Result<usize, TestCaseError> {
    let mut world = World::new(policy, &UNITS);
    for event in events {
        match *event {
            Event::Alert {
                name,
                label,
                resolved,
                truncated,
            } => {
                let status = if resolved {
                    AlertStatus::Resolved
                } else {
                    AlertStatus::Firing
                };
                let label = UNITS.iter().chain(&ODD_LABELS).nth(label).unwrap();
                let trigger = world.alert(ALERTS[name], label, status);
                receive(&mut world, &trigger, truncated)?;
            }
            Event::UnitFailed(index) => {
                let unit = unit(UNITS[index]);
                world.set(&unit, ActiveState::Failed);
                receive(&mut world, &Trigger::UnitFailed(unit), false)?;
            }
            Event::Break(index, state) => world.set(&unit(UNITS[index]), state),
            Event::Judge(outcome) => drop(world.judge(outcome)),
            Event::Answer(answer) => world.answer(answer),
            Event::Pause(seconds) => {
                world.paused_until = Some(world.now + Duration::from_secs(seconds));
            }
            Event::AlertNow(alert_now) => world.alert_now = alert_now,
            Event::Probe(healthy) => world.probe_healthy = healthy,
            Event::Advance(seconds) => world.advance(Duration::from_secs(seconds)),
            Event::SetBack(seconds) => world.set_back(Duration::from_secs(seconds)),
        }
    }
    budgets_hold(&world)?;
    replays_exactly(&world)?;
    Ok(world.history.actions.len())
}

fn receive(world: &mut World, trigger: &Trigger, truncated: bool) -> Result<(), TestCaseError> {
    let unhealthy_before = world.unhealthy();
    let decision = world.receive(trigger.clone(), truncated);
    let recorded = world.recorded.last().expect("just recorded").clone();
    if let Decision::Hold { retry_at, .. } = decision {
        prop_assert!(retry_at > world.now, "asking again at once would spin");
    }
    let Decision::Act(plan) = &decision else {
        return Ok(());
    };
    prop_assert!(!truncated);
    let storm = world.policy.host().storm;
    let share = Percent::of(unhealthy_before.len(), world.watched().total);
    prop_assert!(unhealthy_before.len() < storm.min_units || share <= storm.share);
    nobody_asked_for_quiet(world)?;
    stays_within_the_policy(&world.policy, plan, &recorded)?;
    takes_nothing_else_down(world, plan)?;
    scaling_keeps_its_bounds(world, plan)?;
    let again = world.look(trigger.clone(), truncated);
    let again = decide(&world.policy, &world.history, &again);
    prop_assert!(
        !matches!(again, Decision::Act(_)),
        "a duplicate acts: {again:?}"
    );
    Ok(())
}

fn nobody_asked_for_quiet(world: &World) -> Result<(), TestCaseError> {
    prop_assert!(world.paused_until.is_none_or(|until| until <= world.now));
    let alert_now = world.alert_now;
    prop_assert!(matches!(alert_now, AlertNow::Unknown | AlertNow::Firing));
    Ok(())
}

fn stays_within_the_policy(
    policy: &Policy,
    plan: &Plan,
    recorded: &Recorded,
) -> Result<(), TestCaseError> {
    let rule: &Rule = policy
        .rule(&plan.rule)
        .expect("the plan's rule is the policy's");
    let granted = granted(policy);
    for unit in plan.units() {
        prop_assert!(rule.allows(unit), "{unit} is not on the list");
        prop_assert!(!is_protected(unit));
        prop_assert!(!policy.host().protected.iter().any(|p| p.matches(unit)));
        prop_assert!(granted.iter().any(|(pattern, _)| pattern.matches(unit)));
    }
    prop_assert!(!rule.units.is_empty(), "an empty list means nothing");
    let approval = recorded.situation.incident.approval.as_ref();
    let approved = approval.is_some_and(|a| a.answer == Some(Answer::Approved));
    match rule.mode {
        Mode::Observe => prop_assert!(false, "an observing rule acts"),
        Mode::Approve => prop_assert!(approved, "nobody approved"),
        Mode::Auto => {}
    }
    Ok(())
}

fn takes_nothing_else_down(world: &World, plan: &Plan) -> Result<(), TestCaseError> {
    let in_flight: Vec<&PastAction> = world.history.in_flight().collect();
    prop_assert!(in_flight.len() <= world.policy.host().max_in_flight);
    for unit in plan.units() {
        let on_unit = in_flight.iter().flat_map(|action| action.units());
        let on_unit = on_unit.filter(|acted_on| *acted_on == unit);
        prop_assert_eq!(on_unit.count(), 1, "one repair of a unit at a time");
    }
    if let Some(template) = plan.unit.template() {
        let of_template = in_flight
            .iter()
            .filter(|a| a.unit.template().as_ref() == Some(&template));
        prop_assert_eq!(of_template.count(), 1, "one repair in a template at a time");
    }
    let stops = plan.action.expects() == Expected::Inactive;
    let mut states = plan.units().map(|unit| world.state(unit));
    prop_assert!(!stops || states.all(|state| state == ActiveState::Active));
    Ok(())
}

/// However long the step, scaling ends at its bounds and takes no unit twice.
fn scaling_keeps_its_bounds(world: &World, plan: &Plan) -> Result<(), TestCaseError> {
    let workers = UNITS.iter().filter(|name| name.starts_with("worker@"));
    let count = |wanted: &dyn Fn(ActiveState) -> bool| {
        let states = workers.clone().map(|name| world.state(&unit(name)));
        states.filter(|state| wanted(*state)).count()
    };
    let acted_on: BTreeSet<_> = plan.units().collect();
    prop_assert_eq!(acted_on.len(), plan.units().count());
    let active = count(&|state| state == ActiveState::Active);
    match plan.action {
        Action::ScaleUp => {
            let on_its_way = count(&|state| state == ActiveState::Activating);
            prop_assert!(active + on_its_way + acted_on.len() <= MAX_WORKERS);
        }
        Action::ScaleDown => {
            let rule = world.policy.rule(&plan.rule).expect("it decided");
            prop_assert!(active - acted_on.len() >= MIN_WORKERS.max(rule.healthy_min));
        }
        _ => prop_assert_eq!(acted_on.len(), 1, "only scaling acts on several units"),
    }
    Ok(())
}

/// No stretch of time as long as a budget's window holds more actions than the budget, whichever
/// way the clock went.
fn budgets_hold(world: &World) -> Result<(), TestCaseError> {
    let host = world.policy.host();
    let actions = &world.history.actions;
    let most_in = |window: Duration, counts: &dyn Fn(&PastAction) -> bool| {
        let times: Vec<Timestamp> = actions.iter().filter(|a| counts(a)).map(|a| a.at).collect();
        let within = |end: &Timestamp| {
            let in_window = |at: &&Timestamp| **at <= *end && **at > *end - window;
            times.iter().filter(in_window).count()
        };
        times.iter().map(within).max().unwrap_or(0)
    };
    let budget = host.budget;
    prop_assert!(most_in(budget.window, &|_| true) <= budget.max_actions.get());
    for rule in world.policy.rules() {
        let used = most_in(rule.budget.window, &|action| action.rule == rule.name);
        prop_assert!(used <= rule.budget.max_actions.get(), "{}", rule.name);
    }
    for name in UNITS {
        let budget = host.unit_budget;
        let used = most_in(budget.window, &|action| {
            action.units().any(|acted_on| *acted_on == unit(name))
        });
        prop_assert!(used <= budget.max_actions.get(), "{name}");
    }
    Ok(())
}

/// Each decision, read back from what the ledger would keep, comes out the same.
fn replays_exactly(world: &World) -> Result<(), TestCaseError> {
    let kept: Vec<String> = world
        .recorded
        .iter()
        .map(|recorded| serde_json::to_string(recorded).expect("plain data"))
        .collect();
    let read = kept
        .iter()
        .map(|text| serde_json::from_str::<Recorded>(text).expect("as written"));
    prop_assert_eq!(replay(&world.policy, read).next(), None);
    Ok(())
}
