"""Boots a host's tree as a real systemd in a container with a pure cgroup v2 tree."""

from __future__ import annotations

import os

from host import guest, launch
from host.errors import StepError
from host.processes import leader_pid, network_namespace, wait_until
from host.settings import Host

# The first boot of a fresh tree sets up machine-id and journal as well.
BOOT_SECONDS = 90.0
LEADER_SECONDS = 15.0

# systemd 256 and later refuse cgroup v1, which the machine itself may use.
NSPAWN_ENVIRONMENT = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}


def boot(host: Host) -> None:
    """Starts the host and waits until its PID 1 runs in a network of its own.

    # Errors
    `StepError` when nspawn ends or no leader appears in time.
    """
    log = host.log("console")
    launch.start(host, host.machine_unit, nspawn_command(host), log, environment=NSPAWN_ENVIRONMENT)
    if not wait_until(lambda: _leader_is_ready(host), LEADER_SECONDS):
        raise StepError(f"systemd-nspawn brought up no init for host {host.name}", log)


def nspawn_command(host: Host) -> list[str]:
    """Returns the command line that boots `host`."""
    return [
        "systemd-nspawn",
        f"--directory={host.tree}",
        f"--machine={host.name}",
        f"--hostname={host.name}",
        "--boot",
        # machined may be absent, and the cgroup is ours already.
        "--register=no",
        "--keep-unit",
        "--private-network",
        "--console=passive",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
    ]


def _leader_is_ready(host: Host) -> bool:
    leader = leader_pid(host)
    if leader is None:
        return False
    inside = network_namespace(leader)
    return inside is not None and inside != network_namespace(os.getpid())


def wait_until_booted(host: Host) -> None:
    """Waits until the guest's systemd has finished starting.

    # Errors
    `StepError` when it is still starting after `BOOT_SECONDS`.
    """

    def finished() -> bool:
        answer = guest.run(host, ["systemctl", "is-system-running"])
        return answer.stdout.strip() in ("running", "degraded")

    if not wait_until(finished, BOOT_SECONDS):
        raise StepError(
            f"host {host.name} did not finish booting in {BOOT_SECONDS:.0f} s",
            host.log("console"),
        )
