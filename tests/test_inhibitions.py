"""One cause pages once: each inhibition of Alertmanager's, tried on the deployed one."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

import yaml
from stack import ALERTMANAGER, API_UNIT, Json, Stack

from host.processes import wait_until

CONFIGURATION = "/etc/prometheus/alertmanager.yml"
TAKEN_UP_SECONDS = 10.0

Labels = dict[str, str]


def labels(alertname: str, **others: str) -> Labels:
    return {"alertname": alertname, **others}


# What holds back and what is held back: a pair for each rule, in the configuration's order.
INHIBITIONS = (
    (labels("RemediationInProgress", unit=API_UNIT), labels("UnitOomKilled", unit=API_UNIT)),
    (
        labels("RemediationInProgress", unit="transactions-worker@2.service"),
        labels("TransactionsWorkersStalled"),
    ),
    (labels("RemediationEscalated", unit=API_UNIT), labels("RepairOverdue", unit=API_UNIT)),
    (labels("TransactionsApiDown", unit=API_UNIT), labels("TransactionsStoreDown", unit=API_UNIT)),
    (labels("UnitFailed", unit=API_UNIT), labels("UnitFlapping", unit=API_UNIT)),
    (
        labels("RepairOverdue", cause="TransactionsApiDown", unit=API_UNIT),
        labels("RepairOverdue", cause="UnitFailed", unit=API_UNIT),
    ),
    (
        labels("RepairOverdue", cause="TransactionsApiDown", unit=API_UNIT, service="transactions"),
        labels("TransactionsAvailabilityBurnFast", slo="availability", service="transactions"),
    ),
    (labels("TransactionsWorkersStalled"), labels("TransactionsBacklogHigh")),
    (labels("NodeDiskFull", mountpoint="/"), labels("NodeDiskFullSoon", mountpoint="/")),
    (labels("AlertBotDown"), labels("AlertBotWatchdogMissed")),
    (labels("RemediationIneffective"), labels("HealingIneffective")),
    (
        labels("TransactionsLatencyBurnFast", slo="latency", severity="critical"),
        labels("TransactionsLatencyBurnSlow", slo="latency", severity="warning"),
    ),
)


def test_each_inhibition_holds_back_its_alert_and_no_other(stack: Stack) -> None:
    rules = yaml.safe_load(stack.run(f"cat {CONFIGURATION}"))["inhibit_rules"]
    for (source, target), rule in zip(INHIBITIONS, rules, strict=True):
        # The bot leaves alone what is of another host, and the sink what is of a trial.
        host = {"host": f"trial{secrets.token_hex(3)}"}
        assert_holds_back(stack, source | host, target | host, rule["equal"])


def assert_holds_back(stack: Stack, source: Labels, target: Labels, equal: list[str]) -> None:
    """Only the target that shares all of `equal` with the source may be held back."""
    others = [target | {label: f"{target[label]}-other"} for label in equal]
    with firing(stack, source, target, *others):

        def is_held_back() -> bool:
            source_id = alert(stack, source).get("fingerprint")
            return source_id is not None and inhibitors(stack, target) == [source_id]

        assert wait_until(is_held_back, TAKEN_UP_SECONDS), f"{source} does not hold back {target}"
        for other in others:
            assert inhibitors(stack, other) == [], f"{source} holds back {other}"


@contextmanager
def firing(stack: Stack, *alerts: Labels) -> Iterator[None]:
    """Tells Alertmanager of these alerts, and in the end that they are over."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    post(stack, [{"labels": each, "startsAt": now} for each in alerts])
    try:
        yield
    finally:
        post(stack, [{"labels": each, "startsAt": now, "endsAt": now} for each in alerts])


def post(stack: Stack, alerts: list[Json]) -> None:
    headers = {"Content-Type": "application/json"}
    body = json.dumps(alerts).encode()
    answer = stack.request(ALERTMANAGER, "/api/v2/alerts", body=body, headers=headers)
    assert answer.status == 200, answer


def inhibitors(stack: Stack, wanted: Labels) -> list[str] | None:
    """The fingerprints of what holds an alert back; `None` where the alert does not stand."""
    standing = alert(stack, wanted)
    return standing["status"]["inhibitedBy"] if standing else None


def alert(stack: Stack, wanted: Labels) -> Json:
    """The alert of exactly these labels as Alertmanager has it, empty where it has none."""
    standing = json.loads(stack.request(ALERTMANAGER, "/api/v2/alerts").body)
    return next((each for each in standing if each["labels"] == wanted), {})
