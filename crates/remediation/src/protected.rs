//! Units that no policy may touch: the bot itself, and what it stands on.

use units::{UnitKind, UnitName, UnitPattern};

/// Stems of units that carry the bot: itself, the bus, and what answers on it.
const PROTECTED_STEMS: [&str; 6] = [
    "alert-bot",
    "alert-bot-control",
    "dbus",
    "dbus-broker",
    "init",
    "polkit",
];

/// systemd's own services: journald, logind, udevd, …
const PROTECTED_PREFIX: &str = "systemd-";

/// Whether the bot may never act on this unit, whatever the policy says.
///
/// Beside the bot, D-Bus, polkit and systemd's own units, these are all units that are not a
/// service, socket, timer or path: stopping a target, a slice or a mount takes others with it.
pub fn is_protected(unit: &UnitName) -> bool {
    is_protected_stem(unit.as_str(), unit.kind().suffix())
        || !matches!(
            unit.kind(),
            UnitKind::Service | UnitKind::Socket | UnitKind::Timer | UnitKind::Path
        )
}

/// Whether a pattern could mean a protected unit.
pub(crate) fn names_protected(pattern: &UnitPattern) -> bool {
    match pattern {
        UnitPattern::Exact(unit) => is_protected(unit),
        // Any instance stands for all of them: the stem and the type decide.
        UnitPattern::Instances { stem, suffix } => UnitName::try_new(format!("{stem}@0.{suffix}"))
            .map_or(true, |instance| is_protected(&instance)),
    }
}

fn is_protected_stem(name: &str, suffix: &str) -> bool {
    let stem = name
        .strip_suffix(suffix)
        .and_then(|stem| stem.strip_suffix('.'))
        .unwrap_or(name);
    let stem = stem.split_once('@').map_or(stem, |(stem, _)| stem);
    stem.starts_with(PROTECTED_PREFIX) || PROTECTED_STEMS.contains(&stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_bot_stands_on_is_protected() {
        for (name, protected) in [
            ("alert-bot.service", true),
            ("alert-bot.socket", true),
            ("alert-bot-control.socket", true),
            ("dbus.service", true),
            ("dbus.socket", true),
            ("dbus-broker.service", true),
            ("polkit.service", true),
            ("systemd-journald.service", true),
            ("systemd-journald@x.service", true),
            ("systemd-udevd-control.socket", true),
            ("init.scope", true),
            ("-.slice", true),
            ("multi-user.target", true),
            ("-.mount", true),
            ("swapfile.swap", true),
            ("transactions-api.service", false),
            ("transactions-api.socket", false),
            ("logrotate.timer", false),
            ("alert-botany.service", false),
        ] {
            assert_eq!(is_protected(&name.parse().unwrap()), protected, "{name}");
        }
    }
}
