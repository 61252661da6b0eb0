//! A fixture host and the exact text that it must give; then the same host with everything wrong
//! that can be wrong.

#![allow(clippy::unwrap_used)] // In tests a panic is the message.

mod common;

use std::time::Instant;

use common::{Host, Kernel, systemd, value};

/// Durations are the one thing that no two runs share.
fn without_durations(text: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with("unit_exporter_collector_duration_seconds{"))
        .flat_map(|line| [line, "\n"])
        .collect()
}

#[tokio::test]
async fn the_fixture_gives_exactly_this_text() {
    let kernel = Kernel::unpack();
    let _fake = systemd(&kernel);
    let host = Host::new(kernel);
    host.synced().await;
    let found = without_durations(&host.scrape_with("systemd_system_running 1").await);
    let expected = include_str!("fixtures/host.prom");
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {}", number + 1);
    }
    assert_eq!(found, expected, "one of them ends early");
}

#[tokio::test]
async fn no_limit_is_no_number() {
    let kernel = Kernel::unpack();
    kernel.write("cgroup/system.slice/nginx.service/memory.high", "max\n");
    let text = Host::new(kernel).scrape();
    assert!(text.contains("systemd_unit_memory_max_bytes{"));
    assert!(!text.contains("systemd_unit_memory_high_bytes{"));
}

#[tokio::test]
async fn a_second_scrape_reads_the_same_from_kept_files() {
    let kernel = Kernel::unpack();
    let host = Host::new(kernel);
    let first = without_durations(&host.scrape());
    host.kernel.write(
        "cgroup/system.slice/nginx.service/memory.current",
        "209715200\n",
    );
    let second = without_durations(&host.scrape());
    assert_eq!(
        value(
            &second,
            "systemd_unit_memory_current_bytes{unit=\"nginx.service\"}"
        ),
        Some(209_715_200.0)
    );
    assert!(value(&second, "unit_exporter_kept_files").unwrap() > 0.0);
    assert_eq!(first.lines().count(), second.lines().count());
}

