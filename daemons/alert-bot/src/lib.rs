//! The alert bot: bounded, proven, recorded repairs through systemd.
//!
//! The way of an alert through the modules, one step a module:
//!
//! ```text
//! webhook → intake → (ledger) → engine ──▶ situation ──▶ remediation::decide
//!                      systemd ──┘  │
//!                                   ├─▶ act ──▶ verify
//!                                   └─▶ record, tell
//! ```
//!
//! [`engine`] is the only loop and the sole owner of what the bot knows. It reaches the world
//! through [`ports`], which [`wiring`] and [`alertmanagers`] implement. What runs once, at the start,
//! is in [`serve`], and in [`catch_up`] what was missed before it; what people type is in [`cli`] and
//! reaches the engine through [`control`].

mod act;
mod alertmanagers;
mod book;
mod catch_up;
mod cli;
mod config;
mod control;
mod engine;
mod evidence;
mod health;
mod intake;
mod listing;
mod metrics;
mod outbound;
mod ports;
mod pressure;
mod record;
mod restarts;
mod serve;
mod silence;
#[cfg(test)]
mod simulation;
mod situation;
mod tell;
mod turns;
mod verify;
mod web;
mod webhook;
mod wiring;

pub use cli::Cli;

/// Does what the command line says.
///
/// # Errors
/// What went wrong; a configuration that cannot be used is a
/// [`ConfigError`](daemon_kit::config::ConfigError).
pub fn run(cli: Cli) -> anyhow::Result<()> {
    cli.run()
}
