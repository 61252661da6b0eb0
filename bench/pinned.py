"""Servers on one processor and their load on the other, measured by the processor time they take."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from host.processes import status_field, wait_until

SERVER_CPU, LOAD_CPU = 0, 1
START_SECONDS = 30.0
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True)
class Run:
    """What one run of the load came to."""

    per_second: float
    cpu_us: float
    p99_seconds: float


@dataclass(frozen=True)
class Server:
    """A process that serves, with its children."""

    pid: int
    url: str

    def cpu_seconds(self) -> float:
        return sum(_cpu_ticks(pid) for pid in self._pids()) / _TICKS_PER_SECOND

    def resident_mib(self) -> float:
        sizes = (status_field(pid, "VmRSS") or "0 kB" for pid in self._pids())
        return sum(int(size.split()[0]) for size in sizes) / 1024

    def _pids(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]


@contextmanager
def serving(command: Sequence[str], url: str, **options: object) -> Iterator[Server]:
    """Runs a server on its processor until the end of the block.

    # Errors
    `RuntimeError` with its output when it does not answer.
    """
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(SERVER_CPU), *command], stdout=log, stderr=log, **options
        )
        try:
            if not wait_until(lambda: _answers(url) or process.poll() is not None, START_SECONDS):
                process.kill()
            if process.poll() is not None:
                log.seek(0)
                raise RuntimeError(f"{command[0]} does not serve:\n{log.read()}")
            yield Server(process.pid, url)
        finally:
            process.terminate()
            process.wait()


def load(server: Server, path: str, *, clients: int, seconds: int, script: str = "") -> Run:
    """Keeps `clients` keep-alive connections busy with one route.

    # Errors
    `RuntimeError` when an answer was no success.
    """
    pinned = ["taskset", "--cpu-list", str(LOAD_CPU)]
    command = [*pinned, "wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency"]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as lua:
        lua.write(script)
        lua.flush()
        before = server.cpu_seconds()
        scripted = ["--script", lua.name] if script else []
        report = subprocess.run(
            [*command, *scripted, server.url + path], capture_output=True, text=True, check=True
        ).stdout
        used = server.cpu_seconds() - before
    if "Non-2xx" in report or "Socket errors" in report:
        raise RuntimeError(report)
    requests, lasted = re.search(r"(\d+) requests in ([\d.]+)s", report).groups()
    slow, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", report).groups()
    return Run(int(requests) / float(lasted), used / int(requests) * 1e6, float(slow) * _UNITS[unit])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
