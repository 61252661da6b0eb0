//! The command line.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::config;

/// The command line.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve metrics.
    Serve(Source),
    /// Check the configuration and exit: 0 if it can be used, 64 if not.
    Validate(Source),
}

#[derive(Debug, Args)]
pub(crate) struct Source {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
}

impl Command {
    pub(crate) fn config_path(&self) -> &Path {
        match self {
            Self::Serve(source) | Self::Validate(source) => &source.config,
        }
    }
}
