//! Entry point.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon_kit::exit::report("alert-bot", alert_bot::run())
}
