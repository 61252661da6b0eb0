//! The fallback where the kernel keeps no figures by unit: what the unit's processes show
//! themselves, added up. Memory that processes share is counted once for each of them.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::kept_files::open_below;

/// Room for `/proc/PID/stat`: 52 numbers and a name of at most 64 bytes.
const STAT_BYTES: usize = 1024;

/// What some processes use together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // The names say it.
pub struct Usage {
    pub resident_bytes: u64,
    pub threads: u64,
}

/// Reads `/proc/PID/stat`, the one cheap file with both figures.
#[derive(Debug)]
pub struct Processes {
    proc: PathBuf,
    directory: Option<OwnedFd>,
    page_bytes: u64,
}

impl Processes {
    /// Over procfs at `proc`.
    pub fn new(proc: &Path) -> Self {
        Self {
            proc: proc.to_path_buf(),
            directory: None,
            page_bytes: page_bytes(),
        }
    }

    /// Begins a scrape.
    ///
    /// # Errors
    /// procfs cannot be opened.
    pub fn begin(&mut self) -> io::Result<()> {
        if self.directory.is_none() {
            self.directory = Some(File::open(&self.proc)?.into());
        }
        Ok(())
    }

    /// What the processes in the text of a `cgroup.procs` use. Those that have ended meanwhile use
    /// nothing.
    pub fn usage(&self, procs: &str) -> Usage {
        let mut total = Usage::default();
        let pids = procs.lines().filter_map(|line| line.parse::<u32>().ok());
        for (threads, pages) in pids.filter_map(|pid| self.stat(pid)) {
            total.threads += threads;
            total.resident_bytes += pages * self.page_bytes;
        }
        total
    }

    /// Threads and resident pages of a process.
    fn stat(&self, pid: u32) -> Option<(u64, u64)> {
        let mut buffer = [0; STAT_BYTES];
        let file = open_below(self.directory.as_ref()?, &format!("{pid}/stat")).ok()?;
        let length = file.read_at(&mut buffer, 0).ok()?;
        parse(buffer.get(..length)?)
    }
}

/// Threads and resident pages in the text of a `/proc/PID/stat` (`proc_pid_stat(5)`). The name,
/// second and in brackets, may itself contain spaces and brackets.
fn parse(stat: &[u8]) -> Option<(u64, u64)> {
    const THREADS_AFTER_NAME: usize = 17;
    const PAGES_AFTER_THREADS: usize = 3;
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let threads = fields.nth(THREADS_AFTER_NAME)?.parse().ok()?;
    let pages = fields.nth(PAGES_AFTER_THREADS)?.parse().ok()?;
    Some((threads, pages))
}

fn page_bytes() -> u64 {
    use nix::unistd::{SysconfVar, sysconf};
    /// Where the kernel does not say, the size on nearly every machine.
    const USUAL_PAGE_BYTES: u64 = 4096;
    sysconf(SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|size| u64::try_from(size).ok())
        .unwrap_or(USUAL_PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_threads_and_pages_whatever_the_name() {
        let numbers = "S 1 1 1 0 -1 4194560 100 0 0 0 5 6 0 0 20 0 3 0 100 9999 123 18446744073";
        for name in ["sleep", "a b", "x) S 1 ("] {
            let stat = format!("7 ({name}) {numbers}\n");
            assert_eq!(parse(stat.as_bytes()), Some((3, 123)), "{name}");
        }
        assert_eq!(parse(b"7 (sleep) S 1"), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn this_process_uses_something() {
        let mut processes = Processes::new(Path::new("/proc"));
        processes.begin().unwrap();
        let usage = processes.usage(&format!("{}\n4294967295\n", std::process::id()));
        assert!(usage.threads >= 1 && usage.resident_bytes > 0);
    }
}
