"""What runs on this machine, read from /proc: no state file that could go stale."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from host.settings import HOST_MARKER, Host

POLL_SECONDS = 0.05


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Polls `condition` until it holds; returns whether it did within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def all_pids() -> Iterator[int]:
    """Yields the id of each process there is now; any may be gone the next moment."""
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def status_field(pid: int, field: str) -> str | None:
    """Returns one field of /proc/PID/status, or None when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == field:
            return value.strip()
    return None


def is_alive(pid: int) -> bool:
    """Says whether the process exists and still runs; a zombie does not."""
    state = status_field(pid, "State")
    return state is not None and not state.startswith(("Z", "X"))


def command_line(pid: int) -> str:
    """Returns the process's command line, or its short name where that is empty."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "(gone)"
    text = b" ".join(word for word in words if word).decode(errors="replace")
    return text or status_field(pid, "Name") or "(gone)"


def of_host(host: Host) -> list[int]:
    """Returns the processes that were started for `host` and still run."""
    wanted = f"{HOST_MARKER}={host.name}".encode()
    found = []
    for pid in all_pids():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if wanted in environment.split(b"\0") and pid != os.getpid() and is_alive(pid):
            found.append(pid)
    return found


def machine_pid(host: Host) -> int | None:
    """Returns the systemd-nspawn process of `host`, or None when it is not up."""
    for pid in of_host(host):
        if status_field(pid, "Name") == "systemd-nspawn":
            if machine_child(pid) is not None:
                return pid
    return None


def leader_pid(host: Host) -> int | None:
    """Returns the guest's PID 1 as this machine numbers it, or None when it is not up."""
    machine = machine_pid(host)
    return None if machine is None else machine_child(machine)


def machine_child(machine: int) -> int | None:
    """Returns the child of `machine` that is PID 1 in a PID namespace of its own."""
    for pid in all_pids():
        if status_field(pid, "PPid") == str(machine):
            numbers = (status_field(pid, "NSpid") or "").split()
            if len(numbers) > 1 and numbers[-1] == "1":
                return pid
    return None


def network_namespace(pid: int) -> str | None:
    """Returns the identity of the process's network namespace, None when it is gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return None


def send_signal(pid: int, number: signal.Signals) -> None:
    """Signals the process; one that is already gone is no error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
