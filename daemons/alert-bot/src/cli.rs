//! What people and units type.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use jiff::{SignedDuration, Timestamp};
use ledger::{Filter, IncidentSummary, Store};

use crate::config::{Config, DEFAULT_PATH};

/// Bounded, proven, recorded repairs through systemd.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon (what the unit starts).
    Serve(ConfigFile),
    /// Check configuration and policy; exit 64 where they cannot be used.
    Validate(ConfigFile),
    /// Print the polkit rule that grants what the policy needs, and nothing else.
    PolkitRules(ConfigFile),
    /// List incidents, newest first.
    Incidents(Incidents),
    /// Tell the story of one incident.
    Incident(OneIncident),
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(long, default_value = DEFAULT_PATH)]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct Incidents {
    #[command(flatten)]
    file: ConfigFile,
    /// Only those opened within this time, such as `7d` or `12h 30m`.
    #[arg(long, value_parser = parse_duration)]
    since: Option<Duration>,
    /// Only those of this unit.
    #[arg(long)]
    unit: Option<String>,
    /// Only those that ended so, such as `effective`.
    #[arg(long)]
    outcome: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct OneIncident {
    /// Its id, or the beginning of it.
    id: String,
    #[command(flatten)]
    file: ConfigFile,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Cli {
    /// # Errors
    /// What went wrong.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Serve(file) => crate::serve::serve(&file.config),
            Command::Validate(file) => validate(&file),
            Command::PolkitRules(file) => {
                let policy = Config::load(&file.config)?.load_policy()?;
                print(&remediation::polkit_rules(&policy))
            }
            Command::Incidents(question) => incidents(&question),
            Command::Incident(question) => incident(&question),
        }
    }
}

fn validate(file: &ConfigFile) -> anyhow::Result<()> {
    let config = Config::load(&file.config)?;
    let policy = config.load_policy()?;
    for doubt in policy.doubts(None) {
        print(&format!("warning: {doubt}\n"))?;
    }
    let rules = policy.rules().len();
    print(&format!(
        "valid: {} with {rules} rules\n",
        file.config.display()
    ))
}

fn incidents(question: &Incidents) -> anyhow::Result<()> {
    let store = open_ledger(&question.file)?;
    let since = question.since.map(ago).transpose()?;
    let found = store.incidents(&Filter {
        since,
        unit: question.unit.clone(),
        outcome: question.outcome.clone(),
    })?;
    if question.json {
        return print(&format!("{}\n", serde_json::to_string_pretty(&found)?));
    }
    let lines = found.iter().map(line);
    print(&lines.collect::<String>())
}

fn line(incident: &IncidentSummary) -> String {
    format!(
        "{}  {:.0}  {:<10} {:<32} {} ({} attempts)\n",
        incident.id,
        incident.opened_at,
        incident.outcome.as_deref().unwrap_or(&incident.state),
        incident.unit.as_deref().unwrap_or("-"),
        incident.alertname,
        incident.attempts
    )
}

fn incident(question: &OneIncident) -> anyhow::Result<()> {
    let store = open_ledger(&question.file)?;
    let Some(found) = store.incident(&question.id)? else {
        bail!(
            "there is no incident {:?}; see: alert-bot incidents",
            question.id
        );
    };
    let timeline = store.timeline(&found.id)?;
    let evidence = store.evidence(&found.id)?;
    if question.json {
        let evidence: Option<serde_json::Value> = evidence
            .map(|text| serde_json::from_str(&text))
            .transpose()?;
        let story = serde_json::json!({
            "incident": found, "timeline": timeline, "evidence": evidence
        });
        return print(&format!("{}\n", serde_json::to_string_pretty(&story)?));
    }
    let mut text = line(&found);
    for moment in timeline {
        text.push_str(&format!(
            "  {:.3}  {:<9} {}\n",
            moment.at, moment.what, moment.detail
        ));
    }
    if let Some(evidence) = evidence {
        text.push_str(&format!(
            "  found before anything was touched: {evidence}\n"
        ));
    }
    print(&text)
}

fn open_ledger(file: &ConfigFile) -> anyhow::Result<Store> {
    let config = Config::load(&file.config)?;
    Store::open_to_read(&config.ledger).context("is the bot deployed, and are you root?")
}

fn ago(duration: Duration) -> anyhow::Result<Timestamp> {
    Timestamp::now()
        .saturating_sub(duration)
        .context("that is too long ago")
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from(duration).map_err(|_| "a time span cannot be negative".into())
}

/// To stdout. A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to stdout"),
    }
}
