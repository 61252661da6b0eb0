//! Every Alertmanager of the configuration: told what the bot does, asked what it knows.
//!
//! HTTP and its answers; [`listing`](crate::listing) and [`silence`](crate::silence) make sense of
//! them.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join, join_all};
use jiff::Timestamp;
use remediation::{AlertNow, Trigger};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::listing::{Addressee, Entry, ListReader, Listing};
use crate::outbound::{HttpUrl, Outbound, percent_encoded};
use crate::ports::{AlertSink, TellError};
use crate::silence::{Silence, quoted};
use crate::tell::OwnAlert;

/// Alertmanager answers in about a millisecond; one that hangs must not dam up the rest.
const TELL_TIMEOUT: Duration = Duration::from_secs(2);

/// A long list takes longer, and so does taking it in.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest list that is read, in bytes: more than 10,000 alerts of one host.
const MAX_LIST_BYTES: usize = 32 * 1024 * 1024;

/// Every Alertmanager of the configuration.
pub(crate) struct Alertmanagers {
    pub(crate) urls: Vec<HttpUrl>,
    /// The way to them.
    pub(crate) outbound: Outbound,
    /// Who this bot is to them.
    pub(crate) addressee: Addressee,
}

/// One of them.
#[derive(Clone, Copy)]
struct Alertmanager<'a> {
    url: &'a HttpUrl,
    outbound: &'a Outbound,
}

/// The part of `GET /api/v2/alerts` that matters here.
#[derive(Deserialize)]
struct KnownAlert {
    fingerprint: String,
    status: KnownStatus,
}

impl KnownAlert {
    fn is_silenced(&self) -> bool {
        !self.status.silenced_by.is_empty()
    }
}

#[derive(Deserialize)]
struct KnownStatus {
    #[serde(rename = "silencedBy")]
    silenced_by: Vec<String>,
}

impl Alertmanagers {
    fn each(&self) -> impl Iterator<Item = Alertmanager<'_>> {
        let outbound = &self.outbound;
        self.urls
            .iter()
            .map(move |url| Alertmanager { url, outbound })
    }
}

impl AlertSink for Alertmanagers {
    fn post<'a>(&'a self, alerts: &'a [OwnAlert]) -> BoxFuture<'a, Result<(), TellError>> {
        async move {
            let body = serde_json::to_vec(alerts).map_err(|error| TellError(error.to_string()))?;
            let body = Bytes::from(body);
            let posts = self.each().map(|to| to.post(body.clone()));
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
                .each()
                .map(|one| one.ask(&self.addressee.host, trigger));
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

    fn list(&self, entries: mpsc::Sender<Entry>) -> BoxFuture<'_, Vec<Result<Listing, String>>> {
        async move {
            let asked = self.each().map(|one| {
                let entries = &entries;
                async move {
                    let listing = timeout(LIST_TIMEOUT, one.list(&self.addressee, entries)).await;
                    let late = |_| Err(format!("its list took longer than {LIST_TIMEOUT:?}"));
                    let listing = listing.unwrap_or_else(late);
                    listing.map_err(|why| format!("{}: {why}", one.url))
                }
            });
            join_all(asked).await
        }
        .boxed()
    }
}

impl Alertmanager<'_> {
    async fn list(
        self,
        addressee: &Addressee,
        entries: &mpsc::Sender<Entry>,
    ) -> Result<Listing, String> {
        let path = format!("/api/v2/alerts?{}", about_host(&addressee.host));
        let url = self.url.with_path(&path)?;
        let asked_at = Timestamp::now();
        let opened = self.outbound.open(&url, MAX_LIST_BYTES).await;
        let mut answer = opened.map_err(|error| error.to_string())?;
        if !answer.status.is_success() {
            return Err(format!("it answered {}", answer.status));
        }
        let mut list = ListReader::new(addressee);
        while let Some(piece) = answer.piece().await.map_err(|error| error.to_string())? {
            list.feed(&piece);
            while let Some(entry) = list.next_entry()? {
                let taken = entries.send(entry).await;
                taken.map_err(|_| "its list was not taken in")?;
            }
        }
        list.end()?;
        Listing::of(&self.get("/api/v2/status").await?, asked_at)
    }

    /// The failure, if it failed.
    async fn post(self, alerts: Bytes) -> Option<String> {
        let url = self.url.with_path("/api/v2/alerts").ok()?;
        match self.outbound.post_json(&url, alerts, TELL_TIMEOUT).await {
            Ok((status, _)) if status.is_success() => None,
            Ok((status, answer)) => {
                let answer = String::from_utf8_lossy(&answer);
                Some(format!("{url} answered {status}: {}", answer.trim()))
            }
            Err(error) => Some(error.to_string()),
        }
    }

    async fn ask(self, host: &str, trigger: &Trigger) -> AlertNow {
        match trigger {
            Trigger::Alert(alert) => {
                let labels = ["alertname", "unit", "host"].map(|name| (name, alert.label(name)));
                self.alert_now(&labels, Some(&alert.fingerprint)).await
            }
            Trigger::UnitFailed(unit) => {
                let labels = [
                    ("alertname", trigger.name()),
                    ("unit", unit.as_str()),
                    ("host", host),
                ];
                // systemd speaks before there is an alert that a silence could show up on.
                let silenced = self.is_silenced(&labels);
                // Any alert about the unit will do, not only one of that name.
                let alerts = self.alert_now(&labels[1..], None);
                match join(silenced, alerts).await {
                    (true, _) => AlertNow::Silenced,
                    (false, alert_now) => alert_now,
                }
            }
        }
    }

    /// Whether a silence that is in force covers an alert with these labels.
    async fn is_silenced(self, labels: &[(&str, &str)]) -> bool {
        let silences: Option<Vec<Silence>> = self.known("/api/v2/silences").await;
        let mut silences = silences.unwrap_or_default().into_iter();
        silences.any(|silence| silence.covers(labels))
    }

    /// What it has with these labels, or of that the alert of this fingerprint.
    async fn alert_now(self, labels: &[(&str, &str)], fingerprint: Option<&str>) -> AlertNow {
        let filters: Vec<String> = labels
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("filter={name}%3D{}", percent_encoded(&quoted(value))))
            .collect();
        let path = format!("/api/v2/alerts?{}", filters.join("&"));
        let alerts: Option<Vec<KnownAlert>> = self.known(&path).await;
        let Some(mut alerts) = alerts else {
            return AlertNow::Unknown;
        };
        alerts.retain(|known| fingerprint.is_none_or(|own| own == known.fingerprint));
        if alerts.is_empty() {
            AlertNow::Absent
        } else if alerts.iter().all(KnownAlert::is_silenced) {
            AlertNow::Silenced
        } else {
            AlertNow::Firing
        }
    }

    /// What it says, if it says that in time and in these terms.
    async fn known<T: DeserializeOwned>(self, path: &str) -> Option<T> {
        serde_json::from_slice(&self.get(path).await.ok()?).ok()
    }

    async fn get(self, path: &str) -> Result<Bytes, String> {
        let url = self.url.with_path(path)?;
        match self.outbound.get(&url, TELL_TIMEOUT).await {
            Ok((status, body)) if status.is_success() => Ok(body),
            Ok((status, _)) => Err(format!("it answered {status}")),
            Err(error) => Err(error.to_string()),
        }
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
