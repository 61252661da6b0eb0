//! A systemd on a bus of its own, for tests: a socket that speaks D-Bus, behind it a table of units
//! and a script for jobs.
//!
//! It answers raw messages rather than implementing interfaces, because the tests need what a
//! well-behaved service never does: a signal before its reply, no reply at all, a connection cut
//! in the middle, a signal from somebody else.

mod unit;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use units::{JobResult, UnitName};
use zbus::message::Type;
use zbus::{Connection, DynamicType, Guid, Message, ObjectPath, connection};

pub use unit::FakeUnit;

use crate::link::{DESTINATION, MANAGER, MANAGER_PATH, PROPERTIES};
use crate::path;

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
const FIRST_OWNER: &str = ":1.1";

/// What happens to the next jobs.
#[derive(Clone, Debug)]
pub enum JobScript {
    /// The reply, then `JobRemoved` with this result.
    Ends(JobResult),
    /// `JobRemoved` first, then the reply.
    EndsBeforeReply(JobResult),
    /// The reply, and nothing after it.
    NeverEnds,
    /// Not even a reply.
    NeverAnswers,
    /// A D-Bus error of this name.
    Fails(&'static str),
}

/// The fake itself. Dropping it ends the bus.
#[derive(Debug)]
pub struct FakeSystemd {
    address: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    stalled: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    units: BTreeMap<String, FakeUnit>,
    clients: Vec<Connection>,
    calls: Vec<(String, String)>,
    /// How many calls systemd got, reads included.
    answered: usize,
    script: JobScript,
    owner: Option<String>,
    /// The bus does not say who owns systemd's name.
    silent_about_owner: bool,
    /// The last number given to a client; systemd itself is `:1.1`.
    next_client: u32,
    next_job: u32,
}

impl FakeSystemd {
    /// Listens on a socket at `path`, within a Tokio runtime.
    ///
    /// # Errors
    /// The socket cannot be bound.
    pub fn listen(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                units: BTreeMap::new(),
                clients: Vec::new(),
                calls: Vec::new(),
                answered: 0,
                script: JobScript::Ends(JobResult::Done),
                owner: Some(FIRST_OWNER.to_owned()),
                silent_about_owner: false,
                next_client: 1,
                next_job: 0,
            }),
            stalled: watch::Sender::new(false),
        });
        Ok(Self {
            address: format!("unix:path={}", path.display()),
            accepting: tokio::spawn(accept(listener, Arc::clone(&shared))),
            shared,
        })
    }

    /// The D-Bus address to connect to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Adds a unit, or puts it in another's place, without a signal.
    pub fn put(&self, unit: FakeUnit) {
        self.shared
            .state()
            .units
            .insert(unit.name().to_owned(), unit);
    }

    /// Adds a unit and says so with `UnitNew`.
    pub async fn load(&self, unit: FakeUnit) {
        let name = unit.name().to_owned();
        self.put(unit);
        self.announce("UnitNew", &name).await;
    }

    /// Takes a unit away and says so with `UnitRemoved`.
    pub async fn unload(&self, name: &str) {
        self.shared.state().units.remove(name);
        self.announce("UnitRemoved", name).await;
    }

    /// Puts a unit in its own place and sends `PropertiesChanged` with all that it has.
    pub async fn change(&self, unit: FakeUnit) {
        let object = object_of(unit.name());
        let signals: Vec<Message> = unit
            .interfaces()
            .map(|(interface, properties)| {
                let invalidated: &[&str] = &[];
                signal(
                    FIRST_OWNER,
                    &object,
                    PROPERTIES,
                    "PropertiesChanged",
                    &(interface, properties, invalidated),
                )
            })
            .collect();
        self.put(unit);
        for message in signals {
            self.shared.broadcast(&message).await;
        }
    }

    /// Sends a failed state of a unit in the name of somebody who is not systemd.
    pub async fn forge_failure(&self, name: &str) {
        let unit = FakeUnit::failed(name);
        let object = object_of(name);
        let invalidated: &[&str] = &[];
        for (interface, properties) in unit.interfaces() {
            let body = (interface, properties, invalidated);
            let message = signal(":1.666", &object, PROPERTIES, "PropertiesChanged", &body);
            self.shared.broadcast(&message).await;
        }
    }

    /// What becomes of jobs from now on.
    pub fn script(&self, script: JobScript) {
        self.shared.state().script = script;
    }

    /// How many calls systemd has had, reads included.
    pub fn answered(&self) -> usize {
        self.shared.state().answered
    }

    /// The actions so far, as (method, unit).
    pub fn calls(&self) -> Vec<(String, String)> {
        self.shared.state().calls.clone()
    }

    /// From now on nobody is answered and no new connection is greeted, as on a host without a
    /// free moment.
    pub fn stall(&self) {
        self.shared.stalled.send_replace(true);
    }

    /// Ends [`stall`](Self::stall): what has gathered is answered.
    pub fn resume(&self) {
        self.shared.stalled.send_replace(false);
    }

    /// Whether the bus refuses to say who owns systemd's name.
    pub fn silence_about_owner(&self, silent: bool) {
        self.shared.state().silent_about_owner = silent;
    }

    /// Cuts every connection; the socket stays open for new ones.
    pub async fn cut(&self) {
        let clients = std::mem::take(&mut self.shared.state().clients);
        for client in clients {
            // The other end may have gone first.
            drop(client.close().await);
        }
    }

    /// systemd leaves the bus and comes back, as it does when it executes itself again.
    pub async fn reexecute(&self) {
        let owner = self.shared.state().owner.take().unwrap_or_default();
        self.owner_changed(&owner, "").await;
        self.shared.state().owner = Some(FIRST_OWNER.to_owned());
        self.owner_changed("", FIRST_OWNER).await;
    }

    async fn owner_changed(&self, old: &str, new: &str) {
        let body = (DESTINATION, old, new);
        let message = signal(BUS, BUS_PATH, BUS, "NameOwnerChanged", &body);
        self.shared.broadcast(&message).await;
    }

    async fn announce(&self, member: &str, name: &str) {
        let object = object_of(name);
        let body = (name, object_path(&object));
        let message = signal(FIRST_OWNER, MANAGER_PATH, MANAGER, member, &body);
        self.shared.broadcast(&message).await;
    }
}

