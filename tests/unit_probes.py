"""Units with a known load, and what kernel, systemd and unit exporter say of them at one moment.

For any machine that takes commands: a container here, a virtual machine over SSH.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# Runs a shell command as root on the machine and returns its output; raises where it fails.
Run = Callable[[str], str]

UNIT = "stack-probe.service"
CGROUP = f"/sys/fs/cgroup/system.slice/{UNIT}"
# Fails at once, again and again, until systemd gives it up.
FAILING_UNIT = "stack-probe-failing.service"
EXIT_STATUS = 7
RESTARTS = 3
TIMER = "stack-probe-ticking.timer"

# What the probe does: holds memory, writes past the page cache, keeps children,
# and asks for more processor than it may have.
HELD_BYTES = 48 << 20
WRITTEN_BYTES = 8 << 20
CHILDREN = 4
TASKS_MAX = 77
PROBE = f"""
import mmap, os, subprocess, sys
held = bytearray({HELD_BYTES})
for at in range(0, len(held), 4096):
    held[at] = 1
children = [subprocess.Popen(["sleep", "3600"]) for _ in range({CHILDREN})]
block = mmap.mmap(-1, 1 << 20)
file = os.open("/var/tmp/stack-probe", os.O_CREAT | os.O_WRONLY | os.O_DIRECT)
for _ in range({WRITTEN_BYTES >> 20}):
    os.write(file, block)
os.unlink("/var/tmp/stack-probe")
open("/run/stack-probe.ready", "w").close()
while True:
    pass
"""
START_SECONDS = 100

SCRAPE = "curl --silent --fail --max-time 60 http://127.0.0.1:9558/metrics"
STARTED = "systemd_unit_start_time_seconds"
SHOWN = (
    "ActiveState,SubState,LoadState,NRestarts,Result,ExecMainStatus,TasksCurrent,TasksMax,"
    "MemoryCurrent,CPUUsageNSec,ActiveEnterTimestamp,LastTriggerUSec"
)

_MARK = "----------"


@dataclass(frozen=True)
class Moment:
    """What the machine says of the probes: the kernel's files, processes, systemd."""

    files: dict[str, str]
    resident_bytes: int
    threads: int
    shown: dict[str, dict[str, str]]


@dataclass(frozen=True)
class Reading:
    """One scrape between two looks at the sources of its figures."""

    before: Moment
    metrics: str
    after: Moment


@contextmanager
def running(run: Run) -> Iterator[None]:
    """Has the probes run, each in the state in which it stays."""
    try:
        _start(run)
        yield
    finally:
        units = f"{UNIT} {TIMER}"
        run(
            f"systemctl stop {units}; systemctl reset-failed {FAILING_UNIT} || true;"
            " rm -f /run/stack-probe.ready"
        )


def read(run: Run) -> Reading:
    """Scrapes once, in one command, so that little time passes around it."""
    look = _look_command()
    before, metrics, after = run(f"{look}; echo {_MARK}; {SCRAPE}; echo {_MARK}; {look}").split(
        f"{_MARK}\n"
    )
    return Reading(_moment(before), metrics, _moment(after))


def _start(run: Run) -> None:
    run(f"cat > /run/stack-probe.py <<'EOF'\n{PROBE}\nEOF\nrm -f /run/stack-probe.ready")
    run(
        f"systemd-run --quiet --unit={UNIT} --property=MemoryAccounting=yes"
        f" --property=CPUQuota=20% --property=IOAccounting=yes --property=TasksMax={TASKS_MAX}"
        " python3 /run/stack-probe.py;"
        f" systemd-run --quiet --unit={FAILING_UNIT} --property=Restart=on-failure"
        f" --property=RestartSec=0 --property=StartLimitBurst={RESTARTS}"
        f" --property=StartLimitIntervalSec=1h sh -c 'exit {EXIT_STATUS}' || true;"
        f" systemd-run --quiet --unit={TIMER} --on-active=1s --on-unit-active=1h true"
    )
    ready = (
        f"test -e /run/stack-probe.ready && systemctl is-failed --quiet {FAILING_UNIT}"
        f" && systemctl show --value --property=LastTriggerUSec {TIMER} | grep -q ."
        # The exporter hears of a new unit by a signal, a moment after it has begun to run.
        f' && {SCRAPE} | grep -q "^{STARTED}.*{UNIT}"'
    )
    run(f"timeout {START_SECONDS} sh -c 'until {ready}; do sleep 0.2; done'")


def _look_command() -> str:
    """One line that prints, in sections, everything that a figure can come from."""
    return (
        f"cd {CGROUP}; for file in cpu.stat memory.* io.stat pids.* *.pressure; do"
        " test -f $file && echo \"# $file\" && cat $file 2>/dev/null; done;"
        " for pid in $(cat cgroup.procs); do echo '# process'; cat /proc/$pid/status; done;"
        + "".join(
            f" echo '# shown {unit}'; TZ=UTC systemctl show --property={SHOWN} {unit};"
            for unit in (UNIT, FAILING_UNIT, TIMER)
        )
        + " true"
    )


def _moment(text: str) -> Moment:
    files: dict[str, str] = {}
    shown: dict[str, dict[str, str]] = {}
    resident_kib = threads = 0
    for section in text.split("# ")[1:]:
        title, _, body = section.partition("\n")
        if title == "process":
            fields = dict(line.split(":\t", 1) for line in body.splitlines() if ":\t" in line)
            resident_kib += int(fields["VmRSS"].split()[0])
            threads += int(fields["Threads"])
        elif title.startswith("shown "):
            lines = (line.split("=", 1) for line in body.splitlines())
            shown[title.removeprefix("shown ")] = dict(lines)
        elif body:
            files[title] = body
    return Moment(files, resident_kib * 1024, threads, shown)
