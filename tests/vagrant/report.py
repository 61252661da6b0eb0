"""What the test prints, and the same once more as a document."""

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

HEAD = """\
# `make vagrant-test`, as it ran

Written by `make vagrant-test`. A real `vagrant up` with the repository's own Vagrantfile: a
virtual machine under software emulation on one core, 16 to 36 times slower than the machine
around it, so the durations tell what happened and in which order, not how fast the stack is.

- {when}, commit {commit}
- {cpus} cores, {kernel}
- {versions}

```
{lines}
```
"""

OnLine = Callable[[str], None]


class Report:
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

    def write(self, document: Path) -> None:
        """Writes the transcript."""
        text = HEAD.format(
            when=time.strftime("%-d %B %Y, %H:%M UTC", time.gmtime()),
            commit=_output("git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD")
            or "unknown",
            cpus=os.cpu_count(),
            kernel=f"Linux {platform.release()}",
            versions=", ".join(
                filter(
                    None,
                    (_output("vagrant", "--version"), _output("qemu-system-x86_64", "--version")),
                )
            ),
            lines="\n".join(self._lines),
        )
        document.write_text(text, encoding="utf-8")
        caller = User.calling()
        os.chown(document, caller.uid, caller.gid)


def _output(*command: str) -> str:
    """Returns the first line of what a command prints, empty where there is no such command."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return (result.stdout.splitlines() or [""])[0].strip()
