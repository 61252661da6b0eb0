//! What every daemon shares: configuration, journal, notify, sockets, HTTP, metrics, drain.
