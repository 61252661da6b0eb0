//! `POST /alert`: authenticated, understood, durable, and only then acknowledged.
//!
//! Alertmanager → **intake** → ledger, then a ring of the engine's bell

use std::sync::Arc;
use std::time::Duration;

use daemon_kit::http::{Limits, read_body};
use daemon_kit::reply::{self, Reply};
use http::{HeaderMap, Request, StatusCode, header};
use hyper::body::Incoming;
use ledger::Accepted;
use remediation::{Alert, AlertStatus};
use subtle::{Choice, ConstantTimeEq};

use crate::config::WatchdogConfig;
use crate::engine::{Event, Wires};
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::ports::{Clock, Ledger};
use crate::webhook::Webhook;

/// Alertmanager tries again by itself; this only says that it makes sense to.
const RETRY_AFTER_SECONDS: u32 = 5;

/// Well below the minute after which the next heartbeat arrives.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The tokens that are accepted: the current one, and while a new one spreads, the previous one.
pub(crate) struct Tokens(Vec<Vec<u8>>);

impl Tokens {
    /// Surrounding white space is no part of a token, so that a file may end in a newline.
    ///
    /// # Errors
    /// Where there is no token, or an empty one: that would let everyone in.
    pub(crate) fn try_new(texts: &[String]) -> Result<Self, &'static str> {
        let tokens: Vec<Vec<u8>> = texts.iter().map(|text| text.trim().into()).collect();
        if tokens.is_empty() || tokens.iter().any(Vec::is_empty) {
            return Err("is empty: write the token into it, and give Alertmanager the same");
        }
        Ok(Self(tokens))
    }

    /// Compares in constant time with every token; only a token's length can show.
    fn admit(&self, headers: &HeaderMap) -> bool {
        let given = headers
            .get(header::AUTHORIZATION)
            .map(http::HeaderValue::as_bytes)
            .and_then(|value| value.strip_prefix(b"Bearer "));
        let Some(given) = given else {
            return false;
        };
        let matches = self.0.iter().map(|token| token.as_slice().ct_eq(given));
        matches.fold(Choice::from(0), |any, this| any | this).into()
    }
}

/// What the webhook's handler needs.
pub(crate) struct Intake<L> {
    pub(crate) tokens: Tokens,
    pub(crate) limits: Limits,
    pub(crate) watchdog: WatchdogConfig,
    pub(crate) outbound: Outbound,
    pub(crate) ledger: L,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wires: Wires,
    pub(crate) metrics: Metrics,
}

impl<L: Ledger> Intake<L> {
    /// Answers one webhook. 200 means that every alert in it is on the disk.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Reply {
        let reply = self.take(request).await.unwrap_or_else(|refusal| refusal);
        let code = reply.status();
        self.metrics
            .webhook_requests
            .with_label_values(&[code.as_str()])
            .inc();
        reply
    }

    async fn take(&self, request: Request<Incoming>) -> Result<Reply, Reply> {
        if !self.tokens.admit(request.headers()) {
            return Err(unauthorized());
        }
        let body = read_body(request, self.limits).await?;
        let webhook = Webhook::parse(&body)
            .map_err(|error| reply::problem(StatusCode::BAD_REQUEST, error.to_string()))?;
        drop(body);
        let truncated = webhook.truncated;
        let (heartbeats, alerts): (Vec<Alert>, Vec<Alert>) = webhook
            .alerts
            .into_iter()
            .partition(|alert| alert.name() == self.watchdog.alertname);
        if !alerts.is_empty() {
            self.keep(alerts, truncated).await?;
        }
        if heartbeats
            .iter()
            .any(|alert| alert.status == AlertStatus::Firing)
        {
            self.tell(Event::WatchdogArrived);
            self.ping_dead_mans_switch();
        }
        Ok(reply::text(StatusCode::OK, "accepted\n"))
    }

    /// Somebody elsewhere learns that the chain is whole, and notices when this stops.
    fn ping_dead_mans_switch(&self) {
        let Some(url) = self.watchdog.ping_url.clone() else {
            return;
        };
        let outbound = self.outbound.clone();
        tokio::spawn(async move {
            match outbound.get(&url, PING_TIMEOUT).await {
                Ok((status, _)) if status.is_success() => {}
                Ok((status, _)) => tracing::warn!(%url, %status, "the dead-man's switch refused"),
                Err(error) => tracing::warn!(%error, "the dead-man's switch was not reached"),
            }
        });
    }

    /// Puts alerts on the disk and tells the engine; returns how many of them are new.
    ///
    /// # Errors
    /// The answer to give where they cannot be stored.
    pub(crate) async fn keep(&self, alerts: Vec<Alert>, truncated: bool) -> Result<usize, Reply> {
        let now = self.clock.now();
        let accept = self.ledger.call(move |store| {
            let accepted = store.accept(&alerts, truncated, now)?;
            Ok((accepted, alerts))
        });
        let (accepted, alerts) = accept.await.map_err(|error| {
            tracing::warn!(%error, "alerts were not accepted; Alertmanager will send them again");
            reply::unavailable("the alerts cannot be stored now", RETRY_AFTER_SECONDS)
        })?;
        for alert in &alerts {
            let status = match alert.status {
                AlertStatus::Firing => "firing",
                AlertStatus::Resolved => "resolved",
            };
            self.metrics
                .alerts_received
                .with_label_values(&[status])
                .inc();
        }
        let repeats = accepted.iter().zip(alerts);
        let repeats: Vec<Alert> = repeats
            .filter(|(accepted, _)| matches!(accepted, Accepted::Repeated(_)))
            .map(|(_, alert)| alert)
            .collect();
        let new = accepted.len() - repeats.len();
        if new > 0 {
            self.wires.bell.notify_one();
        }
        if !repeats.is_empty() {
            let count = u64::try_from(repeats.len()).unwrap_or(u64::MAX);
            self.metrics.alerts_deduplicated.inc_by(count);
            self.tell(Event::Repeated(repeats));
        }
        Ok(new)
    }

    /// Tells the engine what it can also learn later: repeats repeat.
    fn tell(&self, event: Event) {
        if self.wires.events.try_send(event).is_err() {
            tracing::debug!("the engine is busy; a repeated alert is not looked at this time");
        }
    }
}

fn unauthorized() -> Reply {
    let mut reply = reply::problem(
        StatusCode::UNAUTHORIZED,
        "the bearer token is missing or wrong",
    );
    reply.headers_mut().insert(
        header::WWW_AUTHENTICATE,
        http::HeaderValue::from_static("Bearer"),
    );
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        headers
    }

    #[test]
    fn current_and_previous_token_are_accepted_and_nothing_else() {
        let tokens = Tokens::try_new(&["new\n".into(), "old".into()]).unwrap();
        assert!(tokens.admit(&headers("Bearer new")));
        assert!(tokens.admit(&headers("Bearer old")));
        for wrong in [
            "Bearer ",
            "Bearer ne",
            "Bearer new ",
            "bearer new",
            "Basic new",
            "new",
        ] {
            assert!(!tokens.admit(&headers(wrong)), "{wrong:?}");
        }
        assert!(!tokens.admit(&HeaderMap::new()));
    }

    #[test]
    fn an_empty_token_lets_nobody_start() {
        assert!(Tokens::try_new(&[]).is_err());
        assert!(Tokens::try_new(&["\n".into()]).is_err());
        assert!(Tokens::try_new(&["new".into(), String::new()]).is_err());
    }
}
