//! The keys of a configuration file, from the sources of the types that it is read into.
//!
//! The sources are read line by line, in the form that rustfmt leaves them in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::daemons::Daemon;

/// The type that is the whole of a file.
const WHOLE: &str = "Config";

/// Where the tables are that several daemons have.
const SHARED: &str = "crates/daemon-kit/src";

/// A table of the file and the keys in it, in the code's order.
#[derive(Debug, PartialEq)]
pub(crate) struct Table {
    /// Its name; empty for what stands above all tables.
    pub(crate) name: String,
    /// What it is about.
    pub(crate) doc: String,
    /// Its keys.
    pub(crate) keys: Vec<Key>,
}

/// One key.
#[derive(Debug, PartialEq)]
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) doc: String,
    /// It has to be there.
    pub(crate) required: bool,
}

/// The tables of the daemon's configuration, the nameless one first.
///
/// # Errors
/// Names the source that cannot be read, or the type that is not in any.
pub(crate) fn read(daemon: &Daemon) -> anyhow::Result<Vec<Table>> {
    let mut structs = BTreeMap::new();
    for path in sources(daemon)? {
        collect(&crate::read(&path)?, &mut structs);
    }
    let whole = structs.get(WHOLE);
    let whole = whole.with_context(|| format!("{}: no struct {WHOLE}", daemon.name))?;
    Ok(tables(whole, &structs))
}

/// What daemons share, and the daemon's own modules.
fn sources(daemon: &Daemon) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = modules(Path::new(SHARED))?;
    paths.extend(modules(Path::new(&format!("daemons/{}/src", daemon.name)))?);
    Ok(paths)
}

fn modules(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(crate::root().join(folder));
    let entries = entries.with_context(|| folder.display().to_string())?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| Ok(folder.join(entry?.file_name())))
        .collect::<std::io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "rs"));
    Ok(paths)
}

/// A struct that serde reads key by key.
struct Struct {
    all_have_defaults: bool,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    kind: String,
    doc: String,
    has_default: bool,
}

impl Field {
    /// The type's own name, that of `T` for `Option<T>`.
    fn type_name(&self) -> &str {
        let inner = self.kind.strip_prefix("Option<");
        inner
            .and_then(|it| it.strip_suffix('>'))
            .unwrap_or(&self.kind)
    }

    fn key(&self, all_have_defaults: bool) -> Key {
        let optional = self.kind.starts_with("Option<");
        Key {
            name: self.name.clone(),
            doc: self.doc.clone(),
            required: !(all_have_defaults || optional || self.has_default),
        }
    }
}

/// What stands above an item: its documentation and its attributes.
#[derive(Default)]
struct Above {
    doc: String,
    attributes: String,
}

impl Above {
    /// The lines joined, a paragraph a line.
    fn add_doc(&mut self, line: &str) {
        let line = line.trim().replace("[`", "`").replace("`]", "`");
        match line.as_str() {
            "" => self.doc.push('\n'),
            line if self.doc.is_empty() || self.doc.ends_with('\n') => self.doc.push_str(line),
            line => {
                self.doc.push(' ');
                self.doc.push_str(line);
            }
        }
    }

    fn has_word(&self, word: &str) -> bool {
        let is_end = |letter: char| !letter.is_alphanumeric() && letter != '_';
        self.attributes.split(is_end).any(|found| found == word)
    }

    fn is_open(&self) -> bool {
        let count = |letter| self.attributes.matches(letter).count();
        count('[') > count(']')
    }
}

fn collect(source: &str, structs: &mut BTreeMap<String, Struct>) {
    let mut above = Above::default();
    let mut open: Option<(String, Struct)> = None;
    for line in source.lines() {
        let text = line.trim();
        if above.is_open() || text.starts_with("#[") {
            above.attributes.push_str(text);
            continue;
        }
        if let Some(doc) = text.strip_prefix("///") {
            above.add_doc(doc);
            continue;
        }
        let item = without_visibility(text);
        if line == "}" {
            structs.extend(open.take());
        } else if let Some((_, found)) = &mut open {
            found.fields.extend(field(item, &above));
        } else if !line.starts_with(' ')
            && let Some(name) = item
                .strip_prefix("struct ")
                .and_then(|it| it.strip_suffix(" {"))
            && above.has_word("Deserialize")
        {
            let found = Struct {
                all_have_defaults: above.has_word("default"),
                fields: Vec::new(),
            };
            open = Some((name.to_owned(), found));
        }
        above = Above::default();
    }
}

fn without_visibility(text: &str) -> &str {
    let rest = text.strip_prefix("pub(crate) ");
    rest.or_else(|| text.strip_prefix("pub ")).unwrap_or(text)
}

fn field(text: &str, above: &Above) -> Option<Field> {
    let (name, kind) = text.strip_suffix(',')?.split_once(": ")?;
    Some(Field {
        name: name.to_owned(),
        kind: kind.to_owned(),
        doc: above.doc.clone(),
        has_default: above.has_word("default"),
    })
}

fn tables(whole: &Struct, structs: &BTreeMap<String, Struct>) -> Vec<Table> {
    let mut root = Table {
        name: String::new(),
        doc: String::new(),
        keys: Vec::new(),
    };
    let mut nested = Vec::new();
    for field in &whole.fields {
        let Some(table) = structs.get(field.type_name()) else {
            root.keys.push(field.key(whole.all_have_defaults));
            continue;
        };
        nested.push(Table {
            name: field.name.clone(),
            doc: field.doc.clone(),
            keys: (table.fields.iter())
                .map(|field| field.key(table.all_have_defaults))
                .collect(),
        });
    }
    nested.insert(0, root);
    nested
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
/// The file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where to
    /// listen.
    #[serde(deserialize_with = "default_like")]
    pub(crate) listen: SocketAddr,
    /// Waits.
    #[serde(
        default = "ten",
        with = "a::b::c"
    )]
    pub(crate) wait: Duration,
    /// See [`Limits`].
    pub(crate) limits: Option<Limits>,
    /// A single value.
    url: Option<Url>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// How many.
    ///
    /// Not more.
    pub most: u32,
}

#[derive(Debug)]
struct Url {
    host: String,
}
"#;

    #[test]
    fn keys_come_with_their_docs_and_whether_they_must_be_there() {
        let mut structs = BTreeMap::new();
        collect(SOURCE, &mut structs);
        let key = |name: &str, doc: &str, required| Key {
            name: name.into(),
            doc: doc.into(),
            required,
        };
        assert_eq!(
            tables(&structs[WHOLE], &structs),
            [
                Table {
                    name: String::new(),
                    doc: String::new(),
                    keys: vec![
                        key("listen", "Where to listen.", true),
                        key("wait", "Waits.", false),
                        key("url", "A single value.", false),
                    ],
                },
                Table {
                    name: "limits".into(),
                    doc: "See `Limits`.".into(),
                    keys: vec![key("most", "How many.\nNot more.", false)],
                },
            ]
        );
    }
}
