//! Properties of units as systemd sends them, decoded once.

use std::collections::HashMap;

use units::{ActiveState, UnitKind};
use zbus::{Array, Variant};

/// What one message told about a unit. `None` means that the message said nothing about it.
///
/// Times are microseconds since the epoch, 0 for "never"; `u64::MAX` is systemd's "not set".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Each field is systemd's property of that name.
pub struct UnitProperties {
    pub active_state: Option<ActiveState>,
    pub sub_state: Option<String>,
    /// 0 where no job is queued.
    pub job_id: Option<u32>,
    /// 32 hex digits; empty where the unit has not run.
    pub invocation_id: Option<String>,
    pub inactive_exit_usec: Option<u64>,
    pub active_enter_usec: Option<u64>,
    pub result: Option<String>,
    /// 0 where there is none.
    pub main_pid: Option<u32>,
    pub exec_main_status: Option<i32>,
    pub n_restarts: Option<u32>,
    pub watchdog_usec: Option<u64>,
    pub watchdog_last_ping_usec: Option<u64>,
    pub last_trigger_usec: Option<u64>,
    pub next_elapse_realtime_usec: Option<u64>,
    /// On the monotonic clock.
    pub next_elapse_monotonic_usec: Option<u64>,
    pub accepted: Option<u32>,
    pub connections: Option<u32>,
    pub refused: Option<u32>,
    pub ip_ingress_bytes: Option<u64>,
    pub ip_ingress_packets: Option<u64>,
    pub ip_egress_bytes: Option<u64>,
    pub ip_egress_packets: Option<u64>,
}

impl UnitProperties {
    /// Puts everything that `newer` tells in the place of what was known.
    pub fn take_over(&mut self, newer: Self) {
        /// A field that `newer` does not tell keeps its value.
        macro_rules! take_over {
            ($($field:ident)+) => { $(if newer.$field.is_some() { self.$field = newer.$field; })+ };
        }
        take_over! {
            active_state sub_state job_id invocation_id inactive_exit_usec active_enter_usec result
            main_pid exec_main_status n_restarts watchdog_usec watchdog_last_ping_usec
            last_trigger_usec next_elapse_realtime_usec next_elapse_monotonic_usec accepted
            connections refused ip_ingress_bytes ip_ingress_packets ip_egress_bytes
            ip_egress_packets
        }
    }

    /// Takes in one property; those that no caller needs are passed over.
    pub(crate) fn absorb(&mut self, name: &str, value: &Variant<'_>) {
        match name {
            "ActiveState" => self.active_state = text(value).and_then(|word| word.parse().ok()),
            "SubState" => self.sub_state = text(value).map(str::to_owned),
            "Job" => self.job_id = job_id(value),
            "InvocationID" => self.invocation_id = hex(value),
            "InactiveExitTimestamp" => self.inactive_exit_usec = value.try_into().ok(),
            "ActiveEnterTimestamp" => self.active_enter_usec = value.try_into().ok(),
            "Result" => self.result = text(value).map(str::to_owned),
            "MainPID" => self.main_pid = value.try_into().ok(),
            "ExecMainStatus" => self.exec_main_status = value.try_into().ok(),
            "NRestarts" => self.n_restarts = value.try_into().ok(),
            "WatchdogUSec" => self.watchdog_usec = value.try_into().ok(),
            "WatchdogTimestamp" => self.watchdog_last_ping_usec = value.try_into().ok(),
            "LastTriggerUSec" => self.last_trigger_usec = value.try_into().ok(),
            "NextElapseUSecRealtime" => self.next_elapse_realtime_usec = value.try_into().ok(),
            "NextElapseUSecMonotonic" => self.next_elapse_monotonic_usec = value.try_into().ok(),
            "NAccepted" => self.accepted = value.try_into().ok(),
            "NConnections" => self.connections = value.try_into().ok(),
            "NRefused" => self.refused = value.try_into().ok(),
            "IPIngressBytes" => self.ip_ingress_bytes = value.try_into().ok(),
            "IPIngressPackets" => self.ip_ingress_packets = value.try_into().ok(),
            "IPEgressBytes" => self.ip_egress_bytes = value.try_into().ok(),
            "IPEgressPackets" => self.ip_egress_packets = value.try_into().ok(),
            _ => {}
        }
    }

    pub(crate) fn absorb_all(&mut self, map: &HashMap<&str, Variant<'_>>) {
        for (name, value) in map {
            self.absorb(name, value);
        }
    }
}

/// The interface with the properties of one unit type; `None` for types that have none of use.
pub(crate) fn interface_of(kind: UnitKind) -> Option<&'static str> {
    Some(match kind {
        UnitKind::Automount => "org.freedesktop.systemd1.Automount",
        UnitKind::Mount => "org.freedesktop.systemd1.Mount",
        UnitKind::Path => "org.freedesktop.systemd1.Path",
        UnitKind::Scope => "org.freedesktop.systemd1.Scope",
        UnitKind::Service => "org.freedesktop.systemd1.Service",
        UnitKind::Slice => "org.freedesktop.systemd1.Slice",
        UnitKind::Socket => "org.freedesktop.systemd1.Socket",
        UnitKind::Swap => "org.freedesktop.systemd1.Swap",
        UnitKind::Timer => "org.freedesktop.systemd1.Timer",
        UnitKind::Device | UnitKind::Target => return None,
    })
}

pub(crate) fn text<'v>(value: &'v Variant<'_>) -> Option<&'v str> {
    value.try_into().ok()
}

/// The texts of an `as` property; empty where it is none.
pub(crate) fn texts<'v>(value: Option<&'v Variant<'_>>) -> Vec<&'v str> {
    let Some(Variant::Array(array)) = value else {
        return Vec::new();
    };
    array.iter().filter_map(text).collect()
}

/// `Job` is (id, path); id 0 means none.
fn job_id(value: &Variant<'_>) -> Option<u32> {
    match value {
        Variant::Structure(pair) => pair.fields().first()?.try_into().ok(),
        _ => None,
    }
}

/// `InvocationID` is 16 bytes, or none at all for a unit that has not run.
fn hex(value: &Variant<'_>) -> Option<String> {
    use std::fmt::Write as _;
    let bytes: &Array<'_> = value.try_into().ok()?;
    let mut digits = String::with_capacity(32);
    for byte in bytes.iter() {
        let byte: u8 = byte.try_into().ok()?;
        write!(digits, "{byte:02x}").expect("a String takes every write");
    }
    Some(digits)
}
