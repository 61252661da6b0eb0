//! Listening sockets: inherited from systemd by name, or bound here and, where a restart shall
//! refuse no connection, left with systemd meanwhile.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::net::{TcpListener, TcpSocket, UnixListener};

/// Connections that wait while a daemon restarts; as many as systemd's own sockets hold.
const BACKLOG: u32 = 4096;

/// The sockets that systemd passed, each under its `FileDescriptorName=`.
pub struct Inherited {
    fds: ListenFd,
    index_by_name: HashMap<String, usize>,
}

impl Inherited {
    /// Takes them from the environment (`sd_listen_fds(3)`); empty where there are none.
    ///
    /// Call once, at the start: a second call finds nothing.
    pub fn from_env() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let fds = ListenFd::from_env();
        let index_by_name = names
            .split(':')
            .take(fds.len())
            .enumerate()
            .map(|(index, name)| (name.to_owned(), index))
            .collect();
        Self { fds, index_by_name }
    }

    /// The inherited TCP socket called `name`, or else a new one bound to `address`.
    ///
    /// # Errors
    /// Where the inherited socket is of another kind, or `address` cannot be bound; the message
    /// names the address.
    pub fn tcp_or_bind(&mut self, name: &str, address: SocketAddr) -> io::Result<TcpListener> {
        if let Some(index) = self.index_by_name.get(name)
            && let Some(listener) = self.fds.take_tcp_listener(*index)?
        {
            listener.set_nonblocking(true)?;
            return TcpListener::from_std(listener);
        }
        let listener = std::net::TcpListener::bind(address).map_err(|source| {
            io::Error::new(
                source.kind(),
                format!("cannot listen on {address}: {source}"),
            )
        })?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    }

    /// The TCP socket that systemd kept for this daemon over a restart; or a new one bound to
    /// `address`, which systemd is asked to keep under `name`.
    ///
    /// The unit needs `FileDescriptorStoreMax=1`. systemd holds the socket while it restarts the
    /// service and drops it when the service is stopped or fails for good: a restart refuses no
    /// connection, and a stop closes the port. A kept socket of another address, from before a
    /// change of configuration, is given up.
    ///
    /// # Errors
    /// Where the kept socket is of another kind, or `address` cannot be bound; the message names
    /// the address.
    pub fn tcp_kept_or_bind(&mut self, name: &str, address: SocketAddr) -> io::Result<TcpListener> {
        if let Some(index) = self.index_by_name.get(name)
            && let Some(kept) = self.fds.take_tcp_listener(*index)?
        {
            if address.port() == 0 || kept.local_addr()? == address {
                kept.set_nonblocking(true)?;
                return TcpListener::from_std(kept);
            }
            tell_store(
                &[NotifyState::FdStoreRemove, NotifyState::FdName(name)],
                None,
            );
        }
        let listener = bind(address).map_err(|source| {
            io::Error::new(
                source.kind(),
                format!("cannot listen on {address}: {source}"),
            )
        })?;
        let words = [NotifyState::FdStore, NotifyState::FdName(name)];
        tell_store(&words, Some(&listener));
        Ok(listener)
    }

    /// The inherited Unix stream socket called `name`, or else a new one bound to `path`, in
    /// place of a socket that a killed predecessor left behind.
    ///
    /// # Errors
    /// Where the inherited socket is of another kind, or `path` cannot be bound.
    pub fn unix_or_bind(&mut self, name: &str, path: &Path) -> io::Result<UnixListener> {
        if let Some(index) = self.index_by_name.get(name)
            && let Some(listener) = self.fds.take_unix_listener(*index)?
        {
            listener.set_nonblocking(true)?;
            return UnixListener::from_std(listener);
        }
        remove_stale_socket(path)?;
        let listener = StdUnixListener::bind(path).map_err(|source| {
            io::Error::new(
                source.kind(),
                format!("cannot listen on {}: {source}", path.display()),
            )
        })?;
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener)
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // Connections of a predecessor may linger; a second listener is still refused.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Speaks to systemd's file descriptor store; outside systemd there is none.
fn tell_store(words: &[NotifyState<'_>], listener: Option<&TcpListener>) {
    let fds: Vec<_> = listener.iter().map(AsFd::as_fd).collect();
    if let Err(error) = sd_notify::notify_with_fds(words, &fds) {
        tracing::warn!(%error, "systemd does not keep the port over a restart");
    }
}

/// Removes the socket at `path` where nobody answers on it; anything else is left alone.
fn remove_stale_socket(path: &Path) -> io::Result<()> {
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        _ => Ok(()),
    }
}
