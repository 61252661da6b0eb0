//! Unit tests of a policy: `alert-bot test FILE`, in the manner of `promtool test rules`.
//!
//! Each test sets one scene (an alert, the state of its unit, what the bot did before) and says
//! what should be decided. `docs/policy.md` lists the keys.

mod read;

use std::path::Path;

use crate::policy::{Place, PolicyErrors};
use crate::{Explanation, History, Policy, Situation, explain};

/// What came of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// Its name.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// What came out otherwise than expected, a sentence each; empty where the test passed.
    pub failures: Vec<String>,
    /// What was decided, and why.
    pub explanation: Explanation,
}

/// Runs every test of a file against a policy, in the order of the file.
///
/// # Errors
/// Every mistake in the file, with its line and key.
pub fn run_tests(
    policy: &Policy,
    file: &Path,
    text: &str,
) -> Result<Vec<TestResult>, PolicyErrors> {
    let tests = read::tests(file, text)?;
    Ok(tests.into_iter().map(|test| test.run(policy)).collect())
}

/// One test as it is written.
struct PolicyTest {
    name: String,
    place: Place,
    history: History,
    situation: Situation,
    expected: Expected,
}

/// What a test says about the decision; `None` where it says nothing.
#[derive(Default)]
struct Expected {
    decision: Option<String>,
    reason: Option<String>,
    rule: Option<String>,
    action: Option<String>,
    unit: Option<String>,
}

impl PolicyTest {
    fn run(self, policy: &Policy) -> TestResult {
        let explanation = explain(policy, &self.history, &self.situation);
        let decision = &explanation.decision;
        let plan = decision.plan();
        let claims = [
            (
                "decision",
                self.expected.decision,
                Some(decision.as_str().to_owned()),
            ),
            (
                "reason",
                self.expected.reason,
                Some(decision.reason().to_string()),
            ),
            (
                "rule",
                self.expected.rule,
                plan.map(|plan| plan.rule.to_string()),
            ),
            (
                "action",
                self.expected.action,
                plan.map(|plan| plan.action.to_string()),
            ),
            ("unit", self.expected.unit, plan.map(crate::Plan::names)),
        ];
        let failures = claims
            .into_iter()
            .filter_map(|(key, expected, found)| {
                let expected = expected?;
                let found = found.unwrap_or_else(|| "none".into());
                (found != expected).then(|| format!("{key} is {found}, expected {expected}"))
            })
            .collect();
        TestResult {
            name: self.name,
            place: self.place,
            failures,
            explanation,
        }
    }
}
