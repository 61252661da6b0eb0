"""More arrives than one worker can settle: the bot adds workers until the backlog is gone.

The generator of worker 1 is the load. A trigger in the store writes down every change of a
status, so that what is settled twice would be seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from stack import BOT_UNITS, Stack
from timeline import Timeline

from host.processes import wait_until

WORKERS = (
    "transactions-worker@1.service",
    "transactions-worker@2.service",
    "transactions-worker@3.service",
)
WORKER_CONFIG = "/etc/transactions/worker.toml"

# One worker settles fewer than 20 a second, two too few, three more than arrive, also on a busy
# machine: what takes time is the waiting, not the work.
PROCESSING_TIME = "50ms"
ARRIVALS_PER_SECOND = 40
# The rule's `cooldown` in the demo is 5 s from decision to decision; a start or stop takes part of one.
SETTLING_SECONDS = 4.0

# What systemd calls these messages (sd-messages.h).
STARTED = "39f53479d3a045ac8e11786248231fbf"
STOPPED = "9d1aaa27d60140bd96365438aad20286"

# Transactions by which the backlog is seen to grow, and how long that takes at most.
GROWTH = 200
GROWTH_SECONDS = 60.0
# As good as nothing, at such a rate.
FEW = 100
ALERT_SECONDS = 120.0
STEP_SECONDS = 60.0
DRAINED_SECONDS = 300.0
SCALED_IN_SECONDS = 150.0
STEADY_SECONDS = 20.0

QUERY = """
import json, sqlite3, sys
store = sqlite3.connect("/var/lib/transactions/transactions.db", timeout=30)
with store:
    rows = [row for sql in sys.argv[1:] for row in store.execute(sql).fetchall()]
