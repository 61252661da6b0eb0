//! The connection to the bus: opened when needed, bounded in time, trusted only as far as the
//! sender of a message can be proved.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use zbus::names::UniqueName;
use zbus::{Connection, DynamicType, Message, connection};

use crate::BusError;

pub(crate) const DESTINATION: &str = "org.freedesktop.systemd1";
pub(crate) const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
pub(crate) const MANAGER: &str = "org.freedesktop.systemd1.Manager";
pub(crate) const UNIT: &str = "org.freedesktop.systemd1.Unit";
pub(crate) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Opening a connection is a local socket and two round trips.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A read is answered by PID 1 in well under a millisecond; during `daemon-reload` of a large host
/// it can stand still for seconds.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// An action waits for polkit too, which answers in about 10 ms when it runs, and must first be
/// started by the bus when it does not.
pub(crate) const ACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// A handle to systemd's manager.
#[derive(Clone, Debug)]
pub struct Systemd {
    link: Arc<Link>,
}

#[derive(Debug)]
struct Link {
    /// `None`: the system bus, where `DBUS_SYSTEM_BUS_ADDRESS` or its default says it is.
    address: Option<String>,
    connection: Mutex<Option<Connection>>,
    /// The last sender that the bus confirmed as systemd, so that it is asked once, not each time.
    confirmed: std::sync::Mutex<Option<UniqueName<'static>>>,
    /// The last one that it denied, likewise. Unique names are never used twice.
    denied: std::sync::Mutex<Option<UniqueName<'static>>>,
}

impl Systemd {
    /// systemd on the system bus. Nothing is opened until the first call.
    pub fn system() -> Self {
        Self::with_address(None)
    }

    /// systemd on the bus at a D-Bus address such as `unix:path=/run/test/bus`.
    pub fn at(address: impl Into<String>) -> Self {
        Self::with_address(Some(address.into()))
    }

    fn with_address(address: Option<String>) -> Self {
        Self {
            link: Arc::new(Link {
                address,
                connection: Mutex::new(None),
                confirmed: std::sync::Mutex::new(None),
                denied: std::sync::Mutex::new(None),
            }),
        }
    }

    /// Opens the connection now, for those who want to know at start-up whether there is a bus.
    ///
    /// # Errors
    /// [`BusError::Disconnected`] or [`BusError::Timeout`]: a later call tries again.
    pub async fn connect(&self) -> Result<(), BusError> {
        self.connection().await.map(drop)
    }

    /// The open connection, or a new one where there is none or the last one is dead.
    pub(crate) async fn connection(&self) -> Result<Connection, BusError> {
        const CALL: &str = "connect";
        let mut slot = self.link.connection.lock().await;
        if let Some(open) = slot.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(open.clone());
        }
        let builder = match &self.link.address {
            Some(address) => connection::Builder::address(address.as_str()),
            None => connection::Builder::system(),
        };
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, builder.build())
            .await
            .map_err(|_| BusError::Timeout {
                call: CALL,
                after: CONNECT_TIMEOUT,
            })?
            .map_err(|error| BusError::from_zbus(CALL, error))?;
        // A new bus hands out the same unique names again.
        self.forget_owner();
        Ok(slot.insert(opened).clone())
    }

    /// One method of the manager.
    pub(crate) async fn call_manager<B>(
        &self,
        method: &'static str,
        body: &B,
        timeout: Duration,
    ) -> Result<Message, BusError>
    where
        B: serde::Serialize + DynamicType,
    {
        self.call(MANAGER_PATH, MANAGER, method, body, timeout)
            .await
    }

    /// One method of any of systemd's objects.
    pub(crate) async fn call<B>(
        &self,
        path: &str,
        interface: &'static str,
        method: &'static str,
        body: &B,
        timeout: Duration,
    ) -> Result<Message, BusError>
    where
        B: serde::Serialize + DynamicType,
    {
        let connection = self.connection().await?;
        let reply = connection.call_method(Some(DESTINATION), path, Some(interface), method, body);
        tokio::time::timeout(timeout, reply)
            .await
            .map_err(|_| BusError::Timeout {
                call: method,
                after: timeout,
            })?
            .map_err(|error| BusError::from_zbus(method, error))
    }

    /// Whether systemd itself sent this message.
    ///
    /// The bus applies match rules to broadcasts only: any local user can send us a signal of
    /// systemd's shape directly. The owner of systemd's name is the proof.
    ///
    /// # Errors
    /// Where the bus does not say who owns it. Nothing is remembered then: a sender that was once
    /// denied would be denied for as long as the connection lasts.
    pub(crate) async fn sent_by_systemd(
        &self,
        connection: &Connection,
        message: &Message,
    ) -> Result<bool, BusError> {
        let header = message.header();
        let Some(sender) = header.sender() else {
            return Ok(false);
        };
        if is_remembered(&self.link.confirmed, sender) {
            return Ok(true);
        }
        if is_remembered(&self.link.denied, sender) {
            return Ok(false);
        }
        let owner = name_owner(connection).await?;
        let is_owner = owner.as_deref() == Some(sender.as_str());
        let slot = if is_owner {
            &self.link.confirmed
        } else {
            &self.link.denied
        };
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender.to_owned());
        Ok(is_owner)
    }

    /// Forgets who systemd was: its name has a new owner, or the bus is another.
    pub(crate) fn forget_owner(&self) {
        for slot in [&self.link.confirmed, &self.link.denied] {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

fn is_remembered(
    slot: &std::sync::Mutex<Option<UniqueName<'static>>>,
    sender: &UniqueName<'_>,
) -> bool {
    slot.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .as_ref()
        .is_some_and(|name| name == sender)
}

/// The unique name behind systemd's well-known one; `None` where nobody owns it now.
///
/// # Errors
/// Where the bus does not answer.
pub(crate) async fn name_owner(connection: &Connection) -> Result<Option<String>, BusError> {
    const CALL: &str = "GetNameOwner";
    const NO_OWNER: &str = "org.freedesktop.DBus.Error.NameHasNoOwner";
    let reply = connection.call_method(
        Some("org.freedesktop.DBus"),
        "/org/freedesktop/DBus",
        Some("org.freedesktop.DBus"),
        CALL,
        &DESTINATION,
    );
    let answer = tokio::time::timeout(READ_TIMEOUT, reply)
        .await
        .map_err(|_| BusError::Timeout {
            call: CALL,
            after: READ_TIMEOUT,
        })?;
    match answer {
        Ok(message) => Ok(message.body().deserialize::<String>().ok()),
        Err(zbus::Error::MethodError(name, ..)) if name.as_str() == NO_OWNER => Ok(None),
        Err(error) => Err(BusError::from_zbus(CALL, error)),
    }
}
