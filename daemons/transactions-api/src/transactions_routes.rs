//! `/transactions`: create, list, show.

use std::time::Instant;

use daemon_kit::http::{Limits, read_body};
use daemon_kit::reply::{self, Reply};
use http::{HeaderValue, Request, StatusCode, Uri, header};
use hyper::body::Incoming;
use transactions::TransactionId;
use transactions::store::{Insertion, Store, StoreError};

use crate::admission::RETRY_AFTER_SECONDS;
use crate::wire::{self, PageBody, TransactionBody};

/// `POST /transactions`: 201 once the transaction is durable.
pub(crate) async fn create(store: &Store, request: Request<Incoming>, limits: Limits) -> Reply {
    let body = match read_body(request, limits).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let new = match wire::parse_create(&body) {
        Ok(new) => new,
        Err(reason) => return reply::problem(StatusCode::BAD_REQUEST, reason),
    };
    match store.insert(new).await {
        Ok(Insertion::Created(transaction)) => {
            let mut created =
                reply::json(StatusCode::CREATED, &TransactionBody::from(&transaction));
            let location = format!("/transactions/{}", transaction.id);
            if let Ok(location) = HeaderValue::try_from(location) {
                created.headers_mut().insert(header::LOCATION, location);
            }
            created
        }
        Ok(Insertion::Replayed(earlier)) => {
            reply::json(StatusCode::OK, &TransactionBody::from(&earlier))
        }
        Ok(Insertion::KeyReused) => reply::problem(
            StatusCode::CONFLICT,
            "this idempotency_key belongs to a transaction of another amount or currency",
        ),
        Err(error) => store_failed(&error),
    }
}

/// `GET /transactions`: a page, newest first.
pub(crate) async fn list(store: &Store, uri: &Uri) -> Reply {
    let request = match wire::parse_list(uri) {
        Ok(request) => request,
        Err(reason) => return reply::problem(StatusCode::BAD_REQUEST, reason),
    };
    let start = Instant::now();
    match store.page(request).await {
        Ok(page) => {
            let query_ms = start.elapsed().as_secs_f64() * 1e3;
            reply::json(StatusCode::OK, &PageBody::new(&page, query_ms))
        }
        Err(error) => store_failed(&error),
    }
}

/// `GET /transactions/{id}`.
pub(crate) async fn show(store: &Store, id: &str) -> Reply {
    let id: TransactionId = match id.parse() {
        Ok(id) => id,
        Err(error) => return reply::problem(StatusCode::BAD_REQUEST, format!("{error}")),
    };
    match store.get(id).await {
        Ok(Some(transaction)) => reply::json(StatusCode::OK, &TransactionBody::from(&transaction)),
        Ok(None) => reply::problem(StatusCode::NOT_FOUND, "there is no transaction of this id"),
        Err(error) => store_failed(&error),
    }
}

fn store_failed(error: &StoreError) -> Reply {
    match error {
        // Nobody outside can do anything about it, and it may hold a path.
        StoreError::Damaged(inside) => {
            tracing::error!(error = %inside, "the store is damaged: restore a backup");
            reply::problem(StatusCode::INTERNAL_SERVER_ERROR, "the store is damaged")
        }
        StoreError::Unavailable(inside) => {
            tracing::warn!(error = %inside, "the store is unavailable");
            reply::unavailable(
                "the store is unavailable; nothing was acknowledged",
                RETRY_AFTER_SECONDS,
            )
        }
        other => reply::unavailable(
            format!("{other}; nothing was acknowledged"),
            RETRY_AFTER_SECONDS,
        ),
    }
}
