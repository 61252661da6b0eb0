//! Telling people, through Alertmanager: it groups, silences, inhibits and pages better than we
//! would.
//!
//! Every alert of the bot has a bounded life and is renewed while it holds, so a bot that dies
//! leaves no alert standing. A failure to tell never holds up a repair.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use remediation::{Plan, Reason};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use uuid::Uuid;

use crate::ports::{AlertSink, Clock};

/// Alerts that stand are renewed this often…
const RENEWAL: Duration = Duration::from_secs(30);

/// …and end by themselves this long after the last renewal.
const LIFE: Duration = Duration::from_secs(150);

/// `RemediationInProgress` outlives the plan's own deadlines by this much: the time to decide
/// about a next rung.
const IN_PROGRESS_MARGIN: Duration = Duration::from_secs(15);

/// Notices that wait to be sent. There are fewer open incidents than this.
const QUEUE: usize = 2_048;

/// An alert as Alertmanager's `POST /api/v2/alerts` takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OwnAlert {
    /// What identifies it.
    pub(crate) labels: BTreeMap<&'static str, String>,
    /// For people.
    pub(crate) annotations: BTreeMap<&'static str, String>,
    /// Since when.
    pub(crate) starts_at: Timestamp,
    /// When it ends by itself, or ended.
    pub(crate) ends_at: Timestamp,
}

/// What can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Notice {
    InProgress,
    Exhausted,
    AwaitingApproval,
    CircuitOpen,
    Ineffective,
    Escalated,
}

impl Notice {
    /// The notice that fits an escalation for this reason.
    pub(crate) fn of_escalation(reason: Reason) -> Self {
        match reason {
            Reason::LadderExhausted
            | Reason::EscalateRung
            | Reason::RuleBudget
            | Reason::UnitBudget
            | Reason::HostBudget
            | Reason::AtMaxInstances
            | Reason::AlertLasts => Self::Exhausted,
            Reason::CircuitOpen => Self::CircuitOpen,
            Reason::Flapping => Self::Ineffective,
            _ => Self::Escalated,
        }
    }

    fn alertname(self) -> &'static str {
        match self {
            Self::InProgress => "RemediationInProgress",
            Self::Exhausted => "RemediationExhausted",
            Self::AwaitingApproval => "RemediationAwaitingApproval",
            Self::CircuitOpen => "RemediationCircuitOpen",
            Self::Ineffective => "RemediationIneffective",
            Self::Escalated => "RemediationEscalated",
        }
    }

    fn severity(self) -> &'static str {
        match self {
            Self::InProgress => "info",
            Self::AwaitingApproval | Self::CircuitOpen | Self::Ineffective => "warning",
            Self::Exhausted | Self::Escalated => "critical",
        }
    }
}

/// What a notice is about.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) incident: Uuid,
    /// The unit, or the template as a whole.
    pub(crate) target: String,
    pub(crate) rule: String,
    /// The label `service` of the alert that opened the incident; empty where it has none.
    pub(crate) service: String,
    /// The sentence that people read.
    pub(crate) summary: String,
}

enum Message {
    Raise {
        notice: Notice,
        about: About,
        /// `None`: renewed until it is settled.
        life: Option<Duration>,
    },
    /// Everything about this incident is settled, except what is listed.
    Settle {
        incident: Uuid,
        keep: Option<Notice>,
    },
}

/// Who tells.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    /// The label `host`.
    pub(crate) host: String,
    /// Runbooks lie at `URL/ALERTNAME.md`.
    pub(crate) runbook_base_url: String,
}

/// The engine's side: it never waits. What it says is sent while the repair goes on.
#[derive(Clone)]
pub(crate) struct Teller {
    messages: mpsc::Sender<Message>,
}

impl Teller {
    /// A teller and the task that does its work.
    pub(crate) fn new(
        sender: Sender,
        sink: Arc<dyn AlertSink>,
        clock: Arc<dyn Clock>,
    ) -> (Self, impl Future<Output = ()>) {
        let (messages, queue) = mpsc::channel(QUEUE);
        let desk = Desk {
            sender,
            sink,
            clock,
            standing: BTreeMap::new(),
        };
        (Self { messages }, desk.run(queue))
    }

    /// Announces a repair whose intent is recorded. It begins at the same time: the page that this
    /// inhibits waits for seconds anyway, the unit's users do not.
    pub(crate) fn announce(&self, plan: &Plan, about: About) {
        let alert = plan.alert_deadline().unwrap_or_default();
        let life = plan.job_deadline + plan.proof.deadline + alert + IN_PROGRESS_MARGIN;
        self.raise(Notice::InProgress, about, Some(life));
    }

