//! TLS to a real PostgreSQL server: who is believed, and who is not.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use postgresql::{Connector, ConnectorError, DatabaseUrl};
use rcgen::CertifiedKey;
use scratch_postgresql::Server;
use tempfile::TempDir;
use tokio_postgres::Client;

/// A server certified for one name, and the file with the certificate that vouches for it.
struct Certified {
    server: Server,
    directory: TempDir,
}

impl Certified {
    fn for_name(name: &str) -> Self {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let server = Server::start_with_tls(&cert.pem(), &signing_key.serialize_pem());
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), cert.pem()).unwrap();
        Self { server, directory }
    }

    fn authorities(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    fn url(&self, host: &str, parameters: &str) -> DatabaseUrl {
        let port = self.server.port();
        let url = format!("postgresql://postgres@{host}:{port}/postgres?{parameters}");
        url.parse().unwrap()
    }

    fn verified_by(&self, host: &str, authorities: &Path) -> DatabaseUrl {
        let authorities = authorities.display();
        self.url(
            host,
            &format!("sslmode=verify-full&sslrootcert={authorities}"),
        )
    }
}

async fn connect(url: &DatabaseUrl) -> Result<Client, String> {
    let Connector { config, tls } = url.connector().unwrap();
    let (client, driver) = config.connect(tls).await.map_err(|error| {
        let cause = error.source().map(ToString::to_string);
        format!("{error}: {}", cause.unwrap_or_default())
    })?;
    tokio::spawn(driver);
    Ok(client)
}

async fn is_encrypted(client: &Client) -> bool {
    let ask = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    client.query_one(ask, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_server_that_proves_its_name_is_spoken_to_in_secret() {
    let certified = Certified::for_name("localhost");
    let proved = certified.verified_by("localhost", &certified.authorities());
    assert!(is_encrypted(&connect(&proved).await.unwrap()).await);
    let plain = certified.url("localhost", "sslmode=disable");
    assert!(!is_encrypted(&connect(&plain).await.unwrap()).await);
}

#[tokio::test]
async fn an_address_can_be_certified_as_a_name_can() {
    let certified = Certified::for_name("127.0.0.1");
    let proved = certified.verified_by("127.0.0.1", &certified.authorities());
    assert!(is_encrypted(&connect(&proved).await.unwrap()).await);
}

#[tokio::test]
async fn another_name_and_another_authority_are_refused() {
    let certified = Certified::for_name("db.example");
    let other_name = certified.verified_by("127.0.0.1", &certified.authorities());
    let refusal = connect(&other_name).await.err().unwrap();
    assert!(refusal.contains("not valid for name"), "{refusal}");

    let other = Certified::for_name("127.0.0.1");
    let other_authority = other.verified_by("127.0.0.1", &certified.authorities());
    let refusal = connect(&other_authority).await.err().unwrap();
    assert!(refusal.contains("invalid peer certificate"), "{refusal}");
}

#[tokio::test]
async fn who_speaks_no_tls_is_told_nothing() {
    let certified = Certified::for_name("localhost");
    let proved = certified.verified_by("localhost", &certified.authorities());
    let port = certified.server.port();
    drop(certified.server);
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let impostor = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 8];
        stream.read_exact(&mut request).unwrap();
        // PostgreSQL's protocol: N is "no TLS here".
        stream.write_all(b"N").unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        rest
    });
    let refusal = connect(&proved).await.err().unwrap();
    assert!(refusal.contains("TLS"), "{refusal}");
    assert_eq!(impostor.join().unwrap(), b"");
}

#[test]
fn authorities_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "not a certificate").unwrap();
    for path in ["/no/such/ca.pem", empty.to_str().unwrap()] {
        let url = format!("postgresql://u@h/d?sslmode=verify-full&sslrootcert={path}");
        let error = url.parse::<DatabaseUrl>().unwrap().connector().err();
        let error = error.unwrap();
        assert!(matches!(error, ConnectorError::Authorities { .. }));
        assert!(error.to_string().contains(path), "{error}");
    }
}
