//! The four daemons, and where what they say of themselves is written.

/// One daemon, which is one package.
pub struct Daemon {
    /// Its name, which is the package's and the binary's.
    pub name: &'static str,
    /// Its command line.
    pub command: fn() -> clap::Command,
    /// Its default configuration, in the repository.
    pub defaults: &'static str,
    /// The document about its policy, where it has one.
    pub policy: Option<&'static str>,
}

/// All of them.
pub const DAEMONS: [Daemon; 4] = [
    Daemon {
        name: "transactions-api",
        command: <transactions_api::Cli as clap::CommandFactory>::command,
        defaults: "daemons/transactions-api/api.toml",
        policy: None,
    },
    Daemon {
        name: "transactions-worker",
        command: <transactions_worker::Cli as clap::CommandFactory>::command,
        defaults: "daemons/transactions-worker/worker.toml",
        policy: None,
    },
    Daemon {
        name: "alert-bot",
        command: <alert_bot::Cli as clap::CommandFactory>::command,
        defaults: "daemons/alert-bot/alert-bot.toml",
        policy: Some("docs/policy.md"),
    },
    Daemon {
        name: "unit-exporter",
        command: <unit_exporter::Cli as clap::CommandFactory>::command,
        defaults: "daemons/unit-exporter/unit-exporter.toml",
        policy: None,
    },
];
