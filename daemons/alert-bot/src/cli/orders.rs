//! Orders to the running bot, over its control socket.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use remediation::RuleName;
use units::UnitName;

use super::{ConfigFile, parse_duration, print};
use crate::config::Config;
use crate::control::{self, Order};
use crate::webhook::Webhook;

/// `alert-bot pause`
#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// Only this unit; without it, the whole bot.
    #[arg(long)]
    unit: Option<UnitName>,
    /// For how long, such as `30m`; at most 7 days.
    #[arg(long = "for", value_parser = parse_duration)]
    length: Duration,
    /// Why, for those who find the bot paused.
    #[arg(long)]
    why: String,
    #[command(flatten)]
    file: ConfigFile,
}

/// `alert-bot resume`
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// End the pause of this unit; without it, that of the whole bot.
    #[arg(long)]
    unit: Option<UnitName>,
    /// Close this rule's circuit and end its demotion instead.
    #[arg(long, conflicts_with = "unit")]
    rule: Option<RuleName>,
    #[command(flatten)]
    file: ConfigFile,
}

/// `alert-bot approve`, `alert-bot deny`
#[derive(Debug, Args)]
pub(crate) struct Answer {
    /// The incident's id, or the beginning of it.
    incident: String,
    #[command(flatten)]
    file: ConfigFile,
}

/// `alert-bot explain`
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A file with a webhook's body; its first alert is explained.
    #[arg(long)]
    alert: PathBuf,
    #[command(flatten)]
    file: ConfigFile,
}

pub(crate) fn status(file: &ConfigFile) -> anyhow::Result<()> {
    send(file, &Order::Status)
}

pub(crate) fn reload(file: &ConfigFile) -> anyhow::Result<()> {
    send(file, &Order::Reload)
}

impl Pause {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let order = Order::Pause {
            unit: self.unit,
            seconds: self.length.as_secs(),
            why: self.why,
        };
        send(&self.file, &order)
    }
}

impl Resume {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let order = match self.rule {
            Some(rule) => Order::Reset { rule },
            None => Order::Resume { unit: self.unit },
        };
        send(&self.file, &order)
    }
}

impl Answer {
    pub(crate) fn approve(self) -> anyhow::Result<()> {
        let incident = self.incident;
        send(&self.file, &Order::Approve { incident })
    }

    pub(crate) fn deny(self) -> anyhow::Result<()> {
        let incident = self.incident;
        send(&self.file, &Order::Deny { incident })
    }
}

impl Explain {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let path = self.alert.display();
        let body = std::fs::read(&self.alert).with_context(|| format!("{path}: cannot be read"))?;
        let webhook = Webhook::parse(&body).with_context(|| format!("{path}: is no webhook"))?;
        let alert = webhook.alerts.into_iter().next();
        let alert = Box::new(alert.with_context(|| format!("{path}: has no alert"))?);
        send(&self.file, &Order::Explain { alert })
    }
}

fn send(file: &ConfigFile, order: &Order) -> anyhow::Result<()> {
    let config = Config::load(&file.config)?;
    let text = control::send(&config.control_socket, order)?;
    print(&format!("{text}\n"))
}
