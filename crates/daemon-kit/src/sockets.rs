//! Listening sockets: inherited from systemd by name, or bound here.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;

use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};

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

/// Removes the socket at `path` where nobody answers on it; anything else is left alone.
fn remove_stale_socket(path: &Path) -> io::Result<()> {
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        _ => Ok(()),
    }
}
