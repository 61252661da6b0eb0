//! From the text of the policy's files to a [`Policy`].

mod ladder;
mod limits;
mod proof;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use units::{UnitName, UnitPattern};

use super::{
    HostLimits, Matchers, Mode, Policy, PolicyErrors, PolicyHash, Rule, RuleName, WhenUnreachable,
    defaults,
};
use crate::is_protected;
use crate::protected::names_protected;
use crate::reader::{Document, Section};

/// Longer than any limit that makes sense, and short enough that sums of them cannot overflow.
const LONGEST: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Waits may be nothing.
const ANY_DURATION: RangeInclusive<Duration> = Duration::ZERO..=LONGEST;

/// Deadlines and windows may not.
const SOME_DURATION: RangeInclusive<Duration> = Duration::from_millis(1)..=LONGEST;

/// No count in a policy needs more; a larger one is a slip of the finger.
const MANY: usize = 10_000;

const MODES: &[(&str, Mode)] = &[
    ("observe", Mode::Observe),
    ("approve", Mode::Approve),
    ("auto", Mode::Auto),
];

const WHEN_UNREACHABLE: &[(&str, WhenUnreachable)] = &[
    ("hold", WhenUnreachable::Hold),
    ("act", WhenUnreachable::Act),
];

impl Policy {
    /// Reads the policy from its files: the main file first, then the drop-ins in their order.
    /// Rules add up; the table `[host]` may stand in one of them.
    ///
    /// # Errors
    /// Every mistake in every file, with its line and key.
    pub fn parse(files: &[(PathBuf, String)]) -> Result<Self, PolicyErrors> {
        let mut draft = Draft::default();
        let mut errors = Vec::new();
        for (file, text) in files {
            let document = Document::new(file, text);
            let table = document.parse();
            if let Some(table) = &table {
                draft.add(Section::root(&document, table));
            }
            errors.extend(document.into_errors());
        }
        if !errors.is_empty() {
            return Err(PolicyErrors(errors));
        }
        Ok(Self {
            hash: PolicyHash::of(files.iter().map(|(_, text)| text.as_str())),
            host: draft.host.unwrap_or_default(),
            rules: draft.rules,
        })
    }
}

/// What the files up to now have given.
#[derive(Default)]
struct Draft {
    host: Option<HostLimits>,
    rules: Vec<Rule>,
    names: BTreeSet<RuleName>,
}

impl Draft {
    fn add(&mut self, mut root: Section<'_>) {
        if let Some(section) = root.section("host")
            && self.host.replace(read_host(section)).is_some()
        {
            root.note(
                "host",
                "stands in an earlier file already; keep one of them",
            );
        }
        for section in root.sections("rule") {
            let rule = self.read_rule(section);
            self.rules.extend(rule);
        }
    }

    fn read_rule(&mut self, mut section: Section<'_>) -> Option<Rule> {
        let name: Option<RuleName> = section.require("name", Section::parsed);
        if let Some(name) = &name
            && !self.names.insert(name.clone())
        {
            section.note("name", format!("another rule is called {name} already"));
        }
        let matchers = section.require("match", read_matchers);
        let units = read_units(&mut section);
        let ladder = section.require("ladder", |s, key| ladder::read(s, key, &units));
        Some(Rule {
            units,
            also_reset: read_also_reset(&mut section),
            on_unit_failed: section.flag("on_unit_failed", false),
            mode: section.choice("mode", MODES).unwrap_or(Mode::Observe),
            proof: section.nested("proof", defaults::PROOF, proof::read),
            budget: section.nested("budget", defaults::RULE_BUDGET, limits::budget),
            cooldown: section.duration("cooldown", &ANY_DURATION, defaults::COOLDOWN),
            backoff: section.nested("backoff", defaults::BACKOFF, limits::backoff),
            breaker: section.nested("breaker", defaults::BREAKER, limits::breaker),
            flapping: section.nested("flapping", defaults::FLAPPING, limits::flapping),
            efficacy: section.nested("efficacy", defaults::EFFICACY, limits::efficacy),
            saturation: section.section("saturation").map(limits::saturation),
            healthy_min: section.number("healthy_min", 0..=MANY, 0),
            when_fleet_unreachable: section
                .choice("when_fleet_unreachable", WHEN_UNREACHABLE)
                .unwrap_or(WhenUnreachable::Hold),
            patience: section.duration("patience", &SOME_DURATION, defaults::PATIENCE),
            approval_ttl: section.duration("approval_ttl", &SOME_DURATION, defaults::APPROVAL_TTL),
            place: section.place(),
            // Last, so that every mistake in the rule has been noted before it is given up.
            name: name?,
            matchers: matchers?,
            ladder: ladder?,
        })
    }
}

fn read_host(mut section: Section<'_>) -> HostLimits {
    HostLimits {
        budget: section.nested("budget", defaults::HOST_BUDGET, limits::budget),
        unit_budget: section.nested("unit_budget", defaults::UNIT_BUDGET, limits::budget),
        max_in_flight: section.number("max_in_flight", 1..=MANY, defaults::MAX_IN_FLIGHT),
        storm: section.nested("storm", defaults::STORM, limits::storm),
        protected: section.parsed_list("protected").unwrap_or_default(),
        fleet: section.nested("fleet", defaults::FLEET, limits::fleet),
    }
}

fn read_matchers(section: &mut Section<'_>, key: &'static str) -> Option<Matchers> {
    Matchers::try_new(section.parsed_list(key)?)
        .map_err(|problem| section.note(key, problem))
        .ok()
}

fn read_units(section: &mut Section<'_>) -> Vec<UnitPattern> {
    let units = section.parsed_list("units").unwrap_or_default();
    for unit in units.iter().filter(|unit| names_protected(unit)) {
        section.note("units", refusal(unit));
    }
    units
}

fn read_also_reset(section: &mut Section<'_>) -> Vec<UnitName> {
    let units = section.parsed_list("also_reset").unwrap_or_default();
    for unit in units.iter().filter(|unit| is_protected(unit)) {
        section.note("also_reset", refusal(unit));
    }
    units
}

fn refusal(unit: &impl Display) -> String {
    format!(
        "{unit} is protected: the bot never touches itself, D-Bus, polkit, systemd's own units, or \
         anything that is not a service, socket, timer or path"
    )
}

impl Default for HostLimits {
    fn default() -> Self {
        Self {
            budget: defaults::HOST_BUDGET,
            unit_budget: defaults::UNIT_BUDGET,
            max_in_flight: defaults::MAX_IN_FLIGHT,
            storm: defaults::STORM,
            protected: Vec::new(),
            fleet: defaults::FLEET,
        }
    }
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
