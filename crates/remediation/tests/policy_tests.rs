//! `alert-bot test FILE`: policy unit tests pass, fail and are refused as they should be.

use std::path::{Path, PathBuf};

use remediation::{Policy, run_tests};

fn policy() -> Policy {
    let text = include_str!("policy-tests/policy.toml");
    Policy::parse(&[(PathBuf::from("policy.toml"), text.into())]).expect("a valid policy")
}

#[test]
fn a_test_file_that_tells_the_truth_passes() {
    let text = include_str!("policy-tests/tests.toml");
    let results = run_tests(&policy(), Path::new("tests.toml"), text).unwrap();
    assert_eq!(results.len(), 22);
    for result in results {
        assert!(
            result.failures.is_empty(),
            "{}: {:?}\n{}",
            result.name,
            result.failures,
            result.explanation
        );
    }
}

#[test]
fn a_wrong_expectation_is_told_with_what_came_out_and_why() {
    let text = r#"
        [[test]]
        name = "wrong"
        unit_failed = "api.service"
        started_ago = "1s"
        expect = { decision = "act", reason = "due", action = "restart" }
    "#;
    let results = run_tests(&policy(), Path::new("tests.toml"), text).unwrap();
    insta::assert_snapshot!(format!(
        "{}: {}\n{}\n\n{}",
        results[0].place,
        results[0].name,
        results[0].failures.join("\n"),
        results[0].explanation
    ));
}

#[test]
fn every_mistake_in_a_test_file_is_named() {
    let text = r#"
        [[test]]
        name = "no trigger, no expectation"

        [[test]]
        name = "two triggers"
        alert = { alertname = "ApiDown" }
        unit_failed = "api.service"
        expect = { decision = "act" }

        [[test]]
        alert = { alertname = 1 }
        state = "asleep"
        siblings = { "worker" = "active", "worker@2.service" = "up" }
        tried = ["first"]
        past = [{ rule = "api-down", ago = "yesterday" }]
        outcome = "effective"
        expect = { decided = "act" }
    "#;
    let errors = run_tests(&policy(), Path::new("tests.toml"), text).unwrap_err();
    insta::assert_snapshot!(errors);
}
