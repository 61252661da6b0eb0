//! A systemd on a bus of its own, for tests.
