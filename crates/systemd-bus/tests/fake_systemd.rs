//! The adapter against a systemd that misbehaves on purpose, over a real socket.

#![allow(clippy::unwrap_used)] // In tests a panic is the message.

use std::time::Duration;

use systemd_bus::fake::{FakeSystemd, FakeUnit, JobScript};
use systemd_bus::{BusError, KillWhom, Systemd, UnitChange, UnitChanges, Verb};
use tempfile::TempDir;
use units::{ActiveState, JobResult, LoadState, UnitName};

/// Long enough for a loaded machine, short enough to fail a test run.
const PATIENCE: Duration = Duration::from_secs(20);

struct Host {
    fake: FakeSystemd,
    systemd: Systemd,
    folder: TempDir,
}

fn host() -> Host {
    let folder = tempfile::tempdir().unwrap();
    let fake = FakeSystemd::listen(&folder.path().join("bus")).unwrap();
    let systemd = Systemd::at(fake.address());
    Host {
        fake,
        systemd,
        folder,
    }
}

fn unit(name: &str) -> UnitName {
    UnitName::try_new(name).unwrap()
}

/// The next change that `wanted` accepts.
async fn until(changes: &mut UnitChanges, wanted: impl Fn(&UnitChange) -> bool) -> UnitChange {
    let search = async {
        loop {
            let change = changes.next().await;
            if wanted(&change) {
                return change;
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.unwrap()
}

#[tokio::test]
async fn facts_tell_what_systemd_shows() {
    let host = host();
    host.fake.put(
        FakeUnit::running("api.service")
            .with("NRestarts", 3_u32)
            .common("Requires", vec!["api.socket", "db.service"])
            .common("BindsTo", vec!["cache.service"])
            .common("JobType", "restart"),
    );
    host.fake.put(FakeUnit::new(
        "api.socket",
        ActiveState::Active,
        "listening",
    ));
    host.fake.put(FakeUnit::failed("db.service"));
    host.fake.put(FakeUnit::failed("cache.service"));

    let mut facts = host.systemd.facts(&unit("api.service")).await.unwrap();
    assert_eq!(facts.active_state, ActiveState::Active);
    assert_eq!(facts.main_pid, Some(4321));
    assert_eq!(facts.n_restarts, Some(3));
    assert_eq!(facts.active_enter_usec, Some(1_700_000_000_500_000));
    assert_eq!(facts.invocation_id, Some("ab".repeat(16)));
    assert_eq!(facts.queued_job.as_deref(), Some("restart"));
    facts.failed_requirements.sort();
    let failed = ["cache.service", "db.service"].map(unit);
    assert_eq!(facts.failed_requirements, failed);
}

#[tokio::test]
async fn a_unit_without_a_file_is_a_fact_and_no_error() {
    let host = host();
    let facts = host.systemd.facts(&unit("nowhere.service")).await.unwrap();
    assert_eq!(facts.load_state, LoadState::NotFound);
    assert_eq!(facts.active_state, ActiveState::Inactive);
    assert_eq!(facts.main_pid, None);
    assert_eq!(facts.invocation_id, None);
}

#[tokio::test]
async fn a_job_is_followed_to_its_result() {
    let host = host();
    for script in [
        JobScript::Ends(JobResult::Failed),
        JobScript::EndsBeforeReply(JobResult::Failed),
    ] {
        host.fake.script(script.clone());
        let result = host
            .systemd
            .run(&unit("a.service"), Verb::Restart, PATIENCE)
            .await;
        assert_eq!(result.unwrap(), JobResult::Failed, "{script:?}");
    }
    let call = ("RestartUnit".to_owned(), "a.service".to_owned());
    assert_eq!(host.fake.calls(), [call.clone(), call]);
}

#[tokio::test]
async fn a_job_that_does_not_end_costs_its_deadline_and_no_more() {
    let host = host();
    for script in [JobScript::NeverEnds, JobScript::NeverAnswers] {
        host.fake.script(script);
        let deadline = Duration::from_millis(50);
        let error = host
            .systemd
            .run(&unit("a.service"), Verb::Start, deadline)
            .await
            .unwrap_err();
        assert!(matches!(error, BusError::Timeout { .. }), "{error}");
        assert!(error.may_have_acted());
    }
}

#[tokio::test]
async fn refusals_are_told_apart() {
    /// The error's name, the variant it must become, and whether time alone can help.
    const CASES: [(&str, &str, bool); 5] = [
        ("org.freedesktop.DBus.Error.AccessDenied", "Denied", false),
        (
            "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
            "Denied",
            false,
        ),
        ("org.freedesktop.systemd1.NoSuchUnit", "NoSuchUnit", false),
        (
            "org.freedesktop.systemd1.TransactionIsDestructive",
            "JobInTheWay",
            true,
        ),
        ("org.freedesktop.systemd1.UnitMasked", "Refused", false),
    ];
    let host = host();
    for (name, variant, transient) in CASES {
        host.fake.script(JobScript::Fails(name));
        let error = host
            .systemd
            .run(&unit("a.service"), Verb::Stop, PATIENCE)
            .await
            .unwrap_err();
        assert!(format!("{error:?}").starts_with(variant), "{error:?}");
        assert_eq!(error.is_transient(), transient, "{name}");
        assert!(!error.may_have_acted(), "{name}");
    }
}

#[tokio::test]
async fn reset_failed_and_kill_reach_their_unit() {
    let host = host();
    host.systemd.reset_failed(&unit("a.service")).await.unwrap();
    host.systemd
        .kill(&unit("a.service"), KillWhom::Main, 6)
        .await
        .unwrap();
    let calls: Vec<String> = host
        .fake
        .calls()
        .into_iter()
        .map(|(call, _)| call)
        .collect();
    assert_eq!(calls, ["ResetFailedUnit", "KillUnit"]);
}

#[tokio::test]
async fn a_bus_that_dies_during_a_job_leaves_the_outcome_open() {
    let host = host();
    host.fake.script(JobScript::NeverEnds);
    let api = unit("a.service");
    let run = host.systemd.run(&api, Verb::Restart, PATIENCE);
    let cut = async {
        while host.fake.calls().is_empty() {
            tokio::task::yield_now().await;
        }
        host.fake.cut().await;
    };
    let (result, ()) = tokio::join!(run, cut);
    let error = result.unwrap_err();
    assert!(matches!(error, BusError::Disconnected { .. }), "{error}");
    assert!(error.may_have_acted() && error.is_transient());

    host.fake.script(JobScript::Ends(JobResult::Done));
    let again = host.systemd.run(&api, Verb::Restart, PATIENCE).await;
    assert_eq!(
        again.unwrap(),
        JobResult::Done,
        "a new connection is opened"
    );
}

#[tokio::test]
async fn no_bus_is_an_error_and_no_hang() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = Systemd::at(format!("unix:path={}/none", folder.path().display()));
    let error = nowhere.list_units().await.unwrap_err();
    assert!(matches!(error, BusError::Disconnected { .. }), "{error}");
}

#[tokio::test]
async fn a_watch_tells_changes_in_order() {
    let host = host();
    let mut changes = host.systemd.watch();
    until(&mut changes, |change| *change == UnitChange::Resync).await;

    host.fake.load(FakeUnit::running("a.service")).await;
    host.fake.change(FakeUnit::failed("a.service")).await;
    host.fake.unload("a.service").await;

    assert_eq!(changes.next().await, UnitChange::Loaded(unit("a.service")));
    let failed = until(&mut changes, |change| {
        matches!(change, UnitChange::Changed(name, properties)
            if *name == unit("a.service") && properties.active_state == Some(ActiveState::Failed))
    });
    failed.await;
    let gone = UnitChange::Unloaded(unit("a.service"));
    until(&mut changes, |change| *change == gone).await;
}

#[tokio::test]
async fn a_signal_from_anybody_else_is_no_change() {
    let host = host();
    let mut changes = host.systemd.watch();
    until(&mut changes, |change| *change == UnitChange::Resync).await;
    host.fake.forge_failure("dbus.service").await;
    host.fake.change(FakeUnit::failed("true.service")).await;
    let first = changes.next().await;
    assert!(
        matches!(&first, UnitChange::Changed(name, _) if *name == unit("true.service")),
        "{first:?}"
    );
}

#[tokio::test]
async fn a_watch_outlives_the_bus_and_systemd() {
    let host = host();
    let mut changes = host.systemd.watch();
    until(&mut changes, |change| *change == UnitChange::Resync).await;

    host.fake.cut().await;
    until(&mut changes, |change| *change == UnitChange::Lost).await;
    until(&mut changes, |change| *change == UnitChange::Resync).await;

    host.fake.reexecute().await;
    until(&mut changes, |change| *change == UnitChange::Lost).await;
    until(&mut changes, |change| *change == UnitChange::Resync).await;

    let path = host.folder.path().join("bus");
    host.fake.cut().await;
    drop(host.fake);
    std::fs::remove_file(&path).unwrap();
    let successor = FakeSystemd::listen(&path).unwrap();
    until(&mut changes, |change| *change == UnitChange::Resync).await;
    successor.load(FakeUnit::running("a.service")).await;
    let loaded = UnitChange::Loaded(unit("a.service"));
    until(&mut changes, |change| *change == loaded).await;
}

/// How soon the link has to be back once the bus is well.
const BACK_WITHIN: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_bus_that_stood_still_is_heard_again_as_soon_as_it_moves() {
    let host = host();
    let mut changes = host.systemd.watch();
    until(&mut changes, |change| *change == UnitChange::Resync).await;
    host.fake.stall();
    host.fake.cut().await;
    // The second time, a whole attempt to connect has timed out.
    for _ in 0..2 {
        until(&mut changes, |change| *change == UnitChange::Lost).await;
    }
    host.fake.put(FakeUnit::failed("api.service"));
    let moves_again = tokio::time::Instant::now();
    host.fake.resume();
    until(&mut changes, |change| *change == UnitChange::Resync).await;
    assert!(moves_again.elapsed() < BACK_WITHIN);
    // The list that is taken on it shows what nobody was told.
    let listed = host.systemd.list_units().await.unwrap();
    assert_eq!(listed[0].active_state, ActiveState::Failed);
    host.fake.change(FakeUnit::running("api.service")).await;
    let is_a_change = |change: &UnitChange| matches!(change, UnitChange::Changed(..));
    until(&mut changes, is_a_change).await;
}

#[tokio::test]
async fn systemd_is_not_denied_for_good_because_the_bus_once_gave_no_answer() {
    let host = host();
    let mut changes = host.systemd.watch();
    until(&mut changes, |change| *change == UnitChange::Resync).await;
    host.fake.silence_about_owner(true);
    host.fake.change(FakeUnit::failed("api.service")).await;
    until(&mut changes, |change| *change == UnitChange::Lost).await;
    host.fake.silence_about_owner(false);
    until(&mut changes, |change| *change == UnitChange::Resync).await;
    host.fake.change(FakeUnit::running("api.service")).await;
    let is_a_change = |change: &UnitChange| matches!(change, UnitChange::Changed(..));
    until(&mut changes, is_a_change).await;
}

#[tokio::test]
async fn a_consumer_that_falls_behind_is_told_to_list_again() {
    let host = host();
    let mut changes = host.systemd.watch();
    until(&mut changes, |change| *change == UnitChange::Resync).await;
    for _ in 0..3000 {
        host.fake.change(FakeUnit::running("a.service")).await;
    }
    until(&mut changes, |change| *change == UnitChange::Resync).await;
}

#[tokio::test]
async fn lists_show_loaded_units_and_named_ones_only_if_loaded() {
    let host = host();
    host.fake.put(FakeUnit::running("a\\x2db.service"));
    host.fake.put(FakeUnit::running("c.service"));
    assert_eq!(host.systemd.list_units().await.unwrap().len(), 2);
    let asked = [unit("a\\x2db.service"), unit("gone.service")];
    let named = host.systemd.list_named(&asked).await.unwrap();
    assert_eq!(named.len(), 1);
    assert_eq!(named[0].unit, asked[0]);
}

#[tokio::test]
async fn details_fill_what_lists_leave_out() {
    let host = host();
    host.fake
        .put(FakeUnit::running("a.service").with("NRestarts", 7_u32));
    host.fake.put(
        FakeUnit::new("t.timer", ActiveState::Active, "waiting")
            .with("LastTriggerUSec", 1_700_000_000_000_000_u64),
    );
    let service = host.systemd.details(&unit("a.service")).await.unwrap();
    assert_eq!(service.n_restarts, Some(7));
    assert_eq!(service.result.as_deref(), Some("success"));
    let read = host
        .systemd
        .type_properties(&unit("a.service"), &["MainPID"])
        .await;
    assert_eq!(read.unwrap().main_pid, Some(4321));
    let unknown = host
        .systemd
        .type_properties(&unit("a.service"), &["Colour"])
        .await;
    assert!(unknown.is_err());
    let timer = host.systemd.details(&unit("t.timer")).await.unwrap();
    assert_eq!(timer.last_trigger_usec, Some(1_700_000_000_000_000));
    assert_eq!(timer.next_elapse_realtime_usec, Some(u64::MAX));
    assert!(host.systemd.version().await.unwrap().starts_with("257"));
    assert_eq!(host.systemd.system_state().await.unwrap(), "running");
}
