"""The virtual machine, driven as its user drives it: by `vagrant` and by SSH."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import user as account
from host import ports, run
from host.deploy import Recap, read_recap
from host.errors import StepError
from host.processes import command_line, is_alive, status_field
from host.settings import FORWARDED_PORTS

# Emulated, a key exchange and a shell take seconds each.
SSH_SECONDS = 120

# Each question costs the guest's only core half a second.
POLL_SECONDS = 2.0

VARIABLES = Path(__file__).parent / "slow.yml"

OnLine = Callable[[str], None]


@dataclass
class Machine:
    """The machine `stack` of the Vagrantfile in the user's checkout."""

    user: run.User
    # Ports of the machine that qemu itself forwards, to ports on this side. They
    # need no process of their own and outlive a reboot, unlike the Vagrantfile's.
    forwards: Mapping[int, int]
    port_offset: int
    box: str
    logs: Path

    def vagrant(self, *arguments: str, step: str, on_line: OnLine = lambda line: None) -> str:
        """Runs one vagrant command to its end; returns its output.

        # Errors
        `StepError` with its last lines when it fails.
        """
        log = self.logs / f"{step}.log"
        run.logged(
            ["vagrant", *arguments],
            log,
            what=f"vagrant {arguments[0]}",
            user=self.user,
            environment=self._environment(),
            cwd=account.CHECKOUT,
            on_line=on_line,
        )
        return log.read_text(encoding="utf-8").replace("\r", "")

    def provision(self, step: str, on_line: OnLine = lambda line: None) -> Recap:
        """Deploys again; returns Ansible's counts."""
        return read_recap(self.vagrant("provision", step=step, on_line=on_line))

    def ssh(self, command: str, *, check: bool = True, seconds: float = SSH_SECONDS) -> str:
        """Runs `command` as root in the guest and returns what it printed.

        # Errors
        `StepError` when it fails, unless `check` is off, or takes too long.
        """
        try:
            result = subprocess.run(
                [*self.ssh_command(), "sudo", "sh", "-c", shlex.quote(command)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
                **self._identity(),
            )
        except subprocess.TimeoutExpired as error:
            raise StepError(f"in the guest, `{command}` took over {seconds:.0f} s") from error
        if check and result.returncode != 0:
            raise StepError(
                f"in the guest, `{command}` ended with {result.returncode}:\n"
                f"{result.stdout[-2000:]}{result.stderr[-2000:]}"
            )
        return result.stdout

    def ssh_command(self) -> list[str]:
        """Returns the command that reaches a shell in the guest; connections are shared."""
        options = {
            "User": "vagrant",
            "Port": str(self.forwards[22]),
            "IdentityFile": f"{account.HOME}/.vagrant.d/insecure_private_key",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "ConnectTimeout": "20",
            "ServerAliveInterval": "30",
            "ControlMaster": "auto",
            "ControlPersist": "60",
            "ControlPath": f"{account.HOME}/run/ssh-%p",
        }
        return ["ssh", *(f"-o{key}={value}" for key, value in options.items()), "127.0.0.1"]

    def answers(self) -> bool:
        """Says whether a shell can be had in the guest."""
        return self.ssh("echo yes", check=False).strip() == "yes"

    def forget_connection(self) -> None:
        """Ends the shared connection, which leads to a machine that is no more."""
        command = [*self.ssh_command()[:-1], "-O", "exit", "127.0.0.1"]
        subprocess.run(command, capture_output=True, check=False, **self._identity())

    def get_json(self, port: int, path: str) -> Any:
        """Returns what the guest's `port` answers at `path`."""
        url = f"http://127.0.0.1:{self.forwards[port]}{path}"
        with urllib.request.urlopen(url, timeout=SSH_SECONDS) as response:
            return json.load(response)

    def emulator_pid(self) -> int | None:
        """Returns the process that is the machine, or None when it is off."""
        for pid in account.processes():
            if (status_field(pid, "Name") or "").startswith("qemu-system") and is_alive(pid):
                return pid
        return None

    def leftovers(self) -> list[str]:
        """Returns what there still is of a machine that was destroyed."""
        found = [command_line(pid) for pid in account.processes() if _is_of_machine(pid)]
        disks = account.HOME.glob(".local/share/libvirt/images/stack_*")
        found += [str(disk) for disk in disks]
        found += self._virsh("list", "--all", "--name").split()
        ours = [*self.forwards.values(), *(port + self.port_offset for port in FORWARDED_PORTS)]
        return found + [str(holder) for holder in ports.taken(ours)]

    def domain_state(self) -> str:
        """Returns what libvirt takes the machine for: `running`, `shut off`."""
        return self._virsh("domstate", f"{account.CHECKOUT.name}_stack").strip()

    def _virsh(self, *arguments: str) -> str:
        command = ["virsh", "--connect", "qemu:///session", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, **self._identity()
        ).stdout

    def _environment(self) -> dict[str, str]:
        return {
            **account.environment(self.user),
            "VAGRANT_HOME": f"{account.HOME}/.vagrant.d",
            "VAGRANT_DEFAULT_PROVIDER": "libvirt",
            "STACK_BUILD": "none",
            "STACK_PORT_OFFSET": str(self.port_offset),
            "STACK_BOX": self.box,
            "STACK_CPUS": "1",
            "STACK_VARIABLES": str(VARIABLES),
            "STACK_TEST_FORWARDS": json.dumps(self.forwards),
        }

    def _identity(self) -> dict[str, object]:
        return {
            "user": self.user.uid,
            "group": self.user.gid,
            "extra_groups": [],
            "env": {**os.environ, **self._environment()},
            "cwd": account.CHECKOUT,
        }


def _is_of_machine(pid: int) -> bool:
    """Says whether the process is the emulator or a port's forwarder, and no daemon of libvirt."""
    return (status_field(pid, "Name") or "").startswith(("qemu", "ssh"))


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Asks the guest until `condition` holds; returns whether it did within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
