"""Runs inside the host: has units come and go as fast as PID 1 can, and scrapes all the while.

Standard input: a JSON object {"seconds": …, "units": …}: for how long, and how
many at once. Standard output: one line of JSON: how many ran, in how many
seconds, how many scrapes there were, and what was wrong with any of them.
"""

import json
import subprocess
import sys
import threading
import time
import urllib.request

METRICS = "http://127.0.0.1:9558/metrics"
PATTERN = "stack-storm@{}.service"
FILE = "/run/systemd/system/stack-storm@.service"
UNIT = """
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/usr/bin/true
"""
SCRAPE_SECONDS = 10.0


class Storm(threading.Thread):
    """Starts units, waits until the last of them has ended, starts others."""

    def __init__(self, seconds: float, units: int) -> None:
        super().__init__()
        self.seconds, self.units, self.ran = seconds, units, 0

    def run(self) -> None:
        began = time.monotonic()
        while time.monotonic() - began < self.seconds:
            names = [PATTERN.format(self.ran + number) for number in range(self.units)]
            subprocess.run(["systemctl", "start", *names], check=True)
            self.ran += self.units
        self.seconds = time.monotonic() - began


def main() -> None:
    order = json.load(sys.stdin)
    with open(FILE, "w", encoding="ascii") as file:
        file.write(UNIT)
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    storm = Storm(order["seconds"], order["units"])
    storm.start()
    scrapes, wrong, last = 0, [], {}
    while storm.is_alive():
        scrapes += 1
        try:
            now = scrape()
        except OSError as error:
            wrong.append(f"scrape {scrapes}: {error}")
            continue
        wrong += [f"failed: {name}" for name, value in now.items() if is_failure(name, value)]
        wrong += [
            f"{name} fell from {last[name]} to {value}"
            for name, value in now.items()
            if is_counter(name) and value < last.get(name, 0)
        ]
        last = now
    storm.join()
    told = {"ran": storm.ran, "seconds": storm.seconds, "scrapes": scrapes, "wrong": wrong}
    print(json.dumps(told))


def scrape() -> dict[str, float]:
    with urllib.request.urlopen(METRICS, timeout=SCRAPE_SECONDS) as answer:
        lines = answer.read().decode().splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


def is_failure(name: str, value: float) -> bool:
    return name.startswith("unit_exporter_collector_success{") and value == 0


def is_counter(name: str) -> bool:
    """Of units that last: the storm's own begin at nothing each time."""
    return name.split("{")[0].endswith("_total") and "stack-storm@" not in name


main()
