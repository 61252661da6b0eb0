//! `NAME.8`: a daemon's command line and what its package installs.

use std::fmt::Write as _;

use anyhow::Context;
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, line_break, roman};

use crate::daemons::Daemon;
use crate::manifest::Manifest;
use crate::roff_text;

/// The exit statuses of every daemon.
const EXIT_STATUS: [(&str, &str); 3] = [
    ("0", "Done, or ended as asked."),
    (
        "1",
        "Something went wrong; the reason is on standard error.",
    ),
    (
        "64",
        "The configuration cannot be used; the message names file, line and key.",
    ),
];

/// Places of files that a reader looks for.
const NOTABLE: [&str; 3] = ["etc/", "usr/lib/systemd/system/", "usr/share/polkit-1/"];

/// The whole page.
///
/// # Errors
/// Where clap's own part is no text.
pub(crate) fn render(daemon: &Daemon, manifest: &Manifest) -> anyhow::Result<String> {
    let mut command = (daemon.command)().disable_help_subcommand(true);
    command.build();
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut head = roff_text::page(daemon.name, "8", manifest, &about);
    head.control("SH", ["SYNOPSIS"]);
    head.text([
        bold(daemon.name),
        roman(" "),
        italic("COMMAND"),
        roman(" …"),
    ]);
    head.control("SH", ["DESCRIPTION"]);
    head.text([roman(
        manifest
            .description
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
    )]);
    head.control("SH", ["COMMANDS"]);
    let mut page = head.render();
    for subcommand in command.get_subcommands() {
        describe(subcommand, &mut page)?;
    }
    page.push_str(&tail(daemon, manifest).to_roff());
    Ok(page)
}

/// A command's usage, purpose and options, then those of the commands below it.
fn describe(command: &Command, page: &mut String) -> anyhow::Result<()> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut heading = Roff::new();
    heading.control("SS", [name]);
    page.push_str(&heading.to_roff());
    // Each command has it, so it says nothing about any.
    let man = Man::new(command.clone().mut_arg("help", |help| help.hide(true)));
    page.push_str(&section(|out| man.render_synopsis_section(out))?);
    page.push_str(".PP\n");
    page.push_str(&section(|out| man.render_description_section(out))?);
    page.push_str(&section(|out| man.render_options_section(out))?);
    command
        .get_subcommands()
        .try_for_each(|inner| describe(inner, page))
}

/// What clap writes below a section's heading; nothing where it writes no section.
fn section(
    render: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>,
) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    render(&mut bytes)?;
    let text = String::from_utf8(bytes).context("a page is text")?;
    let mut body = String::new();
    for line in text
        .lines()
        .skip_while(|line| !line.starts_with(".SH "))
        .skip(1)
    {
        let _ = writeln!(body, "{line}");
    }
    Ok(body)
}

fn tail(daemon: &Daemon, manifest: &Manifest) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in EXIT_STATUS {
        roff.control("TP", []);
        roff.text([bold(status)]);
        roff.text([roman(meaning)]);
    }
    roff.control("SH", ["FILES"]);
    for (_, place) in &manifest.assets {
        if NOTABLE.iter().any(|start| place.starts_with(start)) {
            roff.text([italic(format!("/{place}")), line_break()]);
        }
    }
    let mut pages = vec![format!("{}.toml(5)", daemon.name)];
    pages.extend(daemon.policy.map(|_| format!("{}-policy(5)", daemon.name)));
    pages.extend(["systemctl(1)".to_owned(), "journalctl(1)".to_owned()]);
    roff_text::see_also(&mut roff, &pages);
    roff
}
