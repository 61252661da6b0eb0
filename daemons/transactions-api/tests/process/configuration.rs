//! A bad configuration: exit status 64 before any port is opened, naming file, line and key.

use std::path::{Path, PathBuf};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bad-configurations");

fn run(verb: &str, config: &Path) -> (Option<i32>, String) {
    let output = crate::support::api()
        .arg(verb)
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
    let files: Vec<PathBuf> = std::fs::read_dir(FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
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
        for verb in ["validate", "serve"] {
            let (status, message) = run(verb, &file);
            assert_eq!(status, Some(64), "{name}: {message}");
            assert!(message.contains(&name), "{name}: {message}");
            assert!(message.contains(expected), "{name}: {message}");
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    let (status, message) = run("serve", Path::new("/nonexistent/api.toml"));
    assert_eq!(status, Some(64));
    assert!(message.contains("/nonexistent/api.toml"), "{message}");
}

#[test]
fn the_shipped_configuration_is_valid() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/api.toml");
    let (status, message) = run("validate", Path::new(shipped));
    assert_eq!((status, message.as_str()), (Some(0), ""));
}
