//! The unit files of this host: what a policy can name.

use std::fs;
use std::path::{Path, PathBuf};

use remediation::UnitFiles;

/// Where systemd looks for units, the first that has one wins (`systemd.unit(5)`).
const DIRECTORIES: [&str; 8] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/run/systemd/generator",
    "/run/systemd/generator.late",
];

pub(super) fn of_this_host() -> UnitFiles {
    below(Path::new("/"))
}

fn below(root: &Path) -> UnitFiles {
    let directories = DIRECTORIES.map(|path| root.join(path.trim_start_matches('/')));
    let mut files = UnitFiles::new();
    for path in directories.iter().flat_map(|directory| entries(directory)) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if !files.contains_key(name) {
            files.insert(name.into(), service_type(name, &path, &directories));
        }
    }
    files
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = read.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The last word of the service's file and its drop-ins, which are read in the order of their
/// names; `None` where they say nothing.
fn service_type(name: &str, file: &Path, directories: &[PathBuf]) -> Option<String> {
    if !name.ends_with(".service") {
        return None;
    }
    let of_directory = |directory: &PathBuf| entries(&directory.join(format!("{name}.d")));
    let mut drop_ins: Vec<PathBuf> = directories.iter().rev().flat_map(of_directory).collect();
    drop_ins.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    let texts = std::iter::once(file.to_owned())
        .chain(drop_ins)
        .filter_map(|path| fs::read_to_string(path).ok());
    texts
        .filter_map(|text| text.lines().rev().find_map(type_of))
        .next_back()
}

fn type_of(line: &str) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    (key.trim() == "Type").then(|| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_file_wins_and_drop_ins_have_the_last_word() {
        let root = tempfile::tempdir().unwrap();
        let unit = |path: &str, line: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("[Service]\n{line}\n")).unwrap();
        };
        unit("usr/lib/systemd/system/a.service", "Type=simple");
        unit("etc/systemd/system/a.service", "Type = oneshot");
        unit("usr/lib/systemd/system/b.service", "Type=notify");
        unit("usr/lib/systemd/system/b.service.d/10.conf", "Type=exec");
        unit("etc/systemd/system/b.service.d/10.conf", "Type=idle");
        unit("run/systemd/generator/c@.service", "ExecStart=/c");
        unit("usr/lib/systemd/system/d.socket", "");
        let files = below(root.path());
        let of = |name: &str| files.get(name).map(Option::as_deref);
        assert_eq!(of("a.service"), Some(Some("oneshot")));
        assert_eq!(of("b.service"), Some(Some("idle")));
        assert_eq!(of("c@.service"), Some(None));
        assert_eq!(of("d.socket"), Some(None));
        assert_eq!(of("e.service"), None);
        assert!(below(&root.path().join("nothing")).is_empty());
    }
}
