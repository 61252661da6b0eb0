//! From the text of a test file to its tests.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use units::{ActiveState, LoadState, UnitFacts, UnitName};
use uuid::Uuid;

use super::{Expected, PolicyTest};
use crate::policy::{PolicyErrors, RuleName};
use crate::reader::{Document, Section};
use crate::{
    Action, Alert, AlertNow, AlertStatus, Attempt, FleetView, History, IncidentView, Judgement,
    Others, Outcome, PastAction, Pause, Pressure, Situation, Trigger, Watched, time,
};

/// Every test takes place at this moment: 2026-01-01 00:00 UTC.
const NOW: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// The host that every test takes place on, unless the alert's label `host` says another.
const HOST: &str = "this-host";

const ANY_TIME: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(90 * 24 * 60 * 60);

/// A unit that a test says nothing about has run for a day before it broke.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

const ALERT_STATES: &[(&str, AlertNow)] = &[
    ("unknown", AlertNow::Unknown),
    ("firing", AlertNow::Firing),
    ("silenced", AlertNow::Silenced),
    ("resolved", AlertNow::Resolved),
    ("absent", AlertNow::Absent),
];

const OUTCOMES: &[(&str, Outcome)] = &[
    ("effective", Outcome::Effective),
    ("ineffective", Outcome::Ineffective),
    ("unknown", Outcome::Unknown),
];

pub(super) fn tests(file: &Path, text: &str) -> Result<Vec<PolicyTest>, PolicyErrors> {
    let document = Document::new(file, text);
    let table = document.parse();
    let mut tests = Vec::new();
    if let Some(table) = &table {
        let mut root = Section::root(&document, table);
        tests.extend(root.sections("test").into_iter().filter_map(read_test));
    }
    drop(table);
    let errors = document.into_errors();
    if errors.is_empty() {
        Ok(tests)
    } else {
        Err(PolicyErrors(errors))
    }
}

fn read_test(mut section: Section<'_>) -> Option<PolicyTest> {
    let name = section.require("name", Section::text);
    let expected = section.require("expect", |s, key| s.section(key).map(read_expected));
    let trigger = read_trigger(&mut section);
    let incident = read_incident(&mut section);
    let unit = trigger.as_ref().and_then(unit_of);
    Some(PolicyTest {
        place: section.place(),
        history: read_history(&mut section),
        situation: Situation {
            now: NOW,
            host: HOST.into(),
            incident,
            unit: read_unit(&mut section, unit),
            siblings: read_siblings(&mut section),
            uncounted: false,
            probe_healthy: section
                .has("probe_healthy")
                .then(|| section.flag("probe_healthy", false)),
            alert_now: section
                .choice("alert_now", ALERT_STATES)
                .unwrap_or_default(),
            pause: section.flag("paused", false).then(|| Pause {
                until: time::after(NOW, A_DAY),
            }),
            pressure: section.nested("pressure", Pressure::default(), |pressure, _| Pressure {
                cpu: pressure.percent("cpu"),
                memory: pressure.percent("memory"),
                throttled: pressure.percent("throttled"),
            }),
            watched: section.nested("watched", Watched::default(), |watched, _| Watched {
                total: watched.number("total", 0..=10_000, 0),
                unhealthy: watched
                    .parsed_list("unhealthy")
                    .unwrap_or_default()
                    .into_iter()
                    .collect(),
            }),
            truncated: section.flag("truncated", false),
            fleet: section.section("fleet").map(read_fleet),
            trigger: trigger?,
        },
        name: name?.to_owned(),
        expected: expected?,
    })
}

fn read_expected(mut section: Section<'_>) -> Expected {
    let mut text = |key| section.text(key).map(str::to_owned);
    Expected {
        decision: text("decision"),
        reason: text("reason"),
        rule: text("rule"),
        action: text("action"),
        unit: text("unit"),
    }
}

/// `alert = { alertname = "…", … }` or `unit_failed = "…"`.
fn read_trigger(section: &mut Section<'_>) -> Option<Trigger> {
    let failed = section.parsed("unit_failed").map(Trigger::UnitFailed);
    let resolved = section.flag("resolved", false);
    let alert = section.section("alert").map(|mut labels| {
        let labels = labels.texts().into_iter();
        Trigger::Alert(Alert {
            fingerprint: "test".into(),
            status: if resolved {
                AlertStatus::Resolved
            } else {
                AlertStatus::Firing
            },
            labels: labels
                .map(|(label, value)| (label.into(), value.into()))
                .collect(),
            annotations: [].into(),
            starts_at: NOW,
            ends_at: None,
        })
    });
    if alert.is_some() == failed.is_some() {
        section.note(
            "alert",
            "give either the labels of an alert, or unit_failed",
        );
    }
    alert.or(failed)
}

