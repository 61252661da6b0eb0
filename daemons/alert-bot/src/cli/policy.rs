//! Questions about the policy in the files, before it is in force.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use remediation::{Difference, Policy, Recorded};

use super::past::open_ledger;
use super::{ConfigFile, ago, parse_duration, print};
use crate::config::Config;

/// `alert-bot validate`
#[derive(Debug, Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    file: ConfigFile,
    /// Also compare this deployed polkit rule with the one that the policy needs.
    #[arg(long)]
    polkit_rules: Option<PathBuf>,
}

/// `alert-bot simulate`
#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// The decisions of this time, from the ledger.
    #[arg(long, value_parser = parse_duration, default_value = "7d")]
    since: Duration,
    /// Decisions from this file instead, one JSON value a line, as `--export` prints them.
    #[arg(long)]
    history: Option<PathBuf>,
    /// Print the recorded decisions themselves, for `--history`.
    #[arg(long, conflicts_with = "history")]
    export: bool,
    #[command(flatten)]
    file: ConfigFile,
}

impl Validate {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let config = Config::load(&self.file.config)?;
        let policy = config.load_policy()?;
        for doubt in policy.doubts(None) {
            print(&format!("warning: {doubt}\n"))?;
        }
        if let Some(path) = &self.polkit_rules {
            let deployed = std::fs::read_to_string(path)
                .with_context(|| format!("{}: cannot be read", path.display()))?;
            if deployed != remediation::polkit_rules(&policy) {
                let path = path.display();
                print(&format!(
                    "warning: {path}: is not what the policy needs; write it anew with: \
                     alert-bot polkit-rules > {path}\n"
                ))?;
            }
        }
        let (file, rules) = (self.file.config.display(), policy.rules().len());
        print(&format!("valid: {file} with {rules} rules\n"))
    }
}

pub(crate) fn print_polkit_rules(file: &ConfigFile) -> anyhow::Result<()> {
    let policy = Config::load(&file.config)?.load_policy()?;
    print(&remediation::polkit_rules(&policy))
}

impl Simulate {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let policy = Config::load(&self.file.config)?.load_policy()?;
        let recorded = match &self.history {
            Some(path) => read_lines(path)?,
            None => self.recorded_decisions()?,
        };
        if self.export {
            for decision in recorded {
                print(&format!("{}\n", serde_json::to_string(&decision)?))?;
            }
            return Ok(());
        }
        report(&policy, recorded)
    }

    fn recorded_decisions(&self) -> anyhow::Result<Vec<Recorded>> {
        let decisions = open_ledger(&self.file)?.decisions(ago(self.since)?)?;
        let recorded = decisions.into_iter().map(|stored| Recorded {
            policy: stored.policy,
            history: stored.input.history,
            situation: stored.input.situation,
            decision: stored.decision,
        });
        Ok(recorded.collect())
    }
}

fn read_lines(path: &PathBuf) -> anyhow::Result<Vec<Recorded>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{}: cannot be read", path.display()))?;
    let lines = text.lines().enumerate();
    lines
        .map(|(index, line)| {
            let place = || format!("{}:{}: is no decision", path.display(), index + 1);
            serde_json::from_str(line).with_context(place)
        })
        .collect()
}

fn report(policy: &Policy, recorded: Vec<Recorded>) -> anyhow::Result<()> {
    let total = recorded.len();
    let mut differing = 0;
    for difference in remediation::replay(policy, recorded) {
        differing += 1;
        print(&line(&difference))?;
    }
    print(&format!("{total} decisions, {differing} would differ\n"))
}

fn line(difference: &Difference) -> String {
    let Difference { recorded, now } = difference;
    let situation = &recorded.situation;
    format!(
        "{:.0}  {}: was {} ({}), would be {} ({})\n",
        situation.now,
        situation.trigger.name(),
        recorded.decision.as_str(),
        recorded.decision.reason(),
        now.as_str(),
        now.reason(),
    )
}
