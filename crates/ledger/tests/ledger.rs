//! The ledger on a real file: what it accepts once, what it keeps, what it gives up.

#![allow(clippy::unwrap_used)] // A test may end where something is not as it should be.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ledger::{
    Accepted, AlertId, Disposition, Filter, IncidentChange, Input, Ledger, LedgerError, Step, Store,
};
use remediation::{
    Alert, AlertNow, AlertStatus, Answer, Decision, History, IncidentView, Judgement, Outcome,
    Policy, Pressure, Reason, Situation, Trigger, Watched, decide,
};
use units::{ActiveState, LoadState, UnitFacts};
use uuid::Uuid;

fn noon() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn later(seconds: i64) -> Timestamp {
    noon() + SignedDuration::from_secs(seconds)
}

fn alert(fingerprint: &str, status: AlertStatus) -> Alert {
    let labels = [("alertname", "Down"), ("unit", "api.service")];
    Alert {
        fingerprint: fingerprint.into(),
        status,
        labels: labels.map(|(key, value)| (key.into(), value.into())).into(),
        annotations: BTreeMap::new(),
        starts_at: noon(),
        ends_at: None,
    }
}

fn accept(store: &Store, alert: Alert) -> Accepted {
    store.accept(&[alert], false, noon()).unwrap()[0]
}

fn accepted_id(store: &Store, fingerprint: &str) -> AlertId {
    match accept(store, alert(fingerprint, AlertStatus::Firing)) {
        Accepted::New(id) => id,
        Accepted::Repeated(id) => panic!("{id:?} is not new"),
    }
}

/// What the real decision says about a stopped unit under this mode.
fn step(mode: &str, incident: Uuid, at: Timestamp, alerts: Vec<AlertId>) -> Step {
    let policy = format!(
        "[[rule]]\nname = \"api\"\nmatch = ['alertname=\"Down\"']\nunits = [\"api.service\"]\n\
         mode = \"{mode}\"\nladder = [{{ action = \"start\" }}]\n"
    );
    let policy = Policy::parse(&[("p.toml".into(), policy)]).unwrap();
    let unit = UnitFacts {
        unit: "api.service".parse().unwrap(),
        load_state: LoadState::Loaded,
        active_state: ActiveState::Inactive,
        sub_state: "dead".into(),
        result: None,
        main_pid: None,
        exec_main_status: None,
        n_restarts: None,
        queued_job: None,
        invocation_id: None,
        inactive_exit_usec: None,
        active_enter_usec: None,
        failed_requirements: Vec::new(),
    };
    let situation = Situation {
        now: at,
        host: "here".into(),
        trigger: Trigger::Alert(alert("a", AlertStatus::Firing)),
        incident: IncidentView::new(incident, at),
        unit: Some(unit.clone()),
        siblings: Vec::new(),
        uncounted: false,
        probe_healthy: None,
        alert_now: AlertNow::Unknown,
        pause: None,
        pressure: Pressure::default(),
        watched: Watched::default(),
        truncated: false,
        fleet: None,
    };
    let history = History::default();
    let decision = decide(&policy, &history, &situation);
    let disposition = matches!(decision, Decision::Act(_)).then_some(Disposition::Acted);
    Step {
        input: Input { history, situation },
        decision,
        rule: Some("api".into()),
        unit: Some(unit.unit),
        policy: policy.hash().to_string(),
        incident: IncidentChange::Open { evidence: None },
        alerts,
        disposition,
    }
}