impl Drop for FakeSystemd {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl State {
    fn next_client_name(&mut self) -> String {
        self.next_client += 1;
        format!(":1.{}", self.next_client)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn until_it_moves(&self) {
        let mut stalled = self.stalled.subscribe();
        // Only fails with the fake gone.
        drop(stalled.wait_for(|stalled| !stalled).await);
    }

    async fn broadcast(&self, message: &Message) {
        let clients = self.state().clients.clone();
        for client in clients {
            // A client that has just left misses nothing.
            drop(client.send(message).await);
        }
    }
}

async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            shared.until_it_moves().await;
            let Ok(stream) = stream.into_std() else {
                return;
            };
            let built = connection::Builder::unix_stream(stream)
                .server(Guid::generate())
                .p2p()
                .build_message_stream();
            let Ok(mut messages) = built.await else {
                return;
            };
            let client = Connection::from(&messages);
            shared.state().clients.push(client.clone());
            while let Some(Ok(message)) = messages.next().await {
                shared.until_it_moves().await;
                if message.message_type() == Type::MethodCall {
                    answer(&shared, &client, &message).await;
                }
            }
        });
    }
}

async fn answer(shared: &Arc<Shared>, client: &Connection, call: &Message) {
    let header = call.header();
    let member = header.member().map_or("", |member| member.as_str());
    let object = header.path().map_or("", |path| path.as_str());
    let body = call.body();
    if object != BUS_PATH {
        shared.state().answered += 1;
    }
    match member {
        "Hello" => {
            let name = shared.state().next_client_name();
            reply(client, call, BUS, &name).await;
        }
        "AddMatch" | "RemoveMatch" => reply(client, call, BUS, &()).await,
        "GetNameOwner" => {
            let (owner, silent) = {
                let state = shared.state();
                (state.owner.clone(), state.silent_about_owner)
            };
            match owner {
                _ if silent => fail(client, call, "org.freedesktop.DBus.Error.NoMemory").await,
                Some(owner) => reply(client, call, BUS, &owner).await,
                None => fail(client, call, "org.freedesktop.DBus.Error.NameHasNoOwner").await,
            }
        }
        "Subscribe" => reply(client, call, FIRST_OWNER, &()).await,
        "Get" => {
            let (interface, property): (&str, &str) = body.deserialize().unwrap_or_default();
            let found = shared.state().property(object, interface, property);
            match found {
                Some(value) => reply(client, call, FIRST_OWNER, &value).await,
                None => fail(client, call, "org.freedesktop.DBus.Error.UnknownProperty").await,
            }
        }
        "GetAll" => {
            let interface: &str = body.deserialize().unwrap_or_default();
            let all = shared.state().unit_at(object).properties(interface);
            reply(client, call, FIRST_OWNER, &all).await;
        }
        "ListUnits" => {
            let rows = shared.state().rows(|_| true);
            reply(client, call, FIRST_OWNER, &rows).await;
        }
        "ListUnitsByPatterns" => {
            let (_, patterns): (Vec<String>, Vec<String>) = body.deserialize().unwrap_or_default();
            let rows = shared
                .state()
                .rows(|name| patterns.iter().any(|p| p.replace("\\\\", "\\") == name));
            reply(client, call, FIRST_OWNER, &rows).await;
        }
        _ => act(shared, client, call, member).await,
    }
}

