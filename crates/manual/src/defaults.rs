//! The default configuration files: the code's words above each key, the file's values beside it.
//!
//! A file holds three forms of a line, told apart by what stands before it: `key = value` is set,
//! `#key = value` is what holds without the line, and `# key = value` is an example of a key that
//! has no default. Which of them are true is for the daemons' own tests.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context;

use crate::keys::{Key, Table};

/// Longest line of a comment.
const WIDTH: usize = 90;

/// How a line is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In force.
    Set,
    /// What holds without it.
    Default,
    /// What could stand there; by default nothing does.
    Example,
}

impl Form {
    /// What stands before the line.
    fn mark(self) -> &'static str {
        match self {
            Self::Set => "",
            Self::Default => "#",
            Self::Example => "# ",
        }
    }
}

/// What a file says about its keys and tables: form and value, which tables have none.
pub(crate) struct Values(BTreeMap<(String, String), (Form, String)>);

impl Values {
    /// Reads the text of a default configuration.
    pub(crate) fn read(text: &str) -> Self {
        let mut values = BTreeMap::new();
        let mut table = String::new();
        for line in text.lines() {
            let (form, line) = form(line);
            if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
                name.clone_into(&mut table);
                values.insert((table.clone(), String::new()), (form, String::new()));
            } else if let Some((key, value)) = line.split_once(" = ").filter(|(key, _)| is_key(key))
            {
                values.insert((table.clone(), key.to_owned()), (form, value.to_owned()));
            }
        }
        Self(values)
    }

    /// Form and value of a key.
    ///
    /// # Errors
    /// Where the file has none.
    pub(crate) fn of(&self, table: &Table, key: &Key) -> anyhow::Result<(Form, &str)> {
        let found = self.0.get(&(table.name.clone(), key.name.clone()));
        let (form, value) = found.with_context(|| {
            format!(
                "has no value of {:?} in table {:?}: add a line",
                key.name, table.name
            )
        })?;
        Ok((*form, value))
    }

    fn form_of_table(&self, table: &Table) -> Form {
        let found = self.0.get(&(table.name.clone(), String::new()));
        found.map_or(Form::Set, |(form, _)| *form)
    }
}

fn form(line: &str) -> (Form, &str) {
    if let Some(rest) = line.strip_prefix("# ") {
        return (Form::Example, rest);
    }
    match line.strip_prefix('#') {
        Some(rest) => (Form::Default, rest),
        None => (Form::Set, line),
    }
}

fn is_key(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// The file with every key of the code in it, in the code's order and under the code's words. Its
/// first paragraph stays as it is.
///
/// # Errors
/// Names the key that the file gives no value.
pub(crate) fn rewritten(tables: &[Table], text: &str) -> anyhow::Result<String> {
    let values = Values::read(text);
    let head = text.split("\n\n").next().unwrap_or_default();
    let mut file = format!("{head}\n");
    for table in tables {
        if !table.name.is_empty() {
            let mark = values.form_of_table(table).mark();
            comment(&mut file, &table.doc);
            let _ = writeln!(file, "{mark}[{}]", table.name);
        }
        for key in &table.keys {
            let (form, value) = values.of(table, key)?;
            comment(&mut file, &key.doc);
            let _ = writeln!(file, "{}{} = {value}", form.mark(), key.name);
        }
    }
    Ok(file)
}

/// An empty line, then the text in lines of at most [`WIDTH`].
fn comment(file: &mut String, text: &str) {
    for paragraph in text.lines() {
        let mut line = String::from("\n#");
        for word in paragraph.split(' ') {
            if line.len() + word.len() > WIDTH {
                file.push_str(&line);
                line = String::from("\n#");
            }
            line.push(' ');
            line.push_str(word);
        }
        file.push_str(&line);
    }
    file.push('\n');
}
