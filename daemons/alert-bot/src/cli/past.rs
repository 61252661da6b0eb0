//! Questions to the ledger itself: they are answered whether the bot runs or not.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use ledger::{Filter, IncidentSummary, Moment, Store};
use serde_json::{Value, json};

use super::{ConfigFile, ago, parse_duration, print};
use crate::config::Config;

/// `alert-bot incidents`
#[derive(Debug, Args)]
pub(crate) struct Incidents {
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
    #[command(flatten)]
    file: ConfigFile,
}

/// `alert-bot incident`
#[derive(Debug, Args)]
pub(crate) struct OneIncident {
    /// Its id, or the beginning of it.
    id: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

impl Incidents {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let store = open_ledger(&self.file)?;
        let found = store.incidents(&Filter {
            since: self.since.map(ago).transpose()?,
            unit: self.unit,
            outcome: self.outcome,
        })?;
        if self.json {
            return print(&format!("{}\n", serde_json::to_string_pretty(&found)?));
        }
        print(&found.iter().map(line).collect::<String>())
    }
}

impl OneIncident {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let store = open_ledger(&self.file)?;
        let Some(found) = store.incident(&self.id)? else {
            bail!(
                "there is no incident {:?}; see: alert-bot incidents",
                self.id
            );
        };
        let timeline = store.timeline(&found.id)?;
        let evidence = store.evidence(&found.id)?;
        if !self.json {
            return print(&story(&found, &timeline, evidence.as_deref()));
        }
        let evidence: Option<Value> = evidence
            .map(|text| serde_json::from_str(&text))
            .transpose()?;
        let whole = json!({ "incident": found, "timeline": timeline, "evidence": evidence });
        print(&format!("{}\n", serde_json::to_string_pretty(&whole)?))
    }
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

fn story(incident: &IncidentSummary, timeline: &[Moment], evidence: Option<&str>) -> String {
    let mut text = line(incident);
    for moment in timeline {
        let (at, what, detail) = (moment.at, moment.what, &moment.detail);
        let _ = writeln!(text, "  {at:.3}  {what:<9} {detail}");
    }
    if let Some(evidence) = evidence {
        let _ = writeln!(text, "  found before anything was touched: {evidence}");
    }
    text
}

/// Read only, beside the running bot.
pub(super) fn open_ledger(file: &ConfigFile) -> anyhow::Result<Store> {
    let config = Config::load(&file.config)?;
    Store::open_to_read(&config.ledger).context("has the bot run, and are you root?")
}
