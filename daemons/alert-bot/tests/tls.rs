//! The real binary with a certificate: it speaks TLS, and nothing else.

#![allow(clippy::unwrap_used)] // A test may end where something is not as it should be.

mod bot;

use std::fs;
use std::sync::Arc;

use bot::Setup;
use rcgen::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const NAME: &str = "bot.example.org";
const REQUEST: &[u8] = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn with_a_certificate_it_speaks_tls_and_nothing_else() {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    fs::write(place("cert.pem"), cert.pem()).unwrap();
    fs::write(place("key.pem"), signing_key.serialize_pem()).unwrap();
    let setup = Setup::new();
    let (certificate, key) = (place("cert.pem"), place("key.pem"));
    setup.replace_line(
        0,
        &format!("tls = {{ certificate = {certificate:?}, key = {key:?} }}"),
    );
    let bot = setup.start();

    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(bot.address).await.unwrap();
    let name = ServerName::try_from(NAME).unwrap();
    let mut stream = connector.connect(name, stream).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    let mut answer = String::new();
    // The other side closes the connection without a farewell.
    drop(stream.read_to_string(&mut answer).await);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let mut plain = TcpStream::connect(bot.address).await.unwrap();
    plain.write_all(REQUEST).await.unwrap();
    let mut answer = Vec::new();
    drop(plain.read_to_end(&mut answer).await);
    assert!(!answer.starts_with(b"HTTP"), "plain HTTP was answered");
}

#[test]
fn a_key_that_is_not_there_ends_in_64_and_is_named() {
    let setup = Setup::new();
    setup.replace_line(
        0,
        "tls = { certificate = \"webhook-token\", key = \"nowhere\" }",
    );
    let (status, said) = setup.serve_to_its_end();
    assert_eq!(status, Some(64), "{said}");
    assert!(said.contains("tls.certificate"), "{said}");
    assert!(said.contains("webhook-token"), "{said}");
}
