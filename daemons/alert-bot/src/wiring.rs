//! The ports over the real adapters: systemd, the ledger, probes, the clock. That of Alertmanager is
//! in [`alertmanagers`](crate::alertmanagers).

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use ledger::{LedgerError, Store};
use remediation::{Probe, Signal};
use serde::Deserialize;
use systemd_bus::{BusError, KillWhom, Systemd, UnitChange, Verb};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use units::{JobResult, UnitFacts, UnitName};
use uuid::Uuid;

use crate::engine::Event;
use crate::outbound::{HttpUrl, Outbound, percent_encoded};
use crate::ports::{BusEvent, Clock, Ledger, Prober, UnitControl};
use crate::restarts::RunChange;

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

/// Probes over the network.
pub(crate) struct NetworkProber(pub(crate) Outbound);

impl Prober for NetworkProber {
    fn probe<'a>(
        &'a self,
        probe: &'a Probe,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(), String>> {
        async move {
            match probe {
                Probe::Http { url, status } => self.probe_http(url, *status, timeout).await,
                Probe::Tcp { address } => probe_tcp(address, timeout).await,
                Probe::PromQl { url, query } => self.probe_query(url, query, timeout).await,
            }
        }
        .boxed()
    }
}

impl NetworkProber {
    async fn probe_http(&self, url: &str, wanted: u16, timeout: Duration) -> Result<(), String> {
        let url = HttpUrl::try_new(url)?;
        match self.0.get(&url, timeout).await {
            Ok((status, _)) if status.as_u16() == wanted => Ok(()),
            Ok((status, _)) => Err(format!("{url} answered {status}")),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn probe_query(&self, base: &str, query: &str, timeout: Duration) -> Result<(), String> {
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
        let answered = self.0.get(&url, timeout).await;
        let (status, body) = answered.map_err(|error| error.to_string())?;
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|error| format!("Prometheus answered {status}: {error}"))?;
        if answer.data.result.is_empty() {
            return Err(format!("{query} returned no sample"));
        }
        Ok(())
    }
}

async fn probe_tcp(address: &str, timeout: Duration) -> Result<(), String> {
    match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("{address}: {error}")),
        Err(_) => Err(format!("{address} did not accept within {timeout:?}")),
    }
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
    use daemon_kit::tls::HttpsFiles;
    use futures_util::future::join;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    /// For every answer that is to come.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn network() -> NetworkProber {
        NetworkProber(Outbound::new("bot.toml".into(), HttpsFiles::default()))
    }

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
            let network = network();
            let answered = answer_one(listener, status, body);
            let (probed, request) = join(network.probe(&probe, PATIENCE), answered).await;
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
        assert_eq!(network().probe(&probe, PATIENCE).await, Ok(()));
        drop(listener);
        assert!(network().probe(&probe, PATIENCE).await.is_err());
    }
}
