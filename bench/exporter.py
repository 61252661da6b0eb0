"""What a scrape of every unit costs: this exporter beside two peers, in one run.

The cost is the CPU time of everybody who works for the scrape: the exporter,
PID 1 and the bus. All are asked for the same things, as Prometheus asks.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import deployed
from host.report import Progress
from host.settings import Host

UNITS = int(os.environ.get("BENCH_UNITS", "1000"))
# Real services, each with a process; with Debian's own units they are over 10,000. PID 1 holds two
# descriptors for each and may have 20,000 where this was measured. 0 leaves this part out.
MANY_UNITS = int(os.environ.get("BENCH_MANY_UNITS", "9955"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "4"))
SCRAPES = int(os.environ.get("BENCH_SCRAPES", "5"))
# Enough for a p99 that is not simply the worst.
OUR_SCRAPES = 200

SLICE = "bench.slice"
# journald takes no more than about 8,000 streams: without one of its own a service starts all the same.
UNIT_FILE = f"""
[Unit]
DefaultDependencies=no
[Service]
Slice={SLICE}
StandardOutput=null
StandardError=null
ExecStart=/usr/bin/sleep infinity
"""
# So many names fit on one command line.
STARTED_AT_ONCE = 500

NODE_EXPORTER = (
    "prometheus-node-exporter --collector.disable-defaults --collector.systemd"
    " --collector.systemd.enable-start-time-metrics"
    " --collector.systemd.enable-restarts-metrics"
    " --collector.systemd.enable-task-metrics"
)
SYSTEMD_EXPORTER = (
    "/opt/peer/usr/bin/prometheus-systemd-exporter --systemd.collector.enable-restart-count"
)
# A mirror may be a frozen one; the signatures are checked all the same.
UNSTABLE = "deb [check-valid-until=no] http://deb.debian.org/debian unstable main"
PREFER_STABLE = "Package: *\nPin: release a=unstable\nPin-Priority: 1\n"


@dataclass(frozen=True)
class Exporter:
    """One exporter under measurement: the service that runs it, and where it answers."""

    name: str
    unit: str
    url: str


OURS = Exporter("unit-exporter", "unit-exporter.service", "http://127.0.0.1:9558/metrics")
HEAD = f"{'':34}{'CPU ms':>9}{'ratio':>7}{'p50 ms':>9}{'p99 ms':>9}{'RSS MiB':>9}{'samples':>9}"


def main() -> None:
    """Measures all of them with the same units, and ours alone with many."""
    with deployed.bare("exporter", Progress()) as on:
        exporters = [OURS, *_peers(on)]
        _install_ours(on)
        _start_units(on, 1, UNITS)
        idle = _measure(on, exporters)
        stirred = _measure(on, [OURS], stir=SLICE)
        alone = _measure(on, [OURS], scrapes=OUR_SCRAPES)
        print(f"\n{UNITS} services; CPU of exporter, PID 1 and bus a scrape, best of {ROUNDS}")
        print(HEAD)
        ours = min(idle[OURS.name]["cpu_ms"])
        for exporter in exporters:
            print(_row(exporter.name, idle[exporter.name], ours))
        print(_row("unit-exporter, every unit has run", stirred[OURS.name], ours))
        print(_row(f"unit-exporter, {ROUNDS * OUR_SCRAPES} in a row", alone[OURS.name], ours))
        print("goals: node_exporter's ratio >= 50, p99 <= 30 ms, RSS <= 8 MiB")
        if MANY_UNITS:
            _start_units(on, UNITS + 1, MANY_UNITS)
            many = _measure(on, [OURS])
            print(_row(f"unit-exporter, {MANY_UNITS} services", many[OURS.name], ours))
            print(f"{_status(on)}; goal: p99 <= 500 ms")
        deployed.run(on, f"systemctl stop {SLICE}")


def _status(on: Host) -> str:
    """What the exporter says of itself: how many units it watches."""
    show = "systemctl show --value --property=StatusText unit-exporter.service"
    return deployed.run(on, show).strip()


def _peers(on: Host) -> list[Exporter]:
    """Starts the peers that can be had, and says which cannot."""
    deployed.install(on, "prometheus-node-exporter")
    peers = [_start_peer(on, "node_exporter", NODE_EXPORTER, 9101)]
    try:
        deployed.run(
            on,
            "mkdir -p /opt/peer; cd /opt/peer;"
            f" echo '{UNSTABLE}' > /etc/apt/sources.list.d/unstable.list;"
            f" printf '{PREFER_STABLE}' > /etc/apt/preferences.d/unstable;"
            " apt-get update -qq && apt-get download -qq prometheus-systemd-exporter/unstable"
            " && dpkg-deb --extract *.deb .",
        )
        peers.append(_start_peer(on, "systemd_exporter", SYSTEMD_EXPORTER, 9102))
    except RuntimeError as error:
        print(f"\nsystemd_exporter is left out, Debian unstable's package cannot be had:\n{error}")
    return peers


def _start_peer(on: Host, name: str, command: str, port: int) -> Exporter:
    unit = f"peer-{name}.service"
    address = f"127.0.0.1:{port}"
    deployed.run(on, f"systemd-run --quiet --unit={unit} {command} --web.listen-address={address}")
    deployed.run(on, f"curl -fsS --retry 30 --retry-connrefused -o /dev/null http://{address}/")
    return Exporter(name, unit, f"http://{address}/metrics")


def _install_ours(on: Host) -> None:
    deployed.install_daemon(on, "unit-exporter")
    deployed.run(on, "systemctl start unit-exporter.socket unit-exporter.service")
    script = Path(__file__).with_name("scrapes.py").read_text(encoding="utf-8")
    deployed.run(on, "cat > /run/scrapes.py", stdin=script)
    deployed.run(on, "cat > /run/systemd/system/bench-sleep@.service", stdin=UNIT_FILE)
    deployed.run(on, "systemctl daemon-reload")


def _start_units(on: Host, first: int, last: int) -> None:
    with Progress().step(f"services up to {last}") as on_line:
        for start in range(first, last + 1, STARTED_AT_ONCE):
            end = min(start + STARTED_AT_ONCE - 1, last)
            deployed.run(on, f"systemctl start bench-sleep@{{{start}..{end}}}.service")
            on_line(f"{end}")


def _measure(
    on: Host, exporters: list[Exporter], *, scrapes: int = SCRAPES, stir: str | None = None
) -> dict[str, Any]:
    order = {
        "exporters": {each.name: {"unit": each.unit, "url": each.url} for each in exporters},
        "rounds": ROUNDS,
        "scrapes": scrapes,
        "stir": stir,
    }
    found: dict[str, Any] = json.loads(
        deployed.run(on, "python3 /run/scrapes.py", stdin=json.dumps(order))
    )
    return found


def _row(title: str, found: dict[str, Any], ours_ms: float) -> str:
    ordered = sorted(found["seconds"])
    cpu = min(found["cpu_ms"])

    def quantile_ms(share: float) -> float:
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return (
        f"{title:34}{cpu:9.1f}{cpu / ours_ms:7.1f}{quantile_ms(0.5):9.1f}{quantile_ms(0.99):9.1f}"
        f"{found['rss_kib'] / 1024:9.1f}{found['samples']:9}"
    )
