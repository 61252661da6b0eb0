//! A worker: claims pending transactions, processes each, settles it exactly once.
//!
//! ```text
//! store ─claim─▶ settle: processing time, verdict ─settle─▶ store
//! generate (one instance only) ─insert─▶ store
//! endpoint: /metrics and /health at metrics_base_port + instance
//! ```
//! On SIGTERM the transaction in hand is finished, the other claims are given back, and only then
//! the process ends. After SIGKILL the claims come back when their leases run out.

mod config;
mod endpoint;
mod generate;

mod metrics;
mod progress;
mod settle;
mod verdict;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};
use daemon_kit::http::Limits;
use daemon_kit::notify::{self, Heartbeat};
use daemon_kit::sockets::Inherited;
use daemon_kit::tls::{self, Tls};
use transactions::store::Store;

use config::Config;
use generate::Generator;
use metrics::Metrics;
use progress::Progress;
use settle::Settler;

/// Name of an inherited metrics socket, where the unit has one.
const SOCKET_NAME: &str = "metrics";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "transactions-worker", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Work until SIGTERM
    Serve {
        /// Which instance this is: the N of transactions-worker@N.service
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        instance: u16,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Check the configuration: exit status 0, or 64 with the file, line and key
    Validate(ConfigFile),
}

#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/transactions/worker.toml"
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
        Command::Serve { instance, file } => {
            let config = Config::load(&file.config)?;
            let address = config.metrics_socket(&file.config, instance)?;
            let tls = tls::of(config.tls.as_ref(), &file.config)?;
            daemon_kit::log::init("transactions-worker");
            // Inherited sockets are read from the environment, which only a lone thread may touch.
            let inherited = Inherited::from_env();
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .context("the async runtime did not start")?
                .block_on(serve(config, instance, address, tls, inherited))
        }
    }
}

async fn serve(
    config: Config,
    instance: u16,
    address: std::net::SocketAddr,
    tls: Option<Tls>,
    mut inherited: Inherited,
) -> anyhow::Result<()> {
    let stop = daemon_kit::shutdown::on_signal()?;
    let metrics = Arc::new(Metrics::new());
    let store =
        Arc::new(Store::open(&config.store, transactions::store::StoreHooks::default()).await?);
    let progress = Arc::new(Progress::new(Heartbeat::start()));
    let listener = inherited.tcp_or_bind(SOCKET_NAME, address)?;
    let address = listener.local_addr()?;

    let settler = Settler::new(
        &config,
        instance,
        Arc::clone(&store),
        Arc::clone(&metrics),
        Arc::clone(&progress),
    );
    let settling = tokio::spawn(settler.run(stop.clone()));
    let generating = config
        .generator
        .filter(|generator| generator.instance == instance)
        .map(|generator| {
            let generator = Generator::new(generator, Arc::clone(&store), Arc::clone(&metrics));
            tokio::spawn(generator.run(stop.clone()))
        });
    let serving = tokio::spawn(daemon_kit::http::serve(
        listener,
        tls,
        Limits::default(),
        stop.clone(),
        move |request| std::future::ready(endpoint::answer(&request, &metrics, &progress)),
    ));
    tracing::info!(instance, %address, store = %config.store, "working");
    notify::ready("working");

    stop.cancelled().await;
    notify::stopping();
    settling.await.context("the work loop died")?;
    if let Some(generating) = generating {
        generating.await.context("the generator died")?;
    }
    serving.await.context("the metrics server died")?;
    store.close().await;
    tracing::info!("drained: every claim was settled or given back");
    Ok(())
}
