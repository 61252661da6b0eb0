//! The HTTP face: the webhook, health, metrics, and a page that says what this is.

use daemon_kit::metrics::scrape;
use daemon_kit::reply::{self, Reply};
use http::{Method, Request, StatusCode, header};
use hyper::body::Incoming;
use serde::Serialize;

use crate::health::Health;
use crate::intake::Intake;
use crate::ports::Ledger;

/// Answers one request.
pub(crate) async fn route<L: Ledger>(intake: &Intake<L>, request: Request<Incoming>) -> Reply {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/alert") => intake.answer(request).await,
        (&Method::GET, "/metrics") => scrape(&intake.metrics.registry, request.headers()),
        (&Method::GET, "/health") => health(&intake.wires.health.borrow()),
        (&Method::GET, "/ready") => ready(intake).await,
        (&Method::GET, "/") => page(&intake.wires.health.borrow()),
        (_, "/alert") => only("POST"),
        (_, "/metrics" | "/health" | "/ready" | "/") => only("GET"),
        _ => reply::problem(StatusCode::NOT_FOUND, "there is nothing here"),
    }
}

/// 200 while the process serves. The detail says what it can do: without the bus it still accepts
/// alerts, and a restart of the bot would not bring the bus back.
fn health(health: &Health) -> Reply {
    #[derive(Serialize)]
    struct Body<'a> {
        status: &'static str,
        detail: String,
        #[serde(flatten)]
        health: &'a Health,
    }
    let status = if health.bus_up { "ok" } else { "degraded" };
    let detail = health.to_string();
    reply::json(
        StatusCode::OK,
        &Body {
            status,
            detail,
            health,
        },
    )
}

/// 200 only while alerts can be stored.
async fn ready<L: Ledger>(intake: &Intake<L>) -> Reply {
    match intake.ledger.call(ledger::Store::unsettled_count).await {
        Ok(_) => reply::text(StatusCode::OK, "ready\n"),
        Err(error) => reply::problem(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

fn page(health: &Health) -> Reply {
    let text = format!(
        "alert-bot {}\n\n{health}\n\n\
         POST /alert    Alertmanager's webhook, with its bearer token\n\
         GET  /health   what state the bot is in\n\
         GET  /ready    whether it can take alerts\n\
         GET  /metrics  for Prometheus\n\n\
         On the host: alert-bot incidents, alert-bot status, journalctl -u alert-bot\n",
        env!("CARGO_PKG_VERSION")
    );
    reply::text(StatusCode::OK, text)
}

fn only(method: &'static str) -> Reply {
    let mut reply = reply::problem(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("only {method} is understood here"),
    );
    reply
        .headers_mut()
        .insert(header::ALLOW, http::HeaderValue::from_static(method));
    reply
}
