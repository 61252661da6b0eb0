//! The few shapes of HTTP answer that the daemons give.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

/// A whole answer, in memory.
pub type Reply = Response<Full<Bytes>>;

/// An answer of the given media type.
pub fn with_type(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    reply
}

/// Plain text.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    with_type(status, "text/plain; charset=utf-8", body)
}

/// JSON.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Reply {
    match serde_json::to_vec(value) {
        Ok(body) => with_type(status, "application/json", body),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the answer could not be written",
            )
        }
    }
}

/// A problem document (RFC 9457): `detail` is what the client may know and can act on.
pub fn problem(status: StatusCode, detail: impl Into<String>) -> Reply {
    #[derive(Serialize)]
    struct Problem {
        title: &'static str,
        status: u16,
        detail: String,
    }
    let problem = Problem {
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: detail.into(),
    };
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    with_type(status, "application/problem+json", body)
}

/// 503 with `Retry-After`: overloaded or not able to store, and nothing was done.
pub fn unavailable(detail: impl Into<String>, retry_after_seconds: u32) -> Reply {
    let mut reply = problem(StatusCode::SERVICE_UNAVAILABLE, detail);
    reply
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds));
    reply
}
