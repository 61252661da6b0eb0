//! The admin socket: one JSON line in, one JSON line out, from root or this daemon's own user.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{Faults, Setting};

/// The longest a fault may last, in seconds: one that was forgotten is over within the hour.
const LASTING_MAX_SECONDS: u64 = 3600;

/// The longest request line, in bytes.
const LINE_MAX_BYTES: u64 = 4096;

/// How long one exchange may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command", deny_unknown_fields)]
pub(crate) enum Request {
    /// Make faults active.
    Set {
        /// Each as on the command line.
        settings: Vec<String>,
        /// For how long.
        seconds: u64,
    },
    /// End all faults.
    Clear,
    /// Say what is active.
    List,
}

/// What is answered.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Response {
    /// What is active after the request.
    Active(Vec<ActiveFault>),
    /// Why nothing was changed.
    Refused(String),
}

/// One active fault.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ActiveFault {
    pub(crate) fault: String,
    pub(crate) setting: String,
    pub(crate) seconds_left: u64,
}

/// Makes the socket usable by root and this user only.
///
/// # Errors
/// Where the file system refuses.
pub(crate) fn restrict(path: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}

/// Answers on the socket until `stop`.
pub(crate) async fn serve(listener: UnixListener, faults: Arc<Faults>, stop: CancellationToken) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok((stream, _)) = accepted else { continue };
        // One at a time: an admin types these.
        match timeout(PATIENCE, exchange(stream, &faults)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "an admin connection ended early"),
            Err(_) => tracing::debug!("an admin connection took too long"),
        }
    }
}

async fn exchange(mut stream: UnixStream, faults: &Arc<Faults>) -> std::io::Result<()> {
    // The kernel's word, not the client's.
    let uid = stream.peer_cred()?.uid();
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    BufReader::new(reader.take(LINE_MAX_BYTES))
        .read_line(&mut line)
        .await?;
    let response = if may_administer(uid) {
        match serde_json::from_str(&line) {
            Ok(request) => answer(request, faults, uid),
            Err(error) => Response::Refused(format!("the request is not understood: {error}")),
        }
    } else {
        tracing::warn!(uid, "a stranger was turned away from the admin socket");
        Response::Refused("only root and the daemon's own user may do this".to_owned())
    };
    let mut answer = serde_json::to_vec(&response)?;
    answer.push(b'\n');
    writer.write_all(&answer).await
}

fn may_administer(uid: u32) -> bool {
    uid == 0 || uid == nix::unistd::geteuid().as_raw()
}

fn answer(request: Request, faults: &Arc<Faults>, uid: u32) -> Response {
    match request {
        Request::List => {}
        Request::Clear => faults.clear(uid),
        Request::Set { settings, seconds } => {
            if !(1..=LASTING_MAX_SECONDS).contains(&seconds) {
                let reason = format!("a fault lasts 1 to {LASTING_MAX_SECONDS} seconds");
                return Response::Refused(reason);
            }
            let parsed: Result<Vec<Setting>, _> =
                settings.iter().map(|setting| setting.parse()).collect();
            match parsed {
                Err(error) => return Response::Refused(error.to_string()),
                Ok(settings) if settings.is_empty() => {
                    return Response::Refused("name at least one fault".to_owned());
                }
                Ok(settings) => {
                    for setting in settings {
                        faults.set(setting, Duration::from_secs(seconds), uid);
                    }
                }
            }
        }
    }
    let now = Instant::now();
    let active = faults.list().into_iter().map(|active| ActiveFault {
        fault: active.setting.kind().as_str().to_owned(),
        setting: active.setting.to_string(),
        seconds_left: active.until.duration_since(now).as_secs() + 1,
    });
    Response::Active(active.collect())
}
