"""One `up` per host at a time, and a `down` that may cut an `up` short."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from host.errors import StepError
from host.processes import command_line, send_signal, wait_until
from host.settings import RUNTIME_DIRECTORY, Host

# An `up` that is told to stop only has to kill its children.
EVICTION_SECONDS = 5.0


@contextmanager
def exclusive(host: Host, *, evict: bool = False) -> Iterator[None]:
    """Holds the host's lock; with `evict`, ends the process that holds it first.

    The kernel drops the lock when its holder dies, so a killed `up` never
    leaves one behind.

    # Errors
    `StepError` when another process holds it and `evict` is off.
    """
    RUNTIME_DIRECTORY.mkdir(parents=True, exist_ok=True)
    with open(host.lock, "a+", encoding="ascii") as handle:
        if not _try_lock(handle):
            holder = _holder(handle)
            if not evict:
                raise StepError(
                    f"host {host.name} is being worked on by process {holder}"
                    f" ({command_line(holder) if holder else 'unknown'});"
                    f" wait for it, or stop it with `make down`"
                )
            _evict(handle, holder)
        handle.seek(0)
        handle.truncate()
        handle.write(str(os.getpid()))
        handle.flush()
        try:
            yield
        finally:
            # The file stays: a lock on an unlinked one would exclude nobody.
            handle.truncate(0)


def _try_lock(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(handle: IO[str]) -> int:
    handle.seek(0)
    text = handle.read().strip()
    return int(text) if text.isdigit() else 0


def _evict(handle: IO[str], holder: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if holder:
            send_signal(holder, number)
        if wait_until(lambda: _try_lock(handle), EVICTION_SECONDS):
            return
    raise StepError(f"process {holder} holds the lock {handle.name} and does not end; end it")
