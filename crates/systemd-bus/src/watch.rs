//! What changes, as it changes: systemd's signals as one stream that outlives the bus.
//!
//! ```text
//! connect ─▶ match rules ─▶ Subscribe ─▶ Resync ─▶ changes … ─▶ Lost ─▶ (backoff) ─▶ connect
//! ```
//!
//! [`UnitChange::Resync`] is sent after the subscription stands, so a list that is taken on it
//! cannot miss a change.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use units::UnitName;
use zbus::{Connection, MatchRule, Message, MessageStream, Variant};

use crate::link::{DESTINATION, MANAGER, MANAGER_PATH, PROPERTIES, READ_TIMEOUT, name_owner};
use crate::properties::UnitProperties;
use crate::{BusError, Systemd, path};

/// The first wait after a lost connection, and the longest: a bus that restarts is back in well
/// under a second, and nobody should be blind for more than two, the new connection included.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_LAST: Duration = Duration::from_secs(1);

/// Changes that wait for the consumer. A consumer that falls this far behind gets one
/// [`UnitChange::Resync`] in place of what did not fit.
const QUEUE: usize = 1024;

/// Signals that wait for the watch task, which only parses and never waits for the consumer.
const SIGNAL_QUEUE: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitChange {
    /// What is known is old, or the subscription is new: list everything again.
    Resync,
    /// systemd cannot be heard; a [`UnitChange::Resync`] follows when it can.
    Lost,
    /// A unit was loaded. Its state is not part of the message.
    Loaded(UnitName),
    /// A unit was unloaded.
    Unloaded(UnitName),
    /// Properties of a unit changed; those that the message carried are set.
    Changed(UnitName, Box<UnitProperties>),
    /// The system finished starting.
    StartupFinished,
}

/// The changes of one watcher. Dropping it ends the watch.
#[derive(Debug)]
pub struct UnitChanges {
    changes: mpsc::Receiver<UnitChange>,
    task: JoinHandle<()>,
}

impl UnitChanges {
    /// The next change; it is safe to cancel this wait. The stream does not end.
    pub async fn next(&mut self) -> UnitChange {
        match self.changes.recv().await {
            Some(change) => change,
            // The task only ends with its runtime.
            None => std::future::pending().await,
        }
    }
}

impl Drop for UnitChanges {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Systemd {
    /// Starts to watch all units. Must be called within a Tokio runtime.
    pub fn watch(&self) -> UnitChanges {
        let (sender, changes) = mpsc::channel(QUEUE);
        let systemd = self.clone();
        let task = tokio::spawn(async move { keep_watching(&systemd, Outbox::new(sender)).await });
        UnitChanges { changes, task }
    }
}

async fn keep_watching(systemd: &Systemd, mut outbox: Outbox) {
    let mut backoff = BACKOFF_FIRST;
    loop {
        match watch_once(systemd, &mut outbox, &mut backoff).await {
            Ok(()) => tracing::info!("systemd's signals ended, subscribing again"),
            Err(error) => tracing::warn!(%error, "systemd's signals cannot be read, trying again"),
        }
        systemd.forget_owner();
        outbox.send(UnitChange::Lost);
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_LAST);
    }
}

/// One subscription, from its beginning until the bus or systemd's name on it goes away.
async fn watch_once(
    systemd: &Systemd,
    outbox: &mut Outbox,
    backoff: &mut Duration,
) -> Result<(), BusError> {
    let connection = systemd.connection().await?;
    let mut owners = subscribe(&connection, owner_rule()).await?;
    let mut signals = subscribe(&connection, systemd_rule()).await?;
    if name_owner(&connection).await?.is_some() {
        ask_for_signals(systemd).await?;
        outbox.send(UnitChange::Resync);
        *backoff = BACKOFF_FIRST;
    }
    loop {
        tokio::select! {
            biased;
            owner = owners.next() => match owner {
                None | Some(Err(_)) => return Ok(()),
                Some(Ok(message)) => {
                    if !is_from_bus(&message) {
                        continue;
                    }
                    systemd.forget_owner();
                    if has_new_owner(&message) {
                        ask_for_signals(systemd).await?;
                        outbox.send(UnitChange::Resync);
                    } else {
                        outbox.send(UnitChange::Lost);
                    }
                }
            },
            signal = signals.next() => match signal {
                None | Some(Err(_)) => return Ok(()),
                Some(Ok(message)) => {
                    let Some(change) = parse(&message) else { continue };
                    if systemd.sent_by_systemd(&connection, &message).await? {
                        outbox.send(change);
                    }
                }
            },
            () = outbox.room(), if outbox.overflowed => outbox.send(UnitChange::Resync),
        }
    }
}

