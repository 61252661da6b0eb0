//! Every file that systemd reads is shipped by a package, and every unit keeps its promises.

use tidy::{crates, files, files_with_extension, read};

/// The sources of all `.deb` assets of all daemons, as one text.
fn packaged() -> String {
    let sections = crates().into_values().filter_map(|found| {
        let metadata = found.manifest["package"].get("metadata")?;
        metadata.get("deb").map(ToString::to_string)
    });
    sections.collect()
}

#[test]
fn every_file_of_systemd_is_packaged() {
    let packaged = packaged();
    let missing: Vec<String> = files("systemd-units")
        .iter()
        .filter(|path| !path.starts_with("systemd-units/package-scripts"))
        .map(|path| path.to_string_lossy().into_owned())
        .filter(|path| !packaged.contains(path))
        .collect();
    assert!(missing.is_empty(), "in no package: {missing:?}");
}

#[test]
fn services_are_hardened_and_do_not_restart_on_a_bad_configuration() {
    for path in files_with_extension("systemd-units", "service") {
        let text = read(&path);
        let unit = path.display();
        for line in [
            "RestartPreventExitStatus=64",
            "NoNewPrivileges=",
            "CapabilityBoundingSet=\n",
            "ProtectSystem=strict",
            "SystemCallFilter=",
            "MemoryDenyWriteExecute=",
            "RestrictAddressFamilies=",
            "User=",
            // What a daemon knows, a secret among it, goes into no core file.
            "LimitCORE=0\n",
        ] {
            assert!(text.contains(line), "{unit} lacks {}", line.trim_end());
        }
        let is_daemon = text.contains("Type=notify");
        assert!(
            !is_daemon || text.contains("WatchdogSec="),
            "{unit} has no watchdog"
        );
    }
}

#[test]
fn start_limits_stand_where_systemd_reads_them() {
    for path in files_with_extension("systemd-units", "service") {
        let text = read(&path);
        let service = text.split("[Service]").nth(1).unwrap_or_default();
        assert!(
            !service.contains("StartLimit"),
            "{}: StartLimit* belongs in [Unit]",
            path.display()
        );
    }
}

#[test]
fn secrets_come_as_credentials_only() {
    for path in files_with_extension("systemd-units", "service") {
        let text = read(&path);
        for line in text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
        {
            let environment =
                line.starts_with("Environment=") || line.starts_with("EnvironmentFile=");
            let looks_secret = ["TOKEN", "PASSWORD", "SECRET"]
                .iter()
                .any(|w| line.to_uppercase().contains(w));
            assert!(!(environment && looks_secret), "{}: {line}", path.display());
        }
    }
}
