//! Questions about the policy in the files, before it is in force.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use remediation::{Difference, Policy, Recorded, TestResult};

use super::past::open_ledger;
use super::{ConfigFile, ago, parse_duration, print, unit_files};
use crate::config::{Config, policy_error};

/// `alert-bot validate`
#[derive(Debug, Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    file: ConfigFile,
    /// The deployed polkit rule, compared with the one that the policy needs where it is there.
    #[arg(long, default_value = "/etc/polkit-1/rules.d/50-alert-bot.rules")]
    polkit_rules: PathBuf,
    /// Only warn of units that this host does not have: they may be installed later.
    #[arg(long)]
    units_may_be_missing: bool,
}

/// `alert-bot polkit-rules`
#[derive(Debug, Args)]
pub(crate) struct PolkitRules {
    /// Write the rule into this file, whole or not at all, instead of printing it.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    file: ConfigFile,
}

/// `alert-bot test`
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The file with the tests; see docs/policy.md.
    tests: PathBuf,
    #[command(flatten)]
    file: ConfigFile,
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
        let files = unit_files::of_this_host();
        let unknown = policy.unknown_units(&files);
        let (mut mistakes, mut doubts) = (policy.unreachable(), policy.doubts(&files));
        if self.units_may_be_missing {
            doubts.extend(unknown);
        } else {
            mistakes.extend(unknown);
        }
        for doubt in doubts {
            print(&format!("warning: {doubt}\n"))?;
        }
        // Before the first deployment, and for those who may not read it, there is none.
        let deployed = std::fs::read_to_string(&self.polkit_rules).ok();
        if deployed.is_some_and(|rules| rules != remediation::polkit_rules(&policy)) {
            let path = self.polkit_rules.display();
            print(&format!(
                "warning: {path}: is not what the policy needs; write it anew with: \
                 alert-bot polkit-rules --output {path}\n"
            ))?;
        }
        for mistake in &mistakes {
            print(&format!("error: {mistake}\n"))?;
        }
        let (file, rules) = (self.file.config.display(), policy.rules().len());
        if !mistakes.is_empty() {
            bail!("{file}: the policy has {} mistakes", mistakes.len());
        }
        print(&format!("valid: {file} with {rules} rules\n"))
    }
}

impl Test {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let policy = Config::load(&self.file.config)?.load_policy()?;
        let path = self.tests.display();
        let text = std::fs::read_to_string(&self.tests)
            .with_context(|| format!("{path}: cannot be read"))?;
        let results = remediation::run_tests(&policy, &self.tests, &text)
            .map_err(|errors| policy_error(&errors))?;
        let failed: Vec<&TestResult> = results.iter().filter(|r| !r.failures.is_empty()).collect();
        for result in &failed {
            print(&format!("{}: {}\n", result.place, result.name))?;
            for failure in &result.failures {
                print(&format!("    {failure}\n"))?;
            }
        }
        print(&format!(
            "{} tests, {} failed\n",
            results.len(),
            failed.len()
        ))?;
        if !failed.is_empty() {
            bail!("the policy does not do what {path} expects");
        }
        Ok(())
    }
}

impl PolkitRules {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let policy = Config::load(&self.file.config)?.load_policy()?;
        let rules = remediation::polkit_rules(&policy);
        match &self.output {
            Some(path) => replace(path, &rules)
                .with_context(|| format!("{} is left as it was", path.display())),
            None => print(&rules),
        }
    }
}

/// Puts a new file in the place of an old one, whole or not at all. polkitd, which may read it at
/// any moment and not as root, looks at nothing whose name does not end in `.rules`.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    // Whatever is in its place, a link of somebody else's say, is not written through.
    if let Err(error) = fs::remove_file(&unfinished)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = File::create_new(&unfinished)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
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
