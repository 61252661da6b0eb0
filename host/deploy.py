"""Deploys the stack to a host with the playbook that any other host is deployed with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host import inventory, packages, run
from host.errors import StepError
from host.processes import leader_pid
from host.settings import REPOSITORY, Host

INVENTORY = REPOSITORY / "ansible" / "inventories" / "demo"
PLAYBOOK = REPOSITORY / "ansible" / "deploy.yml"

_RECAP = re.compile(r"ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)")


@dataclass(frozen=True)
class Recap:
    """What Ansible counted in one run."""

    ok: int
    changed: int


def deploy(
    host: Host,
    *,
    variables: Mapping[str, Any] | None = None,
    on_line: Callable[[str], None] = lambda line: None,
) -> Recap:
    """Runs the playbook against `host`; `variables` override the demo inventory's.

    # Errors
    `StepError` with the failed task when the playbook fails.
    """
    leader = leader_pid(host)
    if leader is None:
        raise StepError(f"host {host.name} is not up; nothing to deploy to")
    extra = {"ansible_nsenter_pid": leader, **(variables or {})}
    return _play(host, INVENTORY, extra, on_line)


def deploy_fleet(
    fleet: Host,
    *,
    variables: Mapping[str, Any] | None = None,
    on_line: Callable[[str], None] = lambda line: None,
) -> Recap:
    """Runs the playbook against a fleet; `variables` override the example fleet's.

    # Errors
    `StepError` with the failed task when the playbook fails, or when a host is not up.
    """
    down = [member.name for member in inventory.members(fleet) if leader_pid(member) is None]
    if down:
        raise StepError(f"{', '.join(down)}: not up; nothing to deploy to")
    return _play(fleet, inventory.write(fleet), variables or {}, on_line)


def _play(
    owner: Host,
    inventory_path: Path,
    variables: Mapping[str, Any],
    on_line: Callable[[str], None],
) -> Recap:
    log = owner.log("deploy")
    command = [
        str(packages.VENV / "bin/ansible-playbook"),
        f"--inventory={inventory_path}",
        f"--extra-vars={json.dumps(variables)}",
        str(PLAYBOOK),
    ]
    run.logged(
        command,
        log,
        what="the playbook",
        host=owner,
        environment=environment(owner),
        cwd=REPOSITORY,
        on_line=on_line,
    )
    return read_recap(log.read_text(encoding="utf-8"))


def environment(owner: Host) -> dict[str, str]:
    """Returns the variables that a playbook for `owner` runs with."""
    return {
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        # Ansible's own scratch space goes with the host.
        "ANSIBLE_HOME": str(owner.directory / "ansible"),
        "ANSIBLE_NOCOLOR": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
    }


def read_recap(output: str) -> Recap:
    """Reads the counts from a playbook's output.

    # Errors
    `StepError` when there are none, as when no host matched.
    """
    counts = [tuple(map(int, match)) for match in _RECAP.findall(output)]
    if not counts:
        raise StepError("the playbook ran on no host")
    return Recap(ok=sum(count[0] for count in counts), changed=sum(count[1] for count in counts))
