//! From the command line to a serving exporter, and back down.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use daemon_kit::notify::{self, Heartbeat};
use daemon_kit::reply::{self, Reply};
use daemon_kit::sockets::Inherited;
use daemon_kit::tls::{self, Tls};
use daemon_kit::{http as served, log, shutdown};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use systemd_bus::Systemd;
use tokio::net::TcpListener;

use crate::cli::{Cli, Command};
use crate::collect::Collector;
use crate::config::Config;
use crate::devices::Devices;
use crate::follow;
use crate::kept_files::Allowance;
use crate::metrics::own::OwnMetrics;
use crate::processes::Processes;
use crate::scrape::Scraper;
use crate::select::Selection;
use crate::tree::Tree;
use crate::unsignalled::Unsignalled;

/// The first scrape waits this long for the first complete table; without a bus, figures are served
/// without states.
const FIRST_SYNC_PATIENCE: Duration = Duration::from_secs(2);

/// Descriptors that cgroup files must leave to sockets, the bus and the rest.
const RESERVED_FILES: usize = 128;

/// Runs the command.
///
/// # Errors
/// A configuration that cannot be used, before any port is opened, or what else kept it from
/// serving.
pub fn run(Cli { command }: Cli) -> anyhow::Result<()> {
    let path = command.config_path();
    let (config, selection) = Config::load(path)?;
    match &command {
        Command::Validate(_) => Ok(()),
        Command::Serve(_) => {
            let tls = tls::of(config.tls.as_ref(), path)?;
            log::init("unit-exporter");
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("the runtime could not be started")?
                .block_on(serve(config, selection, tls))
        }
    }
}

async fn serve(config: Config, selection: Selection, tls: Option<Tls>) -> anyhow::Result<()> {
    let stop = shutdown::on_signal().context("signals cannot be handled")?;
    let listener: TcpListener = Inherited::from_env().tcp_or_bind("http", config.listen)?;
    let address = listener.local_addr()?;

    let selection = Arc::new(selection);
    let systemd = Systemd::system();
    let mut view = follow::start(systemd.clone(), Arc::clone(&selection), Heartbeat::start());
    let unsignalled = Unsignalled::new(systemd, config.collectors);
    let open_limit = config.open_files.min(open_files_allowed());
    let allowance = Allowance::new(open_limit);
    let tree = Tree::new(&config.paths.cgroup, selection, allowance.clone());
    let processes = Processes::new(&config.paths.proc);
    let collector = Collector::new(tree, processes, config.collectors);
    let devices = Devices::new(config.paths.sys.clone());
    let own = OwnMetrics::default();
    let scraper = Scraper::new(
        collector,
        devices,
        view.clone(),
        unsignalled,
        own,
        allowance,
    );

    let synced = tokio::time::timeout(FIRST_SYNC_PATIENCE, view.first_sync()).await;
    if synced.is_err() {
        tracing::warn!("systemd cannot be heard yet; serving without states");
    }
    tracing::info!(%address, open_limit, "serving");
    notify::ready(&view.lock().status_line());
    served::serve(listener, tls, config.limits, stop, move |request| {
        answer(Arc::clone(&scraper), request)
    })
    .await;
    notify::stopping();
    Ok(())
}

async fn answer(scraper: Arc<Scraper>, request: Request<Incoming>) -> Reply {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return reply::problem(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here");
    }
    match request.uri().path() {
        "/metrics" => scraper.answer(request.into_parts().0.headers).await,
        "/health" => reply::text(StatusCode::OK, "ok\n"),
        "/" => reply::text(StatusCode::OK, "unit-exporter: metrics are at /metrics\n"),
        _ => reply::problem(StatusCode::NOT_FOUND, "there are /metrics and /health"),
    }
}

/// How many cgroup files the process may keep open.
fn open_files_allowed() -> usize {
    use nix::sys::resource::{Resource, getrlimit};
    /// The limit that processes have where nobody set one.
    const USUAL_LIMIT: u64 = 1024;
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((USUAL_LIMIT, USUAL_LIMIT));
    usize::try_from(soft)
        .unwrap_or(usize::MAX)
        .saturating_sub(RESERVED_FILES)
}
