//! From the text of the policy's files to a [`Policy`].

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use units::{UnitName, UnitPattern};

use super::reader::{Document, Section};
use super::{
    Backoff, Breaker, Budget, Efficacy, Flapping, HostLimits, Matchers, Mode, Policy, PolicyErrors,
    PolicyHash, Probe, Proof, Rule, RuleName, Rung, RungAction, Saturation, Storm, When, defaults,
};
use crate::is_protected;
use crate::protected::names_protected;

/// Longer than any limit that makes sense, and short enough that sums of them cannot overflow.
const LONGEST: Duration = Duration::from_secs(90 * 24 * 60 * 60);

const ANY_DURATION: RangeInclusive<Duration> = Duration::ZERO..=LONGEST;

/// Deadlines and windows: none of them may be nothing.
const SOME_DURATION: RangeInclusive<Duration> = Duration::from_millis(1)..=LONGEST;

/// No count in a policy needs more; a larger one is a slip of the finger.
const MANY: usize = 10_000;

const MODES: &[(&str, Mode)] = &[
    ("observe", Mode::Observe),
    ("approve", Mode::Approve),
    ("auto", Mode::Auto),
];

const STATES: &[(&str, When)] = &[
    ("active", When::Active),
    ("inactive", When::Inactive),
    ("failed", When::Failed),
];

impl Policy {
    /// Reads the policy from its files: the main file first, then the drop-ins in their order.
    /// Rules add up; the table `[host]` may stand in the first file only.
    ///
    /// # Errors
    /// Every mistake in every file, with its line and key.
    pub fn parse(files: &[(PathBuf, String)]) -> Result<Self, PolicyErrors> {
        let mut host = HostLimits::default();
        let mut rules = Vec::new();
        let mut errors = Vec::new();
        let mut names = BTreeMap::new();
        for (index, (file, text)) in files.iter().enumerate() {
            let document = Document::new(file, text);
            let table = document.parse();
            let mut root = Section::root(&document, &table);
            if let Some(section) = root.section("host") {
                if index == 0 {
                    host = read_host(section);
                } else {
                    root.note("host", "belongs into the main file, not into a drop-in");
                }
            }
            for section in root.sections("rule") {
                rules.extend(read_rule(section, &mut names));
            }
            root.finish();
            errors.extend(document.into_errors());
        }
        if errors.is_empty() {
            let hash = PolicyHash::of(files.iter().map(|(_, text)| text.as_str()));
            Ok(Self { hash, host, rules })
        } else {
            Err(PolicyErrors(errors))
        }
    }
}

impl Default for HostLimits {
    fn default() -> Self {
        Self {
            budget: defaults::HOST_BUDGET,
            unit_budget: defaults::UNIT_BUDGET,
            max_in_flight: defaults::MAX_IN_FLIGHT,
            storm: defaults::STORM,
            protected: Vec::new(),
        }
    }
}

fn read_host(mut section: Section<'_>) -> HostLimits {
    let host = HostLimits {
        budget: read_budget(section.section("budget"), defaults::HOST_BUDGET),
        unit_budget: read_budget(section.section("unit_budget"), defaults::UNIT_BUDGET),
        max_in_flight: section
            .number("max_in_flight", 1..=MANY)
            .unwrap_or(defaults::MAX_IN_FLIGHT),
        storm: read_storm(section.section("storm")),
        protected: section.parsed_list("protected"),
    };
    section.finish();
    host
}

fn read_rule(mut section: Section<'_>, names: &mut BTreeMap<RuleName, ()>) -> Option<Rule> {
    let name: Option<RuleName> = section.require("name", Section::parsed);
    if let Some(name) = &name
        && names.insert(name.clone(), ()).is_some()
    {
        section.note("name", format!("another rule is called {name} already"));
    }
    let matchers = section.require("match", read_matchers);
    let units = read_units(&mut section);
    let also_reset = read_also_reset(&mut section);
    let ladder = section.require("ladder", read_ladder);
    let rule = Rule {
        name: name?,
        matchers: matchers?,
        units,
        also_reset,
        on_unit_failed: section.flag("on_unit_failed").unwrap_or(false),
        mode: section.choice("mode", MODES).unwrap_or(Mode::Observe),
        ladder: ladder?,
        proof: read_proof(section.section("proof")),
        budget: read_budget(section.section("budget"), defaults::RULE_BUDGET),
        cooldown: section
            .duration("cooldown", &ANY_DURATION)
            .unwrap_or(defaults::COOLDOWN),
        backoff: read_backoff(section.section("backoff")),
        breaker: read_breaker(section.section("breaker")),
        flapping: read_flapping(section.section("flapping")),
        efficacy: read_efficacy(section.section("efficacy")),
        saturation: section.section("saturation").map(read_saturation),
        healthy_min: section.number("healthy_min", 0..=MANY).unwrap_or(0),
        approval_ttl: section
            .duration("approval_ttl", &SOME_DURATION)
            .unwrap_or(defaults::APPROVAL_TTL),
    };
    section.finish();
    Some(rule)
}

