"""Starts a process that outlives the tool, in a cgroup that belongs to it alone.

Where PID 1 is systemd, that is a transient service with a delegated cgroup:
nothing is installed and nothing starts again at the next boot. Elsewhere it
is a session of its own in a cgroup made here.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from host.errors import StepError
from host.settings import Host, child_environment

CGROUP_ROOT = Path("/sys/fs/cgroup")


def managed_by_systemd() -> bool:
    """Says whether this machine's PID 1 is systemd (sd_booted(3))."""
    return Path("/run/systemd/system").is_dir()


def start(
    host: Host,
    unit: str,
    command: Sequence[str],
    log: Path,
    *,
    environment: dict[str, str] | None = None,
    bound_to: str | None = None,
) -> None:
    """Starts `command` as `unit` in the background, its output appended to `log`.

    With `bound_to`, systemd stops it when that unit stops.

    # Errors
    `StepError` when it could not be started.
    """
    marked = {**host.marker, **(environment or {})}
    if managed_by_systemd():
        argv = _transient_service(unit, command, log, marked, bound_to)
    else:
        argv = _own_session(host, command)
    with open(log, "ab") as output:
        result = subprocess.run(
            argv,
            env={**child_environment(host), **marked},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    if result.returncode != 0:
        raise StepError(f"could not start {command[0]} as {unit}", log)


def _transient_service(
    unit: str,
    command: Sequence[str],
    log: Path,
    environment: dict[str, str],
    bound_to: str | None,
) -> list[str]:
    properties = [
        "Slice=machine.slice",
        # The guest's own systemd manages everything below.
        "Delegate=yes",
        "KillMode=mixed",
        "TasksMax=infinity",
        f"StandardOutput=append:{log}",
        f"StandardError=append:{log}",
    ]
    if bound_to:
        properties += [f"BindsTo={bound_to}", f"After={bound_to}"]
    return [
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={unit}",
        *(f"--property={property_}" for property_ in properties),
        *(f"--setenv={key}={value}" for key, value in environment.items()),
        "--",
        *command,
    ]


def _own_session(host: Host, command: Sequence[str]) -> list[str]:
    groups = [group / _group_name(host) for group in _hierarchies()]
    for group in groups:
        group.mkdir(exist_ok=True)
        _pass_controllers_on(group.parent)
    join = 'for group in $GROUPS_TO_JOIN; do echo 0 > "$group/cgroup.procs"; done; exec "$@"'
    return [
        "setsid",
        "--fork",
        "env",
        "GROUPS_TO_JOIN=" + " ".join(str(group) for group in groups),
        "sh",
        "-c",
        join,
        "sh",
        *command,
    ]


def _pass_controllers_on(parent: Path) -> None:
    """Lets the groups below `parent` use its controllers, as far as that is allowed.

    On a hybrid machine v1 holds most of them, and in a container the parent
    may have processes of its own; the host then does without.
    """
    available = parent / "cgroup.controllers"
    if available.exists():
        for controller in available.read_text().split():
            with suppress(OSError):
                (parent / "cgroup.subtree_control").write_text(f"+{controller}")


def stop(unit: str) -> None:
    """Stops a transient service and forgets it; without systemd there is none."""
    if managed_by_systemd():
        for verb in ("stop", "reset-failed"):
            subprocess.run(
                ["systemctl", verb, unit],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )


def remove_cgroups(host: Host) -> None:
    """Removes the cgroups that `start` made; their processes must have ended."""
    for hierarchy in _hierarchies():
        top = hierarchy / _group_name(host)
        groups = sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True)
        for group in [*groups, *([top] if top.is_dir() else [])]:
            group.rmdir()


def kill_cgroups(host: Host) -> None:
    """Kills every process in the host's cgroup, wherever it came from."""
    for hierarchy in _hierarchies():
        switch = hierarchy / _group_name(host) / "cgroup.kill"
        if switch.exists():
            switch.write_text("1")


def _group_name(host: Host) -> str:
    return f"observability-stack-{host.name}"


def _hierarchies() -> Iterator[Path]:
    """Yields the cgroup v2 hierarchy, and systemd's own v1 one beside it where hybrid."""
    if (CGROUP_ROOT / "cgroup.procs").exists():
        yield CGROUP_ROOT
        return
    for name in ("unified", "systemd"):
        if (CGROUP_ROOT / name / "cgroup.procs").exists():
            yield CGROUP_ROOT / name
