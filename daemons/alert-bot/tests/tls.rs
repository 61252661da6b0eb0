//! The real binary with a certificate: it speaks TLS, and nothing else. And as somebody's client.

#![allow(clippy::unwrap_used)] // A test may end where something is not as it should be.

mod bot;
mod told;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use bot::{Setup, alert, until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedKey, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use told::Told;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

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

/// An Alertmanager that lets in whom its authority knows, and what that takes as files.
struct Site {
    files: TempDir,
    alertmanager: Told,
}

impl Site {
    fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(params, authority_key);
        let issue = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new([name.to_owned()]).unwrap();
            (params.signed_by(&key, &issuer).unwrap(), key)
        };
        let (client, client_key) = issue("bot.example.org");
        for (name, text) in [
            ("ca.pem", authority.pem()),
            ("client.pem", client.pem()),
            ("client.key", client_key.serialize_pem()),
        ] {
            fs::write(files.path().join(name), text).unwrap();
        }

        let mut clients = RootCertStore::empty();
        clients.add(authority.der().clone()).unwrap();
        let only_known = WebPkiClientVerifier::builder(Arc::new(clients)).build();
        let (server, server_key) = issue("127.0.0.1");
        let tls = ServerConfig::builder()
            .with_client_cert_verifier(only_known.unwrap())
            .with_single_cert(vec![server.der().clone()], server_key.into())
            .unwrap();
        let alertmanager = Told::listen_over(Arc::new(tls));
        alertmanager.has_run_for_long();
        alertmanager.fires(&alert("Down", "api.service", 1));
        Self {
            files,
            alertmanager,
        }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// A bot that is to ask this Alertmanager, with the given files of `[https]`.
    fn setup(&self, files: &[(&str, &str)]) -> Setup {
        let setup = Setup::new();
        setup.replace_line(
            0,
            &format!("alertmanagers = [{:?}]", self.alertmanager.url),
        );
        let lines = files
            .iter()
            .map(|(key, name)| format!("{key} = {:?}", self.place(name).display().to_string()));
        let lines: Vec<String> = lines.collect();
        setup.append(&format!("[https]\n{}", lines.join("\n")));
        setup
    }
}

const WHO_I_AM: [(&str, &str); 2] = [("certificate", "client.pem"), ("key", "client.key")];
const ALL_FILES: [(&str, &str); 3] = [("ca", "ca.pem"), WHO_I_AM[0], WHO_I_AM[1]];

#[test]
fn an_alertmanager_that_proves_itself_and_asks_who_comes_is_asked_and_told() {
    let site = Site::new();
    let bot = site.setup(&ALL_FILES).start();
    until("its list is taken in", || {
        bot.metric("alert_bot_alerts_received_total{status=\"firing\"}") == Some(1.0)
    });
    // Without a bus it cannot repair, and people are told so.
    until("it is told", || site.alertmanager.has("RemediationExhausted"));
}

#[test]
fn an_alertmanager_of_another_authority_is_not_believed() {
    let (site, strangers) = (Site::new(), Site::new());
    fs::copy(strangers.place("ca.pem"), site.place("ca.pem")).unwrap();
    let bot = site.setup(&ALL_FILES).start();
    until("it says so", || bot.has_said("is not trusted: invalid peer certificate"));
    assert_eq!(bot.metric("alert_bot_alerts_received_total{status=\"firing\"}"), Some(0.0));
}

#[test]
fn https_files_that_cannot_be_used_are_named_before_a_port_opens() {
    let site = Site::new();
    fs::write(site.place("empty.pem"), "").unwrap();
    for (files, wanted) in [
        (&[("ca", "nowhere.pem")][..], "https.ca: "),
        (&[("ca", "empty.pem")], "there is no certificate in it"),
        (&[("ca", "ca.pem"), WHO_I_AM[0]], "https: certificate and key are given together"),
        (
            &[("ca", "ca.pem"), WHO_I_AM[0], ("key", "client.pem")],
            "https.key: ",
        ),
    ] {
        let (status, said) = site.setup(files).serve_to_its_end();
        assert_eq!(status, Some(64), "{said}");
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}
