//! The whole engine in a world of faults, with time that only passes when everybody waits.
//!
//! Each seed is one story of five minutes: units break, Alertmanager repeats itself, the bus goes
//! away or hangs, the disk refuses, the clock is stepped by an hour, and the bot is killed at any
//! instant. Then the faults end, and the books must balance:
//!
//! - no action without an intent on the disk, at most one for each intent, one at a time for each
//!   unit (checked by [`world`] at the very moment of the action);
//! - never more actions than a budget allows in its window, and never more instances than a pool may have;
//! - every acknowledged alert is in the ledger, with exactly one final decision within three hours
//!   (a clock that was set back from an hour ahead to an hour behind takes two of them), though
//!   nobody comes to repair what the bot could not;
//! - replaying every recorded decision gives the same decision.
//!
//! A seed settles the story. Which of several events that are ready at once the engine serves first
//! is still tokio's choice, so a failure that hangs on that may take a few runs of its seed.
//!
//! `ALERT_BOT_SIMULATION_SEEDS=10000` runs that many seeds, `ALERT_BOT_SIMULATION_SEED=N` runs one.

mod seeded;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use daemon_kit::http::Limits;
use daemon_kit::notify::Heartbeat;
use daemon_kit::tls::HttpsFiles;
use jiff::{SignedDuration, Timestamp};
use ledger::{Accepted, AlertId};
use remediation::{Alert, AlertStatus, Policy};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use units::{ActiveState, UnitName};

use self::world::{Executed, Health, POOL_MAX, World, is_of_pool};
use crate::catch_up::catch_up;
use crate::config::WatchdogConfig;
use crate::engine::{Engine, Event, Outside, Parts, Settings, Wires};
use crate::intake::{Intake, Tokens};
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::ports::{BusEvent, Clock, Turns};
use crate::pressure::Cgroups;
use crate::restarts::RunChange;
use crate::tell::{Sender, Teller};

const DEFAULT_SEEDS: u64 = 200;

/// Tests that share the seeds, so that they use more than one core.
const LANES: u64 = 4;

/// How long things go wrong, and how long they may take to come to rest.
const STORY: Duration = Duration::from_secs(5 * 60);
const REST: Duration = Duration::from_secs(3 * 60 * 60);

const UNITS: [&str; 9] = [
    "api.service",
    "db.service",
    "cache.service",
    "worker@1.service",
    "worker@2.service",
    "pool@1.service",
    "pool@2.service",
    "pool@3.service",
    "pool@4.service",
];

/// So many of them break; the others are only ever stopped.
const BREAKABLE: u64 = 5;

const POLICY: &str = r#"
[host]
budget = { max_actions = 12, window = "10m" }
unit_budget = { max_actions = 6, window = "10m" }
max_in_flight = 2

[[rule]]
name = "api-down"
match = ['alertname="Down"', 'unit="api.service"']
units = ["api.service"]
on_unit_failed = true
mode = "auto"
cooldown = "2s"
ladder = [
    { action = "start", when = "inactive", deadline = "5s" },
    { action = "reset-failed-start", when = "failed", deadline = "5s" },
    { action = "restart", deadline = "5s", times = 2 },
    { action = "escalate" },
]
budget = { max_actions = 4, window = "10m" }
proof = { healthy_for = "1s", deadline = "10s", tcp = "api:1" }

[[rule]]
name = "workers-down"
match = ['alertname="Down"', 'unit=~"worker@.+"']
units = ["worker@*.service"]
on_unit_failed = true
mode = "auto"
cooldown = "5s"
ladder = [{ action = "restart", deadline = "5s" }, { action = "escalate" }]
budget = { max_actions = 3, window = "5m" }
proof = { healthy_for = "2s", deadline = "10s" }

[[rule]]
name = "db-asks"
match = ['alertname="Down"', 'unit="db.service"']
units = ["db.service"]
mode = "approve"
approval_ttl = "2m"
ladder = [{ action = "restart", deadline = "5s" }]

[[rule]]
name = "cache-watched"
match = ['alertname="Down"', 'unit="cache.service"']
units = ["cache.service"]
mode = "observe"
ladder = [{ action = "restart" }]

[[rule]]
name = "pool-too-small"
match = ['alertname="Backlog"']
units = ["pool@*.service"]
mode = "auto"
cooldown = "5s"
ladder = [{ action = "scale-up", max = 3, step = 2, times = 3, deadline = "5s" }]
budget = { max_actions = 4, window = "5m" }
proof = { healthy_for = "1s", deadline = "10s" }
"#;

