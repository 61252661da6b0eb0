//! A transactions worker.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let outcome = transactions_worker::run(transactions_worker::Cli::parse());
    daemon_kit::exit::report("transactions-worker", outcome)
}
