//! The policy that the package installs: it acts on nothing, and its comments tell the truth.

use std::path::{Path, PathBuf};

use remediation::{Mode, Policy};

fn shipped() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../daemons/alert-bot/policy.toml");
    std::fs::read_to_string(file).expect("the daemon ships a policy")
}

fn parse(text: String) -> Policy {
    match Policy::parse(&[(PathBuf::from("policy.toml"), text)]) {
        Ok(policy) => policy,
        Err(errors) => panic!("{errors}"),
    }
}

/// The text with every commented setting switched on; prose has a space after its `#`.
fn switched_on(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let setting = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
        // Continuation lines of a list are settings, too: they begin with four spaces.
        let continued = line
            .strip_prefix('#')
            .filter(|rest| rest.starts_with("    "));
        lines.push_str(setting.or(continued).unwrap_or(line));
        lines.push('\n');
    }
    lines
}

#[test]
fn it_acts_on_nothing() {
    let policy = parse(shipped());
    assert!(policy.rules().is_empty());
    assert!(remediation::granted(&policy).is_empty());
}

#[test]
fn its_comments_show_the_values_that_hold_without_them() {
    let shown = parse(switched_on(&shipped()));
    let silent = parse(
        r#"
        [[rule]]
        name = "my-service-down"
        match = ['alertname=~"MyServiceDown|UnitFailed"']
        units = ["my.service"]
        ladder = [
            { action = "start", when = "inactive" },
            { action = "restart", when = "active" },
            { action = "reset-failed-start", when = "failed" },
            { action = "escalate" },
        ]
        "#
        .into(),
    );
    assert_eq!(shown.host(), silent.host());
    let (mut shown, silent) = (shown.rules()[0].clone(), &silent.rules()[0]);
    shown.place = silent.place.clone();
    assert_eq!(shown, *silent);
    assert_eq!(shown.mode, Mode::Observe);
}

#[test]
fn its_comments_show_every_key() {
    let shown = switched_on(&shipped());
    let unknown = format!("{shown}\nno_such_key = 1\n[host.no_such_table]\n");
    let errors = Policy::parse(&[("policy.toml".into(), unknown)])
        .unwrap_err()
        .to_string();
    assert_eq!(errors.lines().count(), 2, "{errors}");
    for line in errors.lines() {
        let (_, known) = line.split_once("known here: ").expect(line);
        for key in known.split(", ") {
            assert!(
                shown.contains(key) || shipped().contains(key),
                "{key} is not shown"
            );
        }
    }
}

fn documentation() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy.md");
    std::fs::read_to_string(file).expect("docs/policy.md describes the policy")
}

/// The contents of the documentation's TOML examples.
fn examples(text: &str) -> Vec<&str> {
    let blocks = text.split("```toml\n").skip(1);
    blocks
        .filter_map(|block| block.split("```").next())
        .collect()
}

#[test]
fn the_documentation_names_every_reason_and_every_key() {
    let text = documentation();
    for reason in remediation::Reason::ALL {
        assert!(text.contains(&format!("`{reason}`")), "{reason}");
    }
    let unknown = "[host]\nx = 1\n[[rule]]\nx = 1\n";
    let errors = Policy::parse(&[("policy.toml".into(), unknown.into())]).unwrap_err();
    let errors = errors.to_string();
    let lists = errors
        .lines()
        .filter_map(|line| line.split_once("known here: "));
    for key in lists.flat_map(|(_, known)| known.split(", ")) {
        assert!(text.contains(&format!("`{key}`")), "{key}");
    }
}

#[test]
fn the_documentation_s_examples_are_valid() {
    let text = documentation();
    let [rule, tests] = examples(&text)[..] else {
        panic!("an example of a rule and one of tests");
    };
    let policy = parse(rule.into());
    assert_eq!(policy.rules().len(), 1);
    let results = remediation::run_tests(&policy, Path::new("tests.toml"), tests).unwrap();
    assert_eq!(results.len(), 2);
}
