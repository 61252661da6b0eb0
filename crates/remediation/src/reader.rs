//! Reads TOML key by key, remembers every mistake with its line, and goes on.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::Percent;
use crate::policy::{Place, PolicyError};

/// One TOML file, and the mistakes found in it.
pub(crate) struct Document<'a> {
    file: &'a Path,
    text: &'a str,
    errors: RefCell<Vec<PolicyError>>,
}

impl<'a> Document<'a> {
    pub(crate) fn new(file: &'a Path, text: &'a str) -> Self {
        Self {
            file,
            text,
            errors: RefCell::default(),
        }
    }

    /// The tables of the text; `None` where it is no TOML.
    pub(crate) fn parse(&self) -> Option<Spanned<DeTable<'a>>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let offset = error.span().map_or(0, |span| span.start);
            self.note(offset, "", error.message());
        }
        errors.is_empty().then_some(table)
    }

    pub(crate) fn note(&self, offset: usize, key: &str, problem: impl Display) {
        let place = Place {
            file: self.file.to_owned(),
            line: self.line(offset),
        };
        let error = PolicyError {
            place,
            key: key.to_owned(),
            problem: problem.to_string(),
        };
        self.errors.borrow_mut().push(error);
    }

    pub(crate) fn into_errors(self) -> Vec<PolicyError> {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(|error| error.place.line);
        errors
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or(self.text);
        before.split('\n').count()
    }
}

