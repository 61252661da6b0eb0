"""A deployed stack as the tests see it: its HTTP interfaces, its journal, its ledger.

Everything is asked of the real parts; nothing here knows how they work.
"""

from __future__ import annotations

import calendar
import json
import shlex
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from host import guest, health, inventory, network
from host.processes import wait_until
from host.settings import FORWARD_ADDRESS, Host

API, BOT, PROMETHEUS, ALERTMANAGER = 8000, 5001, 9090, 9093
API_UNIT = "transactions-api.service"
BOT_UNITS = ("alert-bot.service", "alert-bot.socket", "alert-bot-control.socket")

HTTP_SECONDS = 5.0
# A frozen process takes a connection and never answers; healthy ones need milliseconds.
HEALTH_SECONDS = 0.5
COMMAND_SECONDS = 120.0
# From a repair to the last alert gone: the longest thing a test waits for.
QUIET_SECONDS = 90.0

Json = Any


@dataclass(frozen=True)
class Answer:
    """An HTTP status, 0 for no answer at all, and the body."""

    status: int
    body: str


@dataclass(frozen=True)
class Sample:
    """An alert's state at one evaluation, as Prometheus stored it."""

    at: float
    state: str


class Stack:
    """One host with everything deployed to it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._outer = {inner: outer for outer, inner in network.forwarded(host).items()}

    def run(self, command: str, *, check: bool = True, stdin: str = "") -> str:
        """Runs a shell command as root inside and returns its output."""
        result = guest.run(self.host, ["bash", "-c", command], stdin=stdin, timeout=COMMAND_SECONDS)
        if check and result.returncode != 0:
            raise AssertionError(
                f"`{command}` ended with {result.returncode}:\n{result.stdout}{result.stderr}"
            )
        return result.stdout

    def outer_port(self, port: int) -> int:
        """Returns the port of this machine that leads to the host's."""
        return self._outer[port]

    def request(
        self,
        port: int,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = HTTP_SECONDS,
    ) -> Answer:
        """Sends one request from outside the host; POST when there is a body."""
        service = next(it for it in inventory.services_of(self.host) if it.port == port)
        url = f"{service.scheme}://{FORWARD_ADDRESS}:{self.outer_port(port)}{path}"
        request = urllib.request.Request(url, data=body, headers=dict(headers or {}))
        trust = health.trust_in(service)
        try:
            with urllib.request.urlopen(request, timeout=seconds, context=trust) as response:
                return Answer(response.status, response.read().decode())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read().decode())
        except OSError:
            return Answer(0, "")

    def api_is_healthy(self) -> bool:
        return self.request(API, "/health", seconds=HEALTH_SECONDS).status == 200

    def unit_state(self, unit: str) -> str:
        return self.run(f"systemctl is-active {shlex.quote(unit)}", check=False).strip()

    # Prometheus

    def query(self, expression: str) -> list[Json]:
        """Returns the result of an instant query; empty when Prometheus does not answer."""
        query = urllib.parse.urlencode({"query": expression})
        answer = self.request(PROMETHEUS, f"/api/v1/query?{query}")
        return json.loads(answer.body)["data"]["result"] if answer.status == 200 else []

    def metric(self, expression: str) -> float:
        """Returns the sum of an instant query's values, 0 when there are none."""
        return sum(float(series["value"][1]) for series in self.query(expression))

    def alert_history(self, alertname: str, since: float) -> list[Sample]:
        """Returns the states of an alert at each evaluation since then, oldest first."""
        seconds = int(time.time() - since) + 1
        series = self.query(f'ALERTS{{alertname="{alertname}"}}[{seconds}s]')
        samples = [
            Sample(float(at), entry["metric"]["alertstate"])
            for entry in series
            for at, _ in entry["values"]
            if float(at) >= since
        ]
        return sorted(samples, key=lambda sample: sample.at)

    def alerts_now(self) -> set[str]:
        """Returns the names of the alerts about the workload or the healing, pending or firing.

        Alerts about the machine, which a test run may well keep busy, are left out.
        """
        answer = self.request(PROMETHEUS, "/api/v1/alerts")
        alerts = [alert["labels"] for alert in json.loads(answer.body)["data"]["alerts"]]
        return {
            labels["alertname"]
            for labels in alerts
            if labels["alertname"].startswith("Remediation")
            or labels.get("service") == "transactions"
            or labels.get("unit", "").startswith("transactions-")
        }

    # The bot

    def token(self) -> str:
        return self.run("cat /etc/alert-bot/credentials/webhook-token").strip()

    def send_alert(self, body: bytes, token: str) -> Answer:
        """Posts a webhook to the bot."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return self.request(BOT, "/alert", body=body, headers=headers)

    def incidents(self, since: float) -> list[Json]:
        """Returns the ledger's incidents that were opened since then, newest first."""
        listed = json.loads(self.run("alert-bot incidents --json"))
        return [entry for entry in listed if _epoch(entry["opened_at"]) >= since]

    def incident_journal(self, incident: str) -> list[Json]:
        """Returns the journal's entries of one incident, in order."""
        output = self.run(f"journalctl --output=json INCIDENT_ID={shlex.quote(incident)}")
        return [json.loads(line) for line in output.splitlines()]

    def journal(self, unit: str, lines: int = 40) -> str:
        return self.run(f"journalctl --no-pager --lines={lines} --unit={unit}", check=False)

    # Rest

    def is_quiet(self) -> bool:
        """Says whether nothing is broken, alerting or being repaired."""
        return (
            self.api_is_healthy()
            and not self.alerts_now()
            and self.metric("alert_bot_incidents_open") == 0
        )

    def wait_until_quiet(self) -> None:
        assert wait_until(self.is_quiet, QUIET_SECONDS), f"still alerting: {self.alerts_now()}"


def _epoch(timestamp: str) -> float:
    """Reads an RFC 3339 time with `Z` and any number of fractional digits."""
    whole, _, fraction = timestamp.removesuffix("Z").partition(".")
    seconds = time.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    return calendar.timegm(seconds) + float(f"0.{fraction or 0}")
