"""Compares the unit exporter with the kernel, on a machine with every cgroup controller.

The container of `make test` cannot: its outer host may keep memory, io and pids to itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import exposition
from machine import Machine, wait_until

from host.errors import StepError

UNIT = "stack-probe.service"
CGROUP = f"/sys/fs/cgroup/system.slice/{UNIT}"
OOM_UNIT = "stack-probe-oom.service"

# What the probe does: holds memory, writes past the page cache, keeps children,
# and asks for more processor than it may have.
HELD_BYTES = 48 << 20
WRITTEN_BYTES = 8 << 20
CHILDREN = 4
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
print("ready", file=sys.stderr, flush=True)
while True:
    pass
"""
OOM_PROBE = "held = [bytearray(1 << 20) for _ in range(64)]"

START_SECONDS = 120.0
SCRAPE = "curl --silent --fail --max-time 60 http://127.0.0.1:9558/metrics"
# The kernel counts memory in batches per core; between two reads of a unit that
# holds still only that may differ.
MEMORY_TOLERANCE_BYTES = 1 << 20


@dataclass(frozen=True)
class Reading:
    """The kernel's own files around one scrape."""

    before: str
    metrics: str
    after: str


def check(machine: Machine) -> list[str]:
    """Returns what was compared.

    # Errors
    `StepError` that lists every metric that is missing or wrong.
    """
    if "psi=1" not in machine.ssh("cat /proc/cmdline").split():
        raise StepError("the box did not boot with psi=1, so there is no pressure to compare")
    _start_probes(machine)
    try:
        reading = _read(machine)
        problems, figures = _compare(reading)
    finally:
        machine.ssh(f"systemctl stop {UNIT}; systemctl reset-failed {OOM_UNIT}", check=False)
    if problems:
        raise StepError("the unit exporter disagrees with the kernel:\n  " + "\n  ".join(problems))
    return figures


def _start_probes(machine: Machine) -> None:
    for name, source in (("probe", PROBE), ("oom", OOM_PROBE)):
        machine.ssh(f"cat > /run/stack-{name}.py <<'EOF'\n{source}\nEOF")
    machine.ssh(
        f"systemd-run --quiet --unit={UNIT} --property=MemoryAccounting=yes"
        " --property=CPUQuota=20% --property=IOAccounting=yes python3 /run/stack-probe.py;"
        f" systemd-run --quiet --unit={OOM_UNIT} --property=MemoryMax=24M"
        " --property=MemorySwapMax=0 python3 /run/stack-oom.py"
    )
    ready = f"journalctl --quiet --unit={UNIT} --grep=ready; systemctl is-failed {OOM_UNIT}"
    if not wait_until(
        lambda: machine.ssh(ready, check=False).split()[-2:] == ["ready", "failed"], START_SECONDS
    ):
        raise StepError(f"{UNIT} was not ready or {OOM_UNIT} not killed in {START_SECONDS:.0f} s")


def _read(machine: Machine) -> Reading:
    files = (
        f"for file in cpu.stat memory.current memory.peak pids.current io.stat"
        f" cpu.pressure memory.pressure io.pressure; do"
        f' echo "# $file"; cat {CGROUP}/$file; done'
    )
    mark = "----------"
    parts = machine.ssh(f"{files}; echo {mark}; {SCRAPE}; echo {mark}; {files}").split(mark)
    return Reading(*parts)


def _compare(reading: Reading) -> tuple[list[str], list[str]]:
    """Returns what is wrong, and what was seen."""
    problems, figures = [], []

    def expect(title: str, seen: float | None, low: float, high: float, unit: str = "") -> None:
        if seen is None:
            problems.append(f"{title}: missing")
        elif not low <= seen <= high:
            problems.append(f"{title}: {seen:g}, but the kernel says {low:g} to {high:g}")
        else:
            figures.append(f"{title:<46} {seen:>14,.3f} {unit}".rstrip().replace(".000", ""))

    def metric(name: str, **labels: str) -> float | None:
        return exposition.value(reading.metrics, f"systemd_unit_{name}", unit=UNIT, **labels)

    def kernel(file: str, key: str, scale: float = 1.0) -> tuple[float, float]:
        return (
            _kernel(reading.before, file, key) / scale,
            _kernel(reading.after, file, key) / scale,
        )

    low, high = kernel("memory.current", "")
    low, high = min(low, high) - MEMORY_TOLERANCE_BYTES, max(low, high) + MEMORY_TOLERANCE_BYTES
    expect("memory, current", metric("memory_current_bytes"), max(low, HELD_BYTES), high, "bytes")
    expect("memory, anonymous", metric("memory_anon_bytes"), HELD_BYTES, high, "bytes")
    expect("memory, peak", metric("memory_peak_bytes"), *kernel("memory.peak", ""), "bytes")
    expect("tasks", metric("tasks_current"), *kernel("pids.current", ""))
    expect("tasks that the probe started", metric("tasks_current"), CHILDREN + 1, CHILDREN + 1)
    expect("written", metric("io_written_bytes_total"), *kernel("io.stat", "wbytes"), "bytes")
    expect(
        "written by the probe",
        metric("io_written_bytes_total"),
        WRITTEN_BYTES,
        2 * WRITTEN_BYTES,
        "bytes",
    )
    expect("writes", metric("io_writes_total"), *kernel("io.stat", "wios"))
    expect(
        "processor, user",
        metric("cpu_seconds_total", mode="user"),
        *kernel("cpu.stat", "user_usec", 1e6),
        "s",
    )
    expect(
        "throttled by CPUQuota=20%",
        metric("cpu_throttled_seconds_total"),
        *kernel("cpu.stat", "throttled_usec", 1e6),
        "s",
    )
    for resource in ("cpu", "memory", "io"):
        for kind in ("some", "full"):
            seen = metric("pressure_seconds_total", resource=resource, kind=kind)
            expect(
                f"pressure, {resource} {kind}",
                seen,
                *kernel(f"{resource}.pressure", kind, 1e6),
                "s",
            )
    # The stack's own units ask for their I/O to be counted, which is not the default.
    stored = exposition.value(
        reading.metrics, "systemd_unit_io_written_bytes_total", unit="transactions-api.service"
    )
    expect("written by transactions-api.service", stored, 1, float("inf"), "bytes")
    killed = exposition.value(
        reading.metrics, "systemd_service_result", unit=OOM_UNIT, result="oom-kill"
    )
    expect("result oom-kill under MemoryMax=24M", killed, 1, 1)
    return problems, figures


def _kernel(text: str, file: str, key: str) -> float:
    """Returns a number out of one cgroup file: of its line or field `key`, or its only one."""
    content = text.split(f"# {file}\n", 1)[1].split("# ", 1)[0]
    if not key:
        return float(content)
    if file.endswith(".pressure"):
        total = re.search(rf"^{key} .*total=(\d+)", content, re.MULTILINE)
        return float(total[1]) if total else 0.0
    numbers = re.findall(rf"\b{key}[ =](\d+)", content)
    return float(sum(map(int, numbers)))
