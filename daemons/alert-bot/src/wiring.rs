//! The ports over the real adapters: systemd, the ledger, Alertmanager, probes, the clock.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join, join_all};
use jiff::Timestamp;
use ledger::{LedgerError, Store};
use remediation::{AlertNow, Probe, Signal, Trigger};
use serde::Deserialize;
use systemd_bus::{BusError, KillWhom, Systemd, UnitChange, Verb};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use units::{JobResult, UnitFacts, UnitName};
use uuid::Uuid;

use crate::engine::Event;
use crate::outbound::{self, HttpUrl};
use crate::ports::{AlertSink, BusEvent, Clock, Ledger, Prober, TellError, UnitControl};
use crate::restarts::RunChange;
use crate::silence::{Silence, quoted};
use crate::tell::OwnAlert;

/// Alertmanager answers a post in about a millisecond; one that hangs must not dam up the rest.
const TELL_TIMEOUT: Duration = Duration::from_secs(2);

impl UnitControl for Systemd {
    fn facts<'a>(&'a self, unit: &'a UnitName) -> BoxFuture<'a, Result<UnitFacts, BusError>> {
        Systemd::facts(self, unit).boxed()
    }

    fn run<'a>(
        &'a self,
        unit: &'a UnitName,
        verb: Verb,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<JobResult, BusError>> {
        Systemd::run(self, unit, verb, deadline).boxed()
    }

    fn reset_failed<'a>(&'a self, unit: &'a UnitName) -> BoxFuture<'a, Result<(), BusError>> {
        Systemd::reset_failed(self, unit).boxed()
    }

    fn kill<'a>(
        &'a self,
        unit: &'a UnitName,
        signal: Signal,
    ) -> BoxFuture<'a, Result<(), BusError>> {
        Systemd::kill(self, unit, KillWhom::All, signal.number()).boxed()
    }
}

/// Brings systemd's signals to the engine for as long as the engine listens.
pub(crate) async fn listen_to_systemd(systemd: Systemd, events: mpsc::Sender<Event>) {
    let mut changes = systemd.watch();
    loop {
        let event = match changes.next().await {
            UnitChange::Resync => match systemd.list_units().await {
                Ok(listed) => BusEvent::Up(
                    listed
                        .into_iter()
                        .map(|u| (u.unit, u.active_state))
                        .collect(),
                ),
                Err(error) => {
                    tracing::warn!(%error, "systemd's units could not be listed");
                    BusEvent::Down
                }
            },
            UnitChange::Lost => BusEvent::Down,
            UnitChange::Changed(unit, properties) => {
                let run = RunChange {
                    invocation_id: properties.invocation_id.clone(),
                    n_restarts: properties.n_restarts,
                };
                BusEvent::Changed(unit, properties.active_state, run)
            }
            UnitChange::Unloaded(unit) => BusEvent::Unloaded(unit),
            UnitChange::Loaded(_) | UnitChange::StartupFinished => continue,
        };
        if events.send(Event::Bus(event)).await.is_err() {
            return;
        }
    }
}

impl Ledger for ledger::Ledger {
    fn call<T, F>(&self, operation: F) -> BoxFuture<'_, Result<T, LedgerError>>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> Result<T, LedgerError> + Send + 'static,
    {
        ledger::Ledger::call(self, operation).boxed()
    }
}

/// Every Alertmanager of the configuration.
pub(crate) struct Alertmanagers {
    pub(crate) urls: Vec<HttpUrl>,
    /// This host's `host` label.
    pub(crate) host: String,
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
                .map(|url| ask_one(url, &self.host, trigger));
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

fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a String takes every write");
        }
        encoded
    })
}

/// Probes over the network.
pub(crate) struct NetworkProber;

impl Prober for NetworkProber {
    fn probe<'a>(
        &'a self,
        probe: &'a Probe,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(), String>> {
        async move {
            match probe {
                Probe::Http { url, status } => probe_http(url, *status, timeout).await,
                Probe::Tcp { address } => probe_tcp(address, timeout).await,
                Probe::PromQl { url, query } => probe_query(url, query, timeout).await,
            }
        }
        .boxed()
    }
}

async fn probe_http(url: &str, wanted: u16, timeout: Duration) -> Result<(), String> {
    let url = HttpUrl::try_new(url)?;
    match outbound::get(&url, timeout).await {
        Ok((status, _)) if status.as_u16() == wanted => Ok(()),
        Ok((status, _)) => Err(format!("{url} answered {status}")),
        Err(error) => Err(error.to_string()),
    }
}

async fn probe_tcp(address: &str, timeout: Duration) -> Result<(), String> {
    match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("{address}: {error}")),
        Err(_) => Err(format!("{address} did not accept within {timeout:?}")),
    }
}

async fn probe_query(base: &str, query: &str, timeout: Duration) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Answer {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        result: Vec<serde::de::IgnoredAny>,
    }
    let path = format!("/api/v1/query?query={}", percent_encoded(query));
    let url = HttpUrl::try_new(base)?.with_path(&path)?;
    let (status, body) = outbound::get(&url, timeout)
        .await
        .map_err(|error| error.to_string())?;
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|error| format!("Prometheus answered {status}: {error}"))?;
    if answer.data.result.is_empty() {
        return Err(format!("{query} returned no sample"));
    }
    Ok(())
}

/// The system's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // The ledger keeps microseconds: what was decided and what is replayed must agree.
        let now = Timestamp::now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    fn new_incident(&self) -> Uuid {
        Uuid::now_v7()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_label_cannot_leave_its_quotes() {
        let in_url = |value| percent_encoded(&quoted(value));
        assert_eq!(in_url("a.service"), "%22a.service%22");
        assert_eq!(in_url("\"} or 1"), "%22%5C%22%7D%20or%201%22");
        assert_eq!(in_url("a\nb"), "%22a%5Cnb%22");
    }

    /// For every answer that is to come.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Answers one request so, and gives back its first line.
    async fn answer_one(listener: TcpListener, status: &str, body: &str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = String::new();
        let mut reader = BufReader::new(&mut stream);
        reader.read_line(&mut request).await.unwrap();
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        request
    }

    #[tokio::test]
    async fn a_query_holds_where_prometheus_returns_a_sample() {
        for (status, body, wanted) in [
            (
                "200 OK",
                r#"{"data":{"result":[{"value":[0,"1"]}]}}"#,
                Ok(()),
            ),
            ("200 OK", r#"{"data":{"result":[]}}"#, Err("no sample")),
            (
                "400 Bad Request",
                r#"{"error":"parse error"}"#,
                Err("answered 400"),
            ),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let probe = Probe::PromQl {
                url: format!("http://{}", listener.local_addr().unwrap()),
                query: "up == 1".into(),
            };
            let answered = answer_one(listener, status, body);
            let (probed, request) = join(NetworkProber.probe(&probe, PATIENCE), answered).await;
            assert_eq!(
                request,
                "GET /api/v1/query?query=up%20%3D%3D%201 HTTP/1.1\r\n"
            );
            match (probed, wanted) {
                (Ok(()), Ok(())) => {}
                (Err(said), Err(part)) => assert!(said.contains(part), "{said}"),
                (probed, _) => panic!("{body}: {probed:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_port_answers_while_somebody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let probe = Probe::Tcp {
            address: listener.local_addr().unwrap().to_string(),
        };
        assert_eq!(NetworkProber.probe(&probe, PATIENCE).await, Ok(()));
        drop(listener);
        assert!(NetworkProber.probe(&probe, PATIENCE).await.is_err());
    }
}
