//! The fallback where the kernel keeps no memory figures by unit: the resident memory of a unit's
//! processes, added up. Pages that processes share are counted once for each.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

/// Reads `/proc/PID/statm`, the cheapest file with a process's resident memory.
#[derive(Debug)]
pub struct Processes {
    proc: PathBuf,
    page_bytes: u64,
}

impl Processes {
    /// Over procfs at `proc`.
    pub fn new(proc: PathBuf) -> Self {
        use nix::unistd::{SysconfVar, sysconf};
        /// Where the kernel does not say, the size on every machine that this is built for.
        const USUAL_PAGE_BYTES: u64 = 4096;
        let page_bytes = sysconf(SysconfVar::PAGE_SIZE)
            .ok()
            .flatten()
            .and_then(|size| u64::try_from(size).ok())
            .unwrap_or(USUAL_PAGE_BYTES);
        Self { proc, page_bytes }
    }

    /// The resident bytes of the processes in the text of a `cgroup.procs`. Those that have ended
    /// meanwhile have none.
    pub fn resident_bytes(&self, procs: &str) -> u64 {
        let pages = procs
            .lines()
            .filter_map(|line| line.parse::<u32>().ok())
            .filter_map(|pid| self.resident_pages(pid));
        pages.sum::<u64>() * self.page_bytes
    }

    fn resident_pages(&self, pid: u32) -> Option<u64> {
        let mut text = [0; 128];
        let mut file = File::open(self.proc.join(format!("{pid}/statm"))).ok()?;
        let length = file.read(&mut text).ok()?;
        let text = std::str::from_utf8(text.get(..length)?).ok()?;
        text.split_ascii_whitespace().nth(1)?.parse().ok()
    }
}
