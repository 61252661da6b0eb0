//! What a connection takes, read once: the password and the authorities.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::DatabaseUrl;

/// The systemd credential that holds the password.
const PASSWORD_CREDENTIAL: &str = "postgresql-password";

/// How to connect. Its TLS is used where the URL asks for it, and then for every byte that follows.
#[derive(Clone)]
pub struct Connector {
    /// Where to, as whom.
    pub config: Config,
    /// Who vouches for the server.
    pub tls: MakeRustlsConnect,
}

/// A file that a connection takes cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// The credential is there, but cannot be read.
    #[error("the password in {path} cannot be read")]
    Password {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The authorities of `sslrootcert` are missing, or none.
    #[error("sslrootcert: {path}: {problem}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl DatabaseUrl {
    /// Reads the password that systemd passes (`LoadCredential=`; none where there is none, as
    /// with peer authentication) and the authorities that the URL names.
    ///
    /// # Errors
    /// Names the file that cannot be used.
    pub fn connector(&self) -> Result<Connector, ConnectorError> {
        let mut config = self.config();
        if let Some(password) = password()? {
            config.password(password);
        }
        let roots = match self.authorities() {
            Some(path) => authorities(path).map_err(|problem| ConnectorError::Authorities {
                path: path.clone(),
                problem,
            })?,
            // Never asked: the URL disables TLS.
            None => RootCertStore::empty(),
        };
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks the protocol's usual versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Connector {
            config,
            tls: MakeRustlsConnect::new(tls),
        })
    }
}

fn password() -> Result<Option<String>, ConnectorError> {
    let Some(directory) = std::env::var_os("CREDENTIALS_DIRECTORY") else {
        return Ok(None);
    };
    let path = Path::new(&directory).join(PASSWORD_CREDENTIAL);
    match std::fs::read_to_string(&path) {
        Ok(password) => Ok(Some(password.trim_end().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConnectorError::Password { path, source }),
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|problem| problem.to_string())?;
    let mut roots = RootCertStore::empty();
    for authority in found {
        roots
            .add(authority)
            .map_err(|problem| problem.to_string())?;
    }
    if roots.is_empty() {
        return Err("no certificate in it".into());
    }
    Ok(roots)
}
