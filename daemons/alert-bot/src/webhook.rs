//! Alertmanager's webhook, version 4: bytes in, alerts out.
//!
//! Lenient about fields that the bot does not know, strict about those that it needs.
//! Format: <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>

use std::collections::BTreeMap;

use jiff::Timestamp;
use remediation::{Alert, AlertStatus};
use serde::Deserialize;

/// Labels of one alert. Prometheus's own default allows any number; real alerts have about ten.
const MAX_LABELS: usize = 128;

/// One label's or annotation's value, in bytes. Descriptions are the longest and seldom reach 1 KiB.
const MAX_VALUE_BYTES: usize = 16 * 1024;

/// Identifies an alert in Alertmanager: 16 hex digits.
const MAX_FINGERPRINT_BYTES: usize = 64;

/// A webhook that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Webhook {
    /// Its alerts, in its order.
    pub(crate) alerts: Vec<Alert>,
    /// Alertmanager left some out, so what they say is unknown.
    pub(crate) truncated: bool,
}

/// Why a body is no webhook that can be acted on. For the sender to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WebhookError {
    /// No JSON, or a field is missing or of another kind.
    #[error("{0}")]
    Json(String),
    /// A version that this program does not know.
    #[error("version: {0:?} is not \"4\"")]
    Version(String),
    /// An alert without something that the bot needs, or with far too much of it.
    #[error("alerts[{index}].{field}: {problem}")]
    Alert {
        /// Its place, from 0.
        index: usize,
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(Deserialize)]
struct WireWebhook {
    version: String,
    #[serde(default, rename = "truncatedAlerts")]
    truncated_alerts: u64,
    alerts: Vec<WireAlert>,
}

#[derive(Deserialize)]
struct WireAlert {
    status: AlertStatus,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(rename = "startsAt")]
    starts_at: Timestamp,
    #[serde(default, rename = "endsAt")]
    ends_at: Option<Timestamp>,
    fingerprint: String,
}

