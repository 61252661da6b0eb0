"""Webhooks as Alertmanager sends them."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

Alert = dict[str, Any]


def alert(
    name: str, *, status: str = "firing", fingerprint: str | None = None, **labels: str
) -> Alert:
    """Returns one alert that has just begun, with a fingerprint of its own unless given one."""
    return {
        "status": status,
        "labels": {"alertname": name, **labels},
        "annotations": {},
        "startsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": fingerprint or secrets.token_hex(8),
    }


def resolved(firing: Alert) -> Alert:
    """Returns the alert that says that `firing` is over."""
    return {**firing, "status": "resolved"}


def webhook(*alerts: Alert, truncated: int = 0) -> bytes:
    """Returns the body of a webhook with these alerts in one group."""
    message = {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": truncated,
        "status": "firing",
        "receiver": "alert-bot",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://localhost:9093",
        "alerts": alerts,
    }
    return json.dumps(message).encode()
