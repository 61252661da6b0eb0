"""Compares the unit exporter with the kernel, on a machine with every cgroup controller.

The container of `make test` cannot in full: its outer host may keep memory, io
and pids to itself.
"""

from __future__ import annotations

import exposition
import unit_figures
import unit_probes
from machine import Machine

from host.errors import StepError

# What only a machine of its own is sure to have.
CONTROLLERS = {
    "cpu.stat",
    "memory.current",
    "memory.stat",
    "memory.events",
    "memory.peak",
    "io.stat",
    "pids.current",
    "pids.max",
    "pids.events",
    "cpu.pressure",
    "memory.pressure",
    "io.pressure",
}

OOM_UNIT = "stack-probe-oom.service"
OOM_PROBE = "held = [bytearray(1 << 20) for _ in range(64)]"
OOM_SECONDS = 100


def check(machine: Machine) -> list[str]:
    """Returns what was compared.

    # Errors
    `StepError` that lists every metric that is missing or wrong.
    """
    if "psi=1" not in machine.ssh("cat /proc/cmdline").split():
        raise StepError("the box did not boot with psi=1, so there is no pressure to compare")
    _run_out_of_memory(machine)
    try:
        with unit_probes.running(machine.ssh):
            reading = unit_probes.read(machine.ssh)
    finally:
        machine.ssh(f"systemctl reset-failed {OOM_UNIT}", check=False)
    found = unit_figures.compare(reading)
    missing = CONTROLLERS - unit_figures.controllers(reading)
    found.problems += [f"the machine has no {file}" for file in sorted(missing)]
    _compare_with_what_is_known(found)
    if found.problems:
        raise StepError(
            "the unit exporter disagrees with the kernel:\n  " + "\n  ".join(found.problems)
        )
    return found.figures


def _run_out_of_memory(machine: Machine) -> None:
    machine.ssh(f"cat > /run/stack-oom.py <<'EOF'\n{OOM_PROBE}\nEOF")
    machine.ssh(
        f"systemd-run --quiet --unit={OOM_UNIT} --property=MemoryMax=24M"
        " --property=MemorySwapMax=0 python3 /run/stack-oom.py;"
        f" timeout {OOM_SECONDS} sh -c"
        f" 'until systemctl is-failed --quiet {OOM_UNIT}; do sleep 0.5; done'"
    )


def _compare_with_what_is_known(found: unit_figures.Comparison) -> None:
    metrics = found.reading.metrics
    # The stack's own units ask for their I/O to be counted, which is not the default.
    stored = exposition.value(
        metrics, "systemd_unit_io_written_bytes_total", unit="transactions-api.service"
    )
    found.between("written by transactions-api.service", stored, 1, float("inf"))
    killed = exposition.value(
        metrics, "systemd_service_result", unit=OOM_UNIT, result="oom-kill"
    )
    found.between("result oom-kill under MemoryMax=24M", killed, 1, 1)
