//! What holds where a policy says nothing. Each value errs on the side of doing less.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Backoff, Breaker, Budget, Efficacy, Flapping, FleetLimits, Proof, Storm};
use crate::Percent;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

const fn hours(hours: u64) -> Duration {
    minutes(60 * hours)
}

const fn budget(max_actions: usize, window: Duration) -> Budget {
    let Some(max_actions) = NonZeroUsize::new(max_actions) else {
        panic!("a budget allows at least one action")
    };
    Budget {
        max_actions,
        window,
    }
}

/// A host on which more than this is needed has a problem that is not a unit's.
pub(super) const HOST_BUDGET: Budget = budget(20, hours(1));

/// One unit, whatever rules are about it.
pub(super) const UNIT_BUDGET: Budget = budget(6, hours(1));

/// One repair at a time shows what each of them did.
pub(super) const MAX_IN_FLIGHT: usize = 1;

/// 40 % is the share in the example of `OpenShift`; below three units any break would be a storm.
pub(super) const STORM: Storm = Storm {
    share: Percent::of(40, 100),
    min_units: 3,
    quiet_for: minutes(10),
};

/// One host of a group at a time leaves the others to serve; more repairs in an hour than on three
/// hosts at their own limits mean that the cause is not on a host.
pub(super) const FLEET: FleetLimits = FleetLimits {
    max_hosts: 1,
    budget: budget(60, hours(1)),
};

pub(super) const RULE_BUDGET: Budget = budget(3, hours(1));

/// Long enough for a service to come up and be looked at once.
pub(super) const COOLDOWN: Duration = seconds(30);

/// systemd's own `DefaultTimeoutStartSec=`: waiting less would judge a start that is still allowed.
pub(super) const JOB_DEADLINE: Duration = seconds(90);

pub(super) const PROOF: Proof = Proof {
    healthy_for: seconds(10),
    deadline: minutes(1),
    alert_deadline: minutes(2),
    probe: None,
};

/// From 10 s up to 10 min, the span that kubernaut and Kubernetes use for crash loops.
pub(super) const BACKOFF: Backoff = Backoff {
    initial: seconds(10),
    factor: 2,
    max: minutes(10),
    jitter: Percent::of(20, 100),
    memory: hours(1),
};

pub(super) const BREAKER: Breaker = Breaker {
    failures: 3,
    window: minutes(15),
    open_for: minutes(30),
};

pub(super) const FLAPPING: Flapping = Flapping {
    repairs: 4,
    window: hours(1),
};

pub(super) const EFFICACY: Efficacy = Efficacy {
    max_ineffective: 5,
    max_repairs: 12,
    window: hours(24),
};

/// Long enough for a slow start or another repair to end, short enough for somebody who waits.
pub(super) const PATIENCE: Duration = minutes(10);

/// A person who is asked at night needs the time to wake up and look.
pub(super) const APPROVAL_TTL: Duration = minutes(30);

/// A probe's answer where the policy names no other.
pub(super) const HTTP_STATUS: u16 = 200;

/// Debian's Prometheus on the same host.
pub(super) const PROMETHEUS: &str = "http://127.0.0.1:9090";
