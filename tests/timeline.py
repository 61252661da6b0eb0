"""The story of one break: when each step of it was seen."""

from __future__ import annotations

import time
from collections.abc import Callable

from host.processes import POLL_SECONDS


class Timeline:
    """Waits for milestones and keeps how long after the break each came."""

    def __init__(self, title: str) -> None:
        self.started = time.time()
        self._title = title
        self._seen: dict[str, float] = {}

    def note(self, name: str, at: float | None = None) -> None:
        """Records a milestone that was reached at `at` (seconds since the epoch), or now."""
        self._seen[name] = (at or time.time()) - self.started

    def wait(self, milestones: dict[str, Callable[[], bool]], seconds: float) -> None:
        """Polls all milestones until each was seen, in whatever order they come.

        Fails naming those that were not seen within `seconds`.
        """
        missing = dict(milestones)
        deadline = time.monotonic() + seconds
        while missing:
            for name in [name for name, reached in missing.items() if reached()]:
                del missing[name]
                self.note(name)
            assert not missing or time.monotonic() < deadline, (
                f"not seen within {seconds:.0f} s: {', '.join(missing)}"
            )
            time.sleep(POLL_SECONDS)

    def seconds(self, name: str) -> float:
        """Returns how long after the break a milestone came."""
        return self._seen[name]

    def __str__(self) -> str:
        """Tells the milestones in the order in which they came."""
        in_order = sorted(self._seen.items(), key=lambda milestone: milestone[1])
        lines = [f"      {seconds:7.2f} s  {name}" for name, seconds in in_order]
        return "\n".join([f"    {self._title}", *lines])