fn unit_of(trigger: &Trigger) -> Option<UnitName> {
    match trigger {
        Trigger::Alert(alert) => alert.label("unit").parse().ok(),
        Trigger::UnitFailed(unit) => Some(unit.clone()),
    }
}

fn read_incident(section: &mut Section<'_>) -> IncidentView {
    let tried: Vec<usize> = section.numbers("tried", 0..=100);
    let attempts = tried.into_iter().map(|rung| Attempt {
        rung,
        at: time::before(NOW, A_DAY),
        outcome: Some(Outcome::Ineffective),
        reason: None,
    });
    IncidentView {
        attempts: attempts.collect(),
        escalated: section.flag("escalated", false),
        held_by_people_at: None,
        ..IncidentView::new(Uuid::nil(), NOW)
    }
}

/// `unit`, `state` and `started_ago`; the name is the alert's unless it is given.
fn read_unit(section: &mut Section<'_>, of_trigger: Option<UnitName>) -> Option<UnitFacts> {
    let named: Option<UnitName> = section.parsed("unit");
    let state = section.parsed("state").unwrap_or(ActiveState::Failed);
    let load_state = section.parsed("load_state").unwrap_or(LoadState::Loaded);
    let started_ago = section.duration("started_ago", &ANY_TIME, A_DAY);
    let failed_requirements = section
        .parsed_list("failed_requirements")
        .unwrap_or_default();
    Some(UnitFacts {
        load_state,
        failed_requirements,
        ..facts(named.or(of_trigger)?, state, started_ago)
    })
}

/// `siblings = { "worker@2.service" = "active" }`
fn read_siblings(section: &mut Section<'_>) -> Vec<UnitFacts> {
    let Some(mut table) = section.section("siblings") else {
        return Vec::new();
    };
    let mut siblings = Vec::new();
    for (name, state) in table.texts() {
        match (name.parse::<UnitName>(), state.parse::<ActiveState>()) {
            (Ok(unit), Ok(state)) => siblings.push(facts(unit, state, A_DAY)),
            (Err(problem), _) => table.note(name, problem),
            (_, Err(problem)) => table.note(name, problem),
        }
    }
    siblings
}

fn facts(unit: UnitName, active_state: ActiveState, started_ago: Duration) -> UnitFacts {
    let started_at = time::before(NOW, started_ago).as_microsecond();
    UnitFacts {
        unit,
        load_state: LoadState::Loaded,
        active_state,
        sub_state: String::new(),
        result: None,
        main_pid: None,
        exec_main_status: None,
        n_restarts: None,
        queued_job: None,
        invocation_id: None,
        inactive_exit_usec: started_at.try_into().ok(),
        active_enter_usec: None,
        failed_requirements: Vec::new(),
    }
}

fn read_fleet(mut section: Section<'_>) -> FleetView {
    if section.flag("unreachable", false) {
        return FleetView::Unreachable;
    }
    FleetView::Reached(Others {
        under_repair: section
            .parsed_list("under_repair")
            .unwrap_or_default()
            .into_iter()
            .collect(),
        recent_repairs: section.number("recent_repairs", 0..=10_000, 0),
    })
}

/// `[[test.past]]`: what the bot did in earlier incidents.
fn read_history(section: &mut Section<'_>) -> History {
    let past = section.sections("past").into_iter().zip(1..);
    History {
        actions: past.filter_map(|(past, n)| read_past(past, n)).collect(),
        ..History::default()
    }
}

fn read_past(mut section: Section<'_>, number: u128) -> Option<PastAction> {
    let rule: Option<RuleName> = section.require("rule", Section::parsed);
    let unit: Option<UnitName> = section.require("unit", Section::parsed);
    let at = time::before(NOW, section.duration("ago", &ANY_TIME, Duration::ZERO));
    let outcome = section.choice("outcome", OUTCOMES);
    Some(PastAction {
        at,
        incident: Uuid::from_u128(number),
        action: Action::Restart,
        judged: outcome.map(|outcome| Judgement { at, outcome }),
        rule: rule?,
        unit: unit?,
        also: Vec::new(),
    })
}