    /// Raises a notice that stands until it is settled.
    pub(crate) fn stand(&self, notice: Notice, about: About) {
        self.raise(notice, about, None);
    }

    /// Ends what was told about an incident, except `keep`.
    pub(crate) fn settle(&self, incident: Uuid, keep: Option<Notice>) {
        self.send(Message::Settle { incident, keep });
    }

    fn raise(&self, notice: Notice, about: About, life: Option<Duration>) {
        self.send(Message::Raise {
            notice,
            about,
            life,
        });
    }

    fn send(&self, message: Message) {
        if self.messages.try_send(message).is_err() {
            tracing::error!("too much to tell at once; Alertmanager does not learn all of it");
        }
    }
}

struct Standing {
    alert: OwnAlert,
    renewed: bool,
    /// Settled, but Alertmanager has not been told yet.
    over: bool,
}

/// The task's side: knows what stands, and keeps Alertmanager's view the same.
struct Desk {
    sender: Sender,
    sink: Arc<dyn AlertSink>,
    clock: Arc<dyn Clock>,
    standing: BTreeMap<(Uuid, Notice), Standing>,
}

impl Desk {
    async fn run(mut self, mut queue: mpsc::Receiver<Message>) {
        let mut renewal = tokio::time::interval_at(Instant::now() + RENEWAL, RENEWAL);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = queue.recv() => match message {
                    None => return,
                    Some(Message::Raise { notice, about, life }) => {
                        self.raise(notice, &about, life).await;
                    }
                    Some(Message::Settle { incident, keep }) => self.settle(incident, keep).await,
                },
                _ = renewal.tick() => self.renew().await,
            }
        }
    }

    async fn raise(&mut self, notice: Notice, about: &About, life: Option<Duration>) {
        let now = self.clock.now();
        let runbook = format!(
            "{}/{}.md",
            self.sender.runbook_base_url.trim_end_matches('/'),
            notice.alertname()
        );
        let labels = [
            ("alertname", notice.alertname().to_owned()),
            ("severity", notice.severity().to_owned()),
            ("host", self.sender.host.clone()),
            ("unit", about.target.clone()),
            ("rule", about.rule.clone()),
            ("service", about.service.clone()),
        ];
        let annotations = [
            ("runbook_url", runbook),
            ("summary", about.summary.clone()),
            ("incident", about.incident.to_string()),
            (
                "description",
                format!("The whole story: journalctl INCIDENT_ID={}", about.incident),
            ),
        ];
        let standing = Standing {
            alert: OwnAlert {
                // Alertmanager takes an empty label for an absent one, and refuses to store it.
                labels: labels
                    .into_iter()
                    .filter(|(_, value)| !value.is_empty())
                    .collect(),
                annotations: annotations.into(),
                starts_at: now,
                ends_at: after(now, life.unwrap_or(LIFE)),
            },
            renewed: life.is_none(),
            over: false,
        };
        self.standing.insert((about.incident, notice), standing);
        self.send(|key, _| *key == (about.incident, notice)).await;
    }

    async fn settle(&mut self, incident: Uuid, keep: Option<Notice>) {
        let now = self.clock.now();
        for ((of, notice), standing) in &mut self.standing {
            if *of == incident && Some(*notice) != keep && !standing.over {
                standing.over = true;
                standing.alert.ends_at = now;
            }
        }
        self.send(|(of, _), standing| *of == incident && standing.over)
            .await;
    }

    async fn renew(&mut self) {
        let now = self.clock.now();
        self.standing.retain(|_, standing| {
            standing.renewed || standing.over || standing.alert.ends_at > now
        });
        for standing in self.standing.values_mut() {
            if standing.renewed && !standing.over {
                standing.alert.ends_at = after(now, LIFE);
            }
        }
        self.send(|_, standing| standing.renewed || standing.over)
            .await;
    }

    /// Posts what is selected, and forgets what is over once Alertmanager knows it.
    async fn send(&mut self, selected: impl Fn(&(Uuid, Notice), &Standing) -> bool) {
        let chosen = self.standing.iter().filter(|(key, s)| selected(key, s));
        let alerts: Vec<OwnAlert> = chosen.map(|(_, s)| s.alert.clone()).collect();
        if alerts.is_empty() {
            return;
        }
        match self.sink.post(&alerts).await {
            Ok(()) => self
                .standing
                .retain(|key, standing| !(standing.over && selected(key, standing))),
            Err(error) => {
                tracing::warn!(%error, alerts = alerts.len(), "Alertmanager could not be told; trying again");
            }
        }
    }
}

fn after(now: Timestamp, duration: Duration) -> Timestamp {
    now.saturating_add(duration).unwrap_or(Timestamp::MAX)
}
