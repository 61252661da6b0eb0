"""What a person sees: a line per step with its time, a table, and a failure's evidence."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from host import guest
from host.errors import StepError
from host.health import Health
from host.processes import leader_pid
from host.settings import Host

JOURNAL_LINES = 15
_STEP_WIDTH = 52

THINGS_TO_TRY = """\
Three things to try:
  make shell CMD='systemctl stop transactions-api.service'
      then watch http://localhost:9090/alerts: pending, firing, healed
  make shell CMD='systemctl kill --signal=SIGSTOP transactions-api.service'
      a freeze that no process supervisor sees
  make shell CMD='journalctl --output=cat --since=-5min INCIDENT_STEP=closed'
      what the bot did, and how each incident ended
"""


class Progress:
    """Prints the steps of one command."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._started = time.monotonic()

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Prints `title`, runs the block and prints how long it took.

        Yields a function that shows the step's latest line of output, on a
        terminal only.
        """
        started = time.monotonic()
        print(f"  {title:<{_STEP_WIDTH}}", end="", flush=True)
        try:
            yield self._show(title)
        except BaseException:
            self._finish(title, f"failed after {time.monotonic() - started:.1f} s")
            raise
        self._finish(title, f"{time.monotonic() - started:6.1f} s")

    def total(self) -> float:
        """Returns the seconds since the first step."""
        return time.monotonic() - self._started

    def _show(self, title: str) -> Callable[[str], None]:
        def show(line: str) -> None:
            if self._live:
                room = shutil.get_terminal_size().columns - _STEP_WIDTH - 4
                text = line.strip()[: max(room, 0)]
                print(f"\r\033[K  {title:<{_STEP_WIDTH}}{text}", end="", flush=True)

        return show

    def _finish(self, title: str, outcome: str) -> None:
        start = "\r\033[K" if self._live else ""
        line = f"  {title:<{_STEP_WIDTH}}" if self._live else ""
        print(f"{start}{line}{outcome}", flush=True)


def table(survey: Sequence[Health]) -> str:
    """Returns the services as a table: name, unit state, address, answer."""
    rows = [("service", "unit", "address", "health")]
    for health in survey:
        mark = "ok" if health.healthy else "-" if health.acceptable else "FAILED"
        answer = f"{mark} ({health.answer})" if health.answer else mark
        rows.append((health.service.name, health.unit_state, health.url or "", answer))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True)).rstrip()
        for row in rows
    )


def failure(error: StepError, host: Host | None = None) -> str:
    """Returns why a step failed, where its log is, and what failing units last said."""
    lines = ["", f"FAILED: {error}"]
    if error.log is not None:
        lines.append(f"log: {error.log}")
    if host is not None and leader_pid(host) is not None:
        for unit in failing_units(host):
            lines += ["", f"last lines of {unit}:", journal(host, unit)]
    return "\n".join(lines)


def failing_units(host: Host) -> list[str]:
    """Returns the units inside `host` that have failed."""
    answer = guest.run(host, ["systemctl", "list-units", "--state=failed", "--plain", "--no-legend"])
    return [line.split()[0] for line in answer.stdout.splitlines() if line.strip()]


def journal(host: Host, unit: str, lines: int = JOURNAL_LINES) -> str:
    """Returns the last journal lines of one unit inside `host`."""
    command = ["journalctl", "--no-pager", f"--lines={lines}", f"--unit={unit}"]
    return "\n".join(f"    {line}" for line in guest.run(host, command).stdout.splitlines())
