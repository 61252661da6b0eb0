//! `/metrics`: the text exposition of a registry, compressed where the scraper can read that.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use prometheus::{Encoder, Registry, TextEncoder};

use crate::reply::{self, Reply};

/// The media type of Prometheus's text exposition format 0.0.4.
pub const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Below this a compressed answer costs more than it saves.
const COMPRESS_FROM_BYTES: usize = 1_400;

/// Answers a scrape from a registry.
pub fn scrape(registry: &Registry, request_headers: &HeaderMap) -> Reply {
    let mut text = Vec::with_capacity(16 * 1024);
    if let Err(error) = TextEncoder::new().encode(&registry.gather(), &mut text) {
        tracing::error!(%error, "the metrics could not be encoded");
        return reply::text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics could not be encoded",
        );
    }
    exposition(text, request_headers)
}

/// Answers a scrape with exposition text that is already there.
pub fn exposition(text: Vec<u8>, request_headers: &HeaderMap) -> Reply {
    if text.len() < COMPRESS_FROM_BYTES || !accepts_gzip(request_headers) {
        return reply::with_type(StatusCode::OK, TEXT_FORMAT, text);
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
    match encoder.write_all(&text).and_then(|()| encoder.finish()) {
        Ok(compressed) => {
            let mut reply = reply::with_type(StatusCode::OK, TEXT_FORMAT, compressed);
            let gzip = HeaderValue::from_static("gzip");
            reply.headers_mut().insert(header::CONTENT_ENCODING, gzip);
            reply
        }
        Err(error) => {
            tracing::error!(%error, "the metrics could not be compressed");
            reply::with_type(StatusCode::OK, TEXT_FORMAT, text)
        }
    }
}

/// Whether a scraper can read gzip, for answers that are compressed while they are made.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            parts.next() == Some("gzip") && !parts.any(|part| part == "q=0")
        })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use http_body_util::BodyExt;

    use super::*;

    async fn body(reply: Reply) -> Vec<u8> {
        reply
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .to_vec()
    }

    #[tokio::test]
    async fn compresses_only_for_those_who_ask() {
        let text = "a_metric 1\n".repeat(1_000).into_bytes();
        let plain = exposition(text.clone(), &HeaderMap::new());
        assert_eq!(body(plain).await, text);

        let mut headers = HeaderMap::new();
        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("br, gzip;q=0.5"),
        );
        let compressed = exposition(text.clone(), &headers);
        assert_eq!(compressed.headers()[header::CONTENT_ENCODING], "gzip");
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(body(compressed).await.as_slice())
            .read_to_end(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, text);

        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("gzip;q=0"),
        );
        assert!(
            !exposition(text, &headers)
                .headers()
                .contains_key(header::CONTENT_ENCODING)
        );
    }
}
