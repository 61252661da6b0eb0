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
        let evidence: Option<Value> = store
            .evidence(&found.id)?
            .map(|text| serde_json::from_str(&text))
            .transpose()?;
        if !self.json {
            return print(&story(&found, &timeline, evidence.as_ref()));
        }
        let whole = json!({ "incident": found, "timeline": timeline, "evidence": evidence });
        print(&format!("{}\n", serde_json::to_string_pretty(&whole)?))
    }
}

fn line(incident: &IncidentSummary) -> String {
    let plural = if incident.attempts == 1 { "" } else { "s" };
    format!(
        "{}  {:.0}  {:<10} {:<32} {} ({} attempt{plural})\n",
        incident.id,
        incident.opened_at,
        incident.outcome.as_deref().unwrap_or(&incident.state),
        incident.unit.as_deref().unwrap_or("-"),
        incident.alertname,
        incident.attempts
    )
}

fn story(incident: &IncidentSummary, timeline: &[Moment], evidence: Option<&Value>) -> String {
    let mut text = line(incident);
    for moment in timeline {
        let (at, what, detail) = (moment.at, moment.what, &moment.detail);
        let _ = writeln!(text, "  {at:.3}  {what:<9} {detail}");
    }
    if let Some(evidence) = evidence {
        text.push_str("  found before anything was touched:\n");
        text.push_str(&findings(evidence));
    }
    text
}

/// Each fact on a line of its own, what is not known left out, and the journal's lines last.
fn findings(evidence: &Value) -> String {
    let mut text = String::new();
    for part in ["unit", "pressure", "memory_events"] {
        for (name, value) in evidence[part].as_object().into_iter().flatten() {
            if !is_empty(value) {
                let _ = writeln!(
                    text,
                    "    {:<28} {}",
                    format!("{part}.{name}"),
                    plain(value)
                );
            }
        }
    }
    if let Some(healthy) = evidence["probe_healthy"].as_bool() {
        let _ = writeln!(text, "    {:<28} {healthy}", "probe_healthy");
    }
    let lines = evidence["journal"].as_array();
    for line in lines.into_iter().flatten() {
        let (at, by, said) = (plain(&line["at"]), plain(&line["by"]), plain(&line["text"]));
        let _ = writeln!(text, "    {at}  {by}: {said}");
    }
    text
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Number(number) => number.as_u64() == Some(0),
        _ => false,
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Read only, beside the running bot.
pub(super) fn open_ledger(file: &ConfigFile) -> anyhow::Result<Store> {
    let config = Config::load(&file.config)?;
    Store::open_to_read(&config.ledger).context("has the bot run, and are you root?")
}
