//! The exit statuses that the unit files know.

use std::process::ExitCode;

use crate::config::ConfigError;

/// Exit status for a configuration that cannot be used; the units' `RestartPreventExitStatus=`
/// names it, since starting again would not help.
pub const BAD_CONFIGURATION: u8 = 64;

/// Turns the outcome of `run()` into an exit status, and says on stderr what went wrong, with
/// every cause on the same line. Under systemd, stderr is the journal.
pub fn report(daemon: &str, outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    // The log may not be set up yet when the configuration is bad, so this is plain stderr.
    #[allow(clippy::print_stderr)]
    {
        eprintln!("{daemon}: {error:#}");
    }
    match error.downcast_ref::<ConfigError>() {
        Some(_) => ExitCode::from(BAD_CONFIGURATION),
        None => ExitCode::FAILURE,
    }
}
