"""Every rung of the ladder on the real host: what it does to a unit, and that it does it once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from stack import Stack
from trial import SLEEPER, Rule, Trial, in_force
from webhooks import Alert, resolved

# What is done to a unit leaves a mark here.
MARKS = "/run/PREFIX-marks"
MARK = f"/bin/sh -c 'echo %n >> {MARKS}'"

SIGNALLED = f"""[Service]
Type=notify
NotifyAccess=all
ExecStart=/bin/sh -c 'trap "echo %n >> {MARKS}" USR1; systemd-notify --ready; \\
    while :; do sleep 60 & wait $!; done'
"""
# Fails until there is a cure, and is given up after two starts.
ILL = """[Unit]
StartLimitIntervalSec=60
StartLimitBurst=2
[Service]
Type=exec
ExecStart=/bin/sh -c 'test -e /run/PREFIX-cure || exit 1; exec sleep infinity'
Restart=on-failure
RestartSec=0
"""
BROKEN = "[Service]\nType=oneshot\nExecStart=/bin/false\n"

UNITS = {
    "reload.service": f"{SLEEPER}ExecReload={MARK}\n",
    "restart.service": SLEEPER,
    "start.service": SLEEPER,
    "stop.service": SLEEPER,
    "kill.service": SIGNALLED,
    "reset-failed-start.service": ILL,
    "runbook.service": SLEEPER,
    "book.service": f"[Service]\nType=oneshot\nExecStart={MARK}\n",
    "pool@.service": SLEEPER,
    "herd@.service": SLEEPER,
    "broken.service": BROKEN,
}


def is_the_same_run(trial: Trial, unit: str, before: str) -> bool:
    return trial.invocation(unit) == before and trial.state(unit) == "active"


def is_another_run(trial: Trial, unit: str, before: str) -> bool:
    return trial.invocation(unit) != before and trial.state(unit) == "active"


def is_down(trial: Trial, unit: str, _: str) -> bool:
    return trial.state(unit) == "inactive"


STARTED = "systemctl start {unit}"
# Past the start limit, where a plain start is refused; then the cause is gone.
GIVEN_UP = (
    "systemctl start {unit}; until systemctl --quiet is-failed {unit}; do sleep 0.05; done;"
    " touch /run/{prefix}-cure; ! systemctl start {unit}"
)


@dataclass(frozen=True)
class Case:
    """A rung, how its unit is brought to where it fits, and what must be true after."""

    action: str
    before: str
    holds: Callable[[Trial, str, str], bool]
    keys: str = ""
    # The unit whose mark is left, once.
    mark: str | None = None

    def rule(self) -> Rule:
        rung = f'action = "{self.action}"{self.keys}'
        return Rule(self.action, [f"{self.action}.service"], [rung])

    def __str__(self) -> str:
        return self.action


CASES = [
    Case("reload", STARTED, is_the_same_run, mark="reload.service"),
    Case("restart", STARTED, is_another_run),
    Case("start", "true", is_another_run),
    Case("stop", STARTED, is_down),
    Case("kill", STARTED, is_the_same_run, ', signal = "SIGUSR1"', mark="kill.service"),
    Case("reset-failed-start", GIVEN_UP, is_another_run),
    Case("runbook", STARTED, is_the_same_run, ', unit = "PREFIX-book.service"', "book.service"),
]
RULES = [
    *(case.rule() for case in CASES),
    Rule("grow", ["pool@*.service"], ['action = "scale-up", max = 2'], {"patience": '"1s"'}),
    Rule("shrink", ["pool@*.service"], ['action = "scale-down", min = 1']),
    Rule("leap", ["herd@*.service"], ['action = "scale-up", max = 4, step = 2']),
    Rule("retreat", ["herd@*.service"], ['action = "scale-down", min = 1, step = 2']),
    Rule(
        "broken",
        ["broken.service"],
        ['action = "start", times = 2', 'action = "restart"', 'action = "escalate"'],
    ),
]


@pytest.fixture(scope="module")
def trial(stack: Stack) -> Iterator[Trial]:
    with in_force(stack, RULES, UNITS) as trial:
        # Before any test, so that the bot has long heard of it when it counts instances.
        trial.systemctl("start", "pool@1.service", "herd@1.service")
        yield trial


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rung_does_what_it_says_once_and_proves_it(trial: Trial, case: Case) -> None:
    unit = f"{case.action}.service"
    trial.stack.run(case.before.format(unit=trial.unit(unit), prefix=trial.prefix))
    before = trial.invocation(unit)
    trial.send(trial.alert(case.action, unit))
    trial.wait_for_outcome("effective", unit)
    assert trial.actions(unit) == [case.action]
    assert case.holds(trial, unit, before)
    if case.mark:
        marks = trial.stack.run(f"cat /run/{trial.prefix}-marks").split()
        assert marks.count(trial.unit(case.mark)) == 1


def test_a_template_grows_and_shrinks_step_by_step_within_its_bounds(trial: Trial) -> None:
    instances = ["pool@1.service", "pool@2.service", "pool@3.service"]

    def states() -> list[str]:
        return [trial.state(instance) for instance in instances]

    def settled_as(sent: Alert, *ending: str) -> None:
        trial.wait(f"{ending}", lambda: trial.ending(sent) == ending)

    trial.send(trial.alert("grow"))
    trial.wait_for_outcome("effective", "pool@")
    assert states() == ["active", "active", "inactive"]

    enough = trial.alert("grow")
    trial.send(enough)
    settled_as(enough, "escalated", "at-max-instances")
    assert states() == ["active", "active", "inactive"]

    trial.send(resolved(enough))
    trial.wait("it is over", lambda: not trial.open_incidents("pool@"))
    trial.send(trial.alert("shrink"))
    trial.wait("the second is stopped", lambda: len(trial.actions("pool@")) == 2)
    trial.wait("it is proven", lambda: not trial.open_incidents("pool@"))
    assert states() == ["active", "inactive", "inactive"]

    few = trial.alert("shrink")
    trial.send(few)
    settled_as(few, "suppressed", "at-min-instances")
    assert states() == ["active", "inactive", "inactive"]
    assert trial.actions("pool@") == ["scale-up", "scale-down"]


def test_a_step_of_several_instances_is_one_action(trial: Trial) -> None:
    instances = [f"herd@{number}.service" for number in range(1, 6)]

    def step(rule: str) -> int:
        done = len(trial.actions("herd@"))
        trial.send(trial.alert(rule))
        trial.wait("it is tried", lambda: len(trial.actions("herd@")) > done)
        trial.wait("it is proven", lambda: not trial.open_incidents("herd@"))
        return [trial.state(instance) for instance in instances].count("active")

    # By two, and the last time by what the bound leaves.
    assert [step("leap"), step("leap")] == [3, 4]
    assert [step("retreat"), step("retreat")] == [2, 1]
    assert trial.actions("herd@") == ["scale-up"] * 2 + ["scale-down"] * 2
    assert trial.state(instances[0]) == "active"


def test_what_no_rung_heals_goes_rung_by_rung_to_people(trial: Trial) -> None:
    unit = "broken.service"
    alert = trial.alert("broken", unit)
    trial.send(alert)
    trial.wait_for_verdict("escalate", "escalate-rung", unit)
    assert trial.actions(unit) == ["start", "start", "restart"]
    trial.wait("people know", lambda: trial.notices(unit) == ["RemediationExhausted"])
    steps = trial.stack.incident_journal(trial.incidents(unit)[0]["id"])
    assert [step["INCIDENT_STEP"] for step in steps].count("escalated") == 1
    trial.send(resolved(alert))
    trial.wait_for_outcome("resolved", unit)
    trial.wait("the notice is ended", lambda: trial.notices(unit) == [])
