"""What the documents tell a person to type, typed on a real host, and what they say comes of it."""

from __future__ import annotations

import os
import subprocess
import time

import pytest
from documents import Section, sections
from stack import API_UNIT, Stack

from host.processes import wait_until
from host.settings import REPOSITORY

TROUBLESHOOTING = sections("troubleshooting.md")
EXERCISES = sections("learn.md")
# Typed on one's own machine, not on the host.
OUTSIDE = ("make ", "host/run.sh ")

COMMAND_SECONDS = 120.0
SEEN_SECONDS = 60.0
# From the end of a pause to the look that it was held back for.
HELD_SECONDS = 30.0


@pytest.mark.parametrize("title", [it for it in TROUBLESHOOTING if TROUBLESHOOTING[it].commands])
def test_commands_for_troubleshooting_succeed_on_a_healthy_host(stack: Stack, title: str) -> None:
    # So that there is a request and a decision to find.
    stack.run("amtool --alertmanager.url=http://127.0.0.1:9093 alert add DocumentsTest severity=info")
    for command in TROUBLESHOOTING[title].commands:
        if not command.startswith(OUTSIDE):
            assert wait_until(lambda: succeeds(stack, command), SEEN_SECONDS), command


def succeeds(stack: Stack, command: str) -> bool:
    return "succeeded" in stack.run(f"set -o pipefail; {command} && echo succeeded", check=False)


@pytest.fixture
def quiet(stack: Stack) -> Stack:
    """The host when nothing is alerting, as each exercise wants it."""
    stack.wait_until_quiet()
    return stack


def exercise(title: str) -> list[str]:
    section: Section = EXERCISES[title]
    return section.commands


def type_in(stack: Stack, command: str) -> tuple[int, str]:
    """Types a command on one's own machine; returns its status and output."""
    result = subprocess.run(
        ["sh", "-c", command],
        env={**os.environ, "NAME": stack.host.name},
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    return result.returncode, result.stdout


def closed_action(stack: Stack, since: float) -> tuple[str, str]:
    """Waits for the first healed incident since then; returns its alert and what was done."""

    def healed() -> list[dict[str, str]]:
        listed = stack.incidents(since)
        return [it for it in listed if it["unit"] == API_UNIT and it["outcome"] == "effective"]

    assert wait_until(lambda: bool(healed()), SEEN_SECONDS), stack.incidents(since)
    incident = healed()[-1]
    entries = stack.incident_journal(incident["id"])
    (action,) = {it["ACTION"] for it in entries if it["INCIDENT_STEP"] == "acted"}
    return incident["alertname"], action


def fired(stack: Stack, alert: str, since: float) -> bool:
    return any(it.state == "firing" for it in stack.alert_history(alert, since))


@pytest.mark.long
def test_learn_1_stop_it(quiet: Stack) -> None:
    stop, incidents, journal = exercise("1. Stop it")
    started = time.time()
    type_in(quiet, stop)
    assert closed_action(quiet, started) == ("TransactionsApiDown", "start")
    assert "TransactionsApiDown" in type_in(quiet, incidents)[1]
    assert type_in(quiet, journal)[1].count("Subject: ") == 5


@pytest.mark.long
def test_learn_2_freeze_it(quiet: Stack) -> None:
    freeze, is_active = exercise("2. Freeze it")
    started = time.time()
    type_in(quiet, freeze)
    assert type_in(quiet, is_active) == (0, "active\n")
    assert closed_action(quiet, started) == ("TransactionsApiDown", "restart")


@pytest.mark.long
def test_learn_3_kill_it_once(quiet: Stack) -> None:
    kill, restarts, counted = exercise("3. Kill it, once")
    before = int(type_in(quiet, restarts)[1].partition("=")[2])
    started = time.time()
    type_in(quiet, kill)
    assert wait_until(lambda: quiet.api_is_healthy(), SEEN_SECONDS)
    assert int(type_in(quiet, restarts)[1].partition("=")[2]) == before + 1
    assert 'cause="auto"' in type_in(quiet, counted)[1]
    assert [it for it in quiet.incidents(started) if it["attempts"] > 0] == []


@pytest.mark.long
def test_learn_4_kill_it_until_systemd_gives_up(quiet: Stack) -> None:
    (kill,) = exercise("4. Kill it until systemd gives up")
    started = time.time()
    type_in(quiet, kill)
    assert closed_action(quiet, started) == ("UnitFailed", "reset-failed-start")


@pytest.mark.long
def test_learn_5_put_it_under_load(quiet: Stack) -> None:
    load, journal = exercise("5. Put it under load")
    started = time.time()
    assert "[200]" in type_in(quiet, load)[1]
    alert = "TransactionsTrafficHigh"
    assert wait_until(lambda: fired(quiet, alert, started), SEEN_SECONDS)
    assert wait_until(lambda: "alert-bot" in type_in(quiet, journal)[1], SEEN_SECONDS)
    assert quiet.run(f"journalctl --output=json ALERTNAME={alert} REASON=no-rule") != ""


@pytest.mark.long
def test_learn_7_take_the_bot_away(quiet: Stack) -> None:
    stop_bot, stop_api, start_bot = exercise("7. Take the bot away")
    started = time.time()
    try:
        type_in(quiet, stop_bot)
        type_in(quiet, stop_api)
        assert wait_until(lambda: fired(quiet, "RepairOverdue", started), SEEN_SECONDS)
        assert time.time() - started >= 15.0
    finally:
        type_in(quiet, start_bot)
    assert wait_until(quiet.api_is_healthy, SEEN_SECONDS)


@pytest.mark.long
def test_learn_8_hold_it_back(quiet: Stack) -> None:
    pause, stop, status = exercise("8. Hold it back")
    started = time.time()
    type_in(quiet, pause)
    type_in(quiet, stop)
    assert "I want to see it stay broken" in type_in(quiet, status)[1]
    held = "journalctl --output=json --since=-5min INCIDENT_STEP=held REASON=paused"
    assert wait_until(lambda: quiet.run(held) != "", SEEN_SECONDS)
    assert wait_until(quiet.api_is_healthy, 120.0 + HELD_SECONDS)
    assert time.time() - started >= 115.0, "the pause was not kept"


@pytest.mark.long
def test_learn_9_make_a_mistake(quiet: Stack) -> None:
    write, reload, validate, remove, reload_again = exercise("9. Make a mistake")
    type_in(quiet, write)
    try:
        assert type_in(quiet, reload)[0] != 0
        status, said = type_in(quiet, validate)
        assert status != 0
        assert "mistake.toml:1" in said
    finally:
        type_in(quiet, remove)
    assert type_in(quiet, reload_again)[0] == 0


@pytest.mark.long
def test_learn_10_ask_what_would_happen(quiet: Stack) -> None:
    (explain,) = exercise("10. Ask what would happen")
    assert type_in(quiet, explain)[0] == 0
    assert len(EXERCISES) == 10, "an exercise has no test"


# The last one: what it took from the error budget is alerted for as long as the rule looks back.
@pytest.mark.long
def test_learn_6_make_it_slow(quiet: Stack) -> None:
    slow, load = exercise("6. Make it slow")
    started = time.time()
    assert type_in(quiet, slow)[0] == 0
    assert "[200]" in type_in(quiet, load)[1]
    assert wait_until(lambda: fired(quiet, "TransactionsLatencyHigh", started), SEEN_SECONDS)
    assert [it for it in quiet.incidents(started) if it["attempts"] > 0] == []
