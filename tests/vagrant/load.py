"""Clients that remember what they were promised: what must be there after a power cut."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass, field

API_CLIENTS = 4
# Against a machine that is gone a client gives up after this.
HTTP_SECONDS = 30.0
# The bot takes an alert every so often; the API's clients never pause.
ALERT_INTERVAL_SECONDS = 0.5


@dataclass
class Acknowledged:
    """What the machine said it has: amounts by transaction id, and alerts' fingerprints."""

    transactions: dict[str, str] = field(default_factory=dict)
    alerts: list[str] = field(default_factory=list)


class Load:
    """Posts transactions and alerts until the machine is gone or `stop` is called."""

    def __init__(self, api_port: int, bot_port: int, token: str) -> None:
        self.acknowledged = Acknowledged()
        self._api_port = api_port
        self._bot_port = bot_port
        self._token = token
        self._over = threading.Event()
        self._clients = [
            *(
                threading.Thread(target=self._post_transactions, args=(n,))
                for n in range(API_CLIENTS)
            ),
            threading.Thread(target=self._post_alerts),
        ]

    def start(self) -> None:
        for client in self._clients:
            client.start()

    def stop(self) -> None:
        """Ends the clients; nothing is acknowledged after that."""
        self._over.set()
        for client in self._clients:
            client.join()

    def count(self) -> tuple[int, int]:
        """Returns how many transactions and alerts were acknowledged so far."""
        return len(self.acknowledged.transactions), len(self.acknowledged.alerts)

    def _post_transactions(self, client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._api_port, timeout=HTTP_SECONDS)
        cents = client
        while not self._over.is_set():
            cents += API_CLIENTS
            amount = f"{cents // 100 + 1}.{cents % 100:02}"
            answer = _post(connection, "/transactions", {"amount": amount, "currency": "EUR"})
            if answer is not None and answer[0] == 201:
                self.acknowledged.transactions[json.loads(answer[1])["id"]] = amount

    def _post_alerts(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._bot_port, timeout=HTTP_SECONDS)
        authorization = {"Authorization": f"Bearer {self._token}"}
        number = 0
        while not self._over.wait(ALERT_INTERVAL_SECONDS):
            number += 1
            fingerprint = f"{number:016x}"
            answer = _post(connection, "/alert", _webhook(fingerprint), authorization)
            if answer is not None and 200 <= answer[0] < 300:
                self.acknowledged.alerts.append(fingerprint)


def _post(
    connection: http.client.HTTPConnection,
    path: str,
    body: object,
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes] | None:
    """Returns status and body, or None where the machine did not answer whole."""
    try:
        every = {"Content-Type": "application/json", **(headers or {})}
        connection.request("POST", path, json.dumps(body), every)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        # The machine may be gone; its refusals must not become a busy loop.
        time.sleep(0.1)
        return None


def _webhook(fingerprint: str) -> dict[str, object]:
    """Returns Alertmanager's message for an alert that no rule of the policy selects."""
    labels = {"alertname": "PowerCutTest", "severity": "info", "number": fingerprint}
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {},
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": fingerprint,
    }
    return {
        "version": "4",
        "groupKey": '{}:{alertname="PowerCutTest"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "alert-bot",
        "groupLabels": {"alertname": "PowerCutTest"},
        "commonLabels": labels,
        "commonAnnotations": {},
        "externalURL": "http://localhost:9093",
        "alerts": [alert],
    }
