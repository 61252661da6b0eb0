"""Real faults in a real host: seen by Prometheus, healed by the bot, told in the journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from slack_sink import SlackSink
from stack import API, API_UNIT, Stack
from timeline import Timeline

from host.processes import wait_until

HEALED_SECONDS = 30.0
RECORDED_SECONDS = 60.0
RESOLVED_SECONDS = 60.0
# A repair has 15 s in the demo; then people are told what it has not ended.
REPAIR_GRACE_SECONDS = 15.0
PAGE_SECONDS = 45.0

# The goal of the demo: from `systemctl stop` to /health 200.
STOP_TO_HEALTHY_SECONDS = 5.0

# The steps that the journal tells of every healed incident, in this order.
HEALED_STEPS = ["detected", "decided", "acted", "proved", "closed"]

STOP = f"systemctl stop {API_UNIT}"
FREEZE = f"systemctl kill --signal=SIGSTOP {API_UNIT}"
# The rung that the policy has for each.
REPAIR = {STOP: "start", FREEZE: "restart"}
# Each kill waits for the restart that follows, until systemd gives up.
KILL_LOOP = (
    f"for _ in $(seq 200); do systemctl kill --signal=SIGKILL {API_UNIT};"
    f" systemctl is-failed --quiet {API_UNIT} && exit 0; sleep 0.05; done; exit 1"
)


Break = Callable[[str], Timeline]


@pytest.fixture
def break_it(stack: Stack, sink: SlackSink) -> Iterator[Break]:
    """Breaks a quiet stack with a command and starts the clock; tells the story at the end."""
    stack.wait_until_quiet()
    sink.clear()
    stories: list[Timeline] = []

    def run(command: str) -> Timeline:
        timeline = Timeline(command if len(command) < 80 else f"{command[:77]}...")
        stories.append(timeline)
        stack.run(command)
        timeline.note("command has ended")
        return timeline

    yield run
    print("", *stories, sep="\n", flush=True)


@pytest.mark.parametrize(
    ("command", "alert"),
    [(STOP, "TransactionsApiDown"), (FREEZE, "TransactionsApiDown")],
    ids=["stop", "freeze"],
)
def test_a_break_is_healed_and_nobody_is_paged(
    stack: Stack, sink: SlackSink, break_it: Break, command: str, alert: str
) -> None:
    timeline = break_it(command)
    assert not stack.api_is_healthy(), "the break broke nothing"
    watch_repair(stack, timeline, alert)
    if command == STOP:
        assert timeline.seconds("/health 200") < STOP_TO_HEALTHY_SECONDS
    assert_told(stack, timeline)
    last = f"; last: {REPAIR[command]} of {API_UNIT}, effective"
    assert wait_until(lambda: last in bot_status(stack), RECORDED_SECONDS), bot_status(stack)
    assert_nobody_is_paged(sink, timeline)


def test_a_kill_loop_is_healed_on_the_alert_alone(
    stack: Stack, sink: SlackSink, break_it: Break
) -> None:
    with deaf_to_systemd(stack):
        timeline = break_it(KILL_LOOP)
        # The probe and the unit's state both tell of it; whichever fires first is acted on.
        timeline.wait({"incident": lambda: bool(stack.incidents(timeline.started))}, HEALED_SECONDS)
        first_alert = stack.incidents(timeline.started)[-1]["alertname"]
        assert first_alert in {"TransactionsApiDown", "UnitFailed"}
        watch_repair(stack, timeline, first_alert)
    assert_told(stack, timeline)
    assert_nobody_is_paged(sink, timeline)


def test_a_kill_loop_is_healed_on_systemds_word(
    stack: Stack, sink: SlackSink, break_it: Break
) -> None:
    timeline = break_it(KILL_LOOP)
    timeline.wait(
        {
            "/health 200": stack.api_is_healthy,
            "incident closed": lambda: incidents_are_closed(stack, timeline.started),
        },
        HEALED_SECONDS,
    )
    assert_told(stack, timeline)
    assert_nobody_is_paged(sink, timeline)


def test_two_breaks_in_a_row_are_both_healed_and_nobody_is_paged(
    stack: Stack, sink: SlackSink, break_it: Break
) -> None:
    first = break_it(STOP)
    first.wait({"/health 200": stack.api_is_healthy}, HEALED_SECONDS)
    # The second break is due five seconds after the first: that is the case.
    time.sleep(max(0.0, first.started + 5.0 - time.time()))
    second = break_it(STOP)
    second.wait({"/health 200": stack.api_is_healthy}, HEALED_SECONDS)
    second.wait(
        {"all incidents closed": lambda: incidents_are_closed(stack, first.started)},
        RECORDED_SECONDS,
    )
    attempts = [entry["attempts"] for entry in stack.incidents(first.started)]
    assert sum(attempts) >= 2, f"one repair per break: {attempts}"
    assert_nobody_is_paged(sink, second)


def test_without_the_bot_people_are_paged(
    stack: Stack, sink: SlackSink, break_it: Break
) -> None:
    with bot_stopped(stack):
        timeline = break_it(STOP)
        timeline.wait({"people are paged": lambda: bool(sink.pages())}, PAGE_SECONDS)
        page = str(sink.pages()[0])
        assert "RepairOverdue" in page
        assert "TransactionsApiDown" in page
        assert not stack.api_is_healthy(), "something other than the bot healed it"
        assert timeline.seconds("people are paged") >= REPAIR_GRACE_SECONDS
    timeline.note("bot is back")
    # Alertmanager repeats what still fires, so the bot heals what it missed.
    timeline.wait({"/health 200": stack.api_is_healthy}, HEALED_SECONDS)


def test_load_raises_an_alert_and_breaks_nothing(
    stack: Stack, sink: SlackSink, break_it: Break
) -> None:
    report = f"/run/hey-{time.time_ns()}"
    timeline = break_it(f"hey -n 5000 -c 50 http://127.0.0.1:{API}/transactions > {report}")
    assert "[200]\t5000 responses" in stack.run(f"cat {report}")
    wait_for_states(stack, timeline, "TransactionsTrafficHigh", ["pending", "firing"])
    assert stack.api_is_healthy()
    timeline.wait(
        {"alert resolved": lambda: "TransactionsTrafficHigh" not in stack.alerts_now()},
        RESOLVED_SECONDS,
    )
    assert sink.pages() == []


def test_pid_1_heals_first_where_its_watchdog_is_shorter(stack: Stack, break_it: Break) -> None:
    with watchdog(stack, "1s"):
        stack.wait_until_quiet()
        before = stack.run(f"systemctl show --value --property=NRestarts {API_UNIT}")
        timeline = break_it(FREEZE)
        timeline.wait({"/health 200": stack.api_is_healthy}, HEALED_SECONDS)
        after = stack.run(f"systemctl show --value --property=NRestarts {API_UNIT}")
        assert int(after) == int(before) + 1
        assert "Watchdog timeout" in stack.journal(API_UNIT)
        acted = [entry for entry in stack.incidents(timeline.started) if entry["attempts"] > 0]
        assert acted == [], "the bot acted on what systemd had healed"


def watch_repair(stack: Stack, timeline: Timeline, alert: str) -> None:
    """Follows a break from the alert to the closed incident and the resolved alert."""
    timeline.wait({"/health 200": stack.api_is_healthy}, HEALED_SECONDS)
    wait_for_states(stack, timeline, alert, ["pending", "firing"])
    timeline.wait(
        {"incident closed": lambda: incidents_are_closed(stack, timeline.started)},
        RECORDED_SECONDS,
    )
    timeline.wait({f"{alert} resolved": lambda: alert not in stack.alerts_now()}, RESOLVED_SECONDS)


def wait_for_states(stack: Stack, timeline: Timeline, alert: str, states: list[str]) -> None:
    """Reads from Prometheus when the alert entered each state, in this order."""

    def entered() -> dict[str, float]:
        history = stack.alert_history(alert, timeline.started)
        return {sample.state: sample.at for sample in reversed(history)}

    assert wait_until(lambda: set(states) <= set(entered()), HEALED_SECONDS), (
        f"{alert} went through {sorted(entered())} only"
    )
    times = [entered()[state] for state in states]
    for state, at in zip(states, times, strict=True):
        timeline.note(f"{alert} {state}", at)
    assert times == sorted(times)


def incidents_are_closed(stack: Stack, since: float) -> bool:
    """Says whether there are incidents since then, all of them closed."""
    incidents = stack.incidents(since)
    return bool(incidents) and all(entry["state"] == "closed" for entry in incidents)


def assert_told(stack: Stack, timeline: Timeline) -> None:
    """The ledger has the incident, and the journal tells it step by step under one id."""
    healed = [entry for entry in stack.incidents(timeline.started) if entry["attempts"] > 0]
    assert len(healed) == 1, healed
    incident = healed[0]
    assert incident["unit"] == API_UNIT
    assert incident["outcome"] == "effective"
    entries = stack.incident_journal(incident["id"])
    for entry in entries:
        timeline.note(
            f"journal: {entry['INCIDENT_STEP']}", int(entry["__REALTIME_TIMESTAMP"]) / 1e6
        )
    steps = [entry["INCIDENT_STEP"] for entry in entries]
    assert [step for step in steps if step in HEALED_STEPS] == HEALED_STEPS
    assert all("MESSAGE_ID" in entry for entry in entries)
    explained = stack.run(f"journalctl --catalog INCIDENT_ID={incident['id']}")
    assert explained.count("Subject: ") == len(entries), "an entry has no catalog text"


def bot_status(stack: Stack) -> str:
    return stack.run("systemctl show --property=StatusText --value alert-bot.service").strip()


def assert_nobody_is_paged(sink: SlackSink, timeline: Timeline) -> None:
    """Waits out the time that a repair has; no page may have arrived in it."""
    deadline = timeline.started + REPAIR_GRACE_SECONDS + 10.0
    paged = wait_until(lambda: bool(sink.pages()), max(0.0, deadline - time.time()))
    assert not paged, sink.pages()
    timeline.note("nobody was paged")


@contextmanager
def bot_stopped(stack: Stack) -> Iterator[None]:
    stack.run("systemctl stop alert-bot.service alert-bot.socket alert-bot-control.socket")
    try:
        yield
    finally:
        stack.run("systemctl start alert-bot.socket alert-bot-control.socket alert-bot.service")


@contextmanager
def deaf_to_systemd(stack: Stack) -> Iterator[None]:
    """Leaves the bot nothing but alerts to hear of a failed unit.

    Told by systemd itself, it heals before an alert could fire.
    """
    policy = "/etc/alert-bot/policy.d/transactions.toml"
    stack.run(f"cp {policy} /run/transactions.toml")
    stack.run(f"sed -i 's/^on_unit_failed = true/on_unit_failed = false/' {policy}")
    stack.run("systemctl reload alert-bot.service")
    try:
        yield
    finally:
        stack.run(f"cat /run/transactions.toml > {policy}; systemctl reload alert-bot.service")


@contextmanager
def watchdog(stack: Stack, period: str) -> Iterator[None]:
    """Sets the API's watchdog for a while."""
    drop_in = f"/run/systemd/system/{API_UNIT}.d/zz-test-watchdog.conf"
    stack.run(f"mkdir -p $(dirname {drop_in}); cat > {drop_in}", stdin=f"[Service]\nWatchdogSec={period}\n")
    stack.run(f"systemctl daemon-reload && systemctl restart {API_UNIT}")
    try:
        yield
    finally:
        stack.run(f"rm {drop_in}; systemctl daemon-reload && systemctl restart {API_UNIT}")
