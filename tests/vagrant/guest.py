"""What the deployed stack in the machine says of itself, asked over SSH."""

from __future__ import annotations

import calendar
import json
import time
from typing import Any

from machine import Machine, wait_until

from host.errors import StepError
from host.health import SHOW_UNITS, Health, assess

API_UNIT = "transactions-api.service"
API_HEALTHY = "curl --silent --fail --max-time 20 --output /dev/null http://127.0.0.1:8000/health"

# Thirty services start at once on one slow core.
SETTLED_SECONDS = 600.0
HEALED_SECONDS = 240.0

Incident = dict[str, Any]


def wait_until_settled(machine: Machine) -> list[str]:
    """Waits until systemd has nothing left to start and every service of the stack is active.

    # Errors
    `StepError` with the units that are not well, and their last journal lines.
    """
    services: list[Health] = []

    def settled() -> bool:
        nonlocal services
        answer = machine.ssh("systemctl is-system-running", check=False).strip()
        services = _services(machine)
        return answer == "running" and not any(map(_is_ill, services)) and _api_answers(machine)

    if wait_until(settled, SETTLED_SECONDS):
        return [f"{health.service.unit}: {health.unit_state}" for health in services]
    failed = machine.ssh(
        "systemctl --no-pager --full list-jobs; systemctl --no-pager --failed;"
        " journalctl --no-pager --priority=warning --lines=40",
        check=False,
    )
    ill = [f"{health.service.unit} is {health.unit_state}" for health in filter(_is_ill, services)]
    raise StepError(f"not settled after {SETTLED_SECONDS:.0f} s: {', '.join(ill)}\n{failed}")


def _is_ill(health: Health) -> bool:
    left_out = health.service.optional and not health.installed
    return health.unit_state != "active" and not left_out


def _services(machine: Machine) -> list[Health]:
    # Without ports: the Vagrantfile's forwards die with a reboot of the machine.
    return assess(machine.ssh(" ".join(SHOW_UNITS)), {})


def _api_answers(machine: Machine) -> bool:
    return machine.ssh(f"{API_HEALTHY} && echo yes", check=False).strip() == "yes"


def clock(machine: Machine) -> float:
    """Returns the machine's time: its journal and ledger are compared with it alone."""
    return float(machine.ssh("date +%s.%N"))


def incidents(machine: Machine, since: float = 0.0) -> list[Incident]:
    """Returns the ledger's incidents opened since then, newest first."""
    listed = json.loads(machine.ssh("alert-bot incidents --json"))
    return [entry for entry in listed if epoch(entry["opened_at"]) >= since]


def journal_of(machine: Machine, incident: str) -> list[dict[str, Any]]:
    """Returns the journal's entries of one incident, in order, over all boots."""
    lines = machine.ssh(f"journalctl --output=json INCIDENT_ID={incident}").splitlines()
    return [json.loads(line) for line in lines]


def heal(machine: Machine, command: str) -> list[str]:
    """Breaks the API with `command` and follows the repair to its closed incident.

    # Errors
    `StepError` when it is not healed, recorded and told in time.
    """
    started = clock(machine)
    machine.ssh(command)

    def healed() -> list[Incident]:
        return [
            entry
            for entry in incidents(machine, started)
            if entry["unit"] == API_UNIT and entry["attempts"] > 0 and entry["state"] == "closed"
        ]

    if not wait_until(lambda: bool(healed()) and _api_answers(machine), HEALED_SECONDS):
        raise StepError(
            f"`{command}`: not healed within {HEALED_SECONDS:.0f} s; the ledger has"
            f" {incidents(machine, started)}\n"
            + machine.ssh("journalctl --no-pager --unit=alert-bot.service --lines=40", check=False)
        )
    incident = healed()[0]
    if incident["outcome"] != "effective":
        raise StepError(f"`{command}`: the ledger says {incident['outcome']} of {incident['id']}")
    entries = journal_of(machine, incident["id"])
    return [
        command,
        *(
            f"  {int(entry['__REALTIME_TIMESTAMP']) / 1e6 - started:7.2f} s"
            f"  {entry['INCIDENT_STEP']}: {entry['MESSAGE']}"
            for entry in entries
        ),
    ]


def epoch(timestamp: str) -> float:
    """Reads an RFC 3339 time with `Z` and any number of fractional digits."""
    whole, _, fraction = timestamp.removesuffix("Z").partition(".")
    seconds = time.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    return calendar.timegm(seconds) + float(f"0.{fraction or 0}")
