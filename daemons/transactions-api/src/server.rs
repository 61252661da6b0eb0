//! One request: find its route, let it in, answer it, measure it.

use std::sync::Arc;
use std::time::Instant;

use daemon_kit::http::Limits;
use daemon_kit::reply::{self, Reply};
use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use transactions::store::Store;

use crate::admission::{Admission, Shed, shed_reply};
use crate::config::Config;
use crate::faults::Faults;
use crate::metrics::Metrics;
use crate::pulse::Pulse;
use crate::route::{Route, Verb};
use crate::{health, openapi, transactions_routes};

/// Everything that a request may need.
pub(crate) struct Server {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    pulse: Pulse,
    faults: Arc<Faults>,
    admission: Admission,
    limits: Limits,
    stop: CancellationToken,
}

impl Server {
    pub(crate) fn new(
        config: &Config,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        pulse: Pulse,
        faults: Arc<Faults>,
        stop: CancellationToken,
    ) -> Self {
        let admission = Admission::new(config.overload.max_in_flight);
        Self {
            store,
            metrics,
            pulse,
            faults,
            admission,
            limits: config.limits,
            stop,
        }
    }

    /// Answers one request and measures it.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Reply {
        let start = Instant::now();
        let _in_flight = self.metrics.enter();
        let verb = Verb::of(request.method());
        let route = Route::of(request.uri().path()).index();
        let reply = self.dispatch(verb, request).await;
        self.metrics
            .observe(verb, route, reply.status(), start.elapsed());
        reply
    }

    async fn dispatch(&self, verb: Verb, request: Request<Incoming>) -> Reply {
        let uri = request.uri().clone();
        let route = Route::of(uri.path());
        let _slot = match self.admit(route) {
            Ok(slot) => slot,
            Err(Shed) => return shed_reply(),
        };
        if let Some(struck) = self.faults.strike(route).await {
            return struck;
        }
        match (route, verb) {
            (Route::Transaction(id), Verb::Get) => transactions_routes::show(&self.store, id).await,
            (Route::Transactions, Verb::Get) => transactions_routes::list(&self.store, &uri).await,
            (Route::Transactions, Verb::Post) => {
                transactions_routes::create(&self.store, request, self.limits).await
            }
            (Route::Health, Verb::Get) => health::health(&self.pulse.store_health()),
            (Route::Ready, Verb::Get) => {
                health::ready(&self.pulse.store_health(), self.stop.is_cancelled())
            }
            (Route::Metrics, Verb::Get) => self.metrics.scrape(request.headers()),
            (Route::OpenApi, Verb::Get) => openapi::document(),
            (Route::Unknown, _) => reply::problem(StatusCode::NOT_FOUND, "there is no such route"),
            (route, _) => method_not_allowed(route),
        }
    }

    /// A slot for requests that use the store; the others pass, so that probes and scrapes see an
    /// overloaded daemon rather than none.
    fn admit(&self, route: Route<'_>) -> Result<Option<OwnedSemaphorePermit>, Shed> {
        match route {
            Route::Transactions | Route::Transaction(_) => self
                .admission
                .try_enter()
                .map(Some)
                .inspect_err(|_| self.metrics.shed.inc()),
            _ => Ok(None),
        }
    }
}

fn method_not_allowed(route: Route<'_>) -> Reply {
    let mut refusal = reply::problem(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("this route answers {}", route.allow()),
    );
    refusal
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(route.allow()));
    refusal
}
