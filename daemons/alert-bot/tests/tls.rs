//! The real binary with a certificate: it speaks TLS, and nothing else. And as somebody's client.

#![allow(clippy::unwrap_used)] // A test may end where something is not as it should be.

mod bot;
mod scene;
mod told;

use std::fs;
use std::sync::Arc;

use bot::{Setup, alert, until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedKey, IsCa, Issuer, KeyPair};
use scene::{API, POLICY, Scene, stopped};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use told::Told;

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

/// The files of an authority, and what it takes to serve and to ask in its name.
struct Site {
    files: TempDir,
    serving: Arc<ServerConfig>,
}

const WHO_I_AM: [(&str, &str); 2] = [("certificate", "client.pem"), ("key", "client.key")];
const ALL_FILES: [(&str, &str); 3] = [("ca", "ca.pem"), WHO_I_AM[0], WHO_I_AM[1]];

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
        let (client, client_key) = issue(NAME);
        for (name, text) in [
            ("ca.pem", authority.pem()),
            ("client.pem", client.pem()),
            ("client.key", client_key.serialize_pem()),
            ("empty.pem", String::new()),
        ] {
            fs::write(files.path().join(name), text).unwrap();
        }

        let mut clients = RootCertStore::empty();
        clients.add(authority.der().clone()).unwrap();
        let only_known = WebPkiClientVerifier::builder(Arc::new(clients)).build();
        let (server, server_key) = issue("127.0.0.1");
        let serving = ServerConfig::builder()
            .with_client_cert_verifier(only_known.unwrap())
            .with_single_cert(vec![server.der().clone()], server_key.into())
            .unwrap();
        Self {
            files,
            serving: Arc::new(serving),
        }
    }

    /// An Alertmanager that lets in only whom its authority knows, and where an alert fires.
    fn alertmanager(&self) -> Told {
        let told = Told::listen_over(self.serving.clone());
        told.has_run_for_long();
        told.fires(&alert("Down", API, 1));
        told
    }

    /// The table `[https]` with these files.
    fn https(&self, files: &[(&str, &str)]) -> String {
        let place = |name: &str| self.files.path().join(name).display().to_string();
        let lines = files
            .iter()
            .map(|(key, name)| format!("{key} = {:?}\n", place(name)));
        format!("[https]\n{}", lines.collect::<String>())
    }
}

fn scene(alertmanagers: &Site, table: &str) -> Scene {
    let told = [alertmanagers.alertmanager(), alertmanagers.alertmanager()];
    Scene::told_to(vec![stopped()], POLICY, told, table)
}

#[test]
fn alertmanagers_that_let_in_only_their_own_are_asked_and_told() {
    let site = Site::new();
    let scene = scene(&site, &site.https(&ALL_FILES));
    until("what they list is repaired", || {
        scene.actions() == ["StartUnit"]
    });
    for alertmanager in [&scene.told, &scene.also_told] {
        until("it is told", || alertmanager.has("RemediationInProgress"));
    }
}

#[test]
fn who_is_of_another_authority_is_not_believed() {
    let (site, strangers) = (Site::new(), Site::new());
    let scene = scene(&strangers, &site.https(&ALL_FILES));
    until("it says so", || {
        scene
            .bot
            .has_said("is not trusted: invalid peer certificate")
    });
    assert!(scene.actions().is_empty());
    assert!(!scene.told.has("RemediationInProgress"));
}

#[test]
fn https_files_that_cannot_be_used_are_named_before_a_port_opens() {
    let site = Site::new();
    for (files, wanted) in [
        (&[("ca", "nowhere.pem")][..], "https.ca: "),
        (&[("ca", "empty.pem")], "https.ca: "),
        (
            &[("ca", "ca.pem"), WHO_I_AM[0]],
            "https: certificate and key are given together",
        ),
        (
            &[("ca", "ca.pem"), WHO_I_AM[0], ("key", "client.pem")],
            "https.key: ",
        ),
    ] {
        let setup = Setup::new();
        setup.replace_line(0, "alertmanagers = [\"https://127.0.0.1:9\"]");
        setup.append(&site.https(files));
        let (status, said) = setup.serve_to_its_end();
        assert_eq!(status, Some(64), "{said}");
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}
