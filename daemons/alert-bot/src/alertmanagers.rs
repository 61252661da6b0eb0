//! Every Alertmanager of the configuration: told what the bot does, asked what it knows.
//!
//! HTTP and its answers; [`listing`](crate::listing) and [`silence`](crate::silence) make sense of
//! them.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join, join_all};
use http::StatusCode;
use jiff::Timestamp;
use remediation::{AlertNow, Trigger};
use serde::Deserialize;

use crate::listing::{Addressee, Listing};
use crate::outbound::{self, HttpUrl, OutboundError, percent_encoded};
use crate::ports::{AlertSink, TellError};
use crate::silence::{Silence, quoted};
use crate::tell::OwnAlert;

/// Alertmanager answers a post in about a millisecond; one that hangs must not dam up the rest.
const TELL_TIMEOUT: Duration = Duration::from_secs(2);

/// A long list takes longer.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest list that is read, in bytes: about a thousand alerts of one host, and what a webhook
/// may have. In a storm that is larger webhooks have to do, with the memory that they take.
const MAX_LIST_BYTES: usize = 1024 * 1024;

/// Every Alertmanager of the configuration.
pub(crate) struct Alertmanagers {
    pub(crate) urls: Vec<HttpUrl>,
    /// Who this bot is to them.
    pub(crate) addressee: Addressee,
}

/// The part of `GET /api/v2/alerts` that matters here.
#[derive(Deserialize)]
struct KnownAlert {
    fingerprint: String,
    status: KnownStatus,
}

#[derive(Deserialize)]
struct KnownStatus {
    #[serde(rename = "silencedBy")]
    silenced_by: Vec<String>,
}

impl AlertSink for Alertmanagers {
    fn post<'a>(&'a self, alerts: &'a [OwnAlert]) -> BoxFuture<'a, Result<(), TellError>> {
        async move {
            let body = serde_json::to_vec(alerts).map_err(|error| TellError(error.to_string()))?;
            let body = Bytes::from(body);
            let posts = self.urls.iter().map(|url| post_one(url, body.clone()));
            let failures: Vec<String> = join_all(posts).await.into_iter().flatten().collect();
            if failures.is_empty() {
                Ok(())
            } else {
                Err(TellError(failures.join("; ")))
            }
        }
        .boxed()
    }

    fn ask<'a>(&'a self, trigger: &'a Trigger) -> BoxFuture<'a, AlertNow> {
        async move {
            let asked = self
                .urls
                .iter()
                .map(|url| ask_one(url, &self.addressee.host, trigger));
            let answers = join_all(asked).await;
            // One that knows of a silence is enough: people may reach only one of them.
            let heard = [AlertNow::Silenced, AlertNow::Firing];
            let all = |wanted| !answers.is_empty() && answers.iter().all(|a| *a == wanted);
            match heard.into_iter().find(|answer| answers.contains(answer)) {
                Some(answer) => answer,
                // Only if each of them was asked: one that is away may be the one that knows it.
                None if all(AlertNow::Absent) => AlertNow::Absent,
                None => AlertNow::Unknown,
            }
        }
        .boxed()
    }

    fn list(&self) -> BoxFuture<'_, Vec<Result<Listing, String>>> {
        let asked = self.urls.iter().map(|url| async move {
            let listing = list_one(url, &self.addressee).await;
            listing.map_err(|why| format!("{url}: {why}"))
        });
        join_all(asked).boxed()
    }
}

async fn list_one(base: &HttpUrl, addressee: &Addressee) -> Result<Listing, String> {
    let alerts = base.with_path(&format!("/api/v2/alerts?{}", about_host(&addressee.host)))?;
    let status = base.with_path("/api/v2/status")?;
    let (alerts, status) = join(
        outbound::get_up_to(MAX_LIST_BYTES, &alerts, LIST_TIMEOUT),
        outbound::get(&status, LIST_TIMEOUT),
    )
    .await;
    let (alerts, status) = (answered(alerts)?, answered(status)?);
    Listing::parse(&alerts, &status, addressee, Timestamp::now())
}

/// The body of an answer that is one.
fn answered(answer: Result<(StatusCode, Bytes), OutboundError>) -> Result<Bytes, String> {
    match answer {
        Ok((status, body)) if status.is_success() => Ok(body),
        Ok((status, _)) => Err(format!("it answered {status}")),
        Err(error) => Err(error.to_string()),
    }
}

