"""slirp4netns: a network stack in user space, its start and the requests that it answers.

No address translation rules and no interface on this machine: when the
process ends, everything it did is gone.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

from host import launch
from host.errors import StepError
from host.processes import wait_until
from host.settings import FORWARD_ADDRESS, Host

READY_SECONDS = 10.0
# slirp4netns reads one request of at most 4095 bytes.
ANSWER_BYTES = 65536

TAP = "tap0"


def start(host: Host, namespace_of: int, options: list[str]) -> None:
    """Starts it for `host`, with its tap interface in the network namespace of a process.

    # Errors
    `StepError` when it does not answer in time.
    """
    host.network_socket.parent.mkdir(parents=True, exist_ok=True)
    host.network_socket.unlink(missing_ok=True)
    command = [
        "slirp4netns",
        *options,
        # A guest has no business with what listens on this machine's loopback.
        "--disable-host-loopback",
        f"--api-socket={host.network_socket}",
        str(namespace_of),
        TAP,
    ]
    log = host.log("network")
    launch.start(host, host.network_unit, command, log, bound_to=host.machine_unit)
    if not wait_until(lambda: forwards(host) is not None, READY_SECONDS):
        raise StepError("slirp4netns did not start", log)


def forwards(host: Host) -> dict[tuple[str, int], int] | None:
    """Returns the ports forwarded now, guest's address and port → this machine's port.

    None when slirp4netns does not answer.
    """
    try:
        answer = _ask(host, "list_hostfwd")
    except OSError:
        return None
    return {
        (entry["guest_addr"], entry["guest_port"]): entry["host_port"]
        for entry in answer.get("entries", [])
    }


def forward(host: Host, outer: int, address: str, inner: int) -> None:
    """Forwards a port of this machine's loopback address to a guest's.

    # Errors
    `StepError` when the port cannot be bound.
    """
    answer = _ask(
        host,
        "add_hostfwd",
        proto="tcp",
        host_addr=FORWARD_ADDRESS,
        host_port=outer,
        guest_addr=address,
        guest_port=inner,
    )
    if "error" in answer:
        reason = answer["error"].get("desc", "no reason given")
        raise StepError(f"port {outer} could not be forwarded to the host: {reason}")


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