impl Webhook {
    /// Reads a webhook's body.
    ///
    /// # Errors
    /// Names the first field that is wrong, and how.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, WebhookError> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let wire: WireWebhook = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| WebhookError::Json(error.to_string()))?;
        json.end()
            .map_err(|error| WebhookError::Json(error.to_string()))?;
        if wire.version != "4" {
            return Err(WebhookError::Version(wire.version));
        }
        Ok(Self {
            truncated: wire.truncated_alerts > 0,
            alerts: wire
                .alerts
                .into_iter()
                .enumerate()
                .map(|(index, alert)| alert.check(index))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl WireAlert {
    fn check(self, index: usize) -> Result<Alert, WebhookError> {
        let alert = Alert {
            fingerprint: self.fingerprint,
            status: self.status,
            labels: self.labels,
            annotations: self.annotations,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
        };
        checked(alert, index)
    }
}

/// The alert at this place, if the bot can take it.
///
/// It begins at a whole millisecond, as it does in Alertmanager's list: a webhook may say it more
/// finely, and the two have to name the same alert.
///
/// # Errors
/// Names the first field that is wrong, and how.
pub(crate) fn checked(alert: Alert, index: usize) -> Result<Alert, WebhookError> {
    let wrong = |field, problem: String| WebhookError::Alert {
        index,
        field,
        problem,
    };
    if alert.fingerprint.is_empty() || alert.fingerprint.len() > MAX_FINGERPRINT_BYTES {
        let problem = format!("has {} bytes", alert.fingerprint.len());
        return Err(wrong("fingerprint", problem));
    }
    if alert.name().is_empty() {
        return Err(wrong("labels", "there is no alertname".into()));
    }
    for (field, pairs) in [
        ("labels", &alert.labels),
        ("annotations", &alert.annotations),
    ] {
        if pairs.len() > MAX_LABELS {
            let problem = format!("has {} entries, at most {MAX_LABELS}", pairs.len());
            return Err(wrong(field, problem));
        }
        if let Some((name, value)) = pairs.iter().find(|(_, v)| v.len() > MAX_VALUE_BYTES) {
            let problem = format!(
                "{name:?} has {} bytes, at most {MAX_VALUE_BYTES}",
                value.len()
            );
            return Err(wrong(field, problem));
        }
    }
    let starts_at = Timestamp::from_millisecond(alert.starts_at.as_millisecond());
    Ok(Alert {
        starts_at: starts_at.unwrap_or(alert.starts_at),
        ..alert
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// As Alertmanager 0.28 sends it.
    fn real() -> Value {
        json!({
            "receiver": "alert-bot", "status": "firing", "version": "4", "truncatedAlerts": 0,
            "groupKey": "{}:{alertname=\"TransactionsApiDown\"}",
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
            "externalURL": "http://demo:9093",
            "alerts": [{
                "status": "firing",
                "labels": {"alertname": "TransactionsApiDown", "unit": "transactions-api.service"},
                "annotations": {"summary": "The API does not answer"},
                "startsAt": "2026-11-22T15:00:00.123Z", "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://demo:9090/graph", "fingerprint": "2d1a9f3c5b7e8f60"
            }]
        })
    }

    fn parse(value: &Value) -> Result<Webhook, String> {
        Webhook::parse(value.to_string().as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_what_alertmanager_sends() {
        let webhook = parse(&real()).unwrap();
        assert!(!webhook.truncated);
        assert_eq!(webhook.alerts[0].name(), "TransactionsApiDown");
        assert_eq!(webhook.alerts[0].label("unit"), "transactions-api.service");
        assert_eq!(webhook.alerts[0].status, AlertStatus::Firing);
    }

    #[test]
    fn unknown_fields_are_passed_over() {
        let mut webhook = real();
        webhook["notification_reason"] = json!("repeat");
        webhook["alerts"][0]["new"] = json!({"deep": [1]});
        assert!(parse(&webhook).is_ok());
    }

    #[test]
    fn each_mistake_is_named() {
        for (pointer, value, start) in [
            ("/version", json!("3"), "version: \"3\" is not"),
            ("/alerts/0/status", json!("on"), "alerts[0].status: unknown"),
            ("/alerts/0/startsAt", json!("now"), "alerts[0].startsAt: "),
            (
                "/alerts/0/fingerprint",
                json!(""),
                "alerts[0].fingerprint: has 0",
            ),
            (
                "/alerts/0/labels",
                json!({"a": "b"}),
                "alerts[0].labels: there is no",
            ),
            (
                "/alerts/0/labels",
                json!({"a": 1}),
                "alerts[0].labels.a: invalid",
            ),
            ("/alerts", json!(null), "alerts: invalid type: null"),
        ] {
            let mut webhook = real();
            *webhook.pointer_mut(pointer).unwrap() = value;
            let error = parse(&webhook).unwrap_err();
            assert!(error.starts_with(start), "{error}");
        }
        assert!(Webhook::parse(b"{").is_err());
        assert!(Webhook::parse(b"").is_err());
    }

    #[test]
    fn too_much_of_anything_is_refused() {
        let mut webhook = real();
        let labels = &mut webhook["alerts"][0]["labels"];
        for number in 0..MAX_LABELS {
            labels[format!("l{number}")] = json!("x");
        }
        assert!(parse(&webhook).unwrap_err().contains("at most 128"));

        let mut webhook = real();
        webhook["alerts"][0]["annotations"]["summary"] = json!("x".repeat(MAX_VALUE_BYTES + 1));
        assert!(parse(&webhook).unwrap_err().contains("\"summary\" has"));

        let deep = format!("{{\"alerts\":{}", "[".repeat(100_000));
        assert!(Webhook::parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn left_out_alerts_are_noted() {
        let mut webhook = real();
        webhook["truncatedAlerts"] = json!(3);
        assert!(parse(&webhook).unwrap().truncated);
    }
}
