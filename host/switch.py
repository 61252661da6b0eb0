"""A fleet's network: a bridge in a network namespace of its own, and a port for each member.

```
this machine's 127.0.0.1 ── slirp4netns ── tap0 ┐
                                                ├─ bridge ─┬─ member-1 ══ host0 of NAME-1
     a namespace that a sleeping process holds ─┘          └─ member-2 ══ host0 of NAME-2
```

slirp4netns is the members' gateway and name server on the wire itself, so
there are no routes and no translation rules. Bridge and cables lie in the
namespaces alone: when their processes end, the kernel removes them all, and
this machine's own network never saw them.
"""

from __future__ import annotations

import os
import subprocess

from host import launch, slirp
from host.errors import StepError
from host.processes import leader_pid, network_namespace, of_host, status_field, wait_until
from host.settings import GUEST_GATEWAY, GUEST_PREFIX_LENGTH, Host, Seat

READY_SECONDS = 10.0

BRIDGE = "bridge"
MEMBER_INTERFACE = "host0"

# It holds the namespace, and does nothing else for as long as it lives.
HOLDER = "sleep"


def start(network: Host) -> None:
    """Makes the fleet's bridge and its way out, unless they are there.

    # Errors
    `StepError` when the kernel has no bridges or slirp4netns does not start.
    """
    if slirp.forwards(network) is not None:
        return
    command = ["unshare", "--net", "--", HOLDER, "infinity"]
    launch.start(network, network.machine_unit, command, network.log("switch"))
    if not wait_until(lambda: _holder(network) is not None, READY_SECONDS):
        raise StepError("no network namespace for the fleet", network.log("switch"))
    _ip(network, "link", "add", BRIDGE, "type", "bridge")
    _ip(network, "link", "set", BRIDGE, "up")
    slirp.start(network, _held(network), [])
    _ip(network, "link", "set", slirp.TAP, "master", BRIDGE, "up")


def plug(seat: Seat, member: Host) -> None:
    """Connects a member that was booted just now.

    # Errors
    `StepError` when it has no init, or the cable cannot be made.
    """
    leader = leader_pid(member)
    if leader is None:
        raise StepError(f"host {member.name} has no init to connect", member.log("console"))
    # The same each time it is plugged in: slirp4netns does not learn a new one.
    hardware = ("address", f"02:00:00:00:00:{seat.number:02x}")
    end = ("peer", "name", MEMBER_INTERFACE, *hardware, "netns", str(leader))
    _ip(seat.network, "link", "add", _port(seat), "type", "veth", *end)
    _ip(seat.network, "link", "set", _port(seat), "master", BRIDGE, "up")
    address = f"{seat.address}/{GUEST_PREFIX_LENGTH}"
    for command in (
        ("link", "set", "lo", "up"),
        ("address", "add", address, "dev", MEMBER_INTERFACE),
        ("link", "set", MEMBER_INTERFACE, "up"),
        ("route", "add", "default", "via", GUEST_GATEWAY),
    ):
        _ip_in(leader, *command)


def cut(seat: Seat) -> None:
    """Takes a member off the network: neither the others nor this machine reach it."""
    _ip(seat.network, "link", "set", _port(seat), "down")


def mend(seat: Seat) -> None:
    """Puts a member back on the network."""
    _ip(seat.network, "link", "set", _port(seat), "up")


def _port(seat: Seat) -> str:
    return f"member-{seat.number}"


def _holder(network: Host) -> int | None:
    own = network_namespace(os.getpid())
    for pid in of_host(network):
        if status_field(pid, "Name") == HOLDER and network_namespace(pid) not in (None, own):
            return pid
    return None


def _held(network: Host) -> int:
    holder = _holder(network)
    if holder is None:
        raise StepError(f"fleet {network.name} has no network; start it with `make up HOSTS=…`")
    return holder


def _ip(network: Host, *arguments: str) -> None:
    _ip_in(_held(network), *arguments)


def _ip_in(process: int, *arguments: str) -> None:
    """Runs ip(8), this machine's, in the network namespace of a process."""
    command = ["nsenter", f"--net=/proc/{process}/ns/net", "ip", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise StepError(f"`ip {' '.join(arguments)}` failed: {result.stderr.strip()}")