/// The bot of one life: between two kills.
struct Bot {
    wires: Wires,
    intake: Arc<Intake<World>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Bot {
    /// `None` where the ledger refuses right at the start; systemd would start it again.
    async fn start(world: &World) -> Option<Self> {
        let outside = Outside {
            units: Arc::new(world.clone()),
            prober: Arc::new(world.clone()),
            sink: Arc::new(world.clone()),
            clock: Arc::new(world.clone()),
            cgroups: Arc::new(Cgroups::at("/nonexistent")),
            journal: None,
            turns: world
                .is_in_fleet()
                .then(|| Arc::new(world.clone()) as Arc<dyn Turns>),
        };
        let sender = Sender {
            host: "here".into(),
            runbook_base_url: "https://runbooks".into(),
        };
        let sink = outside.sink.clone();
        let (teller, telling) = Teller::new(sender, sink.clone(), outside.clock.clone());
        let metrics = Metrics::new().unwrap();
        let (mut engine, wires) = Engine::new(Parts {
            host: "here".into(),
            policy: policy(),
            ledger: world.clone(),
            outside,
            teller,
            metrics: metrics.clone(),
            settings: Settings {
                read_policy: Box::new(|| Ok(policy())),
                keep: Duration::from_secs(90 * 24 * 60 * 60),
                watchdog_timeout: Duration::from_secs(180),
            },
        });
        engine.recover().await.ok()?;
        let intake = Arc::new(Intake {
            tokens: Tokens::try_new(&["token".into()]).unwrap(),
            limits: Limits::default(),
            watchdog: WatchdogConfig::default(),
            outbound: Outbound::new("bot.toml".into(), HttpsFiles::default()),
            ledger: world.clone(),
            clock: Arc::new(world.clone()),
            wires: wires.clone(),
            metrics,
        });
        let run = engine.run(Heartbeat::start(), CancellationToken::new());
        let tasks = vec![
            tokio::spawn(telling),
            tokio::spawn(run),
            tokio::spawn(catch_up(sink, intake.clone())),
        ];
        let bot = Self {
            wires,
            intake,
            tasks,
        };
        if world.state().bus_up {
            bot.hear_all(world).await;
        }
        Some(bot)
    }

    async fn hear(&self, event: BusEvent) {
        self.wires.events.send(Event::Bus(event)).await.unwrap();
    }

    async fn hear_all(&self, world: &World) {
        let units = world.state().units.clone();
        let units = units
            .into_iter()
            .map(|(name, unit)| (name, state_of(unit.health)));
        self.hear(BusEvent::Up(units.collect())).await;
    }

    /// SIGKILL.
    fn kill(self, world: &World) {
        for task in &self.tasks {
            task.abort();
        }
        world.forget_running();
    }
}

fn policy() -> Policy {
    Policy::parse(&[("simulation.toml".into(), POLICY.into())]).unwrap()
}

fn state_of(health: Health) -> ActiveState {
    match health {
        Health::Well | Health::Frozen => ActiveState::Active,
        Health::Stopped => ActiveState::Inactive,
        Health::Crashed => ActiveState::Failed,
    }
}

/// Alertmanager: sends what is wrong until it is acknowledged, and then from time to time again.
#[derive(Default)]
struct Alertmanager {
    /// By name and unit: since when, and whether it was acknowledged.
    firing: BTreeMap<(&'static str, String), (Timestamp, bool)>,
    resolving: Vec<Alert>,
    noise: u64,
}

impl Alertmanager {
    async fn send(&mut self, world: &World, bot: &Bot) {
        self.notice(world);
        for ((name, unit), (since, acknowledged)) in &mut self.firing {
            let repeats = world.state().chance.one_in(5);
            if !*acknowledged || repeats {
                let alert = alert(name, unit, *since, AlertStatus::Firing);
                *acknowledged |= deliver(world, bot, &alert, false).await;
            }
        }
        for alert in std::mem::take(&mut self.resolving) {
            if !deliver(world, bot, &alert, false).await {
                self.resolving.push(alert);
            }
        }
        if world.state().chance.one_in(40) {
            self.noise += 1;
            let name = ["Other", "Down"][usize::from(world.state().chance.one_in(2))];
            let unit = format!("noise-{}.service", self.noise);
            let truncated = world.state().chance.one_in(3);
            let noise = alert(name, &unit, world.now(), AlertStatus::Firing);
            // Not acknowledged is not owed.
            deliver(world, bot, &noise, truncated).await;
        }
    }

    fn notice(&mut self, world: &World) {
        let units = world.state().units.clone();
        let (pool, single): (Vec<_>, Vec<_>) =
            units.into_iter().partition(|(unit, _)| is_of_pool(unit));
        let running = pool.iter().filter(|(_, unit)| unit.health == Health::Well);
        self.notice_one(world, "Backlog", "", running.count() < POOL_MAX);
        for (name, unit) in single {
            self.notice_one(world, "Down", name.as_str(), unit.health != Health::Well);
        }
        let firing = self.firing.iter();
        world.state().listed = firing
            .map(|((name, unit), (since, _))| alert(name, unit, *since, AlertStatus::Firing))
            .collect();
    }

