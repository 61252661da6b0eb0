//! Alertmanager's matcher syntax: `name="value"`, `!=`, `=~`, `!~`.
//!
//! Source of the semantics: `pkg/labels/matcher.go` of Alertmanager. A missing label counts as the
//! empty text, and a regular expression must match the whole value.

use std::fmt;
use std::str::FromStr;

use regex::Regex;

use crate::Alert;

/// All of these must hold. Never empty: a rule without matchers would be about every alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matchers(Vec<Matcher>);

impl Matchers {
    /// # Errors
    /// At least one matcher must refuse an alert without any labels, or nothing is selected.
    pub fn try_new(matchers: Vec<Matcher>) -> Result<Self, MatcherError> {
        if matchers.iter().all(|matcher| matcher.matches_value("")) {
            return Err(MatcherError::MatchesEverything);
        }
        Ok(Self(matchers))
    }

    /// Whether all of them hold for this alert.
    pub fn match_alert(&self, alert: &Alert) -> bool {
        self.0
            .iter()
            .all(|matcher| matcher.matches_value(alert.label(&matcher.label)))
    }

    /// The matchers.
    pub fn iter(&self) -> impl Iterator<Item = &Matcher> {
        self.0.iter()
    }
}

/// One condition on one label.
#[derive(Clone, Debug)]
pub struct Matcher {
    text: String,
    label: String,
    condition: Condition,
}

#[derive(Clone, Debug)]
enum Condition {
    Equal(String),
    NotEqual(String),
    Regex(Regex),
    NotRegex(Regex),
}

impl Matcher {
    /// The label that it looks at.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The one value that it lets pass, where there is only one.
    pub fn only_value(&self) -> Option<&str> {
        match &self.condition {
            Condition::Equal(value) => Some(value),
            _ => None,
        }
    }

    /// Whether it holds for a label with this value.
    pub fn matches_value(&self, value: &str) -> bool {
        match &self.condition {
            Condition::Equal(wanted) => value == wanted,
            Condition::NotEqual(unwanted) => value != unwanted,
            Condition::Regex(regex) => regex.is_match(value),
            Condition::NotRegex(regex) => !regex.is_match(value),
        }
    }
}

