"""Runs a step's external command: output into its log, its last line on the screen."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from host.errors import StepError
from host.settings import Host, child_environment

# Enough for a compiler's error or the list of failed tests.
TAIL_LINES = 40

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)

# Gives a command mounts and processes of its own: whatever it mounts or
# starts is gone once it ends, even by SIGKILL.
CONTAINED = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


@dataclass(frozen=True)
class User:
    """Who called the tool: builds run as this user, never as root by accident."""

    name: str
    uid: int
    gid: int
    home: str

    @staticmethod
    def calling() -> User:
        """Returns the user behind sudo, or the present one."""
        uid = int(os.environ.get("SUDO_UID", os.getuid()))
        entry = pwd.getpwuid(uid)
        return User(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)


def cargo_environment() -> dict[str, str]:
    """Returns PATH with cargo's own folder, where rustup and `cargo install` put programs."""
    home = os.environ.get("CARGO_HOME", f"{User.calling().home}/.cargo")
    return {"PATH": f"{os.environ['PATH']}:{home}/bin"}


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def logged(
    command: Sequence[str],
    log: Path,
    *,
    what: str,
    host: Host | None = None,
    user: User | None = None,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    on_line: Callable[[str], None] = lambda line: None,
) -> None:
    """Runs `command` to its end with all output in `log`.

    It dies with the tool. `what` names it in the error; `on_line` sees each
    line of output as it comes.

    # Errors
    `StepError` with the command's exit status and last lines when it fails.
    """
    env = {**child_environment(host), **(environment or {})}
    switch: dict[str, object] = {}
    if user is not None and user.uid != os.getuid():
        env |= {"HOME": user.home, "USER": user.name, "LOGNAME": user.name}
        groups = os.getgrouplist(user.name, user.gid)
        switch = {"user": user.uid, "group": user.gid, "extra_groups": groups}
    last: list[str] = []
    with open(log, "w", buffering=1, encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=env,
            cwd=cwd,
            preexec_fn=_die_with_parent,
            **switch,  # type: ignore[call-overload]
        )
        assert process.stdout is not None
        for line in process.stdout:
            output.write(line)
            last = [*last[-(TAIL_LINES - 1) :], line.rstrip()]
            on_line(line.rstrip())
        status = process.wait()
    if status != 0:
        tail = "\n".join(f"    {line}" for line in last)
        raise StepError(f"{what} failed with status {status}:\n{tail}", log)
