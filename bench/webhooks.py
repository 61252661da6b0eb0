"""Durable webhooks a second, beside what Alertmanager can emit; memory after the storm."""

from __future__ import annotations

import json
import os
import re
import time

from bench import deployed
from host.processes import wait_until
from host.settings import Host

ALERTS = int(os.environ.get("BENCH_ALERTS", "5000"))
LOAD_SECONDS = 10
DELIVERED_SECONDS = 120.0

# Each request carries an alert that was never seen before.
LUA = """
local thread_number = 0
function setup(thread) thread:set("number", thread_number); thread_number = thread_number + 1 end
function init() sent = 0 end
function request()
  sent = sent + 1
  local id = string.format("%04x%012x", number, sent)
  local body = '{"version":"4","groupKey":"g","status":"firing","receiver":"r","groupLabels":{},'
    .. '"commonLabels":{},"commonAnnotations":{},"externalURL":"","truncatedAlerts":0,"alerts":['
    .. '{"status":"firing","fingerprint":"' .. id .. '","labels":{"alertname":"Bench","n":"' .. id
    .. '"},"annotations":{},"startsAt":"2026-01-01T00:00:00Z","endsAt":"0001-01-01T00:00:00Z",'
    .. '"generatorURL":""}]}'
  return wrk.format("POST", "/alert", {["Authorization"]="Bearer TOKEN"}, body)
end
"""


def main() -> None:
    """Measures both rates and prints them with their ratio."""
    with deployed.host("webhooks") as on:
        deployed.install(on, "wrk")
        idle = _resident_mib(on)
        emitted = _alertmanager_rate(on)
        accepted = _direct_rate(on)
        after = _resident_mib(on)
    print(f"\nAlertmanager, {ALERTS} alerts in groups of one   {emitted:8.0f} webhooks/s")
    print(f"alert-bot, durable, 16 connections          {accepted:8.0f} webhooks/s")
    print(f"ratio                                       {accepted / emitted:8.1f}  goal >= 2")
    print(f"memory of the bot, idle                     {idle:8.1f} MiB")
    print(f"memory of the bot, after the storm          {after:8.1f} MiB  goal <= 8")


def _alertmanager_rate(on: Host) -> float:
    alerts = [
        {"labels": {"alertname": "Storm", "unit": f"storm-{n}.service", "severity": "info"}}
        for n in range(ALERTS)
    ]
    began = time.monotonic()
    before = _webhooks(on)
    deployed.run(
        on,
        "curl -fsS -H 'content-type: application/json' --data-binary @- "
        "http://127.0.0.1:9093/api/v2/alerts",
        stdin=json.dumps(alerts),
    )
    if not wait_until(lambda: _webhooks(on) - before >= ALERTS, DELIVERED_SECONDS):
        raise RuntimeError(f"{_webhooks(on) - before:.0f} of {ALERTS} webhooks arrived")
    return ALERTS / (time.monotonic() - began)


def _direct_rate(on: Host) -> float:
    token = deployed.run(on, "cat /etc/alert-bot/credentials/webhook-token").strip()
    deployed.run(on, "umask 077; cat > /run/storm.lua", stdin=LUA.replace("TOKEN", token))
    before = _webhooks(on)
    report = deployed.run(
        on, f"wrk -t1 -c16 -d{LOAD_SECONDS}s -s /run/storm.lua http://127.0.0.1:5001/alert"
    )
    if "Non-2xx" in report:
        raise RuntimeError(report)
    seconds = float(re.search(r"requests in ([\d.]+)s", report)[1])
    return (_webhooks(on) - before) / seconds


def _webhooks(on: Host) -> float:
    """Returns how many webhooks were taken. Alerts may come by Alertmanager's list as well."""
    metrics = deployed.run(on, "curl -fsS http://127.0.0.1:5001/metrics")
    name = 'alert_bot_webhook_requests_total{code="200"} '
    counts = [line.removeprefix(name) for line in metrics.splitlines() if line.startswith(name)]
    return sum(map(float, counts))


def _resident_mib(on: Host) -> float:
    status = deployed.run(on, "cat /proc/$(systemctl show --value -p MainPID alert-bot)/status")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024