impl FromStr for Matcher {
    type Err = MatcherError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || MatcherError::Malformed(text.into());
        let at = text.find(['=', '!']).ok_or_else(malformed)?;
        let (label, rest) = text.split_at(at);
        let label = label.trim();
        let operators = ["=~", "!~", "!=", "="];
        let operator = operators
            .into_iter()
            .find(|operator| rest.starts_with(operator))
            .ok_or_else(malformed)?;
        if !is_label_name(label) {
            return Err(MatcherError::Label(label.into()));
        }
        let value = unquote(rest[operator.len()..].trim()).ok_or_else(malformed)?;
        let condition = match operator {
            "=" => Condition::Equal(value),
            "!=" => Condition::NotEqual(value),
            "=~" => Condition::Regex(anchored(&value)?),
            _ => Condition::NotRegex(anchored(&value)?),
        };
        Ok(Self {
            text: text.into(),
            label: label.into(),
            condition,
        })
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Matcher {}

/// Prometheus' label names: `[a-zA-Z_][a-zA-Z0-9_]*`.
fn is_label_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The text between double quotes, with `\"`, `\\` and `\n` resolved. Quotes are compulsory: an
/// unquoted value reads differently in Alertmanager's old and new parser.
fn unquote(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut value = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                escaped @ ('"' | '\\') => value.push(escaped),
                // As in Alertmanager, so that `\.` of a regular expression needs no doubling.
                other => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
    Some(value)
}

fn anchored(pattern: &str) -> Result<Regex, MatcherError> {
    // Compiled alone first: `a)|(b` would be valid between the anchors' brackets.
    Regex::new(pattern)
        .and_then(|_| Regex::new(&format!("^(?s:{pattern})$")))
        .map_err(|error| {
            // The lines before the last draw the place, which the policy's line tells already.
            let drawing = error.to_string();
            let problem = drawing.lines().last().unwrap_or_default();
            MatcherError::Regex(problem.trim_start_matches("error: ").into())
        })
}

/// Why a text is no matcher, or a list of them no selection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// Not of the form `label="value"`.
    #[error("{0:?} is no matcher: write it as label=\"value\", with =, !=, =~ or !~")]
    Malformed(String),
    /// Not a label's name.
    #[error("{0:?} is no label name")]
    Label(String),
    /// Not a regular expression.
    #[error("the regular expression is not valid: {0}")]
    Regex(String),
    /// Would select alerts without looking at anything.
    #[error(
        "this matches every alert: at least one matcher must ask for a value that is not empty"
    )]
    MatchesEverything,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str, value: &str) -> bool {
        text.parse::<Matcher>().unwrap().matches_value(value)
    }

    #[test]
    fn compares_as_alertmanager_does() {
        for (text, value, expected) in [
            (r#"a="b""#, "b", true),
            (r#" a = "b" "#, "b", true),
            (r#"a="b""#, "bb", false),
            (r#"a!="b""#, "", true),
            (r#"a!="b""#, "b", false),
            (r#"a=~"b|c""#, "c", true),
            // The whole value, however the alternatives are written.
            (r#"a=~"b|c""#, "cc", false),
            (r#"a=~"b""#, "b\n", false),
            (r#"a=~"b.*""#, "b\nc", true),
            (r#"a!~"b.*""#, "bc", false),
            (r#"a=~"api\.service""#, "api.service", true),
            (r#"a=~"api\.service""#, "api_service", false),
            (r#"a="say \"no\" \\ \n""#, "say \"no\" \\ \n", true),
        ] {
            assert_eq!(holds(text, value), expected, "{text} on {value:?}");
        }
    }

    /// What Go's `regexp` documents and the features of the `regex` crate could leave out.
    #[test]
    fn knows_the_syntax_of_re2() {
        for (text, value, expected) in [
            (r#"a=~"Größe|größe""#, "größe", true),
            (r#"a=~"(?i)ÉTÉ""#, "été", true),
            (r#"a=~"gr.ße""#, "größe", true),
            (r#"a=~"\p{Greek}+""#, "αβγ", true),
            (r#"a=~"\p{Greek}+""#, "abc", false),
            (r#"a=~"\pL\pN{2}\PL""#, "é12-", true),
            (r#"a=~"[[:alpha:]]+[^[:space:]]""#, "abc1", true),
            (r#"a=~"(?P<name>x)(?:y)\w\d\s\b.""#, "xyz1 !", false),
            (r#"a=~"\w+\b.\B.*?\d{1,3}""#, "disk -- 97", true),
            (r#"a=~"(?s).+(?-s).\z""#, "a\nb", true),
        ] {
            assert_eq!(holds(text, value), expected, "{text} on {value:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_matcher() {
        for text in [
            "",
            "a",
            "a=b",
            "a=\"b",
            r#"="b""#,
            r#"1a="b""#,
            r#"a="b" c="d""#,
            r#"a=~"(""#,
        ] {
            assert!(text.parse::<Matcher>().is_err(), "{text}");
        }
        // Closing the brackets that anchor it would leave the rest without an anchor.
        assert!(r#"a=~"b)|(c""#.parse::<Matcher>().is_err());
    }

    #[test]
    fn a_selection_must_ask_for_something() {
        let select = |texts: &[&str]| {
            Matchers::try_new(texts.iter().map(|text| text.parse().unwrap()).collect())
        };
        for texts in [
            &[][..],
            &[r#"a=~".*""#],
            &[r#"a!="b""#],
            &[r#"a="""#, r#"b=~"c?""#],
        ] {
            assert_eq!(
                select(texts),
                Err(MatcherError::MatchesEverything),
                "{texts:?}"
            );
        }
        assert!(select(&[r#"a!="b""#, r#"alertname="Down""#]).is_ok());
    }
}