fn read_matchers(section: &mut Section<'_>, key: &'static str) -> Option<Matchers> {
    Matchers::try_new(section.parsed_list(key))
        .map_err(|problem| section.note(key, problem))
        .ok()
}

fn read_units(section: &mut Section<'_>) -> Vec<UnitPattern> {
    let units: Vec<UnitPattern> = section.parsed_list("units");
    for unit in units.iter().filter(|unit| names_protected(unit)) {
        section.note(
            "units",
            format!("{unit} is protected: the bot never touches it"),
        );
    }
    units
}

fn read_also_reset(section: &mut Section<'_>) -> Vec<UnitName> {
    let units: Vec<UnitName> = section.parsed_list("also_reset");
    for unit in units.iter().filter(|unit| is_protected(unit)) {
        section.note(
            "also_reset",
            format!("{unit} is protected: the bot never touches it"),
        );
    }
    units
}

fn read_ladder(section: &mut Section<'_>, key: &'static str) -> Option<Vec<Rung>> {
    let sections = section.sections(key);
    if sections.is_empty() {
        section.note(
            key,
            "is empty; with mode = \"observe\" a rule may only watch",
        );
        return None;
    }
    sections.into_iter().map(read_rung).collect()
}

fn read_rung(mut section: Section<'_>) -> Option<Rung> {
    let word = section.require("action", Section::text);
    let action = word.and_then(|word| read_action(&mut section, word));
    let rung = Rung {
        when: section.choice("when", STATES),
        times: section.number("times", 1..=MANY).unwrap_or(1),
        deadline: section
            .duration("deadline", &SOME_DURATION)
            .unwrap_or(defaults::JOB_DEADLINE),
        action: action?,
    };
    section.finish();
    Some(rung)
}

fn read_action(section: &mut Section<'_>, word: &str) -> Option<RungAction> {
    Some(match word {
        "reload" => RungAction::Reload,
        "restart" => RungAction::Restart,
        "start" => RungAction::Start,
        "stop" => RungAction::Stop,
        "reset-failed-start" => RungAction::ResetFailedStart,
        "escalate" => RungAction::Escalate,
        "kill" => RungAction::Kill {
            signal: section.require("signal", Section::parsed)?,
        },
        "scale-up" => RungAction::ScaleUp {
            max: section.require("max", |s, key| s.number(key, 1..=1_000))?,
        },
        "scale-down" => RungAction::ScaleDown {
            min: section.require("min", |s, key| s.number(key, 0..=1_000))?,
        },
        "runbook" => RungAction::Runbook {
            unit: read_runbook(section)?,
        },
        _ => {
            section.note(
                "action",
                format!(
                    "{word:?} is none of: reload, restart, start, stop, kill, reset-failed-start, \
                     scale-up, scale-down, runbook, escalate"
                ),
            );
            return None;
        }
    })
}

fn read_runbook(section: &mut Section<'_>) -> Option<UnitName> {
    let unit: UnitName = section.require("unit", Section::parsed)?;
    if is_protected(&unit) {
        section.note(
            "unit",
            format!("{unit} is protected: the bot never touches it"),
        );
        return None;
    }
    Some(unit)
}

fn read_proof(section: Option<Section<'_>>) -> Proof {
    let Some(mut section) = section else {
        return defaults::PROOF;
    };
    let proof = Proof {
        healthy_for: section
            .duration("healthy_for", &ANY_DURATION)
            .unwrap_or(defaults::PROOF.healthy_for),
        deadline: section
            .duration("deadline", &SOME_DURATION)
            .unwrap_or(defaults::PROOF.deadline),
        probe: read_probe(&mut section),
    };
    if proof.deadline <= proof.healthy_for {
        section.note(
            "deadline",
            "must be longer than healthy_for, or nothing can be proven",
        );
    }
    section.finish();
    proof
}

