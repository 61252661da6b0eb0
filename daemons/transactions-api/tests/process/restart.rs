//! A restart refuses no connection: systemd keeps the port meanwhile.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;

use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use crate::support::{Api, Client, PATIENCE, Place, command};

#[test]
fn who_comes_during_a_restart_is_served_after_it() {
    let place = Place::new();
    let manager = Manager::new(&place);
    let mut first = Api::spawn(&mut manager.start(&place, None));
    let kept = manager.kept_fd();
    let address = first.address;
    first.signal(Signal::SIGTERM);
    assert!(first.exit_status().success());

    let mut early = Client::connect(address).expect("the port is open while nobody serves");
    early
        .send(b"GET /health HTTP/1.1\r\nhost: test\r\n\r\n")
        .unwrap();
    let second = Api::spawn(&mut manager.start(&place, Some(kept)));
    assert_eq!(second.address, address);
    assert_eq!(early.receive(false).unwrap().status, 200);
}

/// The part of systemd that matters here: it takes notes, and a file descriptor to keep.
struct Manager {
    socket: UnixDatagram,
    path: std::path::PathBuf,
}

impl Manager {
    fn new(place: &Place) -> Self {
        let path = place.directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path }
    }

    /// The daemon as a unit starts it, with the descriptor that was kept for it.
    fn start(&self, place: &Place, kept: Option<RawFd>) -> std::process::Command {
        let pass = kept.map_or(String::new(), |fd| {
            format!("exec 3<&{fd}; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http; ")
        });
        let mut start = command("sh");
        start
            .arg("-c")
            .arg(pass + "exec \"$@\"")
            .arg("sh")
            .args([env!("CARGO_BIN_EXE_transactions-api"), "serve", "--config"])
            .arg(place.config())
            .env("NOTIFY_SOCKET", &self.path);
        start
    }

    /// The descriptor that comes with the note `FDSTORE=1`.
    fn kept_fd(&self) -> RawFd {
        loop {
            let mut note = [0; 4096];
            let mut space = nix::cmsg_space!(RawFd);
            let mut parts = [IoSliceMut::new(&mut note)];
            let message = recvmsg::<()>(
                self.socket.as_raw_fd(),
                &mut parts,
                Some(&mut space),
                MsgFlags::empty(),
            )
            .expect("a note comes");
            let fd = message.cmsgs().unwrap().find_map(|part| match part {
                ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
                _ => None,
            });
            let length = message.bytes;
            if let Some(fd) = fd {
                assert_eq!(&note[..length], b"FDSTORE=1\nFDNAME=http\n");
                return fd;
            }
        }
    }
}
