//! The texts of cgroup v2 files (`Documentation/admin-guide/cgroup-v2.rst`), parsed. Pure.

/// A file that does not say what its format promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {0:?} as {1}")]
pub struct Malformed(pub String, pub &'static str);

/// CPU time (`cpu.stat`), in microseconds; the periods exist where a quota can be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // The kernel's own words.
pub struct Cpu {
    pub user_usec: u64,
    pub system_usec: u64,
    pub periods: Option<u64>,
    pub throttled_periods: Option<u64>,
    pub throttled_usec: Option<u64>,
}

/// The parts of `memory.stat` that are shown, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // The kernel's own words.
pub struct MemoryStat {
    pub anon: u64,
    pub file: u64,
    pub inactive_file: u64,
}

/// `memory.events`, in occurrences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // The kernel's own words.
pub struct MemoryEvents {
    pub high: u64,
    pub max: u64,
    pub oom: u64,
    pub oom_kill: u64,
}

/// One line of `io.stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The kernel's own words.
pub struct DeviceIo {
    /// Major and minor number.
    pub device: (u32, u32),
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub reads: u64,
    pub writes: u64,
}

/// A pressure file: the total stall times, in microseconds. `full` is missing from `cpu.pressure`
/// of kernels before 5.13.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // The kernel's own words.
pub struct Pressure {
    pub some_usec: u64,
    pub full_usec: Option<u64>,
}

/// Parses `cpu.stat`.
///
/// # Errors
/// User or system time is missing, or a number is none.
pub fn cpu(text: &str) -> Result<Cpu, Malformed> {
    let mut cpu = Cpu::default();
    let mut found = 0;
    for (key, value) in pairs(text) {
        match key {
            "user_usec" => (cpu.user_usec, found) = (number(value)?, found + 1),
            "system_usec" => (cpu.system_usec, found) = (number(value)?, found + 1),
            "nr_periods" => cpu.periods = Some(number(value)?),
            "nr_throttled" => cpu.throttled_periods = Some(number(value)?),
            "throttled_usec" => cpu.throttled_usec = Some(number(value)?),
            _ => {}
        }
    }
    complete(found == 2, cpu, text, "cpu.stat")
}

/// Parses `memory.stat`.
///
/// # Errors
/// One of the three values is missing, or is no number.
pub fn memory_stat(text: &str) -> Result<MemoryStat, Malformed> {
    let mut stat = MemoryStat::default();
    let mut found = 0;
    for (key, value) in pairs(text) {
        let field = match key {
            "anon" => &mut stat.anon,
            "file" => &mut stat.file,
            "inactive_file" => &mut stat.inactive_file,
            _ => continue,
        };
        *field = number(value)?;
        found += 1;
    }
    complete(found == 3, stat, text, "memory.stat")
}

/// Parses `memory.events`.
///
/// # Errors
/// One of the four values is missing, or is no number.
pub fn memory_events(text: &str) -> Result<MemoryEvents, Malformed> {
    let mut events = MemoryEvents::default();
    let mut found = 0;
    for (key, value) in pairs(text) {
        let field = match key {
            "high" => &mut events.high,
            "max" => &mut events.max,
            "oom" => &mut events.oom,
            "oom_kill" => &mut events.oom_kill,
            _ => continue,
        };
        *field = number(value)?;
        found += 1;
    }
    complete(found == 4, events, text, "memory.events")
}

/// Parses `pids.events`: how often the limit refused a fork.
///
/// # Errors
/// The value is missing, or is no number.
pub fn pids_events(text: &str) -> Result<u64, Malformed> {
    let mut lines = pairs(text);
    match lines.find(|(key, _)| *key == "max") {
        Some((_, value)) => number(value),
        None => Err(malformed(text, "pids.events")),
    }
}

/// Parses `io.stat`. A device without figures (the kernel lists some so) is left out.
///
/// # Errors
/// A line does not begin with a device, or a value is no number.
pub fn io(text: &str) -> Result<Vec<DeviceIo>, Malformed> {
    let mut devices = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let device = words
            .next()
            .and_then(|word| word.split_once(':'))
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
            .ok_or_else(|| malformed(line, "io.stat"))?;
        let mut io = DeviceIo {
            device,
            read_bytes: 0,
            written_bytes: 0,
            reads: 0,
            writes: 0,
        };
        let mut found = 0;
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let field = match key {
                "rbytes" => &mut io.read_bytes,
                "wbytes" => &mut io.written_bytes,
                "rios" => &mut io.reads,
                "wios" => &mut io.writes,
                _ => continue,
            };
            *field = number(value)?;
            found += 1;
        }
        if found == 4 {
            devices.push(io);
        }
    }
    Ok(devices)
}

