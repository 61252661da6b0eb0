//! Documents whose links lead somewhere, and a repository that speaks of the project alone.

use std::path::{Component, Path, PathBuf};

use regex::Regex;
use tidy::{files, files_with_extension, read, root};

#[test]
fn links_between_documents_lead_to_files() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut broken = Vec::new();
    for document in files_with_extension("", "md") {
        let text = read(&document);
        for target in link.captures_iter(&text).map(|found| found[1].to_owned()) {
            if target.contains("://") || target.starts_with('#') || target.starts_with("mailto:") {
                continue;
            }
            let file = target.split('#').next().unwrap_or_default();
            let folder = document.parent().unwrap_or(Path::new(""));
            if !root().join(normalised(&folder.join(file))).exists() {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "links that lead nowhere:\n{}",
        broken.join("\n")
    );
}

fn normalised(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean
}

#[test]
fn decisions_are_numbered_once() {
    let mut numbers: Vec<String> = files_with_extension("docs/adr", "md")
        .iter()
        .map(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .chars()
                .take(4)
                .collect()
        })
        .collect();
    assert!(
        numbers.iter().all(|number| number.parse::<u16>().is_ok()),
        "{numbers:?}"
    );
    let count = numbers.len();
    numbers.dedup();
    assert_eq!(numbers.len(), count, "two decisions share a number");
}

#[test]
fn source_files_stay_readable_in_one_sitting() {
    /// Beyond this a file has become a drawer for several things.
    const MAX_LINES: usize = 600;
    let long: Vec<String> = files("")
        .into_iter()
        .filter(|path| {
            path.extension()
                .is_some_and(|kind| kind == "rs" || kind == "py")
        })
        .map(|path| (read(&path).lines().count(), path))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, path)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}
