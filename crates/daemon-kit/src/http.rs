//! Serving HTTP/1.1 within limits, and draining without refusing anybody.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::places::{Place, Places};
use crate::reply::{self, Reply};
use crate::tls::{Session, Tls};

/// Between the stop signal and closing idle connections. hyper closes a connection that has not
/// yet sent a byte (hyper #3961); a client that has just connected gets this long to speak.
const DRAIN_GRACE: Duration = Duration::from_millis(50);

/// Requests under way may take this long after the stop signal: less than the least
/// `TimeoutStopSec=` of the units, so that it is not systemd that ends the draining.
const DRAIN_DEADLINE: Duration = Duration::from_secs(8);

/// After accept fails (out of descriptors, mostly), wait for some to be freed.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The largest request head, in bytes. hyper's least is 8 KiB.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// What one listener allows its clients. A `[limits]` table in a daemon's configuration.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at once; for a further one the client that has been silent for longest goes.
    pub max_connections: u32,
    /// The largest request body, in bytes; beyond it 413.
    pub max_body_bytes: u32,
    /// A request's head must arrive within this many seconds, and so must its body; an idle
    /// connection is closed after it.
    pub read_timeout_seconds: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 512,
            max_body_bytes: 64 * 1024,
            read_timeout_seconds: 10,
        }
    }
}

impl Limits {
    fn read_timeout(self) -> Duration {
        Duration::from_secs(self.read_timeout_seconds.max(1).into())
    }
}

/// Serves `listener`, over TLS where that is given, until `stop` is cancelled, then drains: nothing
/// new is accepted (where the socket is systemd's, new clients wait in it for the next process), what
/// is under way is finished, then it returns.
pub async fn serve<H, F>(
    listener: TcpListener,
    tls: Option<Tls>,
    limits: Limits,
    stop: CancellationToken,
    handler: H,
) where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let places = Places::new(limits.max_connections);
    let connections = TaskTracker::new();
    loop {
        let stream = match stop.run_until_cancelled(listener.accept()).await {
            None => break,
            Some(Ok((stream, _peer))) => stream,
            Some(Err(error)) => {
                tracing::warn!(%error, "a connection could not be accepted");
                stop.run_until_cancelled(tokio::time::sleep(ACCEPT_RETRY))
                    .await;
                continue;
            }
        };
        // Answers are small and whole: waiting to fill a segment would only add latency.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a client left before its first request");
            continue;
        }
        // Once it is stopping, places become free by themselves.
        let place = places.take().await;
        let (tls, handler, stop) = (tls.clone(), handler.clone(), stop.clone());
        connections.spawn(async move {
            let taken_over = take_over(stream, tls);
            let taken_over = tokio::select! {
                outcome = tokio::time::timeout(limits.read_timeout(), taken_over) => outcome,
                () = place.is_needed() => return,
            };
            match taken_over {
                Ok(Ok(stream)) => serve_connection(stream, limits, stop, handler, &place).await,
                Ok(Err(error)) => tracing::debug!(%error, "a client was not let in"),
                Err(_) => tracing::debug!("a client did not say who it is in time"),
            }
        });
    }
    connections.close();
    if tokio::time::timeout(DRAIN_DEADLINE, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            open = connections.len(),
            "connections were cut off at the drain deadline"
        );
    }
}

/// What HTTP is spoken over. A session is large, and most connections have none.
type Stream = Either<TcpStream, Box<Session>>;

async fn take_over(stream: TcpStream, tls: Option<Tls>) -> std::io::Result<Stream> {
    match tls {
        None => Ok(Either::Left(stream)),
        Some(tls) => Ok(Either::Right(Box::new(tls.accept(stream).await?))),
    }
}

