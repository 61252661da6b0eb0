"""Runs inside the host: scrapes exporters in turns, and counts what each scrape costs all of it.

Standard input: a JSON object {"exporters": {NAME: {"unit": …, "url": …}}, "rounds": …,
"scrapes": …, "stir": SLICE or null}. Standard output: one line of JSON with,
for each exporter, the CPU milliseconds of a scrape in each round (its own,
PID 1's and the bus's), the seconds of every scrape, its resident and peak
memory in KiB, and the size of its answer. With "stir" each process of the slice
runs for a moment before each scrape, which costs nobody's account.
"""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

# Who works for a scrape beside the exporter itself: PID 1, and the bus between them.
HELPERS = ("init.scope", "system.slice/dbus.service")
CGROUPS = "/sys/fs/cgroup"
PATIENCE_SECONDS = 120.0
# PID 1 looks at every process that stops; a pause in which it did nothing ends the wait.
PAUSE_SECONDS = 0.1
MOST_PAUSES = 50


def main() -> None:
    order = json.load(sys.stdin)
    exporters = order["exporters"]
    results = {name: {"cpu_ms": [], "seconds": []} for name in exporters}
    for exporter in exporters.values():
        scrape(exporter["url"])
    for _ in range(order["rounds"]):
        for name, exporter in exporters.items():
            measure(exporter, order, results[name])
    for name, exporter in exporters.items():
        results[name].update(memory(exporter["unit"]))
        results[name].update(size(exporter["url"]))
    print(json.dumps(results))


def measure(exporter: dict[str, str], order: dict, result: dict[str, list[float]]) -> None:
    group = show(exporter["unit"], "ControlGroup").lstrip("/")
    used = 0.0
    for _ in range(order["scrapes"]):
        if order["stir"]:
            stir(order["stir"])
        before, began = usage_ms(group), time.monotonic()
        scrape(exporter["url"])
        result["seconds"].append(time.monotonic() - began)
        used += usage_ms(group) - before
    result["cpu_ms"].append(used / order["scrapes"])


def stir(slice_name: str) -> None:
    """Has every process of the slice run: to stop, and to go on."""
    for folder, _, files in os.walk(f"{CGROUPS}/{slice_name}"):
        if "cgroup.procs" in files:
            with open(f"{folder}/cgroup.procs", encoding="ascii") as file:
                for pid in map(int, file):
                    os.kill(pid, signal.SIGSTOP)
                    os.kill(pid, signal.SIGCONT)
    busy = -1
    for _ in range(MOST_PAUSES):
        if busy == (now := cpu_usec(HELPERS[0])):
            return
        busy = now
        time.sleep(PAUSE_SECONDS)


def scrape(url: str) -> bytes:
    """Asks as Prometheus does, and returns the answer as it came."""
    headers = {"Accept-Encoding": "gzip", "X-Prometheus-Scrape-Timeout-Seconds": "60"}
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        return answer.read()


def usage_ms(group: str) -> float:
    return sum(cpu_usec(each) for each in (group, *HELPERS)) / 1000


def cpu_usec(group: str) -> int:
    with open(f"{CGROUPS}/{group}/cpu.stat", encoding="ascii") as file:
        return int(file.readline().removeprefix("usage_usec "))


def memory(unit: str) -> dict[str, int]:
    with open(f"/proc/{show(unit, 'MainPID')}/status", encoding="utf-8") as file:
        fields = dict(line.split(":", 1) for line in file)
    names = {"rss_kib": "VmRSS", "peak_kib": "VmHWM"}
    return {name: int(fields[field].split()[0]) for name, field in names.items()}


def size(url: str) -> dict[str, int]:
    packed = scrape(url)
    text = gzip.decompress(packed)
    samples = sum(not line.startswith(b"#") for line in text.splitlines())
    return {"packed_bytes": len(packed), "text_bytes": len(text), "samples": samples}


def show(unit: str, field: str) -> str:
    command = ["systemctl", "show", "--value", f"--property={field}", unit]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


main()
