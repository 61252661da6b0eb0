//! How many of the units that the policy watches are unhealthy: what a storm is measured by.

use std::collections::BTreeMap;

use remediation::{Policy, Watched};
use units::{ActiveState, UnitName, UnitPattern};

/// `loaded` are the units that systemd has in memory, `troubled` those with an open incident: they
/// count as unhealthy, whatever systemd says of them, until they are proven to be healthy.
///
/// A unit that the policy names counts also while systemd has forgotten it, as it does with one
/// that is stopped; of a template only the instances that are loaded can be known.
pub(super) fn watched<'a>(
    policy: &'a Policy,
    loaded: &'a BTreeMap<UnitName, ActiveState>,
    troubled: impl Iterator<Item = &'a UnitName>,
) -> Watched {
    let named = policy.units().into_iter().filter_map(UnitPattern::exact);
    let named = named.map(|unit| (unit, ActiveState::Inactive));
    let seen = loaded.iter().filter(|(unit, _)| policy.watches(unit));
    let watched: BTreeMap<&UnitName, ActiveState> = named
        .chain(seen.map(|(unit, state)| (unit, *state)))
        .collect();
    let failed = watched
        .iter()
        .filter(|(_, state)| **state == ActiveState::Failed);
    let failed = failed.map(|(unit, _)| *unit);
    let troubled = troubled.filter(|unit| watched.contains_key(unit));
    Watched {
        total: watched.len(),
        unhealthy: failed.chain(troubled).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
        [[rule]]
        name = "all"
        match = ['alertname="Down"']
        units = ["api.service", "db.service", "worker@*.service"]
        ladder = [{ action = "restart" }]
    "#;

    fn unit(name: &str) -> UnitName {
        name.parse().unwrap()
    }

    #[test]
    fn what_the_policy_names_counts_whether_loaded_or_not() {
        use ActiveState::{Active, Failed};
        let policy = Policy::parse(&[("p.toml".into(), POLICY.into())]).unwrap();
        let loaded = [
            ("api.service", Failed),
            ("worker@1.service", Active),
            ("foreign.service", Failed),
        ];
        let loaded = loaded.map(|(name, state)| (unit(name), state)).into();
        // The incident of one that was stopped, and is forgotten since.
        let troubled = [unit("db.service"), unit("foreign.service")];
        let watched = watched(&policy, &loaded, troubled.iter());
        assert_eq!(watched.total, 3);
        let unhealthy = ["api.service", "db.service"].map(unit).into();
        assert_eq!(watched.unhealthy, unhealthy);
    }
}
