//! Which units are measured: globs over names, as `systemctl list-units` takes them.

/// A pattern in which `*` stands for any text and `?` for one character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

/// Why a text is no pattern for units.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} can match no unit: use characters of unit names, `*` and `?`")]
pub struct GlobError(String);

impl Glob {
    /// Parses a pattern.
    ///
    /// # Errors
    /// It is empty or has a character that no unit name has.
    pub fn try_new(text: &str) -> Result<Self, GlobError> {
        let can_match =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '.' | '-' | '\\' | '@');
        let is_good = |c: char| can_match(c) || matches!(c, '*' | '?');
        if text.is_empty() || !text.chars().all(is_good) {
            return Err(GlobError(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether the whole of `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        glob(self.0.as_bytes(), name.as_bytes())
    }
}

/// Matches with one point to return to: on a mismatch, the last `*` takes one character more.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while position < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                retry = Some((at, position));
                at += 1;
            }
            Some(&wanted) if wanted == b'?' || wanted == name[position] => {
                at += 1;
                position += 1;
            }
            _ => {
                let Some((star, taken)) = retry else {
                    return false;
                };
                retry = Some((star, taken + 1));
                at = star + 1;
                position = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|left| *left == b'*')
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct Selection {
    include: Vec<Glob>,
    exclude: Vec<Glob>,
}

impl Selection {
    /// Units that match `include` and do not match `exclude`.
    pub fn new(include: Vec<Glob>, exclude: Vec<Glob>) -> Self {
        Self { include, exclude }
    }

    /// Whether a unit is measured.
    pub fn selects(&self, name: &str) -> bool {
        let matched = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(name));
        matched(&self.include) && !matched(&self.exclude)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        for (pattern, name, expected) in [
            ("*.service", "a.service", true),
            ("*.service", "a.service.d", false),
            ("a?.service", "ab.service", true),
            ("a?.service", "a.service", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbxx", false),
            ("worker@*.service", "worker@1.service", true),
            ("*", "", true),
            ("a*a", "a", false),
            ("*aab", "aaab", true),
        ] {
            let glob = Glob::try_new(pattern).unwrap();
            assert_eq!(glob.matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn exclusion_is_stronger() {
        let glob = |text| Glob::try_new(text).unwrap();
        let selection = Selection::new(vec![glob("*")], vec![glob("run-*")]);
        assert!(selection.selects("a.service"));
        assert!(!selection.selects("run-1.service"));
    }
}
