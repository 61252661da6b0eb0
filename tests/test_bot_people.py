"""What people say to the bot on the real host: modes, approvals, pauses, silences, maintenance."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from stack import Stack
from trial import SLEEPER, Rule, Trial, in_force

START = 'action = "start"'


APPROVE = {"mode": '"approve"'}
RULES = [
    Rule("seen", ["seen.service"], [START], {"mode": '"observe"'}),
    Rule("yes", ["yes.service"], [START], APPROVE),
    Rule("no", ["no.service"], [START], APPROVE),
    Rule("later", ["later.service"], [START], APPROVE),
    Rule("paused", ["paused.service"], [START]),
    Rule("silent", ["silent.service"], [START]),
    Rule("masked", ["masked.service"], [START]),
]


@pytest.fixture(scope="module")
def trial(stack: Stack) -> Iterator[Trial]:
    """Each test has a rule and a stopped unit of its own."""
    with in_force(stack, RULES, {unit: SLEEPER for rule in RULES for unit in rule.units}) as trial:
        yield trial


def question(trial: Trial, rule: str) -> str:
    """Has the bot ask about a rule's unit; returns the incident once Alertmanager knows of it."""
    unit = f"{rule}.service"
    trial.fire(rule, unit)
    trial.wait_for_verdict("await-approval", "approval-needed", unit)
    trial.wait("people are asked", lambda: trial.notices(unit) == ["RemediationAwaitingApproval"])
    assert trial.state(unit) == "inactive"
    incident: str = trial.incidents(unit)[0]["id"]
    return incident


def test_observe_says_what_it_would_do_and_does_nothing(trial: Trial) -> None:
    alert = trial.alert("seen", "seen.service")
    trial.send(alert)
    trial.wait("it is settled", lambda: trial.ending(alert) == ("suppressed", "observe-mode"))
    assert trial.verdicts("seen.service") == [("observe", "observe-mode")]
    assert trial.state("seen.service") == "inactive"
    assert trial.actions("seen.service") == []
    assert trial.notices("seen.service") == []


def test_approve_asks_and_acts_on_a_yes(trial: Trial) -> None:
    run = trial.stack.run
    incident = question(trial, "yes")
    stranger = f"runuser --user=nobody -- alert-bot approve {incident} && echo approved"
    assert run(stranger, check=False) == ""
    assert trial.state("yes.service") == "inactive"
    run(f"alert-bot approve {incident}")
    trial.wait_for_outcome("effective", "yes.service")
    assert trial.state("yes.service") == "active"
    assert "approved by root" in run(f"alert-bot incident {incident}")
    trial.wait("the question is withdrawn", lambda: trial.notices("yes.service") == [])


def test_approve_leaves_it_on_a_no(trial: Trial) -> None:
    incident = question(trial, "no")
    trial.stack.run(f"alert-bot deny {incident}")
    trial.wait_for_outcome("denied", "no.service")
    assert trial.state("no.service") == "inactive"
    assert trial.actions("no.service") == []
    assert "denied by root" in trial.stack.run(f"alert-bot incident {incident}")


def test_a_question_outlives_the_bot(trial: Trial) -> None:
    incident = question(trial, "later")
    trial.stack.run("systemctl restart alert-bot.service")
    trial.stack.run(f"alert-bot approve {incident}")
    trial.wait_for_outcome("effective", "later.service")
    assert trial.actions("later.service") == ["start"]


def test_a_pause_outlives_the_bot_and_ends_by_itself(trial: Trial) -> None:
    run, unit = trial.stack.run, "paused.service"
    run(f"alert-bot pause --unit {trial.unit(unit)} --for 1h --why 'this one for longer'")
    run("alert-bot pause --for 4s --why 'the tests of the pause'")
    paused_at = time.time()
    trial.fire("paused", unit)
    trial.wait_for_verdict("hold", "paused", unit)
    run("systemctl restart alert-bot.service")
    said = run("alert-bot status")
    assert "this one for longer" in said
    trial.wait("the host's pause ends", lambda: trial.metric("alert_bot_paused") == 0)
    assert time.time() >= paused_at + 3.5
    assert trial.state(unit) == "inactive", "the unit's own pause still holds"
    run(f"alert-bot resume --unit {trial.unit(unit)}")
    trial.wait_for_outcome("effective", unit)


def test_a_silence_counts_at_the_moment_of_acting(trial: Trial) -> None:
    run, unit = trial.stack.run, "silent.service"
    # Alertmanager keeps a silenced alert to itself, so the bot has it before there is a silence.
    run(f"alert-bot pause --unit {trial.unit(unit)} --for 1h --why 'a silence comes'")
    trial.fire("silent", unit)
    trial.wait_for_verdict("hold", "paused", unit)
    silence = set_silence(trial.stack, trial.unit("silent"))
    run(f"alert-bot resume --unit {trial.unit(unit)}")
    trial.wait_for_verdict("hold", "silenced", unit)
    assert trial.state(unit) == "inactive"
    run(f"curl -sf -X DELETE http://127.0.0.1:9093/api/v2/silence/{silence}")
    # What is held is looked at again within 15 s; the end of a pause has it done at once.
    run(f"alert-bot pause --unit {trial.unit(unit)} --for 1h --why 'the silence ends'")
    run(f"alert-bot resume --unit {trial.unit(unit)}")
    trial.wait_for_outcome("effective", unit)
    assert trial.actions(unit) == ["start"]


def test_a_unit_that_is_masked_for_maintenance_is_left_alone_until_it_is_over(
    trial: Trial,
) -> None:
    unit = "masked.service"
    alert = trial.alert("masked", unit)
    trial.systemctl("mask", unit)
    trial.send(alert)
    trial.wait("it is refused", lambda: trial.ending(alert) == ("refused", "unit-masked"))
    trial.systemctl("unmask", unit)
    # Alertmanager repeats what still fires.
    trial.send(alert)
    trial.wait_for_outcome("effective", unit)


def set_silence(stack: Stack, alertname: str) -> str:
    """Silences an alert in Alertmanager for an hour; returns the silence's id."""
    answer = stack.run(
        "curl -sf -H 'Content-Type: application/json' --data @-"
        " http://127.0.0.1:9093/api/v2/silences",
        stdin=json.dumps(silence_of(alertname)),
    )
    silence: str = json.loads(answer)["silenceID"]
    return silence


def silence_of(alertname: str) -> dict[str, object]:
    """Returns a silence of an hour."""
    begin, end = (
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        for seconds in (0, 3600)
    )
    matcher = {"name": "alertname", "value": alertname, "isRegex": False, "isEqual": True}
    return {
        "matchers": [matcher],
        "startsAt": begin,
        "endsAt": end,
        "createdBy": "tests",
        "comment": "a silence at the moment of acting",
    }
