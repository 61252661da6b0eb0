"""How a deployment goes from one application host to the next, seen from outside and by systemd."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from stack import API, API_UNIT, Stack

from host.processes import POLL_SECONDS

API_DROP_INS = f"/etc/systemd/system/{API_UNIT}.d"
CONFIGURATION = f"{API_DROP_INS}/50-stack.conf"

# systemd's catalog: a unit begins to stop; a unit has finished starting.
STOPPING = "de5b426a63be47a7b6ac3eaac82e2f6f"
STARTED = "39f53479d3a045ac8e11786248231fbf"

# A client that waits longer takes the API for down.
PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class Look:
    """One question to `/health`; times are seconds since the epoch, the same on every host."""

    sent: float
    answered: float
    healthy: bool


@dataclass(frozen=True)
class Restart:
    """The one restart of an API in a deployment."""

    # When the deployment first changed something of the API's on this host.
    touched: float
    stopped: float
    # When systemd, and with it the task that restarts, took it for started.
    started: float
    # When `/health` answered 200 again, and from then on.
    healthy: float


@dataclass
class Watch:
    """Every look at the hosts' APIs, in order."""

    looks: dict[str, list[Look]] = field(default_factory=dict)

    def restart(self, stack: Stack, since: float) -> Restart:
        """Returns what the deployment that began at `since` did to the API of `stack`."""
        (stopped,) = _times(stack, STOPPING, since)
        (started,) = _times(stack, STARTED, since)
        touched = float(stack.run(f"stat --format=%.9Z {CONFIGURATION}"))
        looks = self.looks[stack.host.name]
        unwell = max(at for at, look in enumerate(looks) if not look.healthy)
        return Restart(touched, stopped, started, looks[unwell + 1].answered)

    def during(self, stack: Stack, begin: float, end: float) -> list[Look]:
        """Returns the looks at `stack` that lie within a time."""
        return [it for it in self.looks[stack.host.name] if begin <= it.sent and it.answered <= end]


@contextmanager
def watching(hosts: Sequence[Stack]) -> Iterator[Watch]:
    """Looks at the API of each host all the time."""
    watch = Watch({stack.host.name: [] for stack in hosts})
    over = threading.Event()

    def look(stack: Stack) -> None:
        while not over.wait(POLL_SECONDS):
            sent = time.time()
            answer = stack.request(API, "/health", seconds=PATIENCE_SECONDS)
            watch.looks[stack.host.name].append(Look(sent, time.time(), answer.status == 200))

    threads = [threading.Thread(target=look, args=(stack,)) for stack in hosts]
    for thread in threads:
        thread.start()
    try:
        yield watch
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _times(stack: Stack, message: str, since: float) -> list[float]:
    """Returns when systemd said `message` of the API."""
    query = f"--since=@{since:.6f} UNIT={API_UNIT} MESSAGE_ID={message}"
    entries = stack.run(f"journalctl --output=json {query}").splitlines()
    return [int(json.loads(entry)["__REALTIME_TIMESTAMP"]) / 1e6 for entry in entries]
