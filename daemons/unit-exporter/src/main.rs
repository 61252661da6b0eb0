//! The unit exporter.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let outcome = unit_exporter::run(unit_exporter::Cli::parse());
    daemon_kit::exit::report("unit-exporter", outcome)
}