/// One table of a document. A key that nobody has asked for when the section is dropped is a
/// mistake.
pub(crate) struct Section<'a> {
    document: &'a Document<'a>,
    table: &'a DeTable<'a>,
    path: String,
    offset: usize,
    known: BTreeSet<&'static str>,
    any_key: bool,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl<'a> Section<'a> {
    pub(crate) fn root(document: &'a Document<'a>, table: &'a Spanned<DeTable<'a>>) -> Self {
        Self::new(document, table.get_ref(), String::new(), table.span().start)
    }

    fn new(
        document: &'a Document<'a>,
        table: &'a DeTable<'a>,
        path: String,
        offset: usize,
    ) -> Self {
        Self {
            document,
            table,
            path,
            offset,
            known: BTreeSet::new(),
            any_key: false,
        }
    }

    /// Notes a mistake at a key that is there, or at the section where it is not.
    pub(crate) fn note(&self, key: &str, problem: impl Display) {
        let offset = self
            .table
            .get_key_value(key)
            .map_or(self.offset, |(key, _)| key.span().start);
        self.document.note(offset, &self.path_of(key), problem);
    }

    /// Where the section stands.
    pub(crate) fn place(&self) -> Place {
        Place {
            file: self.document.file.to_owned(),
            line: self.document.line(self.offset),
        }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The value, which must be there.
    pub(crate) fn require<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Option<T>,
    ) -> Option<T> {
        if !self.has(key) {
            self.known.insert(key);
            self.note(key, "missing; it has no default");
            return None;
        }
        read(self, key)
    }

    pub(crate) fn parsed<T>(&mut self, key: &'static str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.text(key)?;
        self.checked(key, text.parse())
    }

    /// The list; `None` where there is none, or something in it is a mistake.
    pub(crate) fn parsed_list<T>(&mut self, key: &'static str) -> Option<Vec<T>>
    where
        T: FromStr,
        T::Err: Display,
    {
        let value = self.value(key)?;
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of texts");
            return None;
        };
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            match item.get_ref().as_str().map(T::from_str) {
                Some(Ok(parsed)) => list.push(parsed),
                Some(Err(problem)) => self.note_value(key, item, problem),
                None => self.wrong_type(key, item, "a text"),
            }
        }
        (list.len() == items.len()).then_some(list)
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Option<&'a str> {
        self.text_of(key, "a text")
    }

    fn text_of(&mut self, key: &'static str, wanted: &str) -> Option<&'a str> {
        let value = self.value(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(key, value, wanted);
        }
        text
    }

    /// Every key with its text, where the keys are the writer's own.
    pub(crate) fn texts(&mut self) -> Vec<(&'a str, &'a str)> {
        self.any_key = true;
        let mut texts = Vec::with_capacity(self.table.len());
        for (key, value) in self.table {
            let key: &'a str = key.get_ref().as_ref();
            match value.get_ref().as_str() {
                Some(text) => texts.push((key, text)),
                None => self.wrong_type(key, value, "a text"),
            }
        }
        texts
    }

    pub(crate) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.value(key) else {
            return default;
        };
        value.get_ref().as_bool().unwrap_or_else(|| {
            self.wrong_type(key, value, "true or false");
            default
        })
    }

    pub(crate) fn number<T>(&mut self, key: &'static str, range: RangeInclusive<T>, default: T) -> T
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        self.number_at(key, range).unwrap_or(default)
    }

    pub(crate) fn number_at<T>(&mut self, key: &'static str, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let value = self.value(key)?;
        self.number_in(key, value, &range)
    }

    fn number_in<T>(&self, key: &str, value: &Value<'_>, range: &RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|digits| i64::from_str_radix(digits.as_str(), digits.radix()).ok())
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| range.contains(number));
        if number.is_none() {
            let wanted = format!("a whole number from {} to {}", range.start(), range.end());
            self.wrong_type(key, value, &wanted);
        }
        number
    }

    pub(crate) fn numbers<T>(&mut self, key: &'static str, range: RangeInclusive<T>) -> Vec<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of whole numbers");
            return Vec::new();
        };
        let read = |item| self.number_in(key, item, &range);
        items.iter().filter_map(read).collect()
    }

    /// A duration such as `"5m 30s"`.
    pub(crate) fn duration(
        &mut self,
        key: &'static str,
        range: &RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        let Some(text) = self.text_of(key, "a duration like \"5m 30s\"") else {
            return default;
        };
        let duration = text.parse::<SignedDuration>().ok();
        let duration = duration.and_then(|duration| Duration::try_from(duration).ok());
        duration
            .filter(|duration| range.contains(duration))
            .unwrap_or_else(|| {
                let (least, most) = (friendly(*range.start()), friendly(*range.end()));
                let problem = format!(
                    "{text:?} is no duration from {least:#} to {most:#}; write it like \"5m 30s\""
                );
                self.note(key, problem);
                default
            })
    }

    /// A share such as `"40%"`.
    pub(crate) fn percent(&mut self, key: &'static str) -> Option<Percent> {
        let text = self.text_of(key, "a share like \"40%\"")?;
        let percent = text
            .strip_suffix('%')
            .and_then(|digits| digits.trim().parse::<f64>().ok())
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(Percent::from_f64);
        if percent.is_none() {
            let problem = format!("{text:?} is no share from 0% to 100%; write it like \"40%\"");
            self.note(key, problem);
        }
        percent
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(key)?;
        let chosen = choices.iter().find(|(word, _)| *word == text);
        if chosen.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.note(key, format!("{text:?} is none of: {}", words.join(", ")));
        }
        chosen.map(|(_, value)| *value)
    }

    pub(crate) fn section(&mut self, key: &'static str) -> Option<Section<'a>> {
        let value = self.value(key)?;
        self.section_of(key, value)
    }

    /// What `read` makes of the table at this key, or the default where there is none.
    pub(crate) fn nested<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&mut Section<'a>, T) -> T,
    ) -> T {
        match self.section(key) {
            Some(mut section) => read(&mut section, default),
            None => default,
        }
    }

    pub(crate) fn sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of tables");
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|item| self.section_of(key, item))
            .collect()
    }

    fn section_of(&self, key: &str, value: &'a Value<'a>) -> Option<Section<'a>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(key, value, "a table");
        }
        let (path, offset) = (self.path_of(key), value.span().start);
        Some(Section::new(self.document, table?, path, offset))
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Value<'a>> {
        self.known.insert(key);
        self.table.get(key)
    }

    fn checked<T, E: Display>(&self, key: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|problem| self.note(key, problem)).ok()
    }

    fn wrong_type(&self, key: &str, value: &Value<'_>, wanted: &str) {
        self.note_value(key, value, format!("must be {wanted}"));
    }

    fn note_value(&self, key: &str, value: &Value<'_>, problem: impl Display) {
        let path = self.path_of(key);
        self.document.note(value.span().start, &path, problem);
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        if self.any_key {
            return;
        }
        let known: Vec<&str> = self.known.iter().copied().collect();
        for (key, _) in self.table {
            if !self.known.contains(key.get_ref().as_ref()) {
                let problem = format!("unknown key; known here: {}", known.join(", "));
                let path = self.path_of(key.get_ref());
                self.document.note(key.span().start, &path, problem);
            }
        }
    }
}

fn friendly(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
