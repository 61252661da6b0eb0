//! Unit names as D-Bus object paths, the way `bus_label_escape()` of systemd writes them.

use std::fmt::Write as _;

use units::UnitName;

const UNIT_PREFIX: &str = "/org/freedesktop/systemd1/unit/";

/// The object path of a unit. systemd loads a unit that is not loaded when its path is read.
pub(crate) fn of_unit(unit: &UnitName) -> String {
    let mut path = String::with_capacity(UNIT_PREFIX.len() + unit.as_str().len() + 16);
    path.push_str(UNIT_PREFIX);
    for (at, byte) in unit.as_str().bytes().enumerate() {
        let plain = byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit());
        if plain {
            path.push(char::from(byte));
        } else {
            write!(path, "_{byte:02x}").expect("a String takes every write");
        }
    }
    path
}

/// The unit behind an object path; `None` for any other object (a job, the manager).
pub(crate) fn to_unit(path: &str) -> Option<UnitName> {
    let label = path.strip_prefix(UNIT_PREFIX)?.as_bytes();
    let mut name = Vec::with_capacity(label.len());
    let mut rest = label;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'_' {
            name.push(byte);
            continue;
        }
        let hex = std::str::from_utf8(after.get(..2)?).ok()?;
        name.push(u8::from_str_radix(hex, 16).ok()?);
        rest = after.get(2..)?;
    }
    UnitName::try_new(String::from_utf8(name).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_as_systemd_does() {
        for (name, label) in [
            ("dbus.service", "dbus_2eservice"),
            ("-.mount", "_2d_2emount"),
            ("9p@1.service", "_39p_401_2eservice"),
            ("dev-a\\x2db.device", "dev_2da_5cx2db_2edevice"),
        ] {
            let unit = UnitName::try_new(name).unwrap();
            assert_eq!(of_unit(&unit), format!("{UNIT_PREFIX}{label}"));
            assert_eq!(to_unit(&of_unit(&unit)), Some(unit));
        }
    }

    #[test]
    fn other_objects_are_no_units() {
        for path in [
            "/org/freedesktop/systemd1",
            "/org/freedesktop/systemd1/job/12",
            "/org/freedesktop/systemd1/unit/a_2",
            "/org/freedesktop/systemd1/unit/a_zzservice",
            "/org/freedesktop/systemd1/unit/plain",
        ] {
            assert_eq!(to_unit(path), None, "{path}");
        }
    }
}
