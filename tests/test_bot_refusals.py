"""What the bot never does, whatever an alert or a policy says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from stack import BOT, Stack
from trial import DROP_IN, SLEEPER, Rule, Trial, in_force, write

RESTART = 'action = "restart"'
RULES = [
    Rule("web", ["web.service"], [RESTART]),
    Rule("pool", ["pool@*.service"], [RESTART]),
    Rule("two", ["web.service", "other.service"], [RESTART]),
    Rule("none", [], [RESTART]),
]
UNITS = {"web.service": SLEEPER, "other.service": SLEEPER, "pool@.service": SLEEPER}

# Units that a host cannot do without, and that no alert may name with any effect.
VITAL = (
    "alert-bot.service",
    "alert-bot.socket",
    "dbus.service",
    "dbus.socket",
    "polkit.service",
    "systemd-journald.service",
    "systemd-logind.service",
    "init.scope",
    "-.mount",
    "multi-user.target",
)
# Labels that would be more than a name if a command were ever built from one.
INJECTED = (
    "*",
    "*.service",
    "PREFIX-*.service",
    "../PREFIX-web.service",
    "/etc/systemd/system/PREFIX-web.service",
    "PREFIX-web.service\n",
    "PREFIX-web.service\nPREFIX-other.service",
    "PREFIX-web.service\0.service",
    "PREFIX-web.service PREFIX-other.service",
    "PREFIX-web.service; reboot",
    "$(reboot).service",
    "`reboot`.service",
    "--force.service",
    "%n",
    "PREFIX-%p.service",
    "PREFIX-pool@.service",
    "PREFIX-pool@%i.service",
    "PREFIX-pool@../web.service",
    "PREFIX-pool@1.service\n",
    "PREFIX-web.service\u202e",
    "PREFIX-we\u0430b.service",
    "a" * 300 + ".service",
    "'\"\\{}\n# HELP evil evil\nevil 1",
)


@pytest.fixture(scope="module")
def trial(stack: Stack) -> Iterator[Trial]:
    with in_force(stack, RULES, UNITS) as trial:
        trial.systemctl("start", "web.service", "other.service", "pool@1.service")
        yield trial


@pytest.fixture(autouse=True)
def nothing_happens(trial: Trial) -> Iterator[None]:
    """Whatever a test of this file sends, no unit is touched."""
    own = [trial.unit(name) for name in ("web.service", "other.service", "pool@1.service")]
    show = f"systemctl show --property=InvocationID -- {' '.join([*own, *VITAL])}"
    before = trial.stack.run(show)
    yield
    assert trial.stack.run(show) == before
    assert trial.actions() == []


def endings(
    trial: Trial, *sent: tuple[str, dict[str, str]], truncated: int = 0
) -> list[str]:
    """Sends an alert of a rule for each set of labels; returns why each was refused."""
    alerts = [trial.alert(rule) for rule, _ in sent]
    for alert, (_, labels) in zip(alerts, sent, strict=True):
        alert["labels"] |= labels
    trial.send(*alerts, truncated=truncated)
    order = [alert["fingerprint"] for alert in alerts]
    query = (
        "select fingerprint, reason from alerts"
        " where disposition is not null and fingerprint in (select value from json_each(?))"
    )

    def settled() -> dict[str, str]:
        return dict(map(tuple, trial.rows(query, json.dumps(order))))

    trial.wait("all are settled", lambda: len(settled()) == len(order))
    reasons = settled()
    return [reasons[fingerprint] for fingerprint in order]


def test_vital_units_are_never_acted_on(trial: Trial) -> None:
    named = [(rule, {"unit": unit}) for rule in ("web", "pool", "two") for unit in VITAL]
    assert set(endings(trial, *named)) == {"unit-not-allowed"}


def test_no_name_is_ever_built_from_a_label(trial: Trial) -> None:
    texts = [text.replace("PREFIX", trial.prefix) for text in INJECTED]
    found = endings(trial, *((rule, {"unit": text}) for rule in ("web", "pool") for text in texts))
    assert set(found) == {"unit-not-allowed"}
    hostile = {"alertname": f"{trial.prefix}-web\n}} evil 1", "host": "", "severity": "\0\n\"'"}
    assert endings(trial, ("web", hostile)) == ["no-rule"]
    metrics = trial.stack.request(BOT, "/metrics").body
    trial.stack.run("promtool check metrics", stdin=metrics)
    assert "evil" not in metrics


def test_what_selects_nothing_touches_nothing(trial: Trial) -> None:
    web = trial.unit("web.service")
    assert endings(
        trial,
        ("none", {}),
        ("none", {"unit": web}),
        ("none", {"unit": ""}),
        ("two", {}),
        ("two", {"unit": ""}),
        ("pool", {}),
        ("web", {"unit": web, "host": "another-host"}),
        ("stranger", {"unit": web}),
    ) == [
        "no-target",
        "unit-not-allowed",
        "no-target",
        "no-target",
        "no-target",
        "no-target",
        "other-host",
        "no-rule",
    ]


def test_a_webhook_that_was_cut_short_is_recorded_and_not_acted_on(trial: Trial) -> None:
    web = {"unit": trial.unit("web.service")}
    assert endings(trial, ("web", web), truncated=7) == ["truncated"]


# Each with what `systemctl reload` has to name.
BAD_POLICIES = {
    "unknown key": ('colour = "red"', "colour"),
    "no selector": ("match = []", "match"),
    "a selector that an absent label fits": ("match = ['unit=~\".*\"']", "match"),
    "every service": ('units = ["*.service"]', "units"),
    "every unit": ('units = ["*"]', "units"),
    "the bot itself": ('units = ["alert-bot.service"]', "alert-bot.service"),
    "the bus": ('units = ["dbus.service"]', "dbus.service"),
    "the journal": ('units = ["systemd-journald.service"]', "systemd-journald.service"),
    "a command": ('ladder = [{ action = "run", command = "reboot" }]', "action"),
    "a runbook that stops the bot": (
        'ladder = [{ action = "runbook", unit = "alert-bot.service" }]',
        "alert-bot.service",
    ),
    "no TOML": ("[[[", DROP_IN),
}


def hash_in_force(trial: Trial) -> str:
    """Returns which policy the bot says that it has."""
    return re.findall(r'"policy":"[0-9a-f]+"', trial.stack.request(BOT, "/health").body)[0]


@pytest.mark.parametrize("mistake", BAD_POLICIES)
def test_a_bad_policy_fails_the_reload_and_the_old_one_stays(trial: Trial, mistake: str) -> None:
    line, named = BAD_POLICIES[mistake]
    key = line.partition(" ")[0]
    good = trial.stack.run(f"cat {DROP_IN}")
    rule = {
        "name": '"bad"',
        "match": "['alertname=\"Bad\"']",
        "units": '["bad.service"]',
        "ladder": '[{ action = "restart" }]',
    }
    rule[key] = line.partition(" = ")[2]
    text = "\n".join(f"{name} = {value}" if value else name for name, value in rule.items())
    before = hash_in_force(trial)
    write(trial.stack, {DROP_IN: f"{good}\n[[rule]]\n{text}\n"})
    try:
        said = trial.stack.run("systemctl reload alert-bot.service && echo reloaded", check=False)
        assert "reloaded" not in said
        assert trial.metric("alert_bot_policy_reload_success") == 0
        told = trial.stack.run(
            "journalctl --output=cat --lines=1 MESSAGE_ID=d270a66c814f44bfa7eac8fe8e7c3aa8"
        )
        assert named in told and DROP_IN in told
        status = trial.stack.run("systemctl show --property=StatusText alert-bot.service")
        assert "the old one stays in force" in status
        assert hash_in_force(trial) == before
    finally:
        write(trial.stack, {DROP_IN: good})
        trial.stack.run("systemctl reload alert-bot.service")
    assert trial.metric("alert_bot_policy_reload_success") == 1
    assert hash_in_force(trial) == before
