"""`make up HOSTS=3`: several hosts in one network, each with its part of the stack."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from host import boot, deploy, health, inventory, lock, network, packages, preflight, slirp
from host import switch, teardown, tree, up
from host.errors import StepError
from host.processes import leader_pid
from host.report import Progress
from host.settings import MOST_MEMBERS, Host, Seat


def up_fleet(
    fleet: Host, size: int, base: tree.Base, progress: Progress
) -> dict[Host, list[health.Health]]:
    """Brings a fleet of `size` hosts up with everything deployed; returns each one's health.

    # Errors
    `StepError` of the step that failed.
    """
    _check_size(fleet, size)
    with exclusive([fleet, *members_of(fleet, size)]):
        _check_size_is_kept(fleet, size)
        inventory.remember(fleet, size)
        with progress.step("preflight: ports, Rust, privileges"):
            forwards = wanted_forwards(fleet)
            preflight.check(forwards)
        up.install_packages(progress)
        with progress.step("tools: ansible in .venv") as on_line:
            packages.ensure_venv(packages.DEPLOY_REQUIREMENTS, on_line)
        up.pack(progress)
        start(fleet, forwards, base, progress)
        with progress.step("deploy: ansible/deploy.yml") as on_line:
            deploy.deploy_fleet(fleet, on_line=up.task_names(on_line))
        with progress.step("health"):
            survey = {host: health.wait_until_healthy(host) for host in forwards}
        for host, state in survey.items():
            up.check_health(host, state)
        return survey


def start(
    fleet: Host, forwards: dict[Host, dict[int, int]], base: tree.Base, progress: Progress
) -> None:
    """Boots the members into one network, unless all of them run already."""
    with progress.step(f"hosts: Debian trees ({base.suite})") as on_line:
        tree.ensure_base(base, packages.log("mmdebstrap"), on_line)
        for member in forwards:
            tree.copy_tree(base, member)
    if _is_whole(fleet, forwards):
        return
    with progress.step("hosts: network, boot systemd"):
        # Whatever half of it an interrupted call left running.
        stop(fleet)
        switch.start(fleet)
        for member, ports in forwards.items():
            boot.boot(member)
            switch.plug(_seat(member), member)
            for outer, inner in ports.items():
                slirp.forward(fleet, outer, _seat(member).address, inner)
        for member in forwards:
            boot.wait_until_booted(member)


def _is_whole(fleet: Host, forwards: dict[Host, dict[int, int]]) -> bool:
    """Returns whether every member runs and is plugged in, which its forwards come after."""
    wanted = {
        (_seat(member).address, inner): outer
        for member, ports in forwards.items()
        for outer, inner in ports.items()
    }
    return slirp.forwards(fleet) == wanted and all(leader_pid(member) for member in forwards)


def stop(fleet: Host) -> None:
    """Ends the members, all at once, and then what connects them."""
    members = inventory.members(fleet)
    with ThreadPoolExecutor(max_workers=max(1, len(members))) as pool:
        for _ in pool.map(lambda member: teardown.stop(member, gracefully=True), members):
            pass
    teardown.stop(fleet, gracefully=True)


def wanted_forwards(fleet: Host) -> dict[Host, dict[int, int]]:
    """Returns the forwards that each member has or should get, for the services that it has."""
    return {
        member: network.wanted_forwards(
            member, [it.port for it in inventory.services_of(member) if it.port is not None]
        )
        for member in inventory.members(fleet)
    }


@contextmanager
def exclusive(hosts: list[Host], *, evict: bool = False) -> Iterator[None]:
    """Holds the locks of several hosts.

    # Errors
    `StepError` when another process holds one and `evict` is off.
    """
    with ExitStack() as locks:
        for host in hosts:
            locks.enter_context(lock.exclusive(host, evict=evict))
        yield


def members_of(fleet: Host, size: int) -> list[Host]:
    """Returns the hosts that a fleet of this size has."""
    return [Host(f"{fleet.name}-{number}") for number in range(1, size + 1)]


def _check_size(fleet: Host, size: int) -> None:
    if not 2 <= size <= MOST_MEMBERS:
        raise StepError(f"HOSTS={size}: a fleet has 2 to {MOST_MEMBERS} hosts")
    if leader_pid(fleet) is not None:
        raise StepError(f"{fleet.name} is up as a single host; end it with `make down`")


def _check_size_is_kept(fleet: Host, size: int) -> None:
    running = [member for member in inventory.members(fleet) if leader_pid(member)]
    if running and len(inventory.members(fleet)) != size:
        raise StepError(
            f"fleet {fleet.name} is up with {len(inventory.members(fleet))} hosts;"
            " end it with `make down` before it gets another size"
        )


def _seat(member: Host) -> Seat:
    seat = member.seat
    assert seat is not None, "a member's name tells its seat"
    return seat
