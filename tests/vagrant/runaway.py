"""A worker that runs away: it may slow its neighbours, never those who watch."""

from __future__ import annotations

import json
import shlex

import guest
from machine import Machine, wait_until

from host.errors import StepError

UNIT = "stack-runaway.service"
SLICE = "stack-workload.slice"
# More hands than the machine has cores, and more memory than the slice may have.
PROGRAM = """
import os
for _ in range(4):
    if os.fork() == 0:
        while True:
            pass
held = []
while True:
    held.append(bytearray(1 << 20))
"""
WATCHERS = ("alert-bot", "prometheus", "prometheus-alertmanager", "unit-exporter")
WATCHING_JOBS = "alert-bot|alertmanager|prometheus|unit-exporter"
WATCHED_SECONDS = 60
LIMIT_SECONDS = 240.0


def check(machine: Machine) -> list[str]:
    """Lets a unit of the watched services' slice take all that it can get, for a minute.

    # Errors
    `StepError` when the slice held more than its limit, or when those who watch missed a scrape
    or were started anew.
    """
    before = _lives(machine)
    machine.ssh(
        f"systemd-run --quiet --collect --unit={UNIT} --slice={SLICE} --property=OOMScoreAdjust=1000"
        f" python3 -c {shlex.quote(PROGRAM)}"
    )
    try:
        if not wait_until(lambda: _events(machine)["high"] > 0, LIMIT_SECONDS):
            raise StepError(f"{UNIT} never came to its slice's MemoryHigh=: {_events(machine)}")
        machine.ssh(f"sleep {WATCHED_SECONDS}")
        scraped = _scraped(machine)
        peak, most = (int(_of_slice(machine, file)) for file in ("memory.peak", "memory.max"))
        spent = {it: _seconds(machine, it) for it in (SLICE, "stack-monitoring.slice")}
    finally:
        machine.ssh(f"systemctl kill --signal=SIGKILL {UNIT}", check=False)
    missed = [job for job, least in scraped.items() if least != 1]
    if missed or peak > most or _lives(machine) != before:
        raise StepError(
            f"scrapes missed of {missed}; the slice held {peak:,} of {most:,} bytes;"
            f" lives before {before} and after {_lives(machine)}"
        )
    guest.wait_until_settled(machine)
    return [
        f"scrapes missed of {', '.join(scraped)}: 0 in {WATCHED_SECONDS} s",
        f"{SLICE} held at most {peak:,} of {most:,} bytes",
        *(f"{name} has used {seconds:.0f} s of CPU" for name, seconds in spent.items()),
    ]


def _lives(machine: Machine) -> str:
    return machine.ssh(f"systemctl show --property=Id,InvocationID {' '.join(WATCHERS)}")


def _of_slice(machine: Machine, file: str, name: str = SLICE) -> str:
    return machine.ssh(f"cat /sys/fs/cgroup/stack.slice/{name}/{file}")


def _events(machine: Machine) -> dict[str, int]:
    lines = _of_slice(machine, "memory.events").splitlines()
    return {key: int(count) for key, count in map(str.split, lines)}


def _seconds(machine: Machine, name: str) -> float:
    (usage,) = (it for it in _of_slice(machine, "cpu.stat", name).splitlines() if it[:5] == "usage")
    return int(usage.split()[1]) / 1e6


def _scraped(machine: Machine) -> dict[str, float]:
    """Returns each watching job's least `up` of the time that was watched."""
    query = f'min by (job) (min_over_time(up{{job=~"{WATCHING_JOBS}"}}[{WATCHED_SECONDS}s]))'
    answer = machine.ssh(
        f"curl --silent --fail --get --data-urlencode {shlex.quote(f'query={query}')}"
        " http://127.0.0.1:9090/api/v1/query"
    )
    found = json.loads(answer)["data"]["result"]
    if len(found) != len(WATCHING_JOBS.split("|")):
        raise StepError(f"Prometheus knows only {found} of {WATCHING_JOBS}")
    return {series["metric"]["job"]: float(series["value"][1]) for series in found}
