//! The floor: hyper 1 alone, one fixed answer, nothing counted. `hyper-hello ADDRESS`

use std::convert::Infallible;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).expect("hyper-hello ADDRESS");
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let hello = service_fn(async |_request| {
                let body = Full::new(Bytes::from_static(b"{\"status\":\"ok\"}"));
                Ok::<_, Infallible>(Response::new(body))
            });
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), hello)
                .await
        });
    }
}
