"""The one failure type: every step raises it, `report` prints it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass
class StepError(Exception):
    """A step cannot go on.

    `message` says what is wrong and what to do about it; `log` is the file
    that holds the step's full output, where it has one.
    """

    message: str
    log: Path | None = None

    def __str__(self) -> str:
        return self.message
