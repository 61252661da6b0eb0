"""Restarts and deployments of the API under load: nobody is refused, nothing fails.

The clients run inside the host and count every request. A keep-alive client connects anew where
the server said that it would close; any other end of a connection is a failure.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import slack_sink
from stack import API_UNIT, Stack

from host import deploy
from host.processes import wait_until

RESTARTS = 10
RESTART_SECONDS = 20.0
START_SECONDS = 20.0
# So that each restart meets clients in full flow.
REQUESTS_BETWEEN = 200

COUNT = "/run/rolling.json"
STOP = "/run/rolling.stop"

CLIENTS = """
import collections, http.client, json, os, threading, time
BODY = '{"amount":"1.00","currency":"EUR"}'
# So few transactions that the workers keep up with them.
PAUSE_SECONDS, POSTS = 0.05, 8
counts, lock = collections.Counter(), threading.Lock()

def ask(connection, kind):
    method = "POST" if counts[kind] % POSTS == 0 else "GET"
    path = "/transactions" if method == "POST" else "/transactions?limit=1"
    connection.request(method, path, BODY if method == "POST" else None)
    answer = connection.getresponse()
    answer.read()
    return answer

def client(kind):
    connection = None
    while not os.path.exists("STOP"):
        outcome = "answered"
        try:
            connection = connection or http.client.HTTPConnection("127.0.0.1", 8000, timeout=30)
            answer = ask(connection, kind)
            if answer.status not in (200, 201):
                outcome = f"status {answer.status}"
            if kind == "one-shot" or answer.will_close:
                connection.close()
                connection = None
        except (OSError, http.client.HTTPException) as error:
            outcome = type(error).__name__
            connection = None
        with lock:
            counts[kind] += 1
            counts[outcome if outcome == "answered" else f"{kind} {outcome}"] += 1
        time.sleep(PAUSE_SECONDS)

def report():
    while True:
        with lock:
            text = json.dumps(counts)
        with open("COUNT.new", "w") as file:
            file.write(text)
        os.rename("COUNT.new", "COUNT")
        if os.path.exists("STOP") and threading.active_count() <= 2:
            return
        time.sleep(0.1)

threads = [threading.Thread(target=client, args=(kind,)) for kind in ("keep-alive", "one-shot") * 4]
for thread in threads:
    thread.start()
threading.Thread(target=report).start()
"""


@dataclass
class Load:
    """The clients' counts."""

    stack: Stack
    counts: dict[str, int] = field(default_factory=dict)

    def look(self) -> int:
        """Reads the counts; returns how many requests have been answered."""
        self.counts = json.loads(self.stack.run(f"cat {COUNT}"))
        return self.counts.get("answered", 0)

    def go_on(self, more: int) -> None:
        """Waits until so many more requests have been answered."""
        target = self.look() + more
        assert wait_until(lambda: self.look() >= target, RESTART_SECONDS), self.counts


@contextmanager
def load(stack: Stack) -> Iterator[Load]:
    """Keeps clients busy with the API, and afterwards asserts that each was served."""
    script = CLIENTS.replace("COUNT", COUNT).replace("STOP", STOP)
    stack.run(f"rm -f {COUNT} {STOP}; cat > /run/rolling.py", stdin=script)
    unit = f"rolling-{time.time_ns()}.service"
    stack.run(f"systemd-run --quiet --collect --unit={unit} python3 /run/rolling.py")
    clients = Load(stack)
    try:
        assert wait_until(
            lambda: stack.run(f"test -s {COUNT} && echo", check=False) != "", START_SECONDS
        )
        clients.go_on(REQUESTS_BETWEEN)
        yield clients
        clients.go_on(REQUESTS_BETWEEN)
    finally:
        stack.run(f"touch {STOP}")
        assert wait_until(lambda: stack.unit_state(unit) == "inactive", START_SECONDS)
        clients.look()
    requests = clients.counts["keep-alive"] + clients.counts["one-shot"]
    assert clients.counts["answered"] == requests, f"not every request was served: {clients.counts}"
    print(f"\n    {clients.counts}", flush=True)


def test_restarts_under_load_fail_no_request(stack: Stack) -> None:
    stack.wait_until_quiet()
    before = restarted_at(stack)
    with load(stack) as clients:
        for _ in range(RESTARTS):
            stack.run(f"systemctl restart {API_UNIT}")
            # The start limit is what it is in production: 5 starts in 10 s.
            clients.go_on(REQUESTS_BETWEEN)
            stack.run(f"systemctl reset-failed {API_UNIT}")
    assert restarted_at(stack) > before


def test_a_deployment_under_load_fails_no_request(stack: Stack) -> None:
    stack.wait_until_quiet()
    before = restarted_at(stack)
    with load(stack):
        deploy.deploy(stack.host, variables={**slack_sink.VARIABLES, "transactions_watchdog": "31s"})
        assert restarted_at(stack) > before, "the deployment restarted nothing"
    deploy.deploy(stack.host, variables=slack_sink.VARIABLES)


def restarted_at(stack: Stack) -> int:
    """Returns when the API was last started, on the host's monotonic clock."""
    return int(
        stack.run(f"systemctl show --value --property=ExecMainStartTimestampMonotonic {API_UNIT}")
    )
