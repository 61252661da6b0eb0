"""Installs what runs a virtual machine on a machine that has neither hypervisor nor Vagrant."""

from __future__ import annotations

import subprocess
from pathlib import Path

from host import run
from host.packages import OnLine

# Without libvirt-daemon-system there is no system daemon, bridge, DHCP server or
# firewall rule: the libvirt that the test starts is its user's own.
PACKAGES = (
    "e2fsprogs",
    "libvirt-clients",
    "libvirt-daemon",
    "mmdebstrap",
    "openssh-client",
    "python3-venv",
    "qemu-system-x86",
    "vagrant",
    "vagrant-libvirt",
)
# Comes in the version of the emulator: one from backports would shut it out.
MATCHING = ("qemu-utils", "qemu-system-x86")


def install(log: Path, on_line: OnLine) -> list[str]:
    """Installs the packages that are missing; returns their names.

    # Errors
    `StepError` with apt's last lines.
    """
    missing = [package for package in PACKAGES if not _is_installed(package)]
    if not missing:
        return []
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    run.logged(["apt-get", "update"], log, what="apt-get update", environment=environment)
    name, emulator = MATCHING
    command = [
        *("apt-get", "install", "--yes", "--no-install-recommends", "--allow-downgrades"),
        *missing,
        f"{name}={_candidate(emulator)}",
    ]
    run.logged(command, log, what="apt-get install", environment=environment, on_line=on_line)
    return missing


def _is_installed(package: str) -> bool:
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout == "installed"


def _candidate(package: str) -> str:
    """Returns the version that is installed or would be."""
    policy = subprocess.run(
        ["apt-cache", "policy", package], capture_output=True, text=True, check=True
    ).stdout
    return next(line.split()[1] for line in policy.splitlines() if "Candidate:" in line)