fn read_probe(section: &mut Section<'_>) -> Option<Probe> {
    let http = section.text("http").map(str::to_owned);
    let status = section.number("status", 100..=599);
    let tcp = section.text("tcp").map(str::to_owned);
    let promql = section.text("promql").map(str::to_owned);
    let prometheus = section.text("prometheus").map(str::to_owned);
    if [&http, &tcp, &promql].into_iter().flatten().count() > 1 {
        section.note("http", "only one of http, tcp and promql can be the probe");
        return None;
    }
    if let Some(url) = http {
        let status = status.unwrap_or(defaults::HTTP_STATUS);
        return Some(Probe::Http { url, status });
    }
    if let Some(address) = tcp {
        return Some(Probe::Tcp { address });
    }
    let query = promql?;
    let url = prometheus.unwrap_or_else(|| defaults::PROMETHEUS.to_owned());
    Some(Probe::PromQl { url, query })
}

fn read_budget(section: Option<Section<'_>>, default: Budget) -> Budget {
    let Some(mut section) = section else {
        return default;
    };
    let budget = Budget {
        max_actions: section
            .number("max_actions", 1..=MANY)
            .and_then(NonZeroUsize::new)
            .unwrap_or(default.max_actions),
        window: section
            .duration("window", &SOME_DURATION)
            .unwrap_or(default.window),
    };
    section.finish();
    budget
}

fn read_storm(section: Option<Section<'_>>) -> Storm {
    let Some(mut section) = section else {
        return defaults::STORM;
    };
    let storm = Storm {
        share: section.percent("share").unwrap_or(defaults::STORM.share),
        min_units: section
            .number("min_units", 1..=MANY)
            .unwrap_or(defaults::STORM.min_units),
        quiet_for: section
            .duration("quiet_for", &SOME_DURATION)
            .unwrap_or(defaults::STORM.quiet_for),
    };
    section.finish();
    storm
}

fn read_backoff(section: Option<Section<'_>>) -> Backoff {
    let Some(mut section) = section else {
        return defaults::BACKOFF;
    };
    let backoff = Backoff {
        initial: section
            .duration("initial", &ANY_DURATION)
            .unwrap_or(defaults::BACKOFF.initial),
        factor: section
            .number("factor", 1..=100)
            .unwrap_or(defaults::BACKOFF.factor),
        max: section
            .duration("max", &ANY_DURATION)
            .unwrap_or(defaults::BACKOFF.max),
        jitter: section
            .percent("jitter")
            .unwrap_or(defaults::BACKOFF.jitter),
        memory: section
            .duration("memory", &SOME_DURATION)
            .unwrap_or(defaults::BACKOFF.memory),
    };
    section.finish();
    backoff
}

fn read_breaker(section: Option<Section<'_>>) -> Breaker {
    let Some(mut section) = section else {
        return defaults::BREAKER;
    };
    let breaker = Breaker {
        failures: section
            .number("failures", 1..=MANY)
            .unwrap_or(defaults::BREAKER.failures),
        window: section
            .duration("window", &SOME_DURATION)
            .unwrap_or(defaults::BREAKER.window),
        open_for: section
            .duration("open_for", &SOME_DURATION)
            .unwrap_or(defaults::BREAKER.open_for),
    };
    section.finish();
    breaker
}

fn read_flapping(section: Option<Section<'_>>) -> Flapping {
    let Some(mut section) = section else {
        return defaults::FLAPPING;
    };
    let flapping = Flapping {
        repairs: section
            .number("repairs", 1..=MANY)
            .unwrap_or(defaults::FLAPPING.repairs),
        window: section
            .duration("window", &SOME_DURATION)
            .unwrap_or(defaults::FLAPPING.window),
    };
    section.finish();
    flapping
}

fn read_efficacy(section: Option<Section<'_>>) -> Efficacy {
    let Some(mut section) = section else {
        return defaults::EFFICACY;
    };
    let efficacy = Efficacy {
        max_ineffective: section
            .number("max_ineffective", 1..=MANY)
            .unwrap_or(defaults::EFFICACY.max_ineffective),
        max_repairs: section
            .number("max_repairs", 1..=MANY)
            .unwrap_or(defaults::EFFICACY.max_repairs),
        window: section
            .duration("window", &SOME_DURATION)
            .unwrap_or(defaults::EFFICACY.window),
    };
    section.finish();
    efficacy
}

fn read_saturation(mut section: Section<'_>) -> Saturation {
    let saturation = Saturation {
        cpu: section.percent("cpu"),
        memory: section.percent("memory"),
        throttled: section.percent("throttled"),
    };
    section.finish();
    saturation
}

impl PolicyHash {
    /// FNV-1a over all texts, each ended by a byte that no UTF-8 text contains.
    fn of<'t>(texts: impl Iterator<Item = &'t str>) -> Self {
        const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let bytes = texts.flat_map(|text| text.bytes().chain([0xff]));
        Self(bytes.fold(BASIS, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(PRIME)
        }))
    }
}
