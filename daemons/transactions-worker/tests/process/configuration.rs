//! A bad configuration: exit status 64 before any port is opened, naming file, line and key.

use std::path::Path;

use crate::support::{bad_configurations, worker};

fn run(arguments: &[&str], config: &Path) -> (Option<i32>, String) {
    let output = worker()
        .args(arguments)
        .arg("--config")
        .arg(config)
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Each file's first line says what the message must hold, after `# expect: `.
#[test]
fn each_mistake_is_named_and_ends_in_64() {
    let files = bad_configurations();
    assert!(files.len() >= 8, "the fixtures are there");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let expected = text
            .lines()
            .next()
            .unwrap()
            .strip_prefix("# expect: ")
            .unwrap();
        let name = file.display().to_string();
        for arguments in [&["validate"][..], &["serve", "--instance", "1"][..]] {
            let (status, message) = run(arguments, &file);
            assert_eq!(status, Some(64), "{name}: {message}");
            assert!(message.contains(&name), "{name}: {message}");
            assert!(message.contains(expected), "{name}: {message}");
        }
    }
}

#[test]
fn an_instance_beyond_the_last_port_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("worker.toml");
    let text = "store = \"sqlite:/nonexistent/t.db\"\nmetrics_address = \"127.0.0.1\"\nmetrics_base_port = 65000\n";
    std::fs::write(&config, text).unwrap();
    assert_eq!(run(&["validate"], &config).0, Some(0));
    let (status, message) = run(&["serve", "--instance", "600"], &config);
    assert_eq!(status, Some(64), "{message}");
    assert!(message.contains("metrics_base_port"), "{message}");
}

#[test]
fn the_shipped_configuration_is_valid() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/worker.toml");
    let (status, message) = run(&["validate"], Path::new(shipped));
    assert_eq!((status, message.as_str()), (Some(0), ""));
}
