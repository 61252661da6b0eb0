//! The loop that keeps the table in step with systemd.
//!
//! ```text
//! Resync ─▶ ListUnits ─▶ details of what is new ─▶ signals …           steady state: signals only
//!              ▲                                      │
//!              └── every RESYNC_EVERY, on Reloading, ─┘
//!                  on a new bus or a new systemd
//! ```
//!
//! Replies are taken before signals. systemd sends them in the order in which things happened, so a
//! signal that is handled after a reply is never older than what the reply says.

use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use daemon_kit::notify::{self, Heartbeat};
use futures_util::StreamExt;
use futures_util::future::{Fuse, FutureExt};
use futures_util::stream::FuturesUnordered;
use systemd_bus::{BusError, ListedUnit, Systemd, UnitChange, UnitChanges, UnitProperties};
use tokio::sync::watch;
use tokio::time::Instant;
use units::UnitName;

use crate::select::Selection;
use crate::table::Table;

/// Signals are reliable; this only bounds how long a mistake of ours could live.
pub const RESYNC_EVERY: Duration = Duration::from_secs(600);

/// New units are gathered this long and listed together, so that a thousand of them a second cost
/// ten calls a second.
const GATHER: Duration = Duration::from_millis(100);

/// A list that failed is tried again after this long.
const RETRY: Duration = Duration::from_secs(1);

/// Units whose details are read at the same time. PID 1 answers one after the other.
const READS_AT_ONCE: usize = 32;

/// Above this many new units one complete list is cheaper than a list by names.
const NAMES_AT_ONCE: usize = 64;

/// How long states stay shown while systemd cannot be heard: a bus that restarts is no gap, a bus
/// that is gone leaves no stale states behind.
const STALE_AFTER: Duration = Duration::from_secs(10);

/// What scrapes see of systemd.
#[derive(Clone, Debug)]
pub struct SystemdView {
    shared: Arc<Mutex<Shared>>,
    synced: watch::Receiver<bool>,
}

/// The view's content, held for the time of one rendering.
#[derive(Debug)]
pub struct Shared {
    /// The units.
    pub table: Table,
    /// systemd's version, once known.
    pub version: Option<String>,
    /// `running`, `degraded`, …
    pub system_state: Option<String>,
    /// How long the last complete list with its details took.
    pub sync_duration: Duration,
    /// Since when systemd cannot be heard; `None` while it can.
    lost_since: Option<Instant>,
}

impl Shared {
    /// Whether states can be shown: they are up to date, or were a moment ago.
    pub fn is_current(&self) -> bool {
        self.lost_since
            .is_none_or(|since| since.elapsed() < STALE_AFTER)
    }

    /// Whether systemd can be heard now.
    pub fn is_connected(&self) -> bool {
        self.lost_since.is_none()
    }

    /// One line for `systemctl status`.
    pub(crate) fn status_line(&self) -> String {
        let units = self.table.units().len();
        match &self.system_state {
            Some(state) if self.is_connected() => {
                format!("watching {units} units, the system is {state}")
            }
            _ => "no word from systemd: serving cgroup figures without states".to_owned(),
        }
    }
}

impl SystemdView {
    /// The content.
    pub fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the table was complete for the first time.
    pub async fn first_sync(&mut self) {
        // An error means that the follower ended, and then there is nothing to wait for.
        drop(self.synced.wait_for(|synced| *synced).await);
    }
}

type List = Pin<Box<dyn Future<Output = (Listed, Result<Vec<ListedUnit>, BusError>)> + Send>>;
type Read = Pin<Box<dyn Future<Output = (UnitName, Result<UnitProperties, BusError>)> + Send>>;
type State = Pin<Box<dyn Future<Output = Manager> + Send>>;

/// What a list was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    Everything,
    Named,
}

/// The manager's own properties.
struct Manager {
    version: Result<String, BusError>,
    system_state: Result<String, BusError>,
}

