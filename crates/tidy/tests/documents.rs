//! Documents whose links lead somewhere and whose commands exist, and files of a readable length.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use regex::Regex;
use tidy::{crates, files, files_with_extension, read, root};

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
fn commands_in_documents_exist() {
    let known = known_commands();
    let programs: Vec<&str> = known.keys().map(String::as_str).collect();
    // Where a command begins: a line of code, or inside one.
    let command = Regex::new(&format!(
        r#"(?:^|CMD=['"]|[;&|(] *|sudo |nice )({})(?: [A-Z]+=\S+)* ([a-z][a-z-]*)"#,
        programs.join("|")
    ))
    .unwrap();
    let mut seen = BTreeSet::new();
    let mut unknown = Vec::new();
    for document in files_with_extension("", "md") {
        for code in code_of(&read(&document)) {
            for found in command.captures_iter(&code) {
                let (program, word) = (&found[1], &found[2]);
                seen.insert(program.to_owned());
                if !known[program].contains(word) {
                    unknown.push(format!("{}: {program} {word}", document.display()));
                }
            }
        }
    }
    assert!(
        unknown.is_empty(),
        "there is no such command:\n{}",
        unknown.join("\n")
    );
    for program in ["make", "alert-bot", "transactions-api"] {
        assert!(
            seen.contains(program),
            "no document mentions {program}: is the code still found?"
        );
    }
}

/// What each program understands: the targets of the Makefile, the subcommands of the host tool
/// and of the daemons.
fn known_commands() -> BTreeMap<String, BTreeSet<String>> {
    let words = |pattern: &str, text: &str| -> BTreeSet<String> {
        let pattern = Regex::new(pattern).expect("the pattern is written here");
        pattern
            .captures_iter(text)
            .map(|found| found[1].to_owned())
            .collect()
    };
    let mut known = BTreeMap::from([
        (
            "make".to_owned(),
            words(r"(?m)^([a-z-]+):", &read("Makefile")),
        ),
        (
            "host/run.sh".to_owned(),
            words(r#"\badd\("([a-z-]+)""#, &read("host/cli.py")),
        ),
    ]);
    for daemon in crates()
        .into_values()
        .filter(|found| found.folder.starts_with("daemons"))
    {
        let mut commands = BTreeSet::new();
        for source in files_with_extension(&daemon.folder.join("src").to_string_lossy(), "rs") {
            let text = read(&source);
            let Some((_, body)) = text.split_once("enum Command {\n") else {
                continue;
            };
            let body = body.split("\n}").next().unwrap_or_default();
            commands.extend(
                words(r"(?m)^    ([A-Z]\w+)", body)
                    .iter()
                    .map(|name| kebab_case(name)),
            );
        }
        assert!(!commands.is_empty(), "{} has no commands", daemon.name);
        known.insert(daemon.name, commands);
    }
    known
}

fn kebab_case(variant: &str) -> String {
    let mut name = String::new();
    for letter in variant.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// The lines of code of a document: fenced, indented, or within a line of text.
fn code_of(text: &str) -> Vec<String> {
    let inline = Regex::new(r"`([^`]+)`").expect("the pattern is written here");
    let mut code = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            code.push(line.trim().to_owned());
        }
        code.extend(inline.captures_iter(line).map(|found| found[1].to_owned()));
    }
    code
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