/// Parses a pressure file.
///
/// # Errors
/// `some` is missing, or a total is no number.
pub fn pressure(text: &str) -> Result<Pressure, Malformed> {
    let mut pressure = Pressure::default();
    let mut found = false;
    for line in text.lines() {
        let Some((kind, rest)) = line.split_once(' ') else {
            continue;
        };
        let Some((_, total)) = rest.rsplit_once("total=") else {
            return Err(malformed(line, "a pressure line"));
        };
        match kind {
            "some" => (pressure.some_usec, found) = (number(total)?, true),
            "full" => pressure.full_usec = Some(number(total)?),
            _ => {}
        }
    }
    complete(found, pressure, text, "a pressure file")
}

/// Parses a file that holds one number.
///
/// # Errors
/// It holds something else.
pub fn single(text: &str) -> Result<u64, Malformed> {
    number(text)
}

/// Parses a limit: `None` stands for `max`, no limit.
///
/// # Errors
/// It is neither a number nor `max`.
pub fn limit(text: &str) -> Result<Option<u64>, Malformed> {
    match text.trim_ascii() {
        "max" => Ok(None),
        digits => number(digits).map(Some),
    }
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| line.split_once(' '))
}

fn number(text: &str) -> Result<u64, Malformed> {
    text.trim_ascii()
        .parse()
        .map_err(|_| malformed(text, "a number"))
}

fn complete<T>(
    is_complete: bool,
    value: T,
    text: &str,
    what: &'static str,
) -> Result<T, Malformed> {
    if is_complete {
        Ok(value)
    } else {
        Err(malformed(text, what))
    }
}

/// An error that quotes the beginning of the text, which is enough to see what it is.
fn malformed(text: &str, what: &'static str) -> Malformed {
    const QUOTED_CHARS: usize = 60;
    Malformed(text.chars().take(QUOTED_CHARS).collect(), what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_with_and_without_a_quota() {
        let root = cpu("usage_usec 30\nuser_usec 20\nsystem_usec 10\nnice_usec 0\n").unwrap();
        assert_eq!((root.user_usec, root.system_usec), (20, 10));
        assert_eq!(root.periods, None);
        let text = "user_usec 2\nsystem_usec 1\nnr_periods 9\nnr_throttled 3\nthrottled_usec 70\n";
        assert_eq!(cpu(text).unwrap().throttled_usec, Some(70));
    }

    #[test]
    fn devices_without_figures_are_left_out() {
        let text = "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n7:1 \n";
        let devices = io(text).unwrap();
        assert_eq!(devices.len(), 1);
        assert_eq!(devices[0].device, (8, 0));
        assert_eq!(devices[0].writes, 2);
    }

    #[test]
    fn pressure_of_old_kernels_has_no_full_cpu() {
        let some = "some avg10=0.00 avg60=0.00 avg300=0.00 total=12\n";
        assert_eq!(pressure(some).unwrap().full_usec, None);
        let both = format!("{some}full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n");
        assert_eq!(pressure(&both).unwrap().full_usec, Some(5));
    }

    #[test]
    fn limits_may_be_absent() {
        assert_eq!(limit("max\n"), Ok(None));
        assert_eq!(limit("1048576\n"), Ok(Some(1_048_576)));
    }

    #[test]
    fn nonsense_is_an_error_and_no_zero() {
        for text in [
            "",
            "user_usec 1\n",
            "user_usec x\nsystem_usec 1\n",
            "\u{fffd}",
        ] {
            assert!(cpu(text).is_err(), "{text:?}");
        }
        assert!(memory_stat("anon 1\nfile 2\n").is_err());
        assert!(memory_events("high 1\n").is_err());
        assert!(pids_events("").is_err());
        assert!(io("sda rbytes=1").is_err());
        assert!(io("8:0 rbytes=-1 wbytes=0 rios=0 wios=0").is_err());
        assert!(pressure("full total=1\n").is_err());
        assert!(pressure("some nothing\n").is_err());
        assert!(single("max").is_err());
        assert!(limit("12k").is_err());
        let long = "x".repeat(1000);
        assert!(single(&long).unwrap_err().to_string().len() < 100);
    }
}