/// Begins to follow; the follower ends with its runtime.
pub fn start(systemd: Systemd, selection: Arc<Selection>, heartbeat: Heartbeat) -> SystemdView {
    let shared = Arc::new(Mutex::new(Shared {
        table: Table::new(selection),
        version: None,
        system_state: None,
        sync_duration: Duration::ZERO,
        // Nothing was heard yet, and nothing is stale either: there is nothing.
        lost_since: Some(Instant::now()),
    }));
    let (announce, synced) = watch::channel(false);
    let view = SystemdView { shared, synced };
    let follower = Follower {
        changes: systemd.watch(),
        systemd,
        view: view.clone(),
        announce,
        new_units: BTreeSet::new(),
        unread: VecDeque::new(),
        reads: FuturesUnordered::new(),
        list: Fuse::terminated(),
        manager: Fuse::terminated(),
        next_list: Instant::now() + RESYNC_EVERY,
        sync: None,
        told: String::new(),
    };
    tokio::spawn(follower.run(heartbeat));
    view
}

struct Follower {
    systemd: Systemd,
    changes: UnitChanges,
    view: SystemdView,
    announce: watch::Sender<bool>,
    /// Units that a signal named and no list has shown yet.
    new_units: BTreeSet<UnitName>,
    /// Units whose details wait to be read.
    unread: VecDeque<UnitName>,
    reads: FuturesUnordered<Read>,
    list: Fuse<List>,
    manager: Fuse<State>,
    /// When the next list is due, unless something happens before.
    next_list: Instant,
    /// The complete list that is still being worked through.
    sync: Option<Sync>,
    /// The status line as systemd has it.
    told: String,
}

/// Progress through a complete list.
struct Sync {
    began: Instant,
    /// Nothing that was known may be believed: changes may have been missed.
    from_scratch: bool,
    /// Details to read until it is complete; `None` while the list itself is awaited.
    left: Option<usize>,
}

impl Follower {
    async fn run(mut self, heartbeat: Heartbeat) {
        let mut beats = tokio::time::interval(Heartbeat::interval());
        loop {
            while self.reads.len() < READS_AT_ONCE
                && let Some(unit) = self.unread.pop_front()
            {
                self.read(unit);
            }
            tokio::select! {
                biased;
                (what, rows) = &mut self.list => self.listed(what, rows),
                Some((unit, details)) = self.reads.next() => self.filled(&unit, details),
                manager = &mut self.manager => self.managed(manager),
                change = self.changes.next() => self.changed(change),
                () = tokio::time::sleep_until(self.next_list) => self.ask_for_list(),
                _ = beats.tick() => {
                    heartbeat.beat();
                    self.tell();
                }
            }
        }
    }

    fn changed(&mut self, change: UnitChange) {
        match change {
            UnitChange::Resync => self.list_everything(true),
            UnitChange::Lost => {
                self.list = Fuse::terminated();
                self.reads.clear();
                self.unread.clear();
                self.sync = None;
                self.next_list = Instant::now() + RESYNC_EVERY;
                self.view.lock().lost_since.get_or_insert(Instant::now());
            }
            UnitChange::Loaded(unit) => self.list_soon(unit),
            UnitChange::Unloaded(unit) => {
                self.new_units.remove(&unit);
                self.in_table(|table| table.remove(&unit));
            }
            UnitChange::Changed(unit, told) => {
                let mut is_known = true;
                self.in_table(|table| is_known = table.change(&unit, *told));
                if !is_known {
                    self.list_soon(unit);
                }
            }
            UnitChange::StartupFinished => self.ask_for_manager(),
        }
    }

    /// Changes the table, and has the system's state read again where the change can affect it.
    fn in_table(&mut self, change: impl FnOnce(&mut Table)) {
        let mut shared = self.view.lock();
        let before = shared.table.has_failed();
        change(&mut shared.table);
        let after = shared.table.has_failed();
        drop(shared);
        if before != after {
            self.ask_for_manager();
        }
    }

    fn list_soon(&mut self, unit: UnitName) {
        self.new_units.insert(unit);
        self.next_list = self.next_list.min(Instant::now() + GATHER);
    }

