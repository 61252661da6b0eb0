//! What every crate must declare, and the crates that the stack promises to be built from.

use tidy::{crates, files_with_extension, read};

#[test]
fn every_crate_takes_the_workspace_lints_and_edition() {
    for (name, found) in crates() {
        let lints = found
            .manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        assert_eq!(
            lints.and_then(toml::Value::as_bool),
            Some(true),
            "{name} has its own lints"
        );
        for key in ["version", "edition", "rust-version", "license"] {
            let inherited = found.manifest["package"]
                .get(key)
                .and_then(|key| key.get("workspace"));
            assert_eq!(
                inherited.and_then(toml::Value::as_bool),
                Some(true),
                "{name}: {key}"
            );
        }
    }
}

#[test]
fn no_crate_may_hold_unsafe_code() {
    let workspace: toml::Table = read("Cargo.toml").parse().unwrap();
    let level = &workspace["workspace"]["lints"]["rust"]["unsafe_code"];
    // `forbid`, unlike `deny`, cannot be lifted by an attribute further down.
    assert_eq!(level.as_str(), Some("forbid"));
}

#[test]
fn dependencies_take_their_version_from_the_workspace() {
    for (name, found) in crates() {
        for kind in ["dependencies", "dev-dependencies"] {
            let Some(table) = found.manifest.get(kind).and_then(toml::Value::as_table) else {
                continue;
            };
            for (dependency, value) in table {
                // A crate may depend on itself: that is how its tests get a feature of its own.
                assert!(
                    value.get("workspace").is_some() || *dependency == name,
                    "{name}: {kind}.{dependency}"
                );
            }
        }
    }
}

#[test]
fn the_promised_crates_are_really_used() {
    let promised = [
        "hyper",
        "tokio",
        "prometheus",
        "rusqlite",
        "zbus",
        "sd-notify",
        "serde",
        "nix",
    ];
    for dependency in promised {
        let path = format!("{}::", dependency.replace('-', "_"));
        let using = crates().into_values().any(|found| {
            found.dependencies.contains(dependency)
                && files_with_extension(&found.folder.join("src").to_string_lossy(), "rs")
                    .iter()
                    .any(|file| read(file).contains(&path))
        });
        assert!(using, "no crate depends on {dependency} and uses it");
    }
}

#[test]
fn metrics_are_declared_in_one_module_per_daemon() {
    for daemon in crates()
        .into_values()
        .filter(|found| found.folder.starts_with("daemons"))
    {
        for file in files_with_extension(&daemon.folder.join("src").to_string_lossy(), "rs") {
            let in_its_room = file
                .components()
                .any(|part| part.as_os_str() == "metrics.rs" || part.as_os_str() == "metrics");
            let uses = read(&file).contains("prometheus::");
            assert!(
                in_its_room || !uses,
                "{} uses the prometheus crate",
                file.display()
            );
        }
    }
}
