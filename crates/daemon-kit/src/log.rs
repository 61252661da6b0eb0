//! Logging: to the journal with its fields where stderr is the journal, to stderr elsewhere.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Begins logging; `RUST_LOG` overrides the default level `info`, for everything (`debug`) or by
/// module (`info,systemd_bus=debug`).
///
/// Event fields become journal fields of the same name in capitals (`incident_id` →
/// `INCIDENT_ID`), so that `journalctl INCIDENT_ID=…` finds them.
pub fn init(identifier: &str) {
    let registry = tracing_subscriber::registry().with(filter(std::env::var("RUST_LOG").ok()));
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

/// Levels by module and no more: filters by span and field would bring a regex engine into every
/// daemon, and nothing here has spans.
fn filter(asked: Option<String>) -> Targets {
    asked
        .filter(|directives| !directives.is_empty())
        .and_then(|directives| directives.parse().ok())
        .unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn levels_can_be_asked_for_by_module() {
        let asked = |directives: &str| filter(Some(directives.to_owned()));
        let usual = [filter(None), asked(""), asked("no=such=level")];
        for usual in usual {
            assert!(usual.would_enable("alert_bot::engine", &Level::INFO));
            assert!(!usual.would_enable("alert_bot::engine", &Level::DEBUG));
        }
        let one = asked("info,systemd_bus=debug");
        assert!(one.would_enable("systemd_bus::watch", &Level::DEBUG));
        assert!(!one.would_enable("alert_bot::engine", &Level::DEBUG));
    }
}
