"""Fixtures of the machine tests: hosts of their own, gone when the tests end, however they end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from host import teardown
from host.processes import is_alive
from host.settings import STATE_DIRECTORY, Host

# A test host's name holds its owner's process id, so that a later run can tell
# the hosts of a killed run from those of one that goes on beside it.
_PREFIX = "test-"


def pytest_sessionstart() -> None:
    """Removes the hosts of killed runs, and turns SIGTERM into an orderly end."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=143))
    if not STATE_DIRECTORY.is_dir():
        return
    for directory in STATE_DIRECTORY.glob(f"{_PREFIX}*"):
        owner = directory.name.removeprefix(_PREFIX).partition("-")[0]
        if not (owner.isdigit() and is_alive(int(owner))):
            teardown.destroy(Host(directory.name))


@pytest.fixture
def bare_host() -> Iterator[Host]:
    """A name for a host that does not exist yet; whatever becomes of it is removed."""
    host = Host(f"{_PREFIX}{os.getpid()}-bare")
    try:
        yield host
    finally:
        teardown.destroy(host)
