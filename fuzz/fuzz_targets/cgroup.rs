//! The texts of cgroup and pressure files. A kernel to come may write anything into them.

#![no_main]

use libfuzzer_sys::fuzz_target;

// The module alone: the whole daemon would bring D-Bus along.
#[allow(dead_code)]
#[path = "../../daemons/unit-exporter/src/cgroup_text.rs"]
mod cgroup_text;

fuzz_target!(|text: &str| {
    let _ = cgroup_text::cpu(text);
    let _ = cgroup_text::memory_stat(text);
    let _ = cgroup_text::memory_events(text);
    let _ = cgroup_text::pids_events(text);
    if let Ok(devices) = cgroup_text::io(text) {
        assert!(devices.len() <= text.lines().count());
    }
    let _ = cgroup_text::pressure(text);
    if let Ok(number) = cgroup_text::single(text) {
        assert_eq!(cgroup_text::limit(text), Ok(Some(number)));
    }
});
