//! What a daemon's `Cargo.toml` says about its package.

use std::path::Path;

use anyhow::Context;
use toml::{Table, Value};

use crate::daemons::Daemon;

/// The parts of it that the pages repeat.
pub struct Manifest {
    /// The package's name.
    pub name: String,
    /// The version of all of them.
    pub version: String,
    /// What the package is, in a few sentences.
    pub description: String,
    /// Source and place of each packaged file.
    pub assets: Vec<(String, String)>,
}

impl Manifest {
    /// Reads the daemon's manifest and the workspace's.
    ///
    /// # Errors
    /// Names what is missing.
    pub fn read(daemon: &Daemon) -> anyhow::Result<Self> {
        let path = format!("daemons/{}/Cargo.toml", daemon.name);
        let manifest: Table = crate::read(Path::new(&path))?
            .parse()
            .context(path.clone())?;
        let workspace: Table = crate::read(Path::new("Cargo.toml"))?
            .parse()
            .context("Cargo.toml")?;
        let deb = &manifest["package"]["metadata"]["deb"];
        Ok(Self {
            name: daemon.name.to_owned(),
            version: text(&workspace["workspace"]["package"], "version")?,
            description: text(deb, "extended-description").context(path.clone())?,
            assets: assets(deb).context(path)?,
        })
    }
}

fn text(table: &Value, key: &str) -> anyhow::Result<String> {
    let value = table.get(key).and_then(Value::as_str);
    Ok(value.with_context(|| format!("no {key}"))?.to_owned())
}

/// A place that ends in a slash is completed with the source's name.
fn assets(deb: &Value) -> anyhow::Result<Vec<(String, String)>> {
    let list = deb.get("assets").and_then(Value::as_array);
    let entries = list.context("no assets")?.iter().map(|asset| {
        let part = |index: usize| asset.get(index).and_then(Value::as_str);
        let (source, place) = part(0)
            .zip(part(1))
            .context("an asset is [source, place, mode]")?;
        let file = source.rsplit('/').next().unwrap_or(source);
        let place = if place.ends_with('/') {
            format!("{place}{file}")
        } else {
            place.to_owned()
        };
        Ok((source.to_owned(), place))
    });
    entries.collect()
}
