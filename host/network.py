"""The host's network: slirp4netns, a process in user space and nothing else.

No bridge, no address translation rules, no interface on this machine: when
the process ends, everything it did is gone.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from typing import Any

from host import launch
from host.errors import StepError
from host.processes import leader_pid, wait_until
from host.settings import (
    DEFAULT_HOST,
    FORWARD_ADDRESS,
    FORWARDED_PORTS,
    GUEST_ADDRESS,
    Host,
)

READY_SECONDS = 10.0
# slirp4netns reads one request of at most 4095 bytes.
ANSWER_BYTES = 65536
LARGEST_MTU = 65520


def connect(host: Host, forwards: Mapping[int, int]) -> None:
    """Gives the host its network and forwards ports to it.

    `forwards` maps ports on this machine's loopback address to ports of the guest.

    # Errors
    `StepError` when the network does not come up or a port cannot be bound.
    """
    leader = leader_pid(host)
    log = host.log("network")
    if leader is None:
        raise StepError(f"host {host.name} has no init to connect", host.log("console"))
    host.network_socket.parent.mkdir(parents=True, exist_ok=True)
    host.network_socket.unlink(missing_ok=True)
    command = [
        "slirp4netns",
        "--configure",
        f"--mtu={LARGEST_MTU}",
        # A guest has no business with what listens on this machine's loopback.
        "--disable-host-loopback",
        f"--api-socket={host.network_socket}",
        str(leader),
        "tap0",
    ]
    launch.start(host, host.network_unit, command, log, bound_to=host.machine_unit)
    if not wait_until(lambda: _answers(host), READY_SECONDS):
        raise StepError("slirp4netns did not start", log)
    for outer, inner in forwards.items():
        _forward(host, outer, inner)


def forwarded(host: Host) -> dict[int, int]:
    """Returns the ports forwarded now, this machine's → the guest's; empty when down."""
    try:
        answer = _ask(host, "list_hostfwd")
    except OSError:
        return {}
    entries = answer.get("entries", [])
    return {entry["host_port"]: entry["guest_port"] for entry in entries}


def wanted_forwards(host: Host) -> dict[int, int]:
    """Returns the forwards that `host` has or should get, this machine's ports → the guest's.

    The default host answers on the ports themselves, any other on free ones.
    """
    present = forwarded(host)
    if present:
        return present
    if host.name == DEFAULT_HOST:
        return {port: port for port in FORWARDED_PORTS}
    return {_free_port(): port for port in FORWARDED_PORTS}


def _free_port() -> int:
    """Returns a port of this machine's loopback address that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((FORWARD_ADDRESS, 0))
        port: int = probe.getsockname()[1]
        return port


def _forward(host: Host, outer: int, inner: int) -> None:
    answer = _ask(
        host,
        "add_hostfwd",
        proto="tcp",
        host_addr=FORWARD_ADDRESS,
        host_port=outer,
        guest_addr=GUEST_ADDRESS,
        guest_port=inner,
    )
    if "error" in answer:
        reason = answer["error"].get("desc", "no reason given")
        raise StepError(f"port {outer} could not be forwarded to the host: {reason}")


def _answers(host: Host) -> bool:
    try:
        return "entries" in _ask(host, "list_hostfwd")
    except OSError:
        return False


def _ask(host: Host, execute: str, **arguments: Any) -> dict[str, Any]:
    request: dict[str, Any] = {"execute": execute}
    if arguments:
        request["arguments"] = arguments
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.fspath(host.network_socket))
        connection.sendall(json.dumps(request).encode())
        connection.shutdown(socket.SHUT_WR)
        answer: dict[str, Any] = json.loads(connection.recv(ANSWER_BYTES))
        return answer
