"""Runs a playbook as a person would, and keeps what it said."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host import deploy, packages
from host import inventory as inventories
from host.processes import leader_pid
from host.settings import REPOSITORY, Host

REMOVE = REPOSITORY / "ansible/playbooks/remove.yml"

# A run from nothing takes one minute, on a machine that is busy with other things ten.
PLAY_SECONDS = 1200.0


@dataclass(frozen=True)
class Play:
    """One run of a playbook: its exit status and all that it printed."""

    status: int
    output: str

    @property
    def changed(self) -> int:
        """How many tasks changed something, or would have."""
        return deploy.read_recap(self.output).changed

    @property
    def said(self) -> str:
        """The output as one line: Ansible breaks its messages where it likes."""
        return " ".join(self.output.split())

    def succeeded(self) -> Play:
        """Returns itself; fails with the end of the output when the playbook failed."""
        assert self.status == 0, f"the playbook failed:\n{self.output[-4000:]}"
        return self


def play(
    host: Host,
    playbook: Path = deploy.PLAYBOOK,
    *arguments: str,
    inventory: Path = deploy.INVENTORY,
    variables: Mapping[str, Any] | None = None,
) -> Play:
    """Runs `playbook` with `inventory`, whose one host stands for `host`."""
    connection = {"ansible_connection": "nsenter", "ansible_nsenter_pid": leader_pid(host)}
    return _run(host, playbook, inventory, arguments, {**connection, **(variables or {})})


def play_fleet(
    fleet: Host, *arguments: str, variables: Mapping[str, Any] | None = None
) -> Play:
    """Deploys to a fleet whose hosts are all up."""
    return _run(fleet, deploy.PLAYBOOK, inventories.write(fleet), arguments, variables or {})


def _run(
    owner: Host,
    playbook: Path,
    inventory: Path,
    arguments: Sequence[str],
    variables: Mapping[str, Any],
) -> Play:
    result = subprocess.run(
        [
            str(packages.VENV / "bin/ansible-playbook"),
            f"--inventory={inventory}",
            f"--extra-vars={json.dumps(variables)}",
            *arguments,
            str(playbook),
        ],
        env={**os.environ, **deploy.environment(owner), **owner.marker},
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PLAY_SECONDS,
        check=False,
    )
    return Play(result.returncode, result.stdout)
