//! `transactions-api migrate`: moves every transaction from SQLite to PostgreSQL, once.

use std::io::Write;

use anyhow::Context;
use transactions::store::{StoreLocation, Transferred, transfer};

/// From where to where.
#[derive(Debug, clap::Args)]
pub(crate) struct MigrateCommand {
    /// The file that is in use, `sqlite:/var/lib/transactions/transactions.db`
    #[arg(long, value_name = "STORE")]
    from: StoreLocation,
    /// An empty database, `postgresql://user@host/database`
    #[arg(long, value_name = "STORE")]
    to: StoreLocation,
}

/// Moves, proves, and says what was moved.
///
/// # Errors
/// Where nothing was moved; the message says why and what to do.
pub(crate) fn run(command: &MigrateCommand) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the async runtime did not start")?;
    let transferred = runtime.block_on(transfer(&command.from, &command.to))?;
    let (did, tally) = match transferred {
        Transferred::Now(tally) => ("moved", tally),
        Transferred::Before(tally) => ("moved before; both stores hold the same", tally),
    };
    writeln!(
        std::io::stdout().lock(),
        "{did}: {tally}\nNow set store = \"{}\" in api.toml and worker.toml",
        command.to
    )?;
    Ok(())
}
