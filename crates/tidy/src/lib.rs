//! Invariants of the whole repository, as tests: each file in `tests/` holds one kind.
//!
//! Here is only what they share: finding the repository's files and reading its manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold what is built or fetched, not what the project is.
const NOT_OURS: [&str; 6] = [
    ".git",
    "target",
    ".venv",
    ".vagrant",
    "node_modules",
    "__pycache__",
];

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("the crate lies in crates/tidy")
        .into()
}

/// Every file of the project below `folder` (relative to the root), as relative paths, sorted.
pub fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&root(), Path::new(folder), &mut found);
    found.sort();
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(root.join(folder)) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let path = if folder == Path::new("") {
            name.clone().into()
        } else {
            folder.join(&name)
        };
        let kind = entry.file_type().expect("a listed file has a type");
        if kind.is_dir() {
            if !NOT_OURS.iter().any(|other| name == *other) {
                collect(root, &path, found);
            }
        } else if kind.is_file() {
            found.push(path);
        }
    }
}

/// The files below `folder` whose names end in `.{extension}`.
pub fn files_with_extension(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = files(folder);
    found.retain(|path| path.extension().is_some_and(|found| found == extension));
    found
}

/// The text of a file, by its path relative to the root.
///
/// # Panics
/// Where it is no readable text: a test cannot go on without it.
pub fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One crate of the workspace.
pub struct Crate {
    /// Its package name.
    pub name: String,
    /// Its folder, relative to the root.
    pub folder: PathBuf,
    /// What it depends on outside its tests.
    pub dependencies: BTreeSet<String>,
    /// Its whole manifest.
    pub manifest: toml::Table,
}

/// Every crate of the workspace, by package name.
pub fn crates() -> BTreeMap<String, Crate> {
    let mut found = BTreeMap::new();
    for parent in ["crates", "daemons"] {
        for path in files(parent) {
            if path.file_name().is_none_or(|name| name != "Cargo.toml") {
                continue;
            }
            let manifest: toml::Table = read(&path)
                .parse()
                .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let name = manifest["package"]["name"]
                .as_str()
                .expect("a package has a name");
            let dependencies = manifest
                .get("dependencies")
                .and_then(toml::Value::as_table)
                .map(|table| table.keys().cloned().collect())
                .unwrap_or_default();
            let folder = path.parent().expect("a manifest lies in a folder").into();
            let name = name.to_owned();
            found.insert(
                name.clone(),
                Crate {
                    name,
                    folder,
                    dependencies,
                    manifest,
                },
            );
        }
    }
    found
}