/// systemd sends the signals of units only while somebody has subscribed.
async fn ask_for_signals(systemd: &Systemd) -> Result<(), BusError> {
    match systemd.call_manager("Subscribe", &(), READ_TIMEOUT).await {
        Err(BusError::Refused { name, .. })
            if name == "org.freedesktop.systemd1.AlreadySubscribed" =>
        {
            Ok(())
        }
        other => other.map(drop),
    }
}

async fn subscribe(
    connection: &Connection,
    rule: zbus::Result<MatchRule<'static>>,
) -> Result<MessageStream, BusError> {
    const CALL: &str = "AddMatch";
    let add = async { MessageStream::for_match_rule(rule?, connection, Some(SIGNAL_QUEUE)).await };
    tokio::time::timeout(READ_TIMEOUT, add)
        .await
        .map_err(|_| BusError::Timeout {
            call: CALL,
            after: READ_TIMEOUT,
        })?
        .map_err(|error| BusError::from_zbus(CALL, error))
}

fn systemd_rule() -> zbus::Result<MatchRule<'static>> {
    MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .sender(DESTINATION)
        .path_namespace(MANAGER_PATH)
        .build()
}

fn owner_rule() -> zbus::Result<MatchRule<'static>> {
    MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .sender("org.freedesktop.DBus")
        .interface("org.freedesktop.DBus")
        .member("NameOwnerChanged")
        .arg(0, DESTINATION)
        .build()
}

/// The bus's own name cannot be claimed by a client.
fn is_from_bus(message: &Message) -> bool {
    message
        .header()
        .sender()
        .is_some_and(|sender| sender.as_str() == "org.freedesktop.DBus")
}

/// Whether somebody owns systemd's name after this `NameOwnerChanged` (name, old, new).
fn has_new_owner(message: &Message) -> bool {
    let body = message.body();
    body.deserialize::<(&str, &str, &str)>()
        .is_ok_and(|(_, _, new)| !new.is_empty())
}

/// The change that a signal speaks of; `None` for the many that nobody here needs.
fn parse(message: &Message) -> Option<UnitChange> {
    let header = message.header();
    let interface = header.interface()?.as_str();
    let member = header.member()?.as_str();
    let body = message.body();
    match (interface, member) {
        (PROPERTIES, "PropertiesChanged") => {
            let unit = path::to_unit(header.path()?.as_str())?;
            let (_, changed, _): (&str, HashMap<&str, Variant<'_>>, Vec<&str>) =
                body.deserialize().ok()?;
            let mut properties = Box::<UnitProperties>::default();
            properties.absorb_all(&changed);
            Some(UnitChange::Changed(unit, properties))
        }
        (MANAGER, "UnitNew") => unit_argument(&body).map(UnitChange::Loaded),
        (MANAGER, "UnitRemoved") => unit_argument(&body).map(UnitChange::Unloaded),
        (MANAGER, "StartupFinished") => Some(UnitChange::StartupFinished),
        // A reload may have changed what is loaded; true is its beginning, false its end.
        (MANAGER, "Reloading") => {
            let beginning: bool = body.deserialize().ok()?;
            (!beginning).then_some(UnitChange::Resync)
        }
        _ => None,
    }
}

fn unit_argument(body: &zbus::message::Body) -> Option<UnitName> {
    let (name, _): (&str, zbus::ObjectPath<'_>) = body.deserialize().ok()?;
    UnitName::try_new(name).ok()
}

/// The consumer's queue, which never makes the watch wait.
struct Outbox {
    sender: mpsc::Sender<UnitChange>,
    /// Something did not fit: the consumer must list everything again.
    overflowed: bool,
}

impl Outbox {
    fn new(sender: mpsc::Sender<UnitChange>) -> Self {
        Self {
            sender,
            overflowed: false,
        }
    }

    fn send(&mut self, change: UnitChange) {
        let is_resync = change == UnitChange::Resync;
        // After an overflow only a resync makes sense of what follows.
        if self.overflowed && !is_resync {
            return;
        }
        self.overflowed = self.sender.try_send(change).is_err();
    }

    /// Waits until something fits again.
    async fn room(&self) {
        drop(self.sender.reserve().await);
    }
}