async fn serve_connection<H, F>(
    stream: Stream,
    limits: Limits,
    stop: CancellationToken,
    handler: H,
    place: &Place,
) where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Reply>,
{
    let service = service_fn(|request| {
        place.answering();
        let reply = handler(request);
        let stop = &stop;
        async move {
            let mut reply = reply.await;
            let has_to_go = place.answered();
            if has_to_go || stop.is_cancelled() {
                // Told with an answer, the client connects anew; told by a closed connection, it
                // may have sent its next request already, which nobody reads.
                let close = HeaderValue::from_static("close");
                reply.headers_mut().insert(header::CONNECTION, close);
            }
            Ok::<_, Infallible>(reply)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.read_timeout())
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = async { stop.cancelled().await; tokio::time::sleep(DRAIN_GRACE).await } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = place.is_needed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Reads a whole request body within the limits.
///
/// # Errors
/// The reply to give: 413 beyond `max_body_bytes`, 408 when it does not arrive in time, 400 when
/// the client breaks off.
pub async fn read_body(request: Request<Incoming>, limits: Limits) -> Result<Bytes, Reply> {
    let body = Limited::new(request.into_body(), limits.max_body_bytes as usize);
    match tokio::time::timeout(limits.read_timeout(), gathered(body)).await {
        Ok(Ok(whole)) => Ok(whole),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(reply::problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body has more than {} bytes", limits.max_body_bytes),
        )),
        Ok(Err(_)) => Err(reply::problem(
            StatusCode::BAD_REQUEST,
            "the body broke off",
        )),
        Err(_) => Err(reply::problem(
            StatusCode::REQUEST_TIMEOUT,
            format!(
                "the body did not arrive within {} s",
                limits.read_timeout().as_secs()
            ),
        )),
    }
}

/// Copies each piece out of hyper's read buffer. Kept as they come, pieces of one byte would keep
/// a buffer of several kilobytes each alive: thousands of times the largest body.
async fn gathered<B>(mut body: B) -> Result<Bytes, B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame?.into_data() {
            whole.extend_from_slice(&piece);
        }
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    struct Server {
        address: std::net::SocketAddr,
        stop: CancellationToken,
        done: tokio::task::JoinHandle<()>,
    }

    async fn server(limits: Limits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let done = tokio::spawn(serve(
            listener,
            None,
            limits,
            stop.clone(),
            move |request| async move {
                match read_body(request, limits).await {
                    Ok(body) => reply::text(StatusCode::OK, body),
                    Err(refusal) => refusal,
                }
            },
        ));
        Server {
            address,
            stop,
            done,
        }
    }

    async fn ask(stream: &mut TcpStream, body: &str) -> String {
        let length = body.len();
        let request =
            format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_413() {
        let server = server(Limits {
            max_body_bytes: 4,
            ..Limits::default()
        })
        .await;
        let mut client = TcpStream::connect(server.address).await.unwrap();
        assert!(ask(&mut client, "1234").await.starts_with("HTTP/1.1 200"));
        assert!(ask(&mut client, "12345").await.starts_with("HTTP/1.1 413"));
    }

    #[tokio::test]
    async fn a_client_that_has_just_connected_is_still_served_while_draining() {
        let server = server(Limits::default()).await;
        let mut early = TcpStream::connect(server.address).await.unwrap();
        assert!(ask(&mut early, "a").await.starts_with("HTTP/1.1 200"));
        let mut late = TcpStream::connect(server.address).await.unwrap();
        // One more round on the first connection lets the acceptor take the second.
        assert!(ask(&mut early, "b").await.starts_with("HTTP/1.1 200"));
        server.stop.cancel();
        let last = ask(&mut late, "c").await;
        assert!(last.starts_with("HTTP/1.1 200"));
        assert!(last.contains("connection: close"), "{last}");
        server.done.await.unwrap();
    }

    #[tokio::test]
    async fn a_silent_client_does_not_hold_up_the_stop() {
        let server = server(Limits::default()).await;
        let _silent = TcpStream::connect(server.address).await.unwrap();
        server.stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), server.done)
            .await
            .unwrap()
            .unwrap();
    }

    #[tokio::test]
    async fn a_silent_client_makes_room_and_one_that_is_answered_does_not() {
        let server = server(Limits {
            max_connections: 2,
            read_timeout_seconds: 60,
            ..Limits::default()
        })
        .await;
        let mut busy = TcpStream::connect(server.address).await.unwrap();
        let half = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\na";
        busy.write_all(half).await.unwrap();
        // A round on another connection lets the server take the half one up.
        let mut other = TcpStream::connect(server.address).await.unwrap();
        assert!(ask(&mut other, "a").await.starts_with("HTTP/1.1 200"));
        let mut silent = Vec::new();
        for _ in 0..50 {
            silent.push(TcpStream::connect(server.address).await.unwrap());
        }
        let mut client = TcpStream::connect(server.address).await.unwrap();
        let asked = tokio::time::timeout(Duration::from_secs(10), ask(&mut client, "c"));
        assert!(asked.await.unwrap().starts_with("HTTP/1.1 200"));
        busy.write_all(b"b").await.unwrap();
        let mut answer = vec![0; 4096];
        let read = busy.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn more_clients_at_once_than_places_are_all_answered() {
        let server = server(Limits {
            max_connections: 4,
            ..Limits::default()
        })
        .await;
        let asked = (0..200).map(|_| async {
            let mut client = TcpStream::connect(server.address).await.unwrap();
            let request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na";
            client.write_all(request).await.unwrap();
            let mut answer = [0; 64];
            let read = client.read(&mut answer).await;
            read.is_ok() && answer.starts_with(b"HTTP/1.1 200")
        });
        let answered = futures_util::future::join_all(asked).await;
        assert_eq!(answered.iter().filter(|answered| **answered).count(), 200);
    }

    #[tokio::test]
    async fn half_a_head_is_cut_off_in_time() {
        let server = server(Limits {
            read_timeout_seconds: 1,
            ..Limits::default()
        })
        .await;
        let mut slow = TcpStream::connect(server.address).await.unwrap();
        slow.write_all(b"POST / HT").await.unwrap();
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), slow.read_to_end(&mut rest)).await;
        assert!(read.is_ok(), "the connection stayed open");
    }

    #[tokio::test]
    async fn a_body_keeps_no_read_buffer_alive() {
        let read_buffer = Bytes::from(vec![b'x'; 8192]);
        let body = http_body_util::Full::new(read_buffer.slice(..1));
        let whole = gathered(body).await.unwrap();
        assert_eq!(whole, "x");
        assert!(read_buffer.is_unique(), "one byte holds all of it");
    }
}
