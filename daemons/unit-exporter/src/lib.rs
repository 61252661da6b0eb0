//! Resources of every systemd unit as Prometheus metrics.
