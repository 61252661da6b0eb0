//! Actions: a job asked of systemd and followed to its end.
//!
//! Every job is queued in mode `fail`: where it would have to replace or cancel a job that is
//! already queued, systemd refuses it and we get [`BusError::JobInTheWay`]. Mode `replace` would
//! let a repair undo what PID 1, an administrator or a package upgrade had just asked for; the one
//! who asked first goes first, and the caller looks at the unit again later.

use std::fmt;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;
use units::{JobResult, UnitName};
use zbus::{Connection, MatchRule, Message, MessageStream, ObjectPath, OwnedObjectPath};

use crate::link::{ACTION_TIMEOUT, DESTINATION, MANAGER, MANAGER_PATH};
use crate::{BusError, Systemd};

const MODE: &str = "fail";
const JOB_REMOVED: &str = "JobRemoved";

/// A job that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // systemd's own words.
pub enum Verb {
    Start,
    Stop,
    Restart,
    Reload,
}

impl Verb {
    /// The word that polkit rules see as `verb`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
        }
    }

    fn method(self) -> &'static str {
        match self {
            Self::Start => "StartUnit",
            Self::Stop => "StopUnit",
            Self::Restart => "RestartUnit",
            Self::Reload => "ReloadUnit",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which processes of a unit a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KillWhom {
    /// The main process alone.
    Main,
    /// Every process of the unit.
    All,
}

impl Systemd {
    /// Asks for a job and waits until systemd has removed it from its queue.
    ///
    /// The signal is subscribed to before the call is made, so a job that ends before its reply is
    /// read is not missed. `deadline` bounds the whole; a job that outlives it is left to systemd.
    ///
    /// # Errors
    /// As [`BusError`] says; on [`BusError::may_have_acted`] the job may be under way.
    pub async fn run(
        &self,
        unit: &UnitName,
        verb: Verb,
        deadline: Duration,
    ) -> Result<JobResult, BusError> {
        let until = Instant::now() + deadline;
        let connection = self.connection().await?;
        let mut ends = self.job_ends(&connection, unit).await?;
        let arguments = (unit.as_str(), MODE);
        let call = connection.call_method(
            Some(DESTINATION),
            MANAGER_PATH,
            Some(MANAGER),
            verb.method(),
            &arguments,
        );
        tokio::pin!(call);

        // The stream is read while the reply is awaited: a queue that nobody reads would stop the
        // connection, and the reply with it.
        let mut ended: Vec<JobEnd> = Vec::new();
        let mut job: Option<OwnedObjectPath> = None;
        loop {
            if let Some(job) = &job
                && let Some(end) = ended.iter().find(|end| end.job == *job)
            {
                return end.result();
            }
            tokio::select! {
                reply = &mut call, if job.is_none() => {
                    let reply = reply.map_err(|error| BusError::from_zbus(verb.method(), error))?;
                    job = Some(job_path(&reply, verb.method())?);
                }
                signal = ends.next() => {
                    let message = signal
                        .ok_or_else(gone)?
                        .map_err(|error| BusError::from_zbus(JOB_REMOVED, error))?;
                    if self.sent_by_systemd(&connection, &message).await? {
                        ended.push(JobEnd::parse(&message)?);
                    }
                }
                () = tokio::time::sleep_until(until) => {
                    let call = if job.is_some() { JOB_REMOVED } else { verb.method() };
                    return Err(BusError::Timeout { call, after: deadline });
                }
            }
        }
    }

    /// Takes a unit out of `failed` and empties its start-limit counter.
    ///
    /// # Errors
    /// As [`BusError`] says.
    pub async fn reset_failed(&self, unit: &UnitName) -> Result<(), BusError> {
        self.call_manager("ResetFailedUnit", &unit.as_str(), ACTION_TIMEOUT)
            .await
            .map(drop)
    }

    /// Sends a signal, by its number, to processes of a unit.
    ///
    /// # Errors
    /// As [`BusError`] says.
    pub async fn kill(&self, unit: &UnitName, whom: KillWhom, signal: i32) -> Result<(), BusError> {
        let whom = match whom {
            KillWhom::Main => "main",
            KillWhom::All => "all",
        };
        self.call_manager("KillUnit", &(unit.as_str(), whom, signal), ACTION_TIMEOUT)
            .await
            .map(drop)
    }

    async fn job_ends(
        &self,
        connection: &Connection,
        unit: &UnitName,
    ) -> Result<MessageStream, BusError> {
        /// `JobRemoved` is (id, job, unit, result).
        const UNIT_ARGUMENT: u8 = 2;
        let rule = MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .sender(DESTINATION)
            .interface(MANAGER)
            .member(JOB_REMOVED)
            .path(MANAGER_PATH)
            .arg(UNIT_ARGUMENT, unit.as_str())
            .build();
        let subscribe = async {
            let rule = rule?;
            MessageStream::for_match_rule(rule, connection, None).await
        };
        tokio::time::timeout(ACTION_TIMEOUT, subscribe)
            .await
            .map_err(|_| BusError::Timeout {
                call: "AddMatch",
                after: ACTION_TIMEOUT,
            })?
            .map_err(|error| BusError::from_zbus("AddMatch", error))
    }
}

/// One `JobRemoved`.
struct JobEnd {
    job: OwnedObjectPath,
    word: String,
}

impl JobEnd {
    fn parse(message: &Message) -> Result<Self, BusError> {
        let body = message.body();
        let (_, job, _, word): (u32, ObjectPath<'_>, &str, &str) = body
            .deserialize()
            .map_err(|error| BusError::from_zbus(JOB_REMOVED, error))?;
        Ok(Self {
            job: job.into(),
            word: word.to_owned(),
        })
    }

    fn result(&self) -> Result<JobResult, BusError> {
        self.word.parse().map_err(|error| BusError::Unreadable {
            call: JOB_REMOVED,
            reason: format!("{error}"),
        })
    }
}

fn job_path(reply: &Message, method: &'static str) -> Result<OwnedObjectPath, BusError> {
    reply
        .body()
        .deserialize()
        .map_err(|error| BusError::from_zbus(method, error))
}

fn gone() -> BusError {
    BusError::Disconnected {
        call: JOB_REMOVED,
        reason: "the connection closed while the job ran".into(),
    }
}
