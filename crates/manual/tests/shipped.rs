//! What the packages ship agrees with the code and is complete.

use std::collections::BTreeSet;
use std::fs;

use manual::{DAEMONS, Manifest, default_configuration, folder, pages, root};

const ADVICE: &str = "is not what the code says: run `cargo run --package manual`";

#[test]
fn default_configuration_has_every_key_under_the_code_s_own_words() {
    for daemon in &DAEMONS {
        let shipped = fs::read_to_string(root().join(daemon.defaults)).unwrap();
        let expected = default_configuration(daemon).unwrap();
        assert!(shipped == expected, "{} {ADVICE}", daemon.defaults);
    }
}

#[test]
fn pages_and_completions_are_what_the_code_says() {
    for daemon in &DAEMONS {
        for (name, expected) in pages(daemon).unwrap() {
            let path = folder(daemon).join(name);
            let shipped = fs::read_to_string(root().join(&path)).unwrap_or_default();
            assert!(shipped == expected, "{} {ADVICE}", path.display());
        }
    }
}

#[test]
fn every_page_is_packaged_and_every_packaged_page_is_written() {
    for daemon in &DAEMONS {
        let manifest = Manifest::read(daemon).unwrap();
        let packaged: BTreeSet<String> = manifest
            .assets
            .into_iter()
            .filter_map(|(source, _)| Some(source.strip_prefix("manual/")?.to_owned()))
            .collect();
        let written: BTreeSet<String> = pages(daemon)
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(packaged, written, "{}", daemon.name);
    }
}

#[test]
fn pages_name_every_command_option_and_key() {
    for daemon in &DAEMONS {
        let pages = pages(daemon).unwrap();
        let read = |name: String| {
            let page = pages.iter().find(|(found, _)| *found == name);
            page.map(|(_, text)| text.replace("\\-", "-")).unwrap()
        };
        let page = read(format!("{}.8", daemon.name));
        for command in (daemon.command)().get_subcommands() {
            let heading = format!("{} {}", daemon.name, command.get_name());
            assert!(page.contains(&heading), "{heading}");
            for long in command.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(page.contains(&format!("--{long}")), "{heading} --{long}");
            }
        }
        let keys = read(format!("{}.toml.5", daemon.name));
        let settings = default_configuration(daemon).unwrap();
        for (key, _) in settings.lines().filter_map(|line| line.split_once(" = ")) {
            let name = key.trim_start_matches(['#', ' ']);
            let is_key = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            let shown = keys.contains(&format!("\\fB{name}\\fR"));
            assert!(shown || !is_key, "{}: {name}", daemon.name);
        }
    }
}
