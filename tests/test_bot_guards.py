"""Every guard on the real host: what stands against acting, and that nothing was done then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from stack import Stack
from trial import SLEEPER, WIDE_HOST, Rule, Trial, in_force, rows

ONE_AN_HOUR = '{ max_actions = 1, window = "1h" }'
BROKEN = "[Service]\nType=oneshot\nExecStart=/bin/false\n"
# Is being started until the test lets it be.
SLOW = """[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'until test -e /run/PREFIX-go; do sleep 0.05; done'
"""
NEEDY = f"[Unit]\nRequires=PREFIX-needed.service\nAfter=PREFIX-needed.service\n{SLEEPER}"
# More tasks than there are processors, so that some wait for one.
STRAINED = """[Service]
Nice=19
ExecStart=/bin/sh -c 'for _ in $(seq 16); do while :; do :; done & done; wait'
"""
START, RESTART = 'action = "start"', 'action = "restart"'


@dataclass(frozen=True)
class Case:
    """A rule with the limit that it is about, its units, and what brings it to that limit."""

    verdict: str
    reason: str
    rule: Rule
    units: dict[str, str]
    # Before the alert that the guard stands against.
    before: Callable[[Trial], object]
    # How often the bot has acted when the guard has spoken.
    actions: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return self.reason


def nothing(_: Trial) -> None:
    """The alert alone is enough."""


def started(*units: str) -> Callable[[Trial], object]:
    return lambda trial: trial.systemctl("start", *units)


def failed(unit: str, *others: str) -> Callable[[Trial], object]:
    """Has a unit fail beside others that run."""

    def before(trial: Trial) -> None:
        trial.systemctl("start", unit, *others)
        trial.systemctl("kill --signal=SIGKILL", unit)
        trial.wait(f"{unit} fails", lambda: trial.state(unit) == "failed")

    return before


def repaired(rule: str, unit: str, outcome: str) -> Callable[[Trial], object]:
    """Has the bot act once, and breaks the unit again where that helped."""

    def before(trial: Trial) -> None:
        first = trial.alert(rule, unit)
        trial.send(first)
        wanted = f"select 1 from attempts where unit = ? and outcome = '{outcome}'"
        trial.wait("the first action", lambda: bool(trial.rows(wanted, trial.unit(unit))))
        if outcome == "effective":
            trial.systemctl("stop", unit)
        trial.send({**first, "status": "resolved"})
        trial.wait("the first incident is closed", lambda: not trial.open_incidents(unit))

    return before


def being_started(unit: str) -> Callable[[Trial], object]:
    return lambda trial: trial.systemctl("start --no-block", unit)


def masked(unit: str) -> Callable[[Trial], object]:
    return lambda trial: trial.systemctl("mask", unit)


def strained(unit: str) -> Callable[[Trial], object]:
    """Starts a unit and waits until its tasks are seen to wait for a processor."""

    def before(trial: Trial) -> None:
        trial.systemctl("start", unit)
        show = f"systemctl show --value --property=ControlGroup {trial.unit(unit)}"
        group = trial.stack.run(show).strip()
        share = f"grep -oP 'some avg10=\\K[0-9]+' /sys/fs/cgroup{group}/cpu.pressure"
        trial.wait("its tasks wait", lambda: int(trial.stack.run(share)) > 10)

    return before


CASES = [
    Case(
        "deny",
        "unit-not-found",
        Rule("absent", ["absent.service"], [START]),
        {},
        nothing,
    ),
    Case(
        "deny",
        "unit-masked",
        Rule("masked", ["masked.service"], [START]),
        {"masked.service": SLEEPER},
        masked("masked.service"),
    ),
    Case(
        "hold",
        "unit-busy",
        Rule("busy", ["busy.service"], [START]),
        {"busy.service": SLOW},
        being_started("busy.service"),
    ),
    Case(
        "ignore",
        "already-healthy",
        Rule(
            "well",
            ["well.service"],
            [RESTART],
            {
                "proof": '{ healthy_for = "100ms", deadline = "2s",'
                ' http = "http://127.0.0.1:9090/-/ready" }'
            },
        ),
        {"well.service": SLEEPER},
        started("well.service"),
    ),
    Case(
        "hold",
        "requirement-failed",
        Rule("needy", ["needy.service"], [START]),
        {"needy.service": NEEDY, "needed.service": SLEEPER},
        failed("needed.service", "needy.service"),
    ),
    Case(
        "escalate",
        "circuit-open",
        Rule("breaker", ["breaker.service"], [START], {"breaker": "{ failures = 1 }"}),
        {"breaker.service": BROKEN},
        repaired("breaker", "breaker.service", "ineffective"),
        ["start"],
    ),
    Case(
        "escalate",
        "flapping",
        Rule("flapping", ["flapping.service"], [START], {"flapping": "{ repairs = 1 }"}),
        {"flapping.service": SLEEPER},
        repaired("flapping", "flapping.service", "effective"),
        ["start"],
    ),
    Case(
        "hold",
        "cooldown",
        Rule("cooldown", ["cooldown.service"], [START], {"cooldown": '"1h"'}),
        {"cooldown.service": SLEEPER},
        # systemd forgets when a unit was started that is neither loaded for another nor failed.
        failed("cooldown.service"),
    ),
    Case(
        "hold",
        "backoff",
        Rule("backoff", ["backoff.service"], [START], {"backoff": '{ initial = "10m" }'}),
        {"backoff.service": BROKEN},
        repaired("backoff", "backoff.service", "ineffective"),
        ["start"],
    ),
    Case(
        "hold",
        "saturated",
        Rule("strained", ["strained.service"], [RESTART], {"saturation": '{ cpu = "5%" }'}),
        {"strained.service": STRAINED},
        strained("strained.service"),
    ),
    Case(
        "hold",
        "template-down",
        Rule("team", ["team@*.service"], [RESTART]),
        {"team@.service": SLEEPER},
        failed("team@1.service", "team@2.service"),
    ),
    Case(
        "hold",
        "healthy-min",
        Rule("crew", ["crew@*.service"], [RESTART], {"healthy_min": "2"}),
        {"crew@.service": SLEEPER},
        started("crew@1.service", "crew@2.service"),
    ),
    Case(
        "escalate",
        "rule-budget",
        Rule("spent", ["spent.service"], [START], {"budget": ONE_AN_HOUR}),
        {"spent.service": SLEEPER},
        repaired("spent", "spent.service", "effective"),
        ["start"],
    ),
    Case(
        "await-approval",
        "demoted",
        Rule(
            "masking",
            ["masking.service"],
            [START],
            {"efficacy": '{ max_ineffective = 9, max_repairs = 1, window = "1h" }'},
        ),
        {"masking.service": SLEEPER},
        repaired("masking", "masking.service", "effective"),
        ["start"],
    ),
    Case(
        "escalate",
        "approval-expired",
        Rule(
            "unanswered",
            ["unanswered.service"],
            [START],
            {"mode": '"approve"', "approval_ttl": '"1s"'},
        ),
        {"unanswered.service": SLEEPER},
        nothing,
    ),
]


@pytest.fixture(scope="module")
def trial(stack: Stack) -> Iterator[Trial]:
    """All cases in one policy; each has units of its own."""
    units = {name: text for case in CASES for name, text in case.units.items()}
    with in_force(stack, [case.rule for case in CASES], units) as trial:
        yield trial


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_guard_stands_against_acting(trial: Trial, case: Case) -> None:
    unit = case.rule.units[0].replace("*", "2")
    case.before(trial)
    before = trial.invocation(unit)
    trial.send(trial.alert(case.rule.name, unit))
    trial.wait_for_verdict(case.verdict, case.reason, unit)
    assert trial.actions(unit) == case.actions
    assert trial.invocation(unit) == before
    told = f"journalctl --output=cat REASON={case.reason} TARGET_UNIT={trial.unit(unit)}"
    assert trial.stack.run(told), "the journal does not say why"
    counted = f'alert_bot_decisions_total{{decision="{case.verdict}",reason="{case.reason}"}}'
    assert trial.metric(counted) >= 1


def test_an_action_under_way_holds_one_on_the_whole_template(stack: Stack) -> None:
    rules = [
        Rule("one", ["pool@*.service"], [RESTART], {"proof": '{ deadline = "1m" }'}),
        Rule("grow", ["pool@*.service"], ['action = "scale-up", max = 2']),
    ]
    with in_force(stack, rules, {"pool@.service": SLOW}) as trial:
        trial.send(trial.alert("one", "pool@1.service"))
        trial.wait("it is restarted", lambda: trial.actions() == ["restart"])
        trial.send(trial.alert("grow"))
        query = "select verdict, reason from decisions where rule = ?"
        held = [["hold", "in-flight"]]
        trial.wait("it is held", lambda: trial.rows(query, trial.unit("grow")) == held)
        assert trial.actions() == ["restart"]
        let_go(trial)


def let_go(trial: Trial) -> None:
    """Lets slow units be up, so that their repairs can end."""
    trial.stack.run(f"touch /run/{trial.prefix}-go")
    trial.wait("all is proven", lambda: not trial.open_incidents())


def acted(rule: str, unit: str) -> Callable[[Trial], object]:
    """Has the bot begin an action that does not end."""

    def before(trial: Trial) -> None:
        trial.send(trial.alert(rule, unit))
        trial.wait("it is acted on", lambda: trial.actions(unit) == ["start"])

    return before


FIRST = Rule("first", ["first.service"], [START], {"proof": '{ deadline = "1m" }'})
SECOND = Rule("second", ["second.service"], [START])
BOTH = {"first.service": SLEEPER, "second.service": SLEEPER}
HOST_CASES = [
    (
        {"max_in_flight": "1"},
        Case(
            "hold",
            "host-in-flight",
            SECOND,
            {**BOTH, "first.service": SLOW},
            acted("first", "first.service"),
        ),
    ),
    (
        {"unit_budget": ONE_AN_HOUR},
        Case(
            "escalate",
            "unit-budget",
            SECOND,
            BOTH,
            repaired("second", "second.service", "effective"),
            ["start"],
        ),
    ),
]


@pytest.mark.parametrize(("limit", "case"), HOST_CASES, ids=str)
def test_a_limit_of_the_whole_host_stands_over_every_rule(
    stack: Stack, limit: dict[str, str], case: Case
) -> None:
    with in_force(stack, [FIRST, SECOND], case.units, {**WIDE_HOST, **limit}) as trial:
        test_a_guard_stands_against_acting(trial, case)
        if SLOW in case.units.values():
            let_go(trial)


def test_the_hosts_budget_counts_the_actions_of_every_rule(stack: Stack) -> None:
    # Earlier tests spent from it as well, for a day.
    ((spent,),) = rows(stack, "select count(*) from attempts")
    limit = {"budget": f'{{ max_actions = {spent + 1}, window = "24h" }}'}
    before = repaired("first", "first.service", "effective")
    with in_force(stack, [FIRST, SECOND], BOTH, {**WIDE_HOST, **limit}) as trial:
        test_a_guard_stands_against_acting(
            trial, Case("hold", "host-budget", SECOND, BOTH, before)
        )