    fn list_everything(&mut self, from_scratch: bool) {
        self.new_units.clear();
        // A list from scratch that is cut short by another must not be forgotten.
        let from_scratch = from_scratch || self.sync.as_ref().is_some_and(|sync| sync.from_scratch);
        self.sync = Some(Sync {
            began: Instant::now(),
            from_scratch,
            left: None,
        });
        let systemd = self.systemd.clone();
        let list: List = Box::pin(async move { (Listed::Everything, systemd.list_units().await) });
        self.list = list.fuse();
        self.next_list = Instant::now() + RESYNC_EVERY;
        self.ask_for_manager();
    }

    fn ask_for_list(&mut self) {
        if self.new_units.is_empty() || self.new_units.len() > NAMES_AT_ONCE {
            return self.list_everything(false);
        }
        self.next_list = Instant::now() + RESYNC_EVERY;
        let names: Vec<UnitName> = std::mem::take(&mut self.new_units).into_iter().collect();
        let systemd = self.systemd.clone();
        let list: List = Box::pin(async move { (Listed::Named, systemd.list_named(&names).await) });
        self.list = list.fuse();
    }

    fn listed(&mut self, what: Listed, rows: Result<Vec<ListedUnit>, BusError>) {
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(%error, "the units could not be listed, trying again");
                self.next_list = Instant::now() + RETRY;
                return;
            }
        };
        let from_scratch = self.sync.as_ref().is_some_and(|sync| sync.from_scratch);
        let mut unread = Vec::new();
        self.in_table(|table| {
            unread = match what {
                Listed::Everything => table.replace(rows, from_scratch),
                Listed::Named => table.merge(rows),
            };
        });
        self.unread.extend(unread);
        if what == Listed::Everything
            && let Some(sync) = &mut self.sync
        {
            sync.left = Some(self.unread.len() + self.reads.len());
            self.advance_sync(0);
        }
    }

    fn read(&mut self, unit: UnitName) {
        let systemd = self.systemd.clone();
        self.reads.push(Box::pin(async move {
            let details = systemd.details(&unit).await;
            (unit, details)
        }));
    }

    fn filled(&mut self, unit: &UnitName, details: Result<UnitProperties, BusError>) {
        match details {
            Ok(details) => self.in_table(|table| table.fill(unit, details)),
            Err(error) => tracing::debug!(%unit, %error, "a unit's details could not be read"),
        }
        self.advance_sync(1);
    }

    /// Counts details that were read. Units that came in after the list wait behind its own, so the
    /// count reaches zero however many come.
    fn advance_sync(&mut self, read: usize) {
        let Some(Sync {
            began,
            left: Some(left),
            ..
        }) = &mut self.sync
        else {
            return;
        };
        *left = left.saturating_sub(read);
        if *left > 0 {
            return;
        }
        let mut shared = self.view.lock();
        shared.sync_duration = began.elapsed();
        shared.lost_since = None;
        let units = shared.table.units().len();
        drop(shared);
        self.sync = None;
        tracing::info!(units, "the table of units is complete");
        self.announce.send_replace(true);
    }

    /// Keeps the status line true. Not at each signal: nobody reads it so often.
    fn tell(&mut self) {
        let line = self.view.lock().status_line();
        if line != self.told {
            notify::status(&line);
            self.told = line;
        }
    }

    fn ask_for_manager(&mut self) {
        let systemd = self.systemd.clone();
        let read: State = Box::pin(async move {
            let (version, system_state) =
                futures_util::future::join(systemd.version(), systemd.system_state()).await;
            Manager {
                version,
                system_state,
            }
        });
        self.manager = read.fuse();
    }

    fn managed(&mut self, manager: Manager) {
        let mut shared = self.view.lock();
        match (manager.version, manager.system_state) {
            (Ok(version), Ok(state)) => {
                shared.version = Some(version);
                shared.system_state = Some(state);
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, "the state of the system could not be read");
                shared.system_state = None;
            }
        }
    }
}
