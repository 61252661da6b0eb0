//! What people and units type.

mod orders;
mod past;
mod policy;
mod unit_files;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use jiff::{Span, SpanRelativeTo, Timestamp};

use crate::config::DEFAULT_PATH;

/// The command line.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon (what the unit starts).
    Serve(ConfigFile),
    /// Check configuration and policy; exit 64 where they cannot be used, 1 where a rule never works.
    Validate(policy::Validate),
    /// Print the polkit rule that grants what the policy needs, and nothing else.
    PolkitRules(policy::PolkitRules),
    /// Make past decisions again under the policy in the files, and show what would differ.
    Simulate(policy::Simulate),
    /// Run unit tests of the policy.
    Test(policy::Test),
    /// List incidents, newest first.
    Incidents(past::Incidents),
    /// Tell the story of one incident.
    Incident(past::OneIncident),
    /// Say how the bot is: pauses, budgets, open incidents.
    Status(ConfigFile),
    /// Read the policy again; one with a mistake is refused and the old one stays.
    Reload(ConfigFile),
    /// Keep the bot's hands off, for a while.
    Pause(orders::Pause),
    /// End a pause, or declare a rule's past as settled.
    Resume(orders::Resume),
    /// Allow what an incident waits for.
    Approve(orders::Answer),
    /// Forbid what an incident waits for.
    Deny(orders::Answer),
    /// Say what would be decided about an alert now, and why.
    Explain(orders::Explain),
}

#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// The configuration file.
    #[arg(long, default_value = DEFAULT_PATH)]
    config: PathBuf,
}

impl Cli {
    /// # Errors
    /// What went wrong.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Serve(file) => crate::serve::serve(&file.config),
            Command::Validate(question) => question.run(),
            Command::PolkitRules(question) => question.run(),
            Command::Simulate(question) => question.run(),
            Command::Test(question) => question.run(),
            Command::Incidents(question) => question.run(),
            Command::Incident(question) => question.run(),
            Command::Status(file) => orders::status(&file),
            Command::Reload(file) => orders::reload(&file),
            Command::Pause(order) => order.run(),
            Command::Resume(order) => order.run(),
            Command::Approve(order) => order.approve(),
            Command::Deny(order) => order.deny(),
            Command::Explain(question) => question.run(),
        }
    }
}

/// The moment that lies this long back.
fn ago(duration: Duration) -> anyhow::Result<Timestamp> {
    Timestamp::now()
        .saturating_sub(duration)
        .context("that is too long ago")
}

/// `7d`, `12h 30m`, `90s`, …; a day has 24 hours here.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let span: Span = text.parse().map_err(|error| format!("{error}"))?;
    let exact = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|error| format!("{error}"))?;
    Duration::try_from(exact).map_err(|_| "a time span cannot be negative".into())
}

/// To stdout. A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to stdout"),
    }
}
