//! TLS for a listener, with or without certificates of its clients.
//!
//! TLS 1.3 alone: its clients are Alertmanager and the like, which have spoken it for years.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoClientAuth, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, version};
use tokio_rustls::server::TlsStream;

use crate::config::ConfigError;
use crate::http::Transport;

/// Where certificates and key are, in PEM. A `[tls]` table in a daemon's configuration.
///
/// A relative path is the name of a credential (`LoadCredential=` of the unit), so that the key
/// need not be readable to the daemon's user.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The server's certificate, followed by those that lead from it to a root.
    certificate: PathBuf,
    /// Its private key.
    key: PathBuf,
    /// Clients must show a certificate of one of these authorities. Without it, any client is let in.
    client_ca: Option<PathBuf>,
}

/// HTTP over TLS.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl TlsFiles {
    /// Reads the files, once: a new certificate is taken over by a restart, in which systemd holds
    /// the port.
    ///
    /// # Errors
    /// Names the configuration at `path`, the key in it, and the file that cannot be used.
    pub fn load(&self, path: &Path) -> Result<Tls, ConfigError> {
        let provider = Arc::new(ring::default_provider());
        let invalid = |key: &str, file: &Path, problem: &dyn std::fmt::Display| {
            ConfigError::invalid(path, key, format!("{}: {problem}", file.display()))
        };
        let certificate = place_of(&self.certificate);
        let chain = certificates(&certificate)
            .map_err(|problem| invalid("tls.certificate", &certificate, &problem))?;
        let key_file = place_of(&self.key);
        let key = PrivateKeyDer::from_pem_file(&key_file)
            .map_err(|problem| invalid("tls.key", &key_file, &problem))?;
        let clients = match &self.client_ca {
            None => Arc::new(NoClientAuth),
            Some(authorities) => {
                let authorities = place_of(authorities);
                only_clients_of(&authorities, &provider)
                    .map_err(|problem| invalid("tls.client_ca", &authorities, &problem))?
            }
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])
            .map_err(|problem| invalid("tls", &certificate, &problem))?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .map_err(|problem| invalid("tls.key", &key_file, &problem))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls(TlsAcceptor::from(Arc::new(config))))
    }
}

impl Transport for Tls {
    type Stream = TlsStream<TcpStream>;

    async fn take_over(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}

fn place_of(file: &Path) -> PathBuf {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").unwrap_or_default();
    Path::new(&credentials).join(file)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file)
        .map_err(|error| error.to_string())?
        .collect();
    match found {
        Ok(found) if found.is_empty() => Err("there is no certificate in it".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}

fn only_clients_of(
    file: &Path,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(file)? {
        roots.add(authority).map_err(|error| error.to_string())?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| error.to_string())
}
