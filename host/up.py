"""`make up`: the steps from a bare machine to a healthy stack, in order.

Each step is skipped when its result is there already, so a second call only
checks. A killed call leaves nothing that `teardown` does not find.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from host import boot, build, deploy, health, inventory, lock, network, packages, preflight
from host import teardown, tree
from host.errors import StepError
from host.processes import leader_pid
from host.report import Progress, journal, table
from host.settings import Host


def up(host: Host, base: tree.Base, progress: Progress) -> list[health.Health]:
    """Brings `host` up with everything deployed; returns the services' health.

    # Errors
    `StepError` of the step that failed.
    """
    with lock.exclusive(host):
        if any(leader_pid(member) for member in inventory.members(host)):
            raise StepError(f"{host.name} is up as a fleet; end it with `make down`")
        inventory.forget(host)
        with progress.step("preflight: ports, Rust, privileges"):
            forwards = network.wanted_forwards(host)
            preflight.check({host: forwards})
        install_packages(progress)
        with progress.step("tools: ansible in .venv") as on_line:
            packages.ensure_venv(packages.DEPLOY_REQUIREMENTS, on_line)
        pack(progress)
        start(host, base, forwards, progress)
        with progress.step("deploy: ansible/deploy.yml") as on_line:
            recap = deploy.deploy(host, on_line=task_names(on_line))
        with progress.step(f"health ({recap.ok} tasks ok, {recap.changed} changed)"):
            survey = health.wait_until_healthy(host)
        check_health(host, survey)
        return survey


def install_packages(progress: Progress) -> None:
    """Installs the Debian packages that any other step needs."""
    with progress.step("tools: Debian packages") as on_line:
        packages.install_debian_packages(on_line)


def pack(progress: Progress) -> None:
    """Compiles the daemons and packs them as .deb files."""
    with progress.step("build: release binaries") as on_line:
        build.compile_daemons(on_line)
    with progress.step("build: .deb packages") as on_line:
        build.pack_daemons(on_line)


def start(
    host: Host, base: tree.Base, forwards: Mapping[int, int], progress: Progress
) -> None:
    """Boots `host` with a network, unless it already runs with both.

    `forwards` maps ports on this machine's loopback address to ports of the guest.
    """
    with progress.step(f"host: Debian tree ({base.suite})") as on_line:
        tree.ensure_base(base, packages.log("mmdebstrap"), on_line)
        tree.copy_tree(base, host)
    if leader_pid(host) is not None and set(forwards) == set(network.forwarded(host)):
        return
    with progress.step("host: boot systemd"):
        # Whatever half of it an interrupted call left running.
        teardown.stop(host, gracefully=True)
        boot.boot(host)
        network.connect(host, forwards)
        boot.wait_until_booted(host)


def check_health(host: Host, survey: list[health.Health]) -> None:
    """Raises `StepError` with table and journal when a service is not well."""
    ill = [entry for entry in survey if not entry.acceptable]
    if ill:
        journals = [
            f"last lines of {entry.service.unit}:\n{journal(host, entry.service.unit)}"
            for entry in ill
        ]
        raise StepError("\n".join(["not healthy:", table(survey), *journals]))


def task_names(on_line: Any) -> Any:
    """Returns a filter that passes the playbook's task names on to `on_line`."""

    def show(line: str) -> None:
        if line.startswith("TASK ["):
            on_line(line.split("[", 1)[1].split("]")[0])

    return show
