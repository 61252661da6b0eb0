//! The tables of a policy that hold nothing but numbers.

use std::num::NonZeroUsize;

use super::{ANY_DURATION, MANY, SOME_DURATION};
use crate::policy::{Backoff, Breaker, Budget, Efficacy, Flapping, FleetLimits, Saturation, Storm};
use crate::reader::Section;

pub(super) fn budget(section: &mut Section<'_>, default: Budget) -> Budget {
    let max_actions = section.number("max_actions", 1..=MANY, default.max_actions.get());
    Budget {
        max_actions: NonZeroUsize::new(max_actions).unwrap_or(default.max_actions),
        window: section.duration("window", &SOME_DURATION, default.window),
    }
}

pub(super) fn fleet(section: &mut Section<'_>, default: FleetLimits) -> FleetLimits {
    FleetLimits {
        max_hosts: section.number("max_hosts", 1..=MANY, default.max_hosts),
        budget: section.nested("budget", default.budget, budget),
    }
}

pub(super) fn storm(section: &mut Section<'_>, default: Storm) -> Storm {
    Storm {
        share: section.percent("share").unwrap_or(default.share),
        min_units: section.number("min_units", 1..=MANY, default.min_units),
        quiet_for: section.duration("quiet_for", &SOME_DURATION, default.quiet_for),
    }
}

pub(super) fn backoff(section: &mut Section<'_>, default: Backoff) -> Backoff {
    Backoff {
        initial: section.duration("initial", &ANY_DURATION, default.initial),
        factor: section.number("factor", 1..=100, default.factor),
        max: section.duration("max", &ANY_DURATION, default.max),
        jitter: section.percent("jitter").unwrap_or(default.jitter),
        memory: section.duration("memory", &SOME_DURATION, default.memory),
    }
}

pub(super) fn breaker(section: &mut Section<'_>, default: Breaker) -> Breaker {
    Breaker {
        failures: section.number("failures", 1..=MANY, default.failures),
        window: section.duration("window", &SOME_DURATION, default.window),
        open_for: section.duration("open_for", &SOME_DURATION, default.open_for),
    }
}

pub(super) fn flapping(section: &mut Section<'_>, default: Flapping) -> Flapping {
    Flapping {
        repairs: section.number("repairs", 1..=MANY, default.repairs),
        window: section.duration("window", &SOME_DURATION, default.window),
    }
}

pub(super) fn efficacy(section: &mut Section<'_>, default: Efficacy) -> Efficacy {
    Efficacy {
        max_ineffective: section.number("max_ineffective", 1..=MANY, default.max_ineffective),
        max_repairs: section.number("max_repairs", 1..=MANY, default.max_repairs),
        window: section.duration("window", &SOME_DURATION, default.window),
    }
}

pub(super) fn saturation(mut section: Section<'_>) -> Saturation {
    Saturation {
        cpu: section.percent("cpu"),
        memory: section.percent("memory"),
        throttled: section.percent("throttled"),
    }
}