#[tokio::test]
async fn a_limit_on_open_files_changes_nothing_but_the_cost() {
    let roomy = without_durations(&Host::new(Kernel::unpack()).scrape());
    let tight = Host::with(Kernel::unpack(), "open_files = 3");
    tight.scrape();
    let tight = without_durations(&tight.scrape());
    assert_eq!(value(&tight, "unit_exporter_kept_files"), Some(3.0));
    let figures = |text: &str| {
        let lines = text.lines().filter(|line| line.starts_with("systemd_"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(figures(&tight), figures(&roomy));
}

#[tokio::test]
async fn a_malformed_file_costs_its_own_figures_and_is_reported() {
    let host = Host::new(Kernel::unpack());
    for (file, text) in [
        ("cpu.stat", "user_usec twelve\n"),
        ("memory.stat", ""),
        ("memory.max", "-1\n"),
        ("io.stat", "sda rbytes=1\n"),
        ("pids.events", "max 18446744073709551616\n"),
        ("io.pressure", "some\n"),
    ] {
        let path = format!("cgroup/system.slice/nginx.service/{file}");
        host.kernel.write(&path, text);
    }
    let text = host.scrape();
    for collector in ["cpu", "memory", "io", "pids", "pressure"] {
        let sample = format!("unit_exporter_collector_success{{collector=\"{collector}\"}}");
        assert_eq!(value(&text, &sample), Some(0.0), "{collector}");
    }
    let cpu =
        |unit: &str| format!("systemd_unit_cpu_seconds_total{{unit=\"{unit}\",mode=\"user\"}}");
    assert_eq!(value(&text, &cpu("nginx.service")), None);
    assert_eq!(value(&text, &cpu("init.scope")), Some(1.0));
    let current = "systemd_unit_memory_current_bytes{unit=\"nginx.service\"}";
    assert_eq!(value(&text, current), Some(104_857_600.0));
    let working_set = "systemd_unit_memory_working_set_bytes{unit=\"nginx.service\"}";
    assert_eq!(value(&text, working_set), None);
}

#[tokio::test]
async fn bytes_that_are_no_text_are_only_malformed() {
    let host = Host::new(Kernel::unpack());
    let path = host.kernel.path("cgroup/init.scope/cpu.stat");
    std::fs::write(path, [0xff, 0xfe, 0x00, 0x80]).unwrap();
    let text = host.scrape();
    let success = "unit_exporter_collector_success{collector=\"cpu\"}";
    assert_eq!(value(&text, success), Some(0.0));
}

#[tokio::test]
async fn a_unit_that_vanishes_takes_only_itself_away() {
    let host = Host::new(Kernel::unpack());
    let before = host.scrape();
    host.kernel.remove("cgroup/system.slice/nginx.service");
    let after = host.scrape();
    assert!(before.contains("unit=\"nginx.service\""));
    assert!(!after.contains("unit=\"nginx.service\""));
    assert!(!after.contains("collector_success{collector=\"cpu\"} 0"));
}

#[tokio::test]
async fn a_unit_that_comes_back_is_read_anew() {
    let host = Host::new(Kernel::unpack());
    host.scrape();
    host.kernel.remove("cgroup/system.slice/nginx.service");
    host.kernel.write(
        "cgroup/system.slice/nginx.service/cpu.stat",
        "user_usec 7000000\nsystem_usec 0\n",
    );
    let user = "systemd_unit_cpu_seconds_total{unit=\"nginx.service\",mode=\"user\"}";
    assert_eq!(value(&host.scrape(), user), Some(7.0));
}

#[tokio::test]
async fn without_a_bus_the_figures_are_all_there() {
    let kernel = Kernel::unpack();
    let with_bus = {
        let kernel = Kernel::unpack();
        let _fake = systemd(&kernel);
        let host = Host::new(kernel);
        host.synced().await;
        host.scrape()
    };
    let without_bus = Host::new(kernel).scrape();
    let figures = |text: &str| {
        let lines = text.lines().filter(|line| {
            line.starts_with("systemd_unit_cpu") || line.starts_with("systemd_unit_memory")
        });
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(figures(&without_bus), figures(&with_bus));
    let success = "unit_exporter_collector_success{collector=\"systemd\"}";
    assert_eq!(value(&with_bus, success), Some(1.0));
    assert_eq!(value(&without_bus, success), Some(0.0));
}

#[tokio::test]
async fn out_of_time_is_an_answer_with_failed_collectors() {
    let host = Host::new(Kernel::unpack());
    let text = host.scrape_until(Instant::now());
    let success = "unit_exporter_collector_success{collector=\"cpu\"}";
    assert_eq!(value(&text, success), Some(0.0));
    assert!(!text.contains("systemd_unit_cpu_seconds_total{"));
}

#[tokio::test]
async fn a_missing_tree_is_reported_and_no_more() {
    let host = Host::new(Kernel::unpack());
    host.kernel.remove("cgroup");
    let text = host.scrape();
    let success = "unit_exporter_collector_success{collector=\"tree\"}";
    assert_eq!(value(&text, success), Some(0.0));
}

#[tokio::test]
async fn processes_are_looked_at_again_once_their_unit_has_run() {
    let host = Host::new(Kernel::unpack());
    let tasks = "systemd_unit_tasks_current{unit=\"getty@tty1.service\"}";
    let group = "cgroup/system.slice/system-getty.slice/getty@tty1.service";
    assert_eq!(value(&host.scrape(), tasks), Some(1.0));
    // What cannot have run cannot have more processes.
    host.kernel
        .write(&format!("{group}/cgroup.procs"), "301\n102\n");
    assert_eq!(value(&host.scrape(), tasks), Some(1.0));
    let ran = "user_usec 5\nsystem_usec 5\n";
    host.kernel.write(&format!("{group}/cpu.stat"), ran);
    assert_eq!(value(&host.scrape(), tasks), Some(5.0));
}

#[tokio::test]
async fn collectors_can_be_switched_off() {
    let off = "[collectors]\ncpu = false\nmemory = false\nio = false\npids = false\n\
               pressure = false\nprocesses = false\n";
    let text = Host::with(Kernel::unpack(), off).scrape();
    assert!(!text.contains("systemd_unit_cpu_seconds_total{"));
    assert!(!text.contains("systemd_unit_memory_current_bytes{"));
    assert!(!text.contains("collector=\"cpu\""));
}

#[tokio::test]
async fn a_pressure_that_still_moves_is_read_although_its_unit_is_idle() {
    let host = Host::new(Kernel::unpack());
    let group = "cgroup/system.slice/nginx.service";
    let stalled = |total: u32| {
        let file = format!("{group}/io.pressure");
        let line = format!("some avg10=0.00 avg60=0.00 avg300=0.00 total={total}\n");
        host.kernel.write(&file, &line);
        let sample = "systemd_unit_pressure_seconds_total\
                      {unit=\"nginx.service\",resource=\"io\",kind=\"some\"}";
        value(&host.scrape(), sample)
    };
    // A process that waits for a device does not run, and the wait goes on all the same.
    let seen = [1_000_000, 2_000_000, 3_000_000].map(stalled);
    assert_eq!(seen, [Some(1.0), Some(2.0), Some(3.0)]);
    assert_eq!(stalled(3_000_000), Some(3.0));
    // It has ended, and nothing has run that could begin another.
    assert_eq!(stalled(4_000_000), Some(3.0));
    let ran = "user_usec 9000000\nsystem_usec 0\n";
    host.kernel.write(&format!("{group}/cpu.stat"), ran);
    assert_eq!(stalled(5_000_000), Some(5.0));
}
