"""Runs commands inside a host, by entering the namespaces of its PID 1."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from host import inventory
from host.errors import StepError
from host.processes import leader_pid
from host.settings import Host

# A guest's environment is its own: nothing of the caller's but the terminal.
GUEST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def enter_command(host: Host, command: Sequence[str], *, terminal: str = "dumb") -> list[str]:
    """Returns the command line that runs `command` as root inside `host`.

    # Errors
    `StepError` when the host is not up.
    """
    leader = leader_pid(host)
    if leader is None:
        running = [it.name for it in inventory.members(host) if leader_pid(it) is not None]
        hint = f"name one: make shell NAME={running[0]}" if running else "start it with `make up`"
        raise StepError(f"host {host.name} is not up; {hint}")
    return [
        "nsenter",
        f"--target={leader}",
        "--all",
        "--",
        "env",
        "--chdir=/root",
        "--ignore-environment",
        f"PATH={GUEST_PATH}",
        "HOME=/root",
        "LANG=C.UTF-8",
        f"TERM={terminal}",
        *command,
    ]


def run(
    host: Host, command: Sequence[str], *, stdin: str = "", timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs `command` inside `host` and returns its output and status."""
    return subprocess.run(
        enter_command(host, command),
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )


def shell(host: Host, command: str | None, terminal: str) -> int:
    """Runs a shell inside `host` on the caller's own input and output.

    Without `command` it is an interactive login shell. Returns its exit status.
    """
    words = ["bash", "--login"] if command is None else ["bash", "-c", command]
    return subprocess.run(enter_command(host, words, terminal=terminal), check=False).returncode
