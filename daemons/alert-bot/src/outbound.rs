//! Requests to others: Alertmanager, Prometheus, health probes, a dead-man's switch.
//!
//! One connection a request, closed after it: these are few, and a kept connection to a service
//! that the bot has just restarted would only report the old process's end.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use daemon_kit::config::ConfigError;
use daemon_kit::tls::{Https, HttpsFiles};
use http::header::{CONNECTION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// The largest answer that is read, in bytes, unless a caller expects more. Health answers and
/// Alertmanager's are far smaller.
pub(crate) const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// What a connection reads at once, in bytes.
const READ_AT_ONCE: usize = 16 * 1024;

/// An `http://` or `https://` address, checked once.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct HttpUrl(Uri);

impl HttpUrl {
    /// Parses `http://HOST[:PORT][/PATH][?QUERY]`, or the same with `https://`.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub(crate) fn try_new(text: &str) -> Result<Self, String> {
        let uri: Uri = text
            .parse()
            .map_err(|error| format!("{text:?} is no URL: {error}"))?;
        match (uri.scheme_str(), uri.host()) {
            (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(Self(uri)),
            _ => Err(format!(
                "{text:?} is not of the form http://host:port/path or https://host:port/path"
            )),
        }
    }

    /// Whether its server must prove who it is.
    pub(crate) fn is_https(&self) -> bool {
        self.scheme() == "https"
    }

    /// The same server, another path (and query).
    ///
    /// # Errors
    /// Says what is wrong with the path.
    pub(crate) fn with_path(&self, path_and_query: &str) -> Result<Self, String> {
        let base = self.0.path().trim_end_matches('/');
        let (scheme, authority) = (self.scheme(), self.authority());
        Self::try_new(&format!("{scheme}://{authority}{base}{path_and_query}"))
    }

    fn scheme(&self) -> &str {
        self.0.scheme_str().unwrap_or_default()
    }

    fn authority(&self) -> &str {
        self.0.authority().map_or("", http::uri::Authority::as_str)
    }

    fn address(&self) -> (&str, u16) {
        let host = self.0.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let usual = if self.is_https() { 443 } else { 80 };
        (host, self.0.port_u16().unwrap_or(usual))
    }

    fn target(&self) -> &str {
        self.0
            .path_and_query()
            .map_or("/", |target| target.as_str())
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a request had no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutboundError {
    /// Nobody listens, or the connection broke.
    #[error("{0} could not be reached")]
    Connect(HttpUrl, #[source] std::io::Error),
    /// The server did not prove who it is, or speaks no TLS.
    #[error("{0} is not trusted: {1}")]
    Tls(HttpUrl, #[source] std::io::Error),
    /// There is nothing to hold a server's certificate against.
    #[error("{0} cannot be asked")]
    Authorities(HttpUrl, #[source] Box<ConfigError>),
    /// No HTTP, or it broke off.
    #[error("{0} gave no HTTP answer")]
    Http(HttpUrl, #[source] hyper::Error),
    /// The answer's body broke off or is too large.
    #[error("the answer of {0} could not be read: {1}")]
    Body(HttpUrl, String),
    /// It took too long.
    #[error("{0} did not answer within {1:?}")]
    Deadline(HttpUrl, Duration),
    /// The request itself could not be made.
    #[error("no request to {0} could be made")]
    Request(HttpUrl, #[source] http::Error),
}

/// The way to others: what it takes to believe their certificates is read when it is first needed.
#[derive(Clone)]
pub(crate) struct Outbound(Arc<Way>);

struct Way {
    /// The configuration that names the files, for errors.
    config: PathBuf,
    files: HttpsFiles,
    https: OnceLock<Https>,
}

impl Outbound {
    pub(crate) fn new(config: PathBuf, files: HttpsFiles) -> Self {
        Self(Arc::new(Way {
            config,
            files,
            https: OnceLock::new(),
        }))
    }

    /// Reads the files of `[https]`, unless that was done.
    ///
    /// # Errors
    /// Names the file that cannot be used.
    pub(crate) fn https(&self) -> Result<&Https, ConfigError> {
        let Way {
            config,
            files,
            https,
        } = &*self.0;
        if https.get().is_none() {
            // A second reader at the same time has read the same.
            let _ = https.set(files.load(config)?);
        }
        Ok(https.get().expect("it was set, here or by somebody else"))
    }

    /// Asks for `url`.
    ///
    /// # Errors
    /// Where no whole answer came within `deadline`. A status other than 2xx is an answer.
    pub(crate) async fn get(
        &self,
        url: &HttpUrl,
        deadline: Duration,
    ) -> Result<(StatusCode, Bytes), OutboundError> {
        let whole = async { self.open(url, MAX_ANSWER_BYTES).await?.whole().await };
        within(deadline, url, whole).await
    }

    /// Posts `json` to `url`.
    ///
    /// # Errors
    /// Where no whole answer came within `deadline`. A status other than 2xx is an answer.
    pub(crate) async fn post_json(
        &self,
        url: &HttpUrl,
        json: Bytes,
        deadline: Duration,
    ) -> Result<(StatusCode, Bytes), OutboundError> {
        let whole = async {
            let answer = self.exchange(Method::POST, url, json, MAX_ANSWER_BYTES);
            answer.await?.whole().await
        };
        within(deadline, url, whole).await
    }

    /// Asks for `url`, whose answer is read piece by piece and may have this many bytes. How long
    /// that may take is the caller's to say.
    ///
    /// # Errors
    /// Where no answer began.
    pub(crate) async fn open(
        &self,
        url: &HttpUrl,
        max_bytes: usize,
    ) -> Result<Answer, OutboundError> {
        self.exchange(Method::GET, url, Bytes::new(), max_bytes)
            .await
    }

    async fn exchange(
        &self,
        method: Method,
        url: &HttpUrl,
        body: Bytes,
        max_bytes: usize,
    ) -> Result<Answer, OutboundError> {
        let (host, port) = url.address();
        let stream = TcpStream::connect((host, port))
            .await
            .map_err(|error| OutboundError::Connect(url.clone(), error))?;
        if !url.is_https() {
            return Answer::begin(Box::new(stream), method, url, body, max_bytes).await;
        }
        let https = self
            .https()
            .map_err(|error| OutboundError::Authorities(url.clone(), Box::new(error)))?;
        // A session is large, and most requests have none.
        let session = Box::pin(https.over(host, stream)).await;
        let session = session.map_err(|error| OutboundError::Tls(url.clone(), error))?;
        Answer::begin(Box::new(session), method, url, body, max_bytes).await
    }
}

async fn within<T>(
    deadline: Duration,
    url: &HttpUrl,
    exchange: impl Future<Output = Result<T, OutboundError>>,
) -> Result<T, OutboundError> {
    tokio::time::timeout(deadline, exchange)
        .await
        .unwrap_or_else(|_| Err(OutboundError::Deadline(url.clone(), deadline)))
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

type Connection = http1::Connection<TokioIo<Box<dyn Duplex>>, Full<Bytes>>;

/// An answer that has begun.
pub(crate) struct Answer {
    url: HttpUrl,
    pub(crate) status: StatusCode,
    body: Limited<Incoming>,
    /// It only moves while it is polled, and lives and dies with the answer; `None` once it is over.
    connection: Option<Pin<Box<Connection>>>,
}

impl Answer {
    /// One request, over a stream that is open.
    async fn begin(
        stream: Box<dyn Duplex>,
        method: Method,
        url: &HttpUrl,
        body: Bytes,
        max_bytes: usize,
    ) -> Result<Self, OutboundError> {
        let failed = |error| OutboundError::Http(url.clone(), error);
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(READ_AT_ONCE)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        let request = Request::builder()
            .method(method)
            .uri(url.target())
            .header(HOST, url.authority())
            .header(CONNECTION, "close")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| OutboundError::Request(url.clone(), error))?;
        let mut connection = Some(Box::pin(connection));
        let answer = beside(&mut connection, sender.send_request(request)).await;
        let (head, body) = answer.map_err(failed)?.into_parts();
        Ok(Self {
            url: url.clone(),
            status: head.status,
            body: Limited::new(body, max_bytes),
            connection,
        })
    }

    /// What comes next of it; `None` at its end.
    ///
    /// # Errors
    /// Where it breaks off or is too large.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, OutboundError> {
        while let Some(frame) = beside(&mut self.connection, self.body.frame()).await {
            let frame =
                frame.map_err(|error| OutboundError::Body(self.url.clone(), error.to_string()))?;
            // Anything else is a trailer.
            if let Ok(piece) = frame.into_data() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    async fn whole(mut self) -> Result<(StatusCode, Bytes), OutboundError> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.piece().await? {
            whole.extend_from_slice(&piece);
        }
        Ok((self.status, whole.freeze()))
    }
}

/// Waits for what comes over the connection.
async fn beside<T>(
    connection: &mut Option<Pin<Box<Connection>>>,
    awaited: impl Future<Output = T>,
) -> T {
    let mut awaited = std::pin::pin!(awaited);
    while let Some(open) = connection {
        tokio::select! {
            awaited = &mut awaited => return awaited,
            // What went wrong on it, the answer tells.
            _ = open => *connection = None,
        }
    }
    awaited.await
}

/// A value as a query takes it.
pub(crate) fn percent_encoded(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn outbound() -> Outbound {
        Outbound::new("bot.toml".into(), HttpsFiles::default())
    }

    #[test]
    fn only_http_and_https_with_a_host() {
        for text in [
            "",
            "localhost:80",
            "ftp://a/",
            "http://",
            "/alerts",
            "unix:/run/x",
        ] {
            assert!(HttpUrl::try_new(text).is_err(), "{text}");
        }
        let url = HttpUrl::try_new("https://prometheus.example.org/prefix").unwrap();
        assert_eq!(url.address(), ("prometheus.example.org", 443));
        let query = url.with_path("/api/v1/query").unwrap();
        assert_eq!(
            query.to_string(),
            "https://prometheus.example.org/prefix/api/v1/query"
        );
        let url = HttpUrl::try_new("http://[::1]:9093/prefix/").unwrap();
        assert_eq!(url.address(), ("::1", 9093));
        let alerts = url.with_path("/api/v2/alerts").unwrap();
        assert_eq!(alerts.to_string(), "http://[::1]:9093/prefix/api/v2/alerts");
    }

    #[tokio::test]
    async fn sends_and_receives() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url =
            HttpUrl::try_new(&format!("http://{}/x", listener.local_addr().unwrap())).unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok")
                .await
                .unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        };
        let outbound = outbound();
        let client = outbound.post_json(&url, Bytes::from_static(b"[]"), Duration::from_secs(5));
        let (request, answer) = tokio::join!(server, client);
        assert!(request.starts_with("POST /x HTTP/1.1\r\n"), "{request}");
        assert_eq!(
            answer.unwrap(),
            (StatusCode::ACCEPTED, Bytes::from_static(b"ok"))
        );
    }

    #[tokio::test]
    async fn a_silent_server_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = HttpUrl::try_new(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let error = outbound()
            .get(&url, Duration::from_millis(20))
            .await
            .unwrap_err();
        assert!(matches!(error, OutboundError::Deadline(..)), "{error}");
    }
}
