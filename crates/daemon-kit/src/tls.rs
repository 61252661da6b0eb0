//! TLS for a listener, with or without certificates of its clients, and for requests to others.
//!
//! A listener speaks TLS 1.3 alone: its clients are Prometheus, Alertmanager and the like, which have
//! spoken it for years. Of the servers that a daemon asks, the site decides, so TLS 1.2 is spoken to them too.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoClientAuth, WebPkiClientVerifier};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, version};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::config::ConfigError;

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

/// What is wrong with one of the two.
const ONE_ALONE: &str = "certificate and key are given together, or neither";

/// What takes clients' connections over.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

/// A client's connection, taken over.
pub type Session = server::TlsStream<TcpStream>;

/// Whom a daemon believes that asks others, and what it shows them, in PEM. An `[https]` table in
/// its configuration. A relative path is the name of a credential, as in [`TlsFiles`].
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpsFiles {
    /// The authorities that vouch for servers: this host's own.
    ca: PathBuf,
    /// Shown to a server that asks for a certificate. Needs `key`.
    certificate: Option<PathBuf>,
    /// Its private key. Needs `certificate`.
    key: Option<PathBuf>,
}

impl Default for HttpsFiles {
    fn default() -> Self {
        Self {
            ca: "/etc/ssl/certs/ca-certificates.crt".into(),
            certificate: None,
            key: None,
        }
    }
}

/// TLS to servers that prove who they are.
#[derive(Clone)]
pub struct Https(TlsConnector);

/// What a daemon's listener speaks: TLS where its configuration, at `path`, has a `[tls]` table.
///
/// # Errors
/// As [`TlsFiles::load`].
pub fn of(files: Option<&TlsFiles>, path: &Path) -> Result<Option<Tls>, ConfigError> {
    files.map(|files| files.load(path)).transpose()
}

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

impl Tls {
    pub(crate) async fn accept(&self, stream: TcpStream) -> std::io::Result<Session> {
        self.0.accept(stream).await
    }
}

impl HttpsFiles {
    /// Reads the files, once, as [`TlsFiles::load`] does.
    ///
    /// # Errors
    /// Names the configuration at `path`, the key in it, and the file that cannot be used.
    pub fn load(&self, path: &Path) -> Result<Https, ConfigError> {
        let invalid = |key: &str, file: &Path, problem: &dyn std::fmt::Display| {
            ConfigError::invalid(path, key, format!("{}: {problem}", file.display()))
        };
        let ca = place_of(&self.ca);
        let roots =
            usable_authorities(&ca).map_err(|problem| invalid("https.ca", &ca, &problem))?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|problem| invalid("https", &ca, &problem))?
            .with_root_certificates(roots);
        let mut config = match (&self.certificate, &self.key) {
            (None, None) => config.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let (certificate, key) = (place_of(certificate), place_of(key));
                let chain = certificates(&certificate)
                    .map_err(|problem| invalid("https.certificate", &certificate, &problem))?;
                let secret = PrivateKeyDer::from_pem_file(&key)
                    .map_err(|problem| invalid("https.key", &key, &problem))?;
                config
                    .with_client_auth_cert(chain, secret)
                    .map_err(|problem| invalid("https.key", &key, &problem))?
            }
            _ => return Err(ConfigError::invalid(path, "https", ONE_ALONE)),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Https(TlsConnector::from(Arc::new(config))))
    }
}

impl Https {
    /// Speaks TLS on a connection to `host`, a name or an address as its certificate has it.
    ///
    /// # Errors
    /// Where the server does not prove to be that host, or speaks no TLS.
    pub async fn over(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> std::io::Result<client::TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        self.0.connect(name, stream).await
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

/// A host's bundle holds what others put there; one that cannot be read vouches for nobody.
fn usable_authorities(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates(file)?) {
        (0, _) => Err("no certificate in it can be used".to_owned()),
        _ => Ok(roots),
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