/// The filter for alerts of this host and of none.
fn about_host(host: &str) -> String {
    let is_literal = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let escaped: String = host
        .chars()
        .flat_map(|c| (!is_literal(c)).then_some('\\').into_iter().chain([c]))
        .collect();
    let value = quoted(&format!("|{escaped}"));
    format!("filter=host%3D~{}", percent_encoded(&value))
}

/// The failure, if it failed.
async fn post_one(base: &HttpUrl, body: Bytes) -> Option<String> {
    let url = base.with_path("/api/v2/alerts").ok()?;
    match outbound::post_json(&url, body, TELL_TIMEOUT).await {
        Ok((status, _)) if status.is_success() => None,
        Ok((status, answer)) => {
            let answer = String::from_utf8_lossy(&answer);
            Some(format!("{url} answered {status}: {}", answer.trim()))
        }
        Err(error) => Some(error.to_string()),
    }
}

async fn ask_one(base: &HttpUrl, host: &str, trigger: &Trigger) -> AlertNow {
    match trigger {
        Trigger::Alert(alert) => {
            let labels = ["alertname", "unit", "host"].map(|name| (name, alert.label(name)));
            ask_for_alerts(base, &labels, Some(&alert.fingerprint)).await
        }
        Trigger::UnitFailed(unit) => {
            let labels = [
                ("alertname", trigger.name()),
                ("unit", unit.as_str()),
                ("host", host),
            ];
            // systemd speaks before there is an alert that a silence could show up on.
            let silenced = is_silenced(base, &labels);
            // Any alert about the unit will do, not only one of that name.
            let alerts = ask_for_alerts(base, &labels[1..], None);
            match join(silenced, alerts).await {
                (true, _) => AlertNow::Silenced,
                (false, alert_now) => alert_now,
            }
        }
    }
}

/// Whether a silence that is in force covers an alert with these labels.
async fn is_silenced(base: &HttpUrl, labels: &[(&str, &str)]) -> bool {
    let Ok(url) = base.with_path("/api/v2/silences") else {
        return false;
    };
    let Ok((_, body)) = outbound::get(&url, TELL_TIMEOUT).await else {
        return false;
    };
    let known = serde_json::from_slice::<Vec<Silence>>(&body).unwrap_or_default();
    known.iter().any(|silence| silence.covers(labels))
}

/// What Alertmanager has with these labels, or of that the alert of this fingerprint.
async fn ask_for_alerts(
    base: &HttpUrl,
    labels: &[(&str, &str)],
    fingerprint: Option<&str>,
) -> AlertNow {
    let filters: Vec<String> = labels
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("filter={name}%3D{}", percent_encoded(&quoted(value))))
        .collect();
    let path = format!("/api/v2/alerts?{}", filters.join("&"));
    let Ok(url) = base.with_path(&path) else {
        return AlertNow::Unknown;
    };
    let Ok((_, body)) = outbound::get(&url, TELL_TIMEOUT).await else {
        return AlertNow::Unknown;
    };
    let Ok(known) = serde_json::from_slice::<Vec<KnownAlert>>(&body) else {
        return AlertNow::Unknown;
    };
    let about: Vec<&KnownAlert> = known
        .iter()
        .filter(|known| fingerprint.is_none_or(|own| own == known.fingerprint))
        .collect();
    match about.as_slice() {
        [] => AlertNow::Absent,
        about
            if about
                .iter()
                .all(|alert| !alert.status.silenced_by.is_empty()) =>
        {
            AlertNow::Silenced
        }
        _ => AlertNow::Firing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_leave_its_quotes() {
        let in_url = |value| percent_encoded(&quoted(value));
        assert_eq!(in_url("a.service"), "%22a.service%22");
        assert_eq!(in_url("\"} or 1"), "%22%5C%22%7D%20or%201%22");
        assert_eq!(in_url("a\nb"), "%22a%5Cnb%22");
    }

    #[test]
    fn a_host_is_no_pattern() {
        assert_eq!(about_host("web-1"), "filter=host%3D~%22%7Cweb-1%22");
        let dotted = percent_encoded(r#""|web\\.1""#);
        assert_eq!(about_host("web.1"), format!("filter=host%3D~{dotted}"));
    }
}
