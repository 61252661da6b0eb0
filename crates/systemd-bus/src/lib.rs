//! systemd's manager over D-Bus: facts, jobs, changes.
