//! `NAME.toml.5`: every key of a configuration file, with what holds without it.

use std::path::Path;

use anyhow::Context;
use clap_mangen::roff::{bold, roman};

use crate::daemons::Daemon;
use crate::defaults::{Form, Values};
use crate::keys::{self, Key};
use crate::manifest::Manifest;
use crate::roff_text::{self, inlines};

/// The whole page.
///
/// # Errors
/// Names the file that cannot be read, or the key that has no value in the default configuration.
pub(crate) fn render(daemon: &Daemon, manifest: &Manifest) -> anyhow::Result<String> {
    let title = format!("{}.toml", daemon.name);
    let about = format!("configuration of {}", daemon.name);
    let mut roff = roff_text::page(&title, "5", manifest, &about);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([
        roman("A TOML file, read once at the start. Unknown keys and impossible values are refused with file, line and key, before any port is opened; "),
        bold(format!("{} validate", daemon.name)),
        roman(" does the same and starts nothing. Time spans are written like \"20ms\" or \"5m 30s\"."),
    ]);
    let values = Values::read(&crate::read(Path::new(daemon.defaults))?);
    for table in keys::read(daemon)? {
        if table.name.is_empty() {
            roff.control("SH", ["KEYS"]);
        } else {
            roff.control("SH", [format!("TABLE [{}]", table.name).as_str()]);
            roff.text(inlines(&table.doc));
        }
        for key in &table.keys {
            let standing_now = values.of(&table, key);
            let (form, value) = standing_now.with_context(|| daemon.defaults.to_owned())?;
            roff.control("TP", []);
            roff.text([bold(key.name.as_str())]);
            roff.text(inlines(&format!(
                "{} {}",
                key.doc,
                standing(key, form, value)
            )));
        }
    }
    roff_text::see_also(&mut roff, &[format!("{}(8)", daemon.name)]);
    Ok(roff.render())
}

/// What the key is when nobody touches it.
fn standing(key: &Key, form: Form, value: &str) -> String {
    match form {
        Form::Set if key.required => format!("Must be there; shipped as `{value}`."),
        Form::Set => format!("Shipped as `{value}`."),
        Form::Default => format!("Default: `{value}`."),
        Form::Example => format!("Not there by default; for example `{value}`."),
    }
}
