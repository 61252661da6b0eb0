//! Logging: to the journal with its fields where stderr is the journal, to stderr elsewhere.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Begins logging; `RUST_LOG` overrides the default level `info`.
///
/// Event fields become journal fields of the same name in capitals (`incident_id` →
/// `INCIDENT_ID`), so that `journalctl INCIDENT_ID=…` finds them.
pub fn init(identifier: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    // systemd sets JOURNAL_STREAM when stderr is connected to the journal.
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    match journal {
        Some(layer) => {
            let layer = layer
                .with_field_prefix(None)
                .with_syslog_identifier(identifier.to_owned());
            registry.with(layer).init();
        }
        None => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .with_writer(std::io::stderr)
                    .with_target(false),
            )
            .init(),
    }
}
