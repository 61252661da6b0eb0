//! Entry point.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let outcome = alert_bot::run(alert_bot::Cli::parse());
    daemon_kit::exit::report("alert-bot", outcome)
}
