//! The transactions API.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let outcome = transactions_api::run(transactions_api::Cli::parse());
    daemon_kit::exit::report("transactions-api", outcome)
}
