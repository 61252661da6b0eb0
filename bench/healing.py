"""From a break to the first /health 200: this stack, Monit, and systemd alone, in one run."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import deployed
from host.settings import Host

COUNT = int(os.environ.get("BENCH_BREAKS", "30"))

UNIT = "transactions-api.service"
POLICY = "/etc/alert-bot/policy.d/transactions.toml"
KILL = "SIGKILL"
NO_RESTART = "[Service]\nRestart=no\n"
# The unit as it is deployed: no repair of this unit can be faster.
AT_ONCE = "[Service]\nRestart=on-failure\nRestartSec=0\n"
SYSTEMD_DEFAULT = "[Service]\nRestart=always\nRestartSec=100ms\n"
# The bot stays out of the way for the rest of the run, so peers come last.
PAUSE = "alert-bot pause --for 2h --why 'a peer is measured'"

MONITRC = f"""
set daemon 1
set log syslog
set pidfile /run/monit.pid
set idfile /run/monit.id
set statefile /run/monit.state
check host api with address 127.0.0.1
    start program = "/usr/bin/systemctl restart {UNIT}"
    if failed port 8000 protocol http request "/health" with timeout 1 second then start
"""


@dataclass(frozen=True)
class Case:
    """One way to break the API and one way to heal it."""

    name: str
    command: str
    drop_in: str
    prepare: Callable[[Host], None]
    goal: str


def _as_deployed(_on: Host) -> None:
    """The bot is at work from the start."""


def _systemd_alone(on: Host) -> None:
    deployed.run(on, PAUSE)


def _monit_too(on: Host) -> None:
    """Monit instead of systemd; the bot is paused already."""
    deployed.install(on, "monit")
    deployed.run(on, "cat > /run/monitrc && chmod 600 /run/monitrc", stdin=MONITRC)
    deployed.run(on, "systemd-run --quiet --unit=bench-monit monit -I -c /run/monitrc")


CASES = (
    Case("failed, over D-Bus", KILL, NO_RESTART, _as_deployed, "p95 <= 0.060"),
    Case("stopped, by alert", f"systemctl stop {UNIT}", NO_RESTART, _as_deployed, "p50 <= 2.5"),
    Case("frozen, by alert", "SIGSTOP", NO_RESTART, _as_deployed, "p50 <= 3.0"),
    Case("killed, Restart= at once", KILL, AT_ONCE, _systemd_alone, ""),
    Case("killed, Restart= at its default", KILL, SYSTEMD_DEFAULT, _systemd_alone, ""),
    Case("killed, Monit at 1 s", KILL, NO_RESTART, _monit_too, ""),
)


def main() -> None:
    """Measures every case and prints a table."""
    rows = []
    with deployed.host("healing") as on:
        for case in CASES:
            case.prepare(on)
            _drop_in(on, case.drop_in)
            seconds = _measure(on, case.command)
            rows.append(_row(case, seconds))
            print(rows[-1], flush=True)
        healthy_for = _healthy_for(on)
    print(f"\nseconds from the break to the first /health 200, {COUNT} breaks each")
    print(f"{'':34}{'p50':>8}{'p95':>8}{'max':>8}  goal")
    print("\n".join(rows))
    print(f"apart from that: the bot proves a repair for healthy_for = {healthy_for} more")


def _healthy_for(on: Host) -> str:
    """How long the API stays healthy before the bot counts it as repaired."""
    rules = tomllib.loads(deployed.run(on, f"cat {POLICY}"))["rule"]
    rule = next(rule for rule in rules if UNIT in rule["units"])
    return str(rule["proof"]["healthy_for"])


def _measure(on: Host, command: str) -> list[float]:
    script = Path(__file__).with_name("breaks.py").read_text(encoding="utf-8")
    deployed.run(on, "cat > /run/breaks.py", stdin=script)
    order = json.dumps({"command": command, "count": COUNT})
    seconds: list[float] = json.loads(deployed.run(on, "python3 /run/breaks.py", stdin=order))
    return sorted(seconds)


def _drop_in(on: Host, text: str) -> None:
    folder = f"/run/systemd/system/{UNIT}.d"
    deployed.run(on, f"mkdir -p {folder}; cat > {folder}/zz-bench.conf", stdin=text)
    deployed.run(on, f"systemctl daemon-reload; systemctl restart {UNIT}")


def _row(case: Case, ordered: list[float]) -> str:
    def quantile(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return f"{case.name:34}{quantile(0.5):8.3f}{quantile(0.95):8.3f}{ordered[-1]:8.3f}  {case.goal}"
