"""A host's network and the ports of this machine that lead to it.

A host by itself has a slirp4netns of its own; the members of a fleet share
their fleet's, at addresses of their own (`switch`).
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping

from host import slirp
from host.errors import StepError
from host.processes import leader_pid
from host.settings import DEFAULT_HOST, FORWARD_ADDRESS, FORWARDED_PORTS, GUEST_ADDRESS, Host

LARGEST_MTU = 65520

# From one member's ports to the next one's, where a fleet has fixed ones.
MEMBER_PORT_STEP = 100


def connect(host: Host, forwards: Mapping[int, int]) -> None:
    """Gives the host a network of its own and forwards ports to it.

    `forwards` maps ports on this machine's loopback address to ports of the guest.

    # Errors
    `StepError` when the network does not come up or a port cannot be bound.
    """
    leader = leader_pid(host)
    if leader is None:
        raise StepError(f"host {host.name} has no init to connect", host.log("console"))
    slirp.start(host, leader, ["--configure", f"--mtu={LARGEST_MTU}"])
    for outer, inner in forwards.items():
        slirp.forward(host, outer, GUEST_ADDRESS, inner)


def forwarded(host: Host) -> dict[int, int]:
    """Returns the ports forwarded now, this machine's → the guest's; empty when down."""
    seat = host.seat
    if seat is None or host.network_socket.exists():
        network, address = host, GUEST_ADDRESS
    else:
        network, address = seat.network, seat.address
    found = slirp.forwards(network) or {}
    return {outer: inner for (guest, inner), outer in found.items() if guest == address}


def wanted_forwards(host: Host, ports: Iterable[int] = FORWARDED_PORTS) -> dict[int, int]:
    """Returns the forwards that `host` has or should get, this machine's ports → the guest's.

    The default host answers on the ports themselves, the members of the default
    fleet 100 apart from each other, any other host on free ones.
    """
    present = forwarded(host)
    if present:
        return present
    if host.name == DEFAULT_HOST:
        return {port: port for port in ports}
    if host.seat is not None and host.seat.network.name == DEFAULT_HOST:
        offset = (host.seat.number - 1) * MEMBER_PORT_STEP
        return {port + offset: port for port in ports}
    return {_free_port(): port for port in ports}


def _free_port() -> int:
    """Returns a port of this machine's loopback address that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((FORWARD_ADDRESS, 0))
        port: int = probe.getsockname()[1]
        return port
