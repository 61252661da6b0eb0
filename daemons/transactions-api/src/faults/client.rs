//! `transactions-api faults`: the other end of the admin socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Subcommand;
use jiff::SignedDuration;

use super::socket::{Request, Response};

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What to do about faults.
#[derive(Debug, clap::Args)]
pub(crate) struct FaultsCommand {
    /// The daemon's admin socket (`admin_socket` of its configuration)
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/run/transactions-api/admin.sock"
    )]
    socket: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Inject faults: latency=200ms jitter=100ms errors=0.3 hang memory=16MiB slow-store=50ms
    Set {
        /// Each fault with its strength
        #[arg(required = true, value_name = "FAULT[=STRENGTH]")]
        settings: Vec<String>,
        /// For how long; they end by themselves
        #[arg(long = "for", value_name = "TIME")]
        lasting: SignedDuration,
    },
    /// End all faults
    Clear,
    /// Show what is active
    List,
}

/// Asks the daemon and prints what is active afterwards.
///
/// # Errors
/// Where the daemon is not there or refuses; the message says why.
pub(crate) fn run(command: FaultsCommand) -> anyhow::Result<()> {
    let request = match command.action {
        Action::List => Request::List,
        Action::Clear => Request::Clear,
        Action::Set { settings, lasting } => {
            let seconds = u64::try_from(lasting.as_secs()).context("--for must not be negative")?;
            Request::Set { settings, seconds }
        }
    };
    match ask(&command.socket, &request)? {
        Response::Refused(reason) => bail!("{reason}"),
        Response::Active(faults) => {
            let mut output = std::io::stdout().lock();
            if faults.is_empty() {
                writeln!(output, "no fault is active")?;
            }
            for fault in faults {
                writeln!(
                    output,
                    "{} {} for {} s more",
                    fault.fault, fault.setting, fault.seconds_left
                )?;
            }
            Ok(())
        }
    }
}

fn ask(socket: &Path, request: &Request) -> anyhow::Result<Response> {
    let mut stream = UnixStream::connect(socket).with_context(|| {
        format!(
            "cannot reach {} (is admin_socket configured?)",
            socket.display()
        )
    })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    serde_json::from_str(&answer).context("the daemon's answer is not understood")
}
