//! The real binary: on a port of its own, with a ledger of its own, and no system bus.

#![allow(clippy::unwrap_used)] // A test may end where something is not as it should be.

mod bot;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bot::{Bot, Setup, alert, until, webhook};

#[test]
fn a_wrong_token_is_401_and_leaves_no_trace() {
    let bot = Bot::start();
    let body = webhook(&[alert("Down", "api.service", 1)]);
    for token in [None, Some(""), Some("wrong"), Some("token-and-more")] {
        assert_eq!(bot.post(token, &body).status, 401, "{token:?}");
    }
    assert!(bot.dispositions().is_empty(), "nothing was stored");
    assert!(bot.incidents().is_empty());
    assert_eq!(bot.post(Some("token"), &body).status, 200);
    assert_eq!(bot.post(Some("previous"), &body).status, 200);
}

#[test]
fn a_body_that_is_no_webhook_is_400_with_the_reason() {
    let bot = Bot::start();
    for (body, reason) in [
        ("", "EOF"),
        ("{", "EOF"),
        ("[]", "invalid"),
        (r#"{"version":"3","alerts":[]}"#, "version"),
        (
            r#"{"version":"4","alerts":[{"status":"on"}]}"#,
            "alerts[0].status",
        ),
    ] {
        let answer = bot.post(Some("token"), body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.body.contains(reason), "{body}: {}", answer.body);
    }
    let deep = format!(r#"{{"version":"4","x":{}"#, "[".repeat(100_000));
    assert_eq!(bot.post(Some("token"), &deep).status, 400);
    let large = format!(r#"{{"version":"4","x":"{}""#, "x".repeat(2 * 1024 * 1024));
    assert_eq!(bot.post(Some("token"), &large).status, 413);
    assert!(bot.dispositions().is_empty());
    assert_eq!(bot.get("/health").status, 200, "and it is still there");
}

#[test]
fn a_client_that_never_ends_its_request_is_cut_off_and_others_are_served() {
    let bot = Bot::start();
    let mut slow: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(bot.address).unwrap();
            stream
                .write_all(b"POST /alert HTTP/1.1\r\nhost: x\r\n")
                .unwrap();
            stream
        })
        .collect();
    assert_eq!(bot.get("/health").status, 200);
    let timeout = Some(Duration::from_secs(20));
    slow[0].set_read_timeout(timeout).unwrap();
    let mut answer = String::new();
    // The read timeout is 2 s here: the connection ends, with an answer or without.
    slow[0].read_to_string(&mut answer).unwrap();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
}

#[test]
fn what_cannot_be_stored_is_503_until_it_can() {
    let bot = Bot::start();
    let body = webhook(&[alert("Other", "api.service", 1)]);
    let lock = bot.lock_ledger();
    let answer = bot.post(Some("token"), &body);
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(bot.get("/health").status, 200, "reads go on");
    assert_eq!(bot.get("/metrics").status, 200);
    drop(lock);
    until("the ledger takes alerts again", || {
        bot.post(Some("token"), &body).status == 200
    });
    until("the alert is decided", || {
        bot.dispositions() == [("suppressed".into(), 1)]
    });
}

#[test]
fn an_acknowledged_alert_survives_sigkill_and_is_decided_once() {
    let bot = Bot::start();
    let held = alert("Down", "api.service", 1);
    assert_eq!(
        bot.post(Some("token"), &webhook(std::slice::from_ref(&held)))
            .status,
        200
    );
    let mut bot = bot;
    for number in 2..12 {
        let noise = alert("Other", "noise.service", number);
        assert_eq!(
            bot.post(Some("token"), &webhook(&[noise, held.clone()]))
                .status,
            200
        );
        bot = bot.kill_and_start_again();
    }
    until("all but the held one are decided", || {
        bot.dispositions() == [(String::new(), 1), ("suppressed".into(), 10)]
    });
    let incidents = bot.incidents();
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert_eq!(incidents[0]["attempts"], 0, "there is no bus to act over");
}

#[test]
fn without_a_bus_it_says_so_and_holds() {
    let bot = Bot::start();
    let body = webhook(&[alert("Down", "api.service", 1)]);
    assert_eq!(bot.post(Some("token"), &body).status, 200);
    until("the incident is held", || {
        bot.incidents()
            .iter()
            .any(|incident| incident["state"] == "open")
    });
    let health = bot.get("/health");
    assert!(health.body.contains("\"bus_up\":false"), "{}", health.body);
    assert!(health.body.contains("no system bus"), "{}", health.body);
    assert_eq!(bot.metric("alert_bot_bus_connected"), Some(0.0));
}

#[test]
fn a_storm_is_accounted_for_and_memory_stays_flat() {
    const WEBHOOKS: u32 = 200;
    const ALERTS_EACH: u32 = 50;
    let bot = Bot::start();
    // A first small wave, so that what is measured is the storm and not the start.
    bot.post(Some("token"), &webhook(&[alert("Other", "x.service", 0)]));
    until("the first is decided", || !bot.dispositions().is_empty());
    let before = bot.resident_kib();
    for number in 0..WEBHOOKS {
        let alerts: Vec<_> = (0..ALERTS_EACH)
            .map(|index| {
                let number = i64::from(number * ALERTS_EACH + index);
                let name = if index % 10 == 0 { "Down" } else { "Other" };
                alert(name, &format!("unit-{number}.service"), number + 1)
            })
            .collect();
        let answer = bot.post(Some("token"), &webhook(&alerts));
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    until("every alert has its decision", || {
        let decided: u64 = bot
            .dispositions()
            .iter()
            .filter(|(word, _)| !word.is_empty())
            .map(|(_, count)| count)
            .sum();
        decided == u64::from(WEBHOOKS * ALERTS_EACH) + 1
    });
    until("the queue is empty", || {
        bot.metric("alert_bot_queue_depth") == Some(0.0)
    });
    let grown = bot.resident_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "memory grew by {grown} KiB");
}

#[test]
fn people_can_pause_and_reload_and_a_bad_policy_changes_nothing() {
    let bot = Bot::start();
    let (ok, _) = bot.run(&["pause", "--for", "10m", "--why", "a test"]);
    assert!(ok);
    let (_, status) = bot.run(&["status"]);
    assert!(
        status.contains("paused: all units") && status.contains("a test"),
        "{status}"
    );
    assert_eq!(bot.metric("alert_bot_paused"), Some(1.0));
    assert!(bot.run(&["resume"]).0);
    assert_eq!(bot.metric("alert_bot_paused"), Some(0.0));

    assert!(bot.run(&["reload"]).0);
    bot.write_policy("[[rule]]\nnam = \"x\"\n");
    let (ok, said) = bot.run(&["reload"]);
    assert!(!ok && said.contains("policy.toml:2"), "{said}");
    assert_eq!(bot.metric("alert_bot_policy_reload_success"), Some(0.0));
    assert!(bot.get("/health").body.contains("\"rules\":1"));
    let (_, status) = bot.run(&["status"]);
    assert!(status.contains("the new policy has a mistake"), "{status}");
    bot.write_policy("");
    assert!(bot.run(&["reload"]).0);
    assert!(!bot.run(&["status"]).1.contains("mistake"));
}

#[test]
fn a_bad_policy_takes_no_polkit_rule_away() {
    let bot = Bot::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("50-alert-bot.rules");
    let write = ["polkit-rules", "-o", file.to_str().unwrap()];
    assert!(bot.run(&write).0);
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(written, bot.run(&["polkit-rules"]).1);

    bot.write_policy("[[rule]]\nnam = \"x\"\n");
    let (ok, said) = bot.run(&write);
    assert!(!ok && said.contains("policy.toml:2"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
}

#[test]
fn a_polkit_rule_that_is_older_than_the_policy_is_noticed() {
    let bot = Bot::start();
    let file = bot.write("50-alert-bot.rules", "// As it was.\n");
    let validate = [
        "validate",
        "--units-may-be-missing",
        "--polkit-rules",
        &file,
    ];
    let (ok, said) = bot.run(&validate);
    assert!(
        ok && said.contains("is not what the policy needs"),
        "{said}"
    );
    assert!(bot.run(&["polkit-rules", "-o", &file]).0);
    let (ok, said) = bot.run(&validate);
    assert!(
        ok && !said.contains("is not what the policy needs"),
        "{said}"
    );
}

#[test]
fn a_rule_that_never_works_is_valid_for_nobody() {
    const RULE: &str = "match = ['alertname=\"Down\"']\nladder = [{ action = \"restart\" }]\n";
    let bot = Bot::start();
    let rule =
        |name: &str| format!("[[rule]]\nname = \"{name}\"\nunits = [\"no-such.service\"]\n{RULE}");
    bot.write_policy(&rule("first"));
    let (ok, said) = bot.run(&["validate", "--units-may-be-missing"]);
    assert!(
        ok && said.contains("policy.toml:1: rule.units: first: this host has no"),
        "{said}"
    );

    let (ok, said) = bot.run(&["validate"]);
    assert!(!ok && said.contains("error: "), "{said}");

    bot.write_policy(&[rule("first"), rule("second")].concat());
    let (ok, said) = bot.run(&["validate", "--units-may-be-missing"]);
    let unreachable = "policy.toml:6: rule.match: second: is never reached";
    assert!(
        !ok && said.contains("error: ") && said.contains(unreachable),
        "{said}"
    );
    assert!(!said.contains("valid: "), "{said}");
}

#[test]
fn tests_of_a_policy_fail_as_a_command_does() {
    let bot = Bot::start();
    let expecting = |action: &str| {
        let test = format!(
            "[[test]]\nname = \"it is down\"\nalert = {{ alertname = \"Down\", unit = \"api.service\" }}\n\
             expect = {{ action = \"{action}\" }}\n"
        );
        bot.run(&["test", &bot.write("tests.toml", &test)])
    };
    let (ok, said) = expecting("restart");
    assert!(ok && said.contains("1 tests, 0 failed"), "{said}");
    let (ok, said) = expecting("stop");
    assert!(!ok && said.contains("1 tests, 1 failed"), "{said}");
    assert!(said.contains("tests.toml:1: it is down"), "{said}");
}

#[test]
fn whoever_is_let_in_may_ask_but_only_operators_may_order() {
    /// Debian's nobody; who has no name orders nothing either.
    const STRANGERS: [u32; 2] = [65_534, 54_321];
    let bot = Bot::start();
    let pause = ["pause", "--for", "10m", "--why", "a test"];
    for uid in STRANGERS {
        let (ok, said) = bot.run_as_stranger(uid, &["status"]);
        assert!(ok, "{uid}: {said}");
        let (ok, said) = bot.run_as_stranger(uid, &pause);
        assert!(!ok && said.contains("may only ask"), "{uid}: {said}");
    }
    assert_eq!(bot.metric("alert_bot_paused"), Some(0.0));

    let setup = Setup::new();
    setup.replace_line(0, "operators = [\"nobody\"]");
    let bot = setup.start();
    let (ok, said) = bot.run_as_stranger(STRANGERS[0], &pause);
    assert!(ok, "{said}");
    let (_, status) = bot.run(&["status"]);
    assert!(status.contains(" by nobody: a test"), "{status}");
}

#[test]
fn a_chain_that_falls_silent_is_noticed_and_its_pulse_passed_on() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/ping", elsewhere.local_addr().unwrap());
    let pinged = std::thread::spawn(move || {
        let (mut stream, _) = elsewhere.accept().unwrap();
        let mut request = String::new();
        BufReader::new(&stream).read_line(&mut request).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
        request
    });
    let setup = Setup::new();
    setup.append(&format!("[watchdog]\ntimeout = \"1s\"\nping_url = {url:?}"));
    let bot = setup.start();
    let last_received = "alert_bot_watchdog_last_received_timestamp_seconds";
    until("the silence is noticed", || {
        bot.get("/health").body.contains("\"watchdog_lost\":true")
    });
    assert!(bot.has_said("the chain from Prometheus to the bot is broken"));
    let (_, status) = bot.run(&["status"]);
    assert!(
        status.contains("the Watchdog alert no longer arrives"),
        "{status}"
    );
    assert_eq!(bot.metric(last_received), Some(0.0), "it never came");
    assert!(!pinged.is_finished());

    let pulse = webhook(&[alert("Watchdog", "", 1)]);
    assert_eq!(bot.post(Some("token"), &pulse).status, 200);
    until("it is heard again", || {
        bot.has_said("the alert that always fires arrives again")
    });
    assert!(bot.metric(last_received) > Some(0.0));
    assert_eq!(pinged.join().unwrap(), "GET /ping HTTP/1.1\r\n");
    assert!(bot.dispositions().is_empty(), "a pulse is no work");
}

#[test]
fn a_bad_configuration_is_64_before_any_port_opens() {
    for (key, line, value, wanted) in [
        ("colour", 0, "colour = 1", "colour"),
        ("listen", 1, "listen = \"here\"", ":1: listen"),
        ("host", 2, "host = \"\"", ":2: host"),
        ("ledger", 5, "ledger = \"postgres:x\"", ":5: ledger"),
    ] {
        let setup = Setup::new();
        setup.replace_line(line, value);
        let (code, said) = setup.serve_to_its_end();
        assert_eq!(code, Some(64), "{key}: {said}");
        assert!(
            said.contains("alert-bot.toml") && said.contains(wanted),
            "{key}: {said}"
        );
        assert!(!said.contains("accepting"), "{said}");
    }
    let setup = Setup::new();
    setup.write_policy("[[rule]]\nname = \"x\"\nunits = [\"*\"]\n");
    let (code, said) = setup.serve_to_its_end();
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("policy.toml:3"), "{said}");

    let setup = Setup::new();
    setup.remove_token();
    let (code, said) = setup.serve_to_its_end();
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("webhook-token"), "{said}");
}

#[test]
fn sigterm_drains_and_ends_well() {
    let bot = Bot::start();
    let began = Instant::now();
    let status = bot.terminate();
    assert!(status.success(), "{status}");
    assert!(began.elapsed() < Duration::from_secs(5));
}