    fn notice_one(&mut self, world: &World, name: &'static str, unit: &str, is_wrong: bool) {
        let key = (name, unit.to_owned());
        if is_wrong {
            let now = world.now();
            self.firing.entry(key).or_insert((now, false));
        } else if let Some((since, acknowledged)) = self.firing.remove(&key)
            && acknowledged
        {
            let over = alert(name, unit, since, AlertStatus::Resolved);
            self.resolving.push(over);
        }
    }
}

/// Whether the alert was acknowledged; from then on the bot owes a decision about it.
async fn deliver(world: &World, bot: &Bot, alert: &Alert, truncated: bool) -> bool {
    let kept = bot.intake.keep(vec![alert.clone()], truncated).await;
    if kept.is_ok() {
        world.state().acknowledged.push(alert.clone());
    }
    kept.is_ok()
}

fn alert(name: &str, unit: &str, starts_at: Timestamp, status: AlertStatus) -> Alert {
    let labels = [("alertname", name), ("unit", unit), ("host", "here")];
    Alert {
        fingerprint: format!("{name}-{unit}"),
        status,
        labels: labels.map(|(key, value)| (key.into(), value.into())).into(),
        annotations: BTreeMap::new(),
        starts_at,
        ends_at: None,
    }
}

/// One second of the story.
async fn one_second(world: &World, bot: &Bot) {
    let (roll, victim, health) = {
        let mut state = world.state();
        let roll = state.chance.below(400);
        let victim = usize::try_from(state.chance.below(BREAKABLE)).unwrap();
        let victim: UnitName = UNITS[victim].parse().unwrap();
        let health = match state.chance.below(3) {
            0 => Health::Frozen,
            1 => Health::Stopped,
            _ => Health::Crashed,
        };
        (roll, victim, health)
    };
    match roll {
        0..20 => {
            world.state().units.get_mut(&victim).unwrap().health = health;
            if world.state().bus_up {
                let change = (Some(state_of(health)), RunChange::default());
                bot.hear(BusEvent::Changed(victim, change.0, change.1))
                    .await;
            }
        }
        // Somebody else repairs it.
        20..26 => world.state().units.get_mut(&victim).unwrap().health = Health::Well,
        26..30 => {
            world.state().bus_up = false;
            bot.hear(BusEvent::Down).await;
        }
        30..45 if !world.state().bus_up => {
            world.state().bus_up = true;
            bot.hear_all(world).await;
        }
        45 => world.state().clock_offset = SignedDuration::from_hours(1),
        47..55 => stop_one_of_the_pool(world, bot).await,
        46 => world.state().clock_offset = SignedDuration::from_hours(-1),
        _ => {}
    }
    sleep(Duration::from_secs(1)).await;
}

/// Somebody thinks that fewer will do.
async fn stop_one_of_the_pool(world: &World, bot: &Bot) {
    let stopped = {
        let mut state = world.state();
        let number = state.chance.below(4) + 1;
        let unit: UnitName = format!("pool@{number}.service").parse().unwrap();
        state.units.get_mut(&unit).unwrap().health = Health::Stopped;
        state.bus_up.then_some(unit)
    };
    if let Some(unit) = stopped {
        let stopped = Some(ActiveState::Inactive);
        bot.hear(BusEvent::Changed(unit, stopped, RunChange::default()))
            .await;
    }
}

/// Tells one story; returns how many actions were steps of several instances.
async fn story(seed: u64) -> usize {
    let world = World::new(seed, &UNITS);
    // The pool begins as small as its highest number.
    for (unit, state) in &mut world.state().units {
        if is_of_pool(unit) && unit.as_str() != "pool@4.service" {
            state.health = Health::Stopped;
        }
    }
    let mut alertmanager = Alertmanager::default();
    let end = tokio::time::Instant::now() + STORY;
    let mut bot = None;
    while tokio::time::Instant::now() < end {
        let Some(alive) = bot.take() else {
            bot = Bot::start(&world).await;
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        // Killed in the middle of whatever the second brings, or not at all.
        let life = world.state().chance.below(3_000);
        let second = async {
            alertmanager.send(&world, &alive).await;
            one_second(&world, &alive).await;
        };
        let survives = world.state().chance.below(15) != 0;
        tokio::select! {
            biased;
            () = second => bot = Some(alive),
            () = sleep(Duration::from_millis(life)), if !survives => alive.kill(&world),
        }
    }
    come_to_rest(&world, bot, &mut alertmanager).await;
    balance(&world, seed);
    let mut units = BTreeMap::<_, usize>::new();
    for executed in &world.state().executed {
        *units.entry(executed.attempt).or_default() += 1;
    }
    units.values().filter(|count| **count > 1).count()
}

/// The faults end; whatever is open comes to its end.
async fn come_to_rest(world: &World, bot: Option<Bot>, alertmanager: &mut Alertmanager) {
    if let Some(bot) = bot {
        bot.kill(world);
    }
    world.state().faults = false;
    world.state().bus_up = true;
    let bot = Bot::start(world).await.unwrap();
    let deadline = tokio::time::Instant::now() + REST;
    while tokio::time::Instant::now() < deadline {
        alertmanager.send(world, &bot).await;
        sleep(Duration::from_secs(10)).await;
        let unsettled = world.store().unsettled_count().unwrap();
        let in_flight = world.store().history(Timestamp::MAX).unwrap().actions.len();
        if unsettled == 0 && in_flight == 0 && !world.holds_a_turn() {
            break;
        }
    }
    assert!(
        !world.holds_a_turn(),
        "a turn in the fleet is never given back"
    );
    bot.kill(world);
}

fn balance(world: &World, seed: u64) {
    let policy = policy();
    let acknowledged = world.state().acknowledged.clone();
    let known = world.store().accept(&acknowledged, false, world.now());
    for (alert, accepted) in acknowledged.iter().zip(known.unwrap()) {
        assert!(
            matches!(accepted, Accepted::Repeated(_)),
            "seed {seed}: {alert:#?} was acknowledged, and the ledger does not know it"
        );
    }
    let open = world
        .store()
        .unsettled_after(AlertId::BEFORE_ALL, 9)
        .unwrap();
    assert!(
        open.is_empty(),
        "seed {seed}, clock off by {}: no decision about {open:#?} in {:#?}",
        world.state().clock_offset,
        world.store().open_incidents().unwrap(),
    );

    let executed = world.state().executed.clone();
    let budget = policy.host().budget;
    within_budget(&executed, |_| true, budget, seed);
    for rule in policy.rules() {
        within_budget(
            &executed,
            |action| rule.allows(&action.unit),
            rule.budget,
            seed,
        );
    }
    for unit in UNITS {
        let budget = policy.host().unit_budget;
        within_budget(
            &executed,
            |action| action.unit.as_str() == unit,
            budget,
            seed,
        );
    }
    let watched = |action: &Executed| action.unit.as_str() == "cache.service";
    assert!(
        !executed.iter().any(watched),
        "seed {seed}: acted where it may only observe"
    );

    for decision in world.store().decisions(Timestamp::MIN).unwrap() {
        let input = &decision.input;
        let again = remediation::decide(&policy, &input.history, &input.situation);
        assert_eq!(again, decision.decision, "seed {seed}: a replay differs");
    }
}

/// In the order in which they happened, with the times that the bot's clock showed.
fn within_budget(
    executed: &[Executed],
    counts: impl Fn(&Executed) -> bool,
    budget: remediation::Budget,
    seed: u64,
) {
    let mut actions: Vec<&Executed> = executed.iter().filter(|action| counts(action)).collect();
    let mut begun = BTreeSet::new();
    actions.retain(|action| begun.insert(action.attempt));
    for (index, action) in actions.iter().enumerate() {
        let horizon = action.at - SignedDuration::try_from(budget.window).unwrap();
        let recent = actions[..=index].iter().filter(|past| past.at > horizon);
        let count = recent.count();
        assert!(
            count <= budget.max_actions.get(),
            "seed {seed}: {count} actions in {:?} at {}",
            budget.window,
            action.at
        );
    }
}

fn number_from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Tells the seeds of this lane's share; the lanes run beside each other.
#[allow(clippy::print_stderr)] // Captured, and shown only when the test fails.
fn tell(lane: u64) {
    let seeds = match number_from_env("ALERT_BOT_SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number_from_env("ALERT_BOT_SIMULATION_SEEDS").unwrap_or(DEFAULT_SEEDS),
    };
    let (mut told, mut steps) = (0, 0);
    for seed in seeds.filter(|seed| seed % LANES == lane) {
        eprintln!("seed {seed}: ALERT_BOT_SIMULATION_SEED={seed} repeats it");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        steps += runtime.block_on(story(seed));
        told += 1;
    }
    assert!(steps > 0 || told < 10, "the pool never grew by a step");
    eprintln!("campaign: {told} simulated stories of the bot in lane {lane}, every book balanced");
}

#[test]
fn the_books_balance_whatever_goes_wrong_lane_0() {
    tell(0);
}

#[test]
fn the_books_balance_whatever_goes_wrong_lane_1() {
    tell(1);
}

#[test]
fn the_books_balance_whatever_goes_wrong_lane_2() {
    tell(2);
}

#[test]
fn the_books_balance_whatever_goes_wrong_lane_3() {
    tell(3);
}
