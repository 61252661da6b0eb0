//! What the packages hold beside binaries and units, written from what the code says of itself.
//!
//! ```text
//! clap's commands, package descriptions ─▶ command_page ─▶ NAME.8
//!                                       └▶ completions for bash, zsh and fish
//! docs of the configuration types ─▶ keys ─┬▶ defaults ─▶ the default configuration file
//!                                          └▶ file_page ─▶ FILE.5
//! docs/policy.md ─▶ policy_page ─▶ alert-bot-policy.5
//! ```
//! All of it is committed, and a test compares it with what the code says now: packing the daemons
//! needs no further build.

mod command_page;
mod daemons;
mod defaults;
mod file_page;
mod keys;
mod manifest;
mod policy_page;
mod roff_text;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap_complete::Shell;

pub use daemons::{DAEMONS, Daemon};
pub use manifest::Manifest;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Writes the default configuration, then the pages and completions of all packages.
///
/// # Errors
/// Names the file that cannot be read, understood or written.
pub fn write() -> anyhow::Result<()> {
    for daemon in &DAEMONS {
        let text = default_configuration(daemon)?;
        fs::write(root().join(daemon.defaults), text).context(daemon.defaults)?;
        let folder = root().join(folder(daemon));
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        for (name, text) in pages(daemon)? {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// Where the daemon's pages and completions are, in the repository.
pub fn folder(daemon: &Daemon) -> PathBuf {
    PathBuf::from(format!("daemons/{}/manual", daemon.name))
}

/// The pages and completions of one package: their names and what is in them.
///
/// # Errors
/// Names the file that cannot be read or understood.
pub fn pages(daemon: &Daemon) -> anyhow::Result<Vec<(String, String)>> {
    let name = daemon.name;
    let manifest = Manifest::read(daemon)?;
    let mut files = vec![
        (
            format!("{name}.8"),
            command_page::render(daemon, &manifest)?,
        ),
        (
            format!("{name}.toml.5"),
            file_page::render(daemon, &manifest)?,
        ),
    ];
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut (daemon.command)(), name, &mut script);
        let script = String::from_utf8(script).context("a completion is text")?;
        files.push((format!("{name}.{shell}"), script));
    }
    if let Some(document) = daemon.policy {
        let text = read(Path::new(document))?;
        let page = policy_page::render(&format!("{name}-policy"), &manifest, &text);
        files.push((format!("{name}-policy.5"), page));
    }
    Ok(files)
}

/// The daemon's default configuration as the code's documentation has it: every key that the code
/// reads, under its own words, with the value that the file gives it now.
///
/// # Errors
/// Names the key that the file gives no value.
pub fn default_configuration(daemon: &Daemon) -> anyhow::Result<String> {
    let text = read(Path::new(daemon.defaults))?;
    defaults::rewritten(&keys::read(daemon)?, &text).with_context(|| daemon.defaults.to_owned())
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(root().join(path)).with_context(|| path.display().to_string())
}
