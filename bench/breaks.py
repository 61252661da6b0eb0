"""Runs inside the host: breaks the API again and again, and times the way back.

Standard input: a JSON object {"command": …, "count": …}, where the command may
be the name of a signal. Standard output: one line of JSON with the seconds from
each break to the first /health 200 that a new process gave.
"""

import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request

UNIT = "transactions-api.service"
ADDRESS = ("127.0.0.1", 8000)
REQUEST = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
ANSWER_SECONDS = 0.1
POLL_SECONDS = 0.002
HEALED_SECONDS = 60.0
# Alerts are gone, cool-downs and start limits have passed.
REST_SECONDS = 3.0


def main() -> None:
    order = json.load(sys.stdin)
    print(json.dumps([one_break(order["command"]) for _ in range(order["count"])]))


def one_break(command: str) -> float:
    rest()
    # Scrapes come once a second: break at every phase of it alike.
    time.sleep(random.random())
    broken_pid = show("MainPID")
    # The kernel's own list of the unit's processes: asking systemd takes longer than a repair may.
    processes = pathlib.Path(f"/sys/fs/cgroup{show('ControlGroup')}/cgroup.procs")
    began = time.monotonic()
    if command.startswith("SIG"):
        os.kill(int(broken_pid), signal.Signals[command])
    else:
        subprocess.run(command, shell=True, check=True)
    while time.monotonic() - began < HEALED_SECONDS:
        if broken_pid not in listed(processes) and answers():
            return time.monotonic() - began
        time.sleep(POLL_SECONDS)
    raise SystemExit(f"not healthy {HEALED_SECONDS:.0f} s after `{command}`")


def rest() -> None:
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < REST_SECONDS:
        if not answers() or alerts():
            quiet_since = time.monotonic()
        time.sleep(0.1)


def answers() -> bool:
    try:
        with socket.create_connection(ADDRESS, ANSWER_SECONDS) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.sendall(REQUEST)
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def alerts() -> set[str]:
    """Returns the workload's alerts that are pending or firing."""
    with urllib.request.urlopen("http://127.0.0.1:9090/api/v1/alerts") as answer:
        found = json.load(answer)["data"]["alerts"]
    return {alert["labels"].get("unit") for alert in found} & {UNIT}


def listed(processes: pathlib.Path) -> list[str]:
    try:
        return processes.read_text().split()
    except OSError:
        # No process, no group.
        return []


def show(name: str) -> str:
    ask = ["systemctl", "show", "--value", f"--property={name}", UNIT]
    return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()


main()
