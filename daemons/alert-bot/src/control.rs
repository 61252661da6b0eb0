//! The control socket: what people tell the running bot.
//!
//! One connection, one line of JSON each way. Who may connect is the socket's file mode; who may
//! order something is decided by the credentials that the kernel vouches for (`SO_PEERCRED`), and
//! who did is recorded.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{Uid, User};
use remediation::{Alert, RuleName};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use units::UnitName;

use crate::engine::Event;

/// The longest order, in bytes: an alert to explain, with room to spare.
const MAX_ORDER_BYTES: u64 = 256 * 1024;

/// For a whole exchange. An explanation looks at units and probes, which takes up to a second.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(15);

/// The longest pause: longer ones are a change of policy, not a pause.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// One order or question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Order {
    /// How the bot is.
    Status,
    /// Read the policy again.
    Reload,
    /// Keep the hands off one unit, or all of them, for a while.
    Pause {
        unit: Option<UnitName>,
        seconds: u64,
        why: String,
    },
    /// End a pause.
    Resume { unit: Option<UnitName> },
    /// Declare a rule's past as settled.
    Reset { rule: RuleName },
    /// Allow what an incident waits for.
    Approve { incident: String },
    /// Forbid it.
    Deny { incident: String },
    /// What would be decided about this alert now, and why.
    Explain { alert: Box<Alert> },
}

impl Order {
    fn only_asks(&self) -> bool {
        matches!(self, Self::Status | Self::Explain { .. })
    }
}

/// What came of it, in words for the one who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    Done(String),
    Refused(String),
}

/// An order on its way to the engine.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) order: Order,
    /// The user's name, or number where it has none.
    pub(crate) by: String,
    pub(crate) reply: oneshot::Sender<Outcome>,
}

/// Who may order something: root, and the users that the configuration names.
#[derive(Clone, Debug)]
pub(crate) struct Operators(pub(crate) Vec<String>);

impl Operators {
    fn may(&self, order: &Order, person: &Person) -> bool {
        order.only_asks() || person.uid == 0 || self.0.contains(&person.name)
    }
}

struct Person {
    uid: u32,
    name: String,
}

impl Person {
    fn at_the_other_end(stream: &UnixStream) -> io::Result<Self> {
        let uid = getsockopt(stream, PeerCredentials)?.uid();
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let name = user.map_or_else(|| format!("uid {uid}"), |user| user.name);
        Ok(Self { uid, name })
    }
}

/// Serves the socket until told to stop. One exchange at a time: people are few, and an exchange
/// is bounded.
pub(crate) async fn serve(
    listener: UnixListener,
    operators: Operators,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let exchange = async {
            let (stream, _) = accepted?;
            exchange(stream, &operators, &events).await
        };
        match tokio::time::timeout(EXCHANGE_TIMEOUT, exchange).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::info!(%error, "an exchange over the control socket broke off");
            }
            Err(_) => tracing::info!("an exchange over the control socket took too long"),
        }
    }
}

async fn exchange(
    stream: UnixStream,
    operators: &Operators,
    events: &mpsc::Sender<Event>,
) -> io::Result<()> {
    let person = Person::at_the_other_end(&stream)?;
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    tokio::io::BufReader::new(reader.take(MAX_ORDER_BYTES))
        .read_line(&mut line)
        .await?;
    let outcome = match serde_json::from_str::<Order>(&line) {
        Err(error) => Outcome::Refused(format!("that is no order: {error}")),
        Ok(order) if !operators.may(&order, &person) => Outcome::Refused(format!(
            "{} may only ask; root and the operators of alert-bot.toml may order",
            person.name
        )),
        Ok(order) => hand_over(order, person.name, events).await,
    };
    let mut answer = serde_json::to_vec(&outcome)?;
    answer.push(b'\n');
    writer.write_all(&answer).await
}

async fn hand_over(order: Order, by: String, events: &mpsc::Sender<Event>) -> Outcome {
    let (reply, answer) = oneshot::channel();
    let command = Command { order, by, reply };
    if events.send(Event::Command(command)).await.is_err() {
        return Outcome::Refused("the bot is stopping".into());
    }
    answer
        .await
        .unwrap_or_else(|_| Outcome::Refused("the bot is stopping".into()))
}

/// The client's side, for the command line.
///
/// # Errors
/// Where the bot cannot be reached, or refuses.
pub(crate) fn send(socket: &Path, order: &Order) -> anyhow::Result<String> {
    let stream = StdUnixStream::connect(socket).with_context(|| {
        format!(
            "{} cannot be reached: is alert-bot running, and are you root?",
            socket.display()
        )
    })?;
    stream.set_read_timeout(Some(EXCHANGE_TIMEOUT * 2))?;
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    (&stream).write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer)?;
    match serde_json::from_str(&answer).context("the bot's answer cannot be read")? {
        Outcome::Done(text) => Ok(text),
        Outcome::Refused(why) => bail!("{why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_may_ask_but_not_order() {
        let operators = Operators(vec!["olga".into()]);
        let person = |uid, name: &str| Person {
            uid,
            name: name.into(),
        };
        let pause = Order::Resume { unit: None };
        assert!(operators.may(&pause, &person(0, "root")));
        assert!(operators.may(&pause, &person(1000, "olga")));
        assert!(!operators.may(&pause, &person(1001, "uid 1001")));
        assert!(operators.may(&Order::Status, &person(1001, "uid 1001")));
    }

    #[test]
    fn an_order_is_one_line_of_json() {
        let order = Order::Pause {
            unit: Some("a.service".parse().unwrap()),
            seconds: 60,
            why: "a\nb".into(),
        };
        let line = serde_json::to_string(&order).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Order>(&line).unwrap(), order);
        assert!(serde_json::from_str::<Order>("{\"pause\":{\"all\":true}}").is_err());
    }
}