print(json.dumps(rows))
"""
# Every change of a status since the beginning of the test.
WATCH_STATUSES = (
    "CREATE TABLE status_changes (id BLOB, before TEXT, after TEXT)",
    "CREATE TRIGGER status_changes AFTER UPDATE OF status ON transactions"
    " BEGIN INSERT INTO status_changes VALUES (new.id, old.status, new.status); END",
)
FORGET_STATUSES = (
    "DROP TRIGGER IF EXISTS status_changes",
    "DROP TABLE IF EXISTS status_changes",
)


@dataclass(frozen=True)
class Backlog:
    """What is in the store at one moment."""

    pending: int
    ended: int


@pytest.fixture
def story(stack: Stack) -> Iterator[Timeline]:
    """The story of one test, told at its end; it begins quiet, with the least workers."""
    stack.wait_until_quiet()
    assert wait_until(lambda: running(stack) == [WORKERS[0]], SCALED_IN_SECONDS)
    ask_store(stack, *FORGET_STATUSES, *WATCH_STATUSES)
    timeline = Timeline("workers")
    try:
        yield timeline
    finally:
        ask_store(stack, *FORGET_STATUSES)
        print("", timeline, sep="\n", flush=True)


def test_a_backlog_grows_without_the_bot_and_drains_with_it(stack: Stack, story: Timeline) -> None:
    with arrivals(stack, ARRIVALS_PER_SECOND):
        with scaling_off(stack):
            story.wait({"TransactionsBacklogHigh fires": lambda: fires(stack)}, ALERT_SECONDS)
            for look in range(1, 4):
                before = backlog(stack)
                more = before.pending + GROWTH
                grown = {f"{look * GROWTH} more are pending": lambda n=more: backlog(stack).pending > n}
                story.wait(grown, GROWTH_SECONDS)
                assert backlog(stack).ended > before.ended, "although the one worker works"
            assert running(stack) == [WORKERS[0]]

        story.wait({"worker 2 runs": lambda: WORKERS[1] in running(stack)}, STEP_SECONDS)
        # A bot that dies between two steps goes on from where the host is.
        stack.run("systemctl kill --signal=SIGKILL alert-bot.service")
        story.wait({"worker 3 runs": lambda: WORKERS[2] in running(stack)}, STEP_SECONDS)
        second, third = (last(stack, unit, STARTED) for unit in WORKERS[1:])
        assert third - second >= SETTLING_SECONDS, "one step at a time"

        story.wait({"backlog drained": lambda: backlog(stack).pending < FEW}, DRAINED_SECONDS)
        was_stopped = wait_until(lambda: len(running(stack)) < 3, STEADY_SECONDS)
        assert not was_stopped, "all three are needed for as long as so much arrives"
        assert backlog(stack).pending < GROWTH, "the backlog came back"
    watch_scaling_in(stack, story)
    assert_nothing_settled_twice(stack)


def test_workers_that_a_dead_bot_left_behind_are_stopped_when_it_is_back(
    stack: Stack, story: Timeline
) -> None:
    stack.run(f"systemctl stop {' '.join(BOT_UNITS)}")
    stack.run(f"systemctl start {WORKERS[1]} {WORKERS[2]}")
    stack.run(f"systemctl start {' '.join(BOT_UNITS)}")
    watch_scaling_in(stack, story)
    assert_nothing_settled_twice(stack)


def test_after_a_boot_the_backlog_adds_workers_again(stack: Stack, story: Timeline) -> None:
    all_run = {"all three run": lambda: len(running(stack)) == 3}
    with arrivals(stack, ARRIVALS_PER_SECOND):
        story.wait(all_run, ALERT_SECONDS + 2 * STEP_SECONDS)
        # What a boot starts is what multi-user.target wants: the enabled instances.
        stack.run("systemctl stop 'transactions-worker@*.service'")
        stack.run(f"systemctl stop {' '.join(BOT_UNITS)}")
        stack.run(f"systemctl start multi-user.target {' '.join(BOT_UNITS)}")
        story.wait({"one runs": lambda: running(stack) == [WORKERS[0]]}, STEP_SECONDS)
        story.wait(all_run, ALERT_SECONDS + 2 * STEP_SECONDS)
    watch_scaling_in(stack, story)
    assert_nothing_settled_twice(stack)


def watch_scaling_in(stack: Stack, story: Timeline) -> None:
    """Follows the workers down to the least, one step at a time, each of them drained."""
    for unit in reversed(WORKERS[1:]):
        stopped = {f"{unit} is stopped": lambda unit=unit: stack.unit_state(unit) == "inactive"}
        story.wait(stopped, DRAINED_SECONDS)
        assert_drained(stack, unit)
    third, second = (last(stack, unit, STOPPED) for unit in reversed(WORKERS[1:]))
    assert second - third >= SETTLING_SECONDS, "one step at a time"
    changed = wait_until(lambda: running(stack) != [WORKERS[0]], STEADY_SECONDS)
    assert not changed, "the least stay, and nothing calls for more"


@contextmanager
def arrivals(stack: Stack, per_second: float) -> Iterator[None]:
    """Lets worker 1 insert so many transactions a second for a while."""
    settings = {
        "rate_per_second": str(per_second),
        "processing_time": f'"{PROCESSING_TIME}"',
    }
    original = stack.run(f"cat {WORKER_CONFIG}")
    changed = original
    for key, value in settings.items():
        changed, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", changed, flags=re.MULTILINE)
        assert count == 1, f"{key} is not in {WORKER_CONFIG}"
    try:
        configure(stack, changed)
        yield
    finally:
        configure(stack, original)


def configure(stack: Stack, text: str) -> None:
    """Gives the workers a configuration; those beside the first take it when they start."""
    stack.run(f"cat > {WORKER_CONFIG} && systemctl restart {WORKERS[0]}", stdin=text)


@contextmanager
def scaling_off(stack: Stack) -> Iterator[None]:
    """Holds back every rule about the workers."""
    stack.run(f"alert-bot pause --unit {WORKERS[0]} --for 30m --why 'scaling is off'")
    try:
        yield
    finally:
        stack.run(f"alert-bot resume --unit {WORKERS[0]}")


def ask_store(stack: Stack, *statements: str) -> list[list[object]]:
    """Runs statements in one transaction of the store and returns their rows."""
    quoted = " ".join(f'"{statement}"' for statement in statements)
    output = stack.run(f"python3 - {quoted}", stdin=QUERY)
    rows: list[list[object]] = json.loads(output)
    return rows


def backlog(stack: Stack) -> Backlog:
    rows = ask_store(stack, "SELECT status, rows FROM transaction_counts")
    counts = {str(status): int(str(count)) for status, count in rows}
    return Backlog(counts["pending"], counts["settled"] + counts["declined"])


def running(stack: Stack) -> list[str]:
    """Returns the workers that are active, in their order."""
    states = stack.run(f"systemctl is-active {' '.join(WORKERS)}", check=False).split()
    return [unit for unit, state in zip(WORKERS, states, strict=True) if state == "active"]


def fires(stack: Stack) -> bool:
    return "firing" in {
        series["metric"]["alertstate"]
        for series in stack.query('ALERTS{alertname="TransactionsBacklogHigh"}')
    }


def last(stack: Stack, unit: str, message: str) -> float:
    """Returns when systemd last said something about a unit.

    From the journal: systemd itself forgets an instance that has stopped.
    """
    entry = json.loads(
        stack.run(f"journalctl --output=json --lines=1 UNIT={unit} MESSAGE_ID={message}")
    )
    return int(entry["__REALTIME_TIMESTAMP"]) / 1e6


def assert_drained(stack: Stack, unit: str) -> None:
    """Asserts that a worker ended by itself and left nothing in its hands."""
    assert stack.run(f"systemctl show --value --property=Result {unit}").strip() == "success"
    assert "every claim was settled or given back" in stack.journal(unit)
    number = unit.partition("@")[2].partition(".")[0]
    held = ask_store(
        stack,
        "SELECT count(*) FROM transactions WHERE status = 'pending'"
        f" AND claimed_by = 'worker {number}' AND lease_expires_ms IS NOT NULL",
    )
    assert held == [[0]]


def assert_nothing_settled_twice(stack: Stack) -> None:
    changes, distinct, from_pending, ended = ask_store(
        stack,
        "SELECT count(*), count(DISTINCT id), sum(before = 'pending'), sum(after <> 'pending')"
        " FROM status_changes",
    )[0]
    assert int(str(changes)) > 0, "the trigger saw nothing"
    assert changes == distinct == from_pending == ended
