//! The transactions API: takes transactions in over HTTP and acknowledges them once they are durable.
//!
//! ```text
//! socket ─▶ server ─▶ route ─▶ admission ─▶ create | list | show ─▶ store
//!              │                            health, ready, metrics, openapi
//!              └── metrics of every request
//! faults: breaks it on purpose, from an admin socket
//! backup, migrate: copy the store, or move it to the other engine
//! pulse: the work loop; a committed heartbeat each second feeds /health, the gauges and the watchdog
//! ```

mod admission;
mod backup;
mod config;
mod faults;
mod health;
mod metrics;
mod migrate;
mod openapi;
mod pulse;
mod route;
mod server;
mod transactions_routes;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};
use daemon_kit::notify;
use daemon_kit::sockets::Inherited;
use daemon_kit::tls::{self, Tls};
use transactions::store::{Store, StoreHooks};

use config::Config;
use faults::Faults;
use metrics::Metrics;
use pulse::Pulse;
use server::Server;

/// Under this name systemd keeps the port while it restarts the service.
const SOCKET_NAME: &str = "http";

/// Name of an inherited admin socket, where the unit has one.
const ADMIN_SOCKET_NAME: &str = "admin";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "transactions-api", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API until SIGTERM
    Serve(ConfigFile),
    /// Break the running daemon on purpose, for a while
    Faults(faults::client::FaultsCommand),
    /// Copy the store beside the running daemon, check the copy, remove the oldest ones
    Backup(ConfigFile),
    /// Move every transaction to the other engine, or none; stop the daemons first
    Migrate(migrate::MigrateCommand),
    /// Check the configuration: exit status 0, or 64 with the file, line and key
    Validate(ConfigFile),
}

#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/transactions/api.toml"
    )]
    config: PathBuf,
}

/// Does what the command line says.
///
/// # Errors
/// A [`ConfigError`](daemon_kit::config::ConfigError) where the configuration cannot be used,
/// before any socket is touched; otherwise whatever kept the daemon from starting.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Validate(file) => {
            Config::load(&file.config)?;
            Ok(())
        }
        Command::Backup(file) => backup::run(&Config::load(&file.config)?),
        Command::Migrate(command) => migrate::run(&command),
        Command::Faults(command) => faults::client::run(command),
        Command::Serve(file) => {
            let config = Config::load(&file.config)?;
            let tls = tls::of(config.tls.as_ref(), &file.config)?;
            daemon_kit::log::init("transactions-api");
            let inherited = Inherited::from_env();
            tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .context("the async runtime did not start")?
                .block_on(serve(config, tls, inherited))
        }
    }
}

async fn serve(config: Config, tls: Option<Tls>, mut inherited: Inherited) -> anyhow::Result<()> {
    let stop = daemon_kit::shutdown::on_signal()?;
    let metrics = Arc::new(Metrics::new());
    let faults = Faults::new(Arc::clone(&metrics));
    let hooks = store_hooks(&metrics, &faults);
    let store = Arc::new(Store::open(&config.store, hooks).await?);
    let pulse = Pulse::start(Arc::clone(&store), Arc::clone(&metrics)).await;
    let listener = inherited.tcp_kept_or_bind(SOCKET_NAME, config.listen)?;
    let address = listener.local_addr()?;
    if let Some(path) = &config.admin_socket {
        let listener = inherited.unix_or_bind(ADMIN_SOCKET_NAME, path)?;
        faults::socket::restrict(path)?;
        tokio::spawn(faults::socket::serve(
            listener,
            Arc::clone(&faults),
            stop.clone(),
        ));
    }

    let server = Arc::new(Server::new(
        &config,
        Arc::clone(&store),
        metrics,
        pulse,
        faults,
        stop.clone(),
    ));
    tracing::info!(%address, store = %config.store, "serving transactions");
    notify::ready("serving");
    daemon_kit::http::serve(listener, tls, config.limits, stop, move |request| {
        let server = Arc::clone(&server);
        async move { server.answer(request).await }
    })
    .await;

    notify::stopping();
    store.close().await;
    tracing::info!("drained: every accepted request was answered");
    Ok(())
}

fn store_hooks(metrics: &Arc<Metrics>, faults: &Arc<Faults>) -> StoreHooks {
    let (metrics, faults) = (Arc::clone(metrics), Arc::clone(faults));
    StoreHooks {
        on_commit: Arc::new(move |report| metrics.observe_commit(report)),
        commit_delay: Arc::new(move || faults.commit_delay()),
    }
}
