"""What a long run prints, and the same once more as a document."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from host.report import Progress
from host.run import User
from host.settings import REPOSITORY

OnLine = Callable[[str], None]


class Transcript:
    """Runs the steps in order and keeps what was said."""

    def __init__(self) -> None:
        self._progress = Progress()
        self._lines: list[str] = []

    def step(self, title: str, work: Callable[[OnLine], list[str]]) -> None:
        """Runs one step and shows the figures that it returns."""
        started = time.monotonic()
        with self._progress.step(title) as on_line:
            figures = work(on_line)
        self._lines.append(f"{title:<52}{time.monotonic() - started:8.1f} s")
        for figure in figures:
            print(f"      {figure}", flush=True)
            self._lines.append(f"    {figure}")

    def finish(self) -> None:
        """Says that everything held."""
        line = f"everything held; all of it took {self._progress.total():.0f} s"
        print(f"  {line}")
        self._lines.append(line)

    def write(self, document: Path, introduction: str, versions: list[list[str]]) -> None:
        """Writes the transcript below `introduction`; `versions` are commands that print one."""
        facts = [
            f"{time.strftime('%-d %B %Y, %H:%M UTC', time.gmtime())}, commit {_commit()}",
            f"{os.cpu_count()} cores, Linux {platform.release()}",
            *filter(None, (_first_line(command) for command in versions)),
        ]
        listed = "\n".join(f"- {fact}" for fact in facts)
        lines = "\n".join(self._lines)
        document.write_text(f"{introduction}\n{listed}\n\n```\n{lines}\n```\n", encoding="utf-8")
        caller = User.calling()
        os.chown(document, caller.uid, caller.gid)


def _commit() -> str:
    git = ["git", "-C", str(REPOSITORY)]
    changed = " with changes" if _first_line([*git, "status", "--porcelain", "--untracked-files=no"]) else ""
    return (_first_line([*git, "rev-parse", "--short", "HEAD"]) or "unknown") + changed


def _first_line(command: list[str]) -> str:
    """Returns the first line of what a command prints, empty where there is no such command."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return (result.stdout.splitlines() or [""])[0].strip()
