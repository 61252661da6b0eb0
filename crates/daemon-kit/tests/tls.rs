//! HTTP over TLS, spoken to a real listener with certificates made for the purpose.

#![allow(clippy::unwrap_used)] // In tests a panic is the message.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::http::StatusCode;
use daemon_kit::http::{self, Limits};
use daemon_kit::reply;
use daemon_kit::tls::TlsFiles;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::sync::CancellationToken;

const NAME: &str = "bot.example.org";

/// A folder with an authority, and what it has signed.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), own.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { folder, issuer }
    }

    /// Writes `NAME.pem` and `NAME.key`, signed.
    fn issue(&self, name: &str) {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file(&format!("{name}.pem")), signed.pem()).unwrap();
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn certificate(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.file(name)).unwrap()
    }

    /// The `[tls]` table of a server that has `NAME`'s certificate.
    fn files(&self, more: &str) -> TlsFiles {
        let place = |name: String| self.file(&name).display().to_string();
        let (certificate, key) = (place(format!("{NAME}.pem")), place(format!("{NAME}.key")));
        let text = format!("certificate = {certificate:?}\nkey = {key:?}\n{more}");
        daemon_kit::config::parse(Path::new("bot.toml"), &text).unwrap()
    }

    /// A client that trusts this authority, and shows what it has been given by it.
    fn client(&self, shows: Option<&str>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate("ca.pem")).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match shows {
            None => config.with_no_client_auth(),
            Some(name) => {
                let chain = vec![self.certificate(&format!("{name}.pem"))];
                let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}.key"))).unwrap();
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        TlsConnector::from(Arc::new(config))
    }
}

async fn serve(files: &TlsFiles) -> SocketAddr {
    let tls = files.load(Path::new("bot.toml")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(http::serve(
        listener,
        Some(tls),
        Limits::default(),
        stop,
        |_| async { reply::text(StatusCode::OK, "hello") },
    ));
    address
}

/// The whole answer to a request; empty where the server hangs up instead.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut answer = Vec::new();
    // A refusal may come before or after the request is written.
    if stream.write_all(request).await.is_ok() {
        drop(stream.read_to_end(&mut answer).await);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

async fn ask_as(client: &TlsConnector, address: SocketAddr) -> String {
    let stream = TcpStream::connect(address).await.unwrap();
    match client
        .connect(ServerName::try_from(NAME).unwrap(), stream)
        .await
    {
        Ok(stream) => ask(stream).await,
        Err(_) => String::new(),
    }
}

#[tokio::test]
async fn only_who_speaks_tls_is_answered() {
    let authority = Authority::new();
    authority.issue(NAME);
    let address = serve(&authority.files("")).await;
    let answer = ask_as(&authority.client(None), address).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("hello"), "{answer}");
    let plain = ask(TcpStream::connect(address).await.unwrap()).await;
    assert!(!plain.contains("HTTP"), "{plain}");
}

#[tokio::test]
async fn with_an_authority_for_clients_only_those_that_it_knows_are_let_in() {
    let authority = Authority::new();
    authority.issue(NAME);
    authority.issue("alertmanager");
    let client_ca = format!(
        "client_ca = {:?}",
        authority.file("ca.pem").display().to_string()
    );
    let address = serve(&authority.files(&client_ca)).await;
    let known = ask_as(&authority.client(Some("alertmanager")), address).await;
    assert!(known.starts_with("HTTP/1.1 200"), "{known}");
    assert_eq!(ask_as(&authority.client(None), address).await, "");

    // Somebody else's signature under the same name.
    let stranger = Authority::new();
    stranger.issue("alertmanager");
    fs::copy(authority.file("ca.pem"), stranger.file("ca.pem")).unwrap();
    assert_eq!(
        ask_as(&stranger.client(Some("alertmanager")), address).await,
        ""
    );
}

#[test]
fn files_that_cannot_be_used_are_named_with_their_key() {
    let authority = Authority::new();
    authority.issue(NAME);
    authority.issue("other");
    let problem = |more: &str, change: &dyn Fn()| {
        let files = authority.files(more);
        change();
        let error = files.load(Path::new("bot.toml")).err().unwrap().to_string();
        authority.issue(NAME);
        error
    };
    let key = authority.file(&format!("{NAME}.key"));
    let certificate = authority.file(&format!("{NAME}.pem"));
    let missing = problem("", &|| fs::remove_file(&key).unwrap());
    assert!(missing.starts_with("bot.toml: tls.key: "), "{missing}");
    assert!(missing.contains(&key.display().to_string()), "{missing}");
    let empty = problem("", &|| fs::write(&certificate, "").unwrap());
    assert!(empty.starts_with("bot.toml: tls.certificate: "), "{empty}");
    assert!(empty.ends_with("there is no certificate in it"), "{empty}");
    let foreign = problem("", &|| {
        fs::copy(authority.file("other.key"), &key).unwrap();
    });
    assert!(foreign.starts_with("bot.toml: tls.key: "), "{foreign}");
    let nobody = problem("client_ca = \"/nonexistent/ca.pem\"", &|| {});
    assert!(
        nobody.starts_with("bot.toml: tls.client_ca: /nonexistent/ca.pem: "),
        "{nobody}"
    );
}