fn incident(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

#[test]
fn an_alert_is_new_once_for_each_start_and_status() {
    let store = Store::in_memory().unwrap();
    let first = accepted_id(&store, "a");
    let again = accept(&store, alert("a", AlertStatus::Firing));
    assert_eq!(again, Accepted::Repeated(first));
    let over = accept(&store, alert("a", AlertStatus::Resolved));
    assert!(matches!(over, Accepted::New(_)));
    let restarted = Alert {
        starts_at: later(1),
        ..alert("a", AlertStatus::Firing)
    };
    assert!(matches!(accept(&store, restarted), Accepted::New(_)));
    assert_eq!(store.unsettled_count().unwrap(), 3);
}

#[test]
fn alerts_are_held_until_nothing_hangs_on_them_or_they_end() {
    let store = Store::in_memory().unwrap();
    let held = || -> Vec<AlertId> {
        let held = store.held_alerts().unwrap();
        held.into_iter().map(|held| held.id).collect()
    };
    // The trigger of the incident, which a repeat of it opened: it has no row of its own.
    let repeated = accepted_id(&store, "a");
    store
        .settle(repeated, Disposition::Suppressed, "because", None, noon())
        .unwrap();
    assert!(held().is_empty());
    let joined = accepted_id(&store, "joined");
    let attempt = store
        .record(&step("auto", incident(1), noon(), vec![joined]))
        .unwrap()
        .unwrap();
    let waiting = accepted_id(&store, "waiting");
    assert_eq!(held(), [repeated, joined, waiting]);
    assert_eq!(store.last_alert().unwrap(), waiting);

    accept(&store, alert("waiting", AlertStatus::Resolved));
    assert_eq!(held(), [repeated, joined]);
    let unsettled = store.unsettled_after(AlertId::BEFORE_ALL, 9).unwrap();
    assert!(unsettled[0].id == waiting && unsettled[0].is_over);

    let judgement = Judgement {
        at: later(5),
        outcome: Outcome::Effective,
    };
    let closes = Some((incident(1), "effective"));
    store.judge(attempt, judgement, None, "", closes).unwrap();
    assert!(held().is_empty());
}

#[test]
fn the_first_final_decision_stands() {
    let store = Store::in_memory().unwrap();
    let id = accepted_id(&store, "a");
    let settle = |disposition| store.settle(id, disposition, "because", None, noon());
    settle(Disposition::Refused).unwrap();
    settle(Disposition::Acted).unwrap();
    assert_eq!(store.dispositions().unwrap(), [(Some("refused".into()), 1)]);
    assert!(
        store
            .unsettled_after(AlertId::BEFORE_ALL, 9)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn what_was_begun_is_remembered_until_it_is_judged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let store = Store::open(&path).unwrap();
    let alert = accepted_id(&store, "a");
    let attempt = store
        .record(&step("auto", incident(1), noon(), vec![alert]))
        .unwrap()
        .unwrap();
    assert_eq!(store.dispositions().unwrap(), [(Some("acted".into()), 1)]);

    // The bot is gone, and comes back.
    drop(store);
    let store = Store::open(&path).unwrap();
    let open = store.open_incidents().unwrap();
    let (found, plan) = open[0].in_flight.clone().unwrap();
    assert_eq!((found, plan.incident), (attempt, incident(1)));
    assert_eq!(
        store.history(later(1)).unwrap().actions.len(),
        1,
        "in flight, however old"
    );

    let judgement = Judgement {
        at: later(5),
        outcome: Outcome::Effective,
    };
    let closes = Some((incident(1), "effective"));
    store
        .judge(attempt, judgement, None, "healthy", closes)
        .unwrap();
    assert!(store.open_incidents().unwrap().is_empty());
    let history = store.history(noon()).unwrap();
    assert_eq!(history.actions[0].judged, Some(judgement));
    assert!(store.history(later(1)).unwrap().actions.is_empty());
    let found = store.incidents(&Filter::default()).unwrap();
    assert_eq!(found[0].outcome.as_deref(), Some("effective"));
    let kinds: Vec<&str> = store
        .timeline(&found[0].id)
        .unwrap()
        .iter()
        .map(|m| m.what)
        .collect();
    assert_eq!(
        kinds,
        ["accepted", "decided", "intended", "judged", "closed"]
    );
}

#[test]
fn a_step_is_recorded_wholly_or_not_at_all() {
    let store = Store::in_memory().unwrap();
    let alert = accepted_id(&store, "a");
    let outcome: Result<(), LedgerError> = store.atomically(|store| {
        store.record(&step("auto", incident(1), noon(), vec![alert]))?;
        Err(LedgerError::Stopped)
    });
    assert!(outcome.is_err());
    assert_eq!(store.unsettled_count().unwrap(), 1);
    assert!(store.open_incidents().unwrap().is_empty());
    assert!(store.decisions(Timestamp::MIN).unwrap().is_empty());
}

#[test]
fn attempts_that_nobody_will_judge_are_given_up() {
    let store = Store::in_memory().unwrap();
    let lost = store
        .record(&step("auto", incident(1), noon(), vec![]))
        .unwrap()
        .unwrap();
    let latest = store
        .record(&step("auto", incident(1), later(1), vec![]))
        .unwrap()
        .unwrap();
    assert_ne!(lost, latest);
    assert_eq!(store.give_up_orphans(later(2)).unwrap(), 1);
    let open = store.open_incidents().unwrap();
    assert_eq!(open[0].in_flight.as_ref().unwrap().0, latest);
    let actions = store.history(noon()).unwrap().actions;
    assert_eq!(actions[0].outcome(), Some(Outcome::Unknown));
    assert!(actions[1].is_in_flight());
}

#[test]
fn an_answer_counts_once_and_in_time() {
    let store = Store::in_memory().unwrap();
    for number in [1, 2] {
        store
            .record(&step("approve", incident(number), noon(), vec![]))
            .unwrap();
    }
    let answer = |number, answer, at| store.answer(incident(number), answer, "olga", at).unwrap();
    assert!(answer(1, Answer::Denied, later(1)));
    assert!(!answer(1, Answer::Approved, later(2)), "one word is enough");
    assert!(
        !answer(2, Answer::Approved, later(365 * 24 * 3600)),
        "too late"
    );
    assert!(!answer(3, Answer::Approved, later(1)), "nobody asked");
    let open = store.open_incidents().unwrap();
    let answers: Vec<_> = open
        .iter()
        .map(|i| i.view.approval.as_ref().unwrap().answer)
        .collect();
    assert_eq!(answers, [Some(Answer::Denied), None]);
}

#[test]
fn retention_leaves_what_is_open() {
    let store = Store::in_memory().unwrap();
    let waiting = accepted_id(&store, "waiting");
    let done = accepted_id(&store, "done");
    store
        .settle(done, Disposition::Refused, "because", None, noon())
        .unwrap();
    store
        .record(&step("auto", incident(1), noon(), vec![]))
        .unwrap();
    let closed = store
        .record(&step("auto", incident(2), noon(), vec![]))
        .unwrap()
        .unwrap();
    let judgement = Judgement {
        at: later(1),
        outcome: Outcome::Effective,
    };
    store
        .judge(
            closed,
            judgement,
            None,
            "",
            Some((incident(2), "effective")),
        )
        .unwrap();

    let day = Duration::from_secs(24 * 60 * 60);
    assert_eq!(store.forget_older_than(day, later(60)).unwrap(), 0);
    assert!(
        store
            .forget_older_than(day, later(2 * 24 * 60 * 60))
            .unwrap()
            > 0
    );
    assert_eq!(
        store.unsettled_after(AlertId::BEFORE_ALL, 9).unwrap()[0].id,
        waiting
    );
    let left = store.incidents(&Filter::default()).unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, incident(1).to_string());
    assert!(store.open_incidents().unwrap()[0].in_flight.is_some());
    assert_eq!(store.history(Timestamp::MIN).unwrap().actions.len(), 1);
}

#[test]
fn a_file_of_an_older_version_is_brought_up_to_date_with_what_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let store = Store::open(&path).unwrap();
    let alert = accepted_id(&store, "a");
    store
        .record(&step("auto", incident(1), noon(), vec![alert]))
        .unwrap();
    drop(store);
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch("ALTER TABLE attempts DROP COLUMN reason; PRAGMA user_version = 1")
        .unwrap();
    drop(raw);

    let store = Store::open(&path).unwrap();
    let in_flight = store.open_incidents().unwrap().remove(0).in_flight;
    let (attempt, _) = in_flight.unwrap();
    let judgement = Judgement {
        at: later(5),
        outcome: Outcome::Ineffective,
    };
    let reason = Some(Reason::AlertLasts);
    store.judge(attempt, judgement, reason, "", None).unwrap();
    let told = store.open_incidents().unwrap()[0].view.attempts[0];
    assert_eq!(
        (told.outcome, told.reason),
        (Some(Outcome::Ineffective), reason)
    );
    drop(store);
    let version: u32 = rusqlite::Connection::open(&path)
        .unwrap()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 2);
}

