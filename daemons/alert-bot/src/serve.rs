//! The daemon's life: check everything, come back to what was left open, serve, drain.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use daemon_kit::config::ConfigError;
use daemon_kit::notify::{self, Heartbeat};
use daemon_kit::sockets::Inherited;
use daemon_kit::tls::{self, Tls};
use daemon_kit::{http, log, shutdown};
use journal::Journal;
use ledger::Ledger;
use remediation::Policy;
use systemd_bus::Systemd;

use crate::alertmanagers::Alertmanagers;
use crate::catch_up::catch_up;
use crate::config::Config;
use crate::control::{self, Operators};
use crate::engine::{Engine, Outside, Parts, Settings};
use crate::intake::{Intake, Tokens};
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::pressure::Cgroups;
use crate::tell::{Sender, Teller};
use crate::web;
use crate::wiring::{NetworkProber, SystemClock, listen_to_systemd};

/// Threads that read files which may lie on a slow disk. One reading an incident is the rule.
const READING_THREADS: usize = 2;

/// They are gone again soon after.
const READING_THREAD_LIFE: Duration = Duration::from_secs(1);

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// A configuration that cannot be used, a ledger that cannot be opened, a port that is taken.
pub(crate) fn serve(config_path: &Path) -> anyhow::Result<()> {
    let config = Config::load(config_path)?;
    let policy = config.load_policy()?;
    let tokens = load_tokens()?;
    let tls = tls::of(config.tls.as_ref(), config_path)?;
    let outbound = Outbound::new(config_path.into(), config.https.clone());
    if config.speaks_https(&policy) {
        outbound.https()?;
    }
    log::init("alert-bot");
    // Nothing here computes for long, the ledger has a thread of its own, and every further thread
    // costs memory: a stack, and an arena of the allocator that is never given back.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(READING_THREADS)
        .thread_keep_alive(READING_THREAD_LIFE)
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    runtime.block_on(live(config, policy, tokens, tls, outbound))
}

async fn live(
    config: Config,
    policy: remediation::Policy,
    tokens: Tokens,
    tls: Option<Tls>,
    outbound: Outbound,
) -> anyhow::Result<()> {
    let stop = shutdown::on_signal().context("signals cannot be handled")?;
    let ledger = Ledger::open(&config.ledger)?;
    let metrics = Metrics::new()?;
    let systemd = Systemd::system();
    let outside = Outside {
        units: Arc::new(systemd.clone()),
        prober: Arc::new(NetworkProber(outbound.clone())),
        sink: Arc::new(Alertmanagers {
            urls: config.alertmanagers.clone(),
            outbound: outbound.clone(),
            addressee: config.addressee(),
        }),
        clock: Arc::new(SystemClock),
        cgroups: Arc::new(Cgroups::at("/sys/fs/cgroup")),
        journal: open_journal(&config),
        turns: config
            .fleet
            .as_ref()
            .map(|fleet| fleet.open(&config.host))
            .transpose()
            .context("fleet.store")?,
    };
    let (teller, telling) = Teller::new(
        Sender {
            host: config.host.clone(),
            runbook_base_url: config.runbook_base_url.clone(),
        },
        outside.sink.clone(),
        outside.clock.clone(),
    );
    tokio::spawn(telling);
    let (clock, sink) = (outside.clock.clone(), outside.sink.clone());
    let (mut engine, wires) = Engine::new(Parts {
        host: config.host.clone(),
        policy,
        ledger: ledger.clone(),
        outside,
        teller,
        metrics: metrics.clone(),
        settings: Settings {
            read_policy: policy_reader(&config, &outbound),
            keep: config.keep,
            watchdog_timeout: config.watchdog.timeout,
        },
    });
    engine
        .recover()
        .await
        .context("the past cannot be loaded")?;

    let mut sockets = Inherited::from_env();
    let listener = sockets.tcp_or_bind("http", config.listen)?;
    let address = listener.local_addr()?;
    let intake = Arc::new(Intake {
        tokens,
        limits: config.limits.into(),
        watchdog: config.watchdog.clone(),
        outbound,
        ledger,
        clock,
        wires: wires.clone(),
        metrics,
    });
    let control = sockets.unix_or_bind("control", &config.control_socket)?;
    tokio::spawn(control::serve(
        control,
        Operators(config.operators.clone()),
        wires.events.clone(),
        stop.clone(),
    ));
    tokio::spawn(listen_to_systemd(systemd, wires.events.clone()));
    let engine = tokio::spawn(engine.run(Heartbeat::start(), stop.clone()));
    tracing::info!(%address, "accepting alerts");
    notify::ready(&wires.health.borrow().to_string());
    tokio::spawn(catch_up(sink, intake.clone()));
    let limits = config.limits.into();
    let answer = move |request| {
        let intake = intake.clone();
        async move { web::route(&intake, request).await }
    };
    http::serve(listener, tls, limits, stop.clone(), answer).await;
    notify::stopping();
    engine.await.context("the engine ended early")
}

/// A repair without the unit's last lines is better than none.
fn open_journal(config: &Config) -> Option<Arc<Journal>> {
    match config.journal() {
        Ok(journal) => Some(Arc::new(journal)),
        Err(error) => {
            tracing::warn!(%error, "incidents will be without the unit's last lines");
            None
        }
    }
}

fn policy_reader(
    config: &Config,
    outbound: &Outbound,
) -> Box<dyn Fn() -> Result<Policy, String> + Send + Sync> {
    let (config, outbound) = (config.clone(), outbound.clone());
    let read = move || {
        let policy = config.load_policy()?;
        if config.speaks_https(&policy) {
            outbound.https()?;
        }
        Ok::<_, ConfigError>(policy)
    };
    Box::new(move || read().map_err(|error| error.to_string()))
}

/// The webhook's tokens, from the credentials that systemd passes.
fn load_tokens() -> Result<Tokens, ConfigError> {
    const CURRENT: &str = "webhook-token";
    const PREVIOUS: &str = "webhook-token-previous";
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").unwrap_or_default();
    let current = Path::new(&directory).join(CURRENT);
    let mut texts = vec![std::fs::read_to_string(&current).map_err(|source| {
        ConfigError::invalid(
            &current,
            "LoadCredential",
            format!("the webhook's token cannot be read: {source}; write it to /etc/alert-bot/credentials/{CURRENT}"),
        )
    })?];
    // There is a previous token only while a new one spreads.
    let previous = std::fs::read_to_string(Path::new(&directory).join(PREVIOUS));
    texts.extend(previous.ok().filter(|text| !text.trim().is_empty()));
    Tokens::try_new(&texts)
        .map_err(|problem| ConfigError::invalid(&current, "LoadCredential", problem))
}
