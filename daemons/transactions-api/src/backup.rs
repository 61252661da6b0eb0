//! `transactions-api backup`: a checked copy of the store beside the daemons that use it.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::Deserialize;
use transactions::store::back_up;

use crate::config::Config;

/// `[backup]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BackupConfig {
    /// Where the copies lie. Another disk than the store's survives the store's.
    pub(crate) directory: PathBuf,
    /// How many are kept.
    pub(crate) keep: NonZeroUsize,
}

impl Default for BackupConfig {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("/var/lib/transactions/backups"),
            keep: NonZeroUsize::new(7).expect("seven is not zero"),
        }
    }
}

/// Makes one backup and says where it is.
///
/// # Errors
/// Where none could be made; the message says why, and earlier ones are untouched.
pub(crate) fn run(config: &Config) -> anyhow::Result<()> {
    let BackupConfig { directory, keep } = &config.backup;
    let backup = back_up(&config.store, directory, *keep)?;
    writeln!(
        std::io::stdout().lock(),
        "{}: {} bytes, {} older removed",
        backup.path.display(),
        backup.bytes,
        backup.removed
    )?;
    Ok(())
}
