"""The host tool: what it starts is all there, and all gone again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from host import guest, network, ports
from host.processes import all_pids, command_line, leader_pid, of_host, wait_until
from host.settings import REPOSITORY, Host

STEP_SECONDS = 300.0
GONE_SECONDS = 10.0


def tool(host: Host, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Starts the host tool as `make` does."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "host", "--name", host.name, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, **environment},
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Waits for the tool; returns its status and output."""
    output, _ = process.communicate(timeout=STEP_SECONDS)
    return process.returncode, output


@dataclass(frozen=True)
class Surroundings:
    """What a host could leave behind on this machine outside its own processes."""

    links: frozenset[str]
    mounts: frozenset[str]
    cgroups: frozenset[Path]

    @staticmethod
    def now(host: Host) -> Surroundings:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        return Surroundings(
            links=frozenset(os.listdir("/sys/class/net")),
            mounts=frozenset(line for line in mounts if host.name in line),
            cgroups=frozenset(Path("/sys/fs/cgroup").glob(f"*/*{host.name}*"))
            | frozenset(Path("/sys/fs/cgroup").glob(f"*{host.name}*")),
        )


def namespaces(pid: int) -> set[str]:
    """Returns the identities of a process's namespaces; none when it is gone."""
    try:
        return {
            os.readlink(entry)
            for entry in Path(f"/proc/{pid}/ns").iterdir()
            if not entry.name.endswith("_for_children")
        }
    except OSError:
        return set()


def assert_nothing_left(host: Host, before: Surroundings, own_namespaces: set[str]) -> None:
    assert [command_line(pid) for pid in of_host(host)] == []
    assert Surroundings.now(host) == before
    members = [pid for pid in all_pids() if own_namespaces & namespaces(pid)]
    assert [command_line(pid) for pid in members] == []


def test_down_leaves_nothing(bare_host: Host) -> None:
    before = Surroundings.now(bare_host)
    status, output = finish(tool(bare_host, "boot"))
    assert status == 0, output
    leader = leader_pid(bare_host)
    assert leader is not None
    own = namespaces(leader) - namespaces(os.getpid())
    assert len(own) >= 5
    assert set(network.forwarded(bare_host).values()) == {8000, 5001, 9090, 9093, 3000}
    state = guest.run(bare_host, ["systemctl", "is-system-running"])
    assert state.stdout.strip() == "running"

    status, output = finish(tool(bare_host, "down"))

    assert status == 0, output
    assert_nothing_left(bare_host, before, own)


@pytest.mark.parametrize(
    ("name", "step"),
    [("boot", "host: Debian tree"), ("boot", "host: boot systemd"), ("up", "deploy:")],
    ids=["tree", "boot", "deploy"],
)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_down_after_an_interruption_leaves_nothing(
    bare_host: Host, name: str, step: str, number: signal.Signals
) -> None:
    before = Surroundings.now(bare_host)
    command = tool(bare_host, name)
    assert command.stdout is not None
    output = ""
    while step not in output:
        character = command.stdout.read(1)
        assert character, f"`{name}` ended before it reached {step!r}:\n{output}"
        output += character
    command.send_signal(number)
    command.wait(timeout=STEP_SECONDS)
    leader = leader_pid(bare_host)
    own = namespaces(leader) - namespaces(os.getpid()) if leader else set()

    status, output = finish(tool(bare_host, "down"))

    assert status == 0, output
    assert_nothing_left(bare_host, before, own)


def test_down_ends_an_up_that_still_runs(bare_host: Host) -> None:
    before = Surroundings.now(bare_host)
    command = tool(bare_host, "up")
    assert wait_until(lambda: leader_pid(bare_host) is not None, STEP_SECONDS), finish(command)

    status, output = finish(tool(bare_host, "down"))

    assert status == 0, output
    assert command.wait(timeout=GONE_SECONDS) != 0
    assert_nothing_left(bare_host, before, set())


def test_a_killed_tree_build_leaves_no_process_and_no_mount(
    bare_host: Host, tmp_path: Path
) -> None:
    command = tool(bare_host, "tools", OBSERVABILITY_STACK_CACHE=str(tmp_path))

    def builders() -> list[int]:
        return [pid for pid in all_pids() if str(tmp_path) in command_line(pid)]

    assert wait_until(lambda: any(tmp_path.glob("*.partial/tree/usr")), STEP_SECONDS)
    command.kill()
    command.wait(timeout=GONE_SECONDS)
    assert wait_until(lambda: not builders(), GONE_SECONDS)
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_shell_passes_output_and_status_on(bare_host: Host) -> None:
    finish(tool(bare_host, "boot"))
    command = "hostname; echo \"two  spaces and 'quotes'\"; exit 7"
    status, output = finish(tool(bare_host, "shell", "--command", command))
    assert (status, output) == (7, f"{bare_host.name}\ntwo  spaces and 'quotes'\n")


def test_a_second_up_is_refused_with_the_first_ones_name(bare_host: Host) -> None:
    first = tool(bare_host, "up")
    assert wait_until(lambda: bare_host.lock.exists() and bool(bare_host.lock.read_text()), 10)
    status, output = finish(tool(bare_host, "up"))
    assert status == 1
    assert f"is being worked on by process {first.pid}" in output
    first.kill()
    first.wait(timeout=GONE_SECONDS)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])
def test_a_taken_port_is_named_with_its_holder(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        port = listener.getsockname()[1]
        holders = ports.taken([port])
        assert [(holder.port, holder.pid) for holder in holders] == [(port, os.getpid())]
        assert f"port {port} is taken by process {os.getpid()} (" in str(holders[0])
        assert ports.taken([port], ignore=[os.getpid()]) == []
    assert ports.taken([port]) == []
