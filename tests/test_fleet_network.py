"""The network of a fleet: members reach each other, and nothing of it stays."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Iterator

import pytest
from test_host import STEP_SECONDS, Surroundings, finish, tool

from host import fleet, guest, inventory, network, switch, teardown, tree
from host.processes import command_line, of_host, wait_until
from host.report import Progress
from host.settings import DEFAULT_SUITE, FORWARD_ADDRESS, Host

SIZE = 2
REACHED_SECONDS = 20.0


@pytest.fixture
def bare_fleet() -> Iterator[Host]:
    """A name for a fleet that does not exist yet; whatever becomes of it is removed."""
    host = Host(f"test-{os.getpid()}-net")
    try:
        yield host
    finally:
        for member in inventory.members(host):
            teardown.destroy(member)
        teardown.destroy(host)


def assert_nothing_left(host: Host, before: Surroundings, members: list[Host]) -> None:
    for gone in (host, *members):
        assert [command_line(pid) for pid in of_host(gone)] == []
    assert Surroundings.now(host) == before


def test_members_reach_each_other_and_leave_nothing(bare_fleet: Host) -> None:
    before = Surroundings.now(bare_fleet)
    inventory.remember(bare_fleet, SIZE)
    forwards = fleet.wanted_forwards(bare_fleet)
    fleet.start(bare_fleet, forwards, tree.Base(DEFAULT_SUITE), Progress())
    one, two = inventory.members(bare_fleet)
    assert one.seat is not None
    guest.run(one, ["systemd-run", "--quiet", "python3", "-m", "http.server", "8000"])
    ask = ["curl", "--silent", "--fail", "--max-time", "2", "--output", "/dev/null"]

    def reaches() -> bool:
        answer = guest.run(two, [*ask, f"http://{one.seat.address}:8000/"])
        return answer.returncode == 0

    assert wait_until(reaches, REACHED_SECONDS)
    outer = {inner: port for port, inner in network.forwarded(one).items()}[8000]
    with urllib.request.urlopen(f"http://{FORWARD_ADDRESS}:{outer}/", timeout=5) as answer:
        assert answer.status == 200
    switch.cut(one.seat)
    assert not reaches()
    switch.mend(one.seat)
    assert wait_until(reaches, REACHED_SECONDS)

    status, output = finish(tool(bare_fleet, "down"))

    assert status == 0, output
    assert_nothing_left(bare_fleet, before, [one, two])


@pytest.mark.parametrize("step", ["hosts: Debian trees", "hosts: network, boot systemd"])
def test_down_after_a_killed_up_leaves_nothing(bare_fleet: Host, step: str) -> None:
    before = Surroundings.now(bare_fleet)
    command = tool(bare_fleet, "up", "--hosts", str(SIZE))
    assert command.stdout is not None
    output = ""
    while step not in output:
        character = command.stdout.read(1)
        assert character, f"`up` ended before it reached {step!r}:\n{output}"
        output += character
    command.send_signal(signal.SIGKILL)
    command.wait(timeout=STEP_SECONDS)
    members = inventory.members(bare_fleet)

    status, output = finish(tool(bare_fleet, "down"))

    assert status == 0, output
    assert_nothing_left(bare_fleet, before, members)
