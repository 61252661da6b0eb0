//! Silences of Alertmanager, matched here: systemd's own signal comes before any alert that
//! Alertmanager could show as silenced.

use remediation::Matcher;
use serde::Deserialize;

/// One of `GET /api/v2/silences`, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct Silence {
    status: Status,
    matchers: Vec<Condition>,
}

#[derive(Debug, Deserialize)]
struct Status {
    state: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    name: String,
    value: String,
    is_regex: bool,
    /// Left out by Alertmanagers before 0.22, which knew no other.
    #[serde(default = "yes")]
    is_equal: bool,
}

fn yes() -> bool {
    true
}

impl Silence {
    /// Whether it is in force and all of its matchers hold for these labels.
    pub(crate) fn covers(&self, labels: &[(&str, &str)]) -> bool {
        self.status.state == "active"
            && !self.matchers.is_empty()
            && self.matchers.iter().all(|matcher| matcher.holds(labels))
    }
}

impl Condition {
    fn holds(&self, labels: &[(&str, &str)]) -> bool {
        let operator = match (self.is_equal, self.is_regex) {
            (true, false) => "=",
            (false, false) => "!=",
            (true, true) => "=~",
            (false, true) => "!~",
        };
        let text = format!("{}{operator}{}", self.name, quoted(&self.value));
        let of_label = labels.iter().find(|(name, _)| *name == self.name);
        let value = of_label.map_or("", |(_, value)| value);
        text.parse()
            .is_ok_and(|matcher: Matcher| matcher.matches_value(value))
    }
}

/// A matcher's value in its quotes.
pub(crate) fn quoted(value: &str) -> String {
    let escaped = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const LABELS: [(&str, &str); 3] = [
        ("alertname", "UnitFailed"),
        ("unit", "api.service"),
        ("host", "here"),
    ];

    fn covers(state: &str, matchers: &Value) -> bool {
        let silence = json!({"status": {"state": state}, "matchers": matchers});
        let silence: Silence = serde_json::from_value(silence).unwrap();
        silence.covers(&LABELS)
    }

    fn matcher(name: &str, operator: &str, value: &str) -> Value {
        json!({
            "name": name, "value": value,
            "isEqual": operator.starts_with('='), "isRegex": operator.ends_with('~'),
        })
    }

    #[test]
    fn it_covers_what_alertmanager_would_silence() {
        for (name, operator, value, wanted) in [
            ("unit", "=", "api.service", true),
            ("unit", "=", "other.service", false),
            ("unit", "=~", "api[.].+", true),
            ("unit", "=~", "api", false),
            ("host", "!=", "there", true),
            ("alertname", "!~", "Unit.*", false),
            ("service", "=", "transactions", false),
            ("service", "!=", "transactions", true),
            ("unit", "=~", "(", false),
            ("unit", "=", "\"\\", false),
        ] {
            let matchers = json!([matcher(name, operator, value)]);
            assert_eq!(covers("active", &matchers), wanted, "{matchers}");
        }
        let old = json!([{"name": "host", "value": "here", "isRegex": false}]);
        assert!(covers("active", &old));
    }

    #[test]
    fn only_one_in_force_and_only_as_a_whole() {
        let (unit, other) = (
            matcher("unit", "=", "api.service"),
            matcher("host", "=", "there"),
        );
        for state in ["pending", "expired"] {
            assert!(!covers(state, &json!([unit])), "{state}");
        }
        assert!(!covers("active", &json!([unit, other])));
        assert!(!covers("active", &json!([])));
    }
}