/// The methods that change something, as the script says.
async fn act(shared: &Arc<Shared>, client: &Connection, call: &Message, member: &str) {
    let body = call.body();
    let unit = match member {
        "ResetFailedUnit" => body.deserialize::<&str>().unwrap_or_default(),
        "KillUnit" => {
            let (unit, _, _): (&str, &str, i32) = body.deserialize().unwrap_or_default();
            unit
        }
        _ => {
            let (unit, _): (&str, &str) = body.deserialize().unwrap_or_default();
            unit
        }
    };
    let (script, job) = {
        let mut state = shared.state();
        state.calls.push((member.to_owned(), unit.to_owned()));
        state.next_job += 1;
        (state.script.clone(), state.next_job)
    };
    if let JobScript::Fails(name) = script {
        return fail(client, call, name).await;
    }
    if matches!(member, "ResetFailedUnit" | "KillUnit") {
        return reply(client, call, FIRST_OWNER, &()).await;
    }
    let path = format!("{MANAGER_PATH}/job/{job}");
    let removed = |result: JobResult| {
        let body = (job, object_path(&path), unit, result.as_str());
        signal(FIRST_OWNER, MANAGER_PATH, MANAGER, "JobRemoved", &body)
    };
    let accepted = object_path(&path);
    match script {
        JobScript::Ends(result) => {
            reply(client, call, FIRST_OWNER, &accepted).await;
            shared.broadcast(&removed(result)).await;
        }
        JobScript::EndsBeforeReply(result) => {
            shared.broadcast(&removed(result)).await;
            reply(client, call, FIRST_OWNER, &accepted).await;
        }
        JobScript::NeverEnds => reply(client, call, FIRST_OWNER, &accepted).await,
        JobScript::NeverAnswers | JobScript::Fails(_) => {}
    }
}

async fn reply<B>(client: &Connection, call: &Message, sender: &str, body: &B)
where
    B: serde::Serialize + DynamicType,
{
    let message = Message::method_return(&call.header())
        .sender(sender)
        .build(body)
        .expect("a fake reply is well-formed");
    drop(client.send(&message).await);
}

async fn fail(client: &Connection, call: &Message, name: &str) {
    let message = Message::error(&call.header(), name)
        .sender(FIRST_OWNER)
        .build(&"as the test wished")
        .expect("a fake error is well-formed");
    drop(client.send(&message).await);
}

fn signal<B>(sender: &str, path: &str, interface: &str, member: &str, body: &B) -> Message
where
    B: serde::Serialize + DynamicType,
{
    Message::signal(path, interface, member)
        .sender(sender)
        .build(body)
        .expect("a fake signal is well-formed")
}

fn object_of(name: &str) -> String {
    let unit = UnitName::try_new(name).expect("tests name units that can exist");
    path::of_unit(&unit)
}

fn object_path(path: &str) -> ObjectPath<'_> {
    ObjectPath::try_from(path).expect("the paths of the fake are well-formed")
}