#[test]
fn a_file_of_a_newer_version_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    drop(Store::open(&path).unwrap());
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    let refused = |result: Result<Store, LedgerError>| {
        matches!(result, Err(LedgerError::NewerSchema { found: 99, .. }))
    };
    assert!(refused(Store::open(&path)));
    assert!(refused(Store::open_to_read(&path)));
    assert!(Store::open_to_read(Path::new("/nonexistent/ledger.db")).is_err());
}

#[tokio::test]
async fn many_callers_share_commits_and_each_gets_its_own_answer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = Ledger::open(&path).unwrap();
    let calls: Vec<_> = (0..500)
        .map(|number| {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                let alert = alert(&number.to_string(), AlertStatus::Firing);
                let one = ledger.call(move |store| {
                    let accepted = store.accept(&[alert], false, noon())?;
                    // Every tenth undoes what it did.
                    if number % 10 == 0 {
                        return Err(LedgerError::Stopped);
                    }
                    Ok(accepted)
                });
                one.await.is_ok()
            })
        })
        .collect();
    let mut stored = 0;
    for call in calls {
        stored += u64::from(call.await.unwrap());
    }
    assert_eq!(stored, 450);
    // From another connection: what was answered is in the file.
    let store = Store::open_to_read(&path).unwrap();
    assert_eq!(store.unsettled_count().unwrap(), 450);
}

#[tokio::test]
async fn a_locked_file_is_an_error_that_passes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = Ledger::open(&path).unwrap();
    let lock = rusqlite::Connection::open(&path).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = ledger.call(Store::unsettled_count).await.unwrap_err();
    assert!(refused.can_retry(), "{refused}");
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(ledger.call(Store::unsettled_count).await.unwrap(), 0);
}
