"""The virtual machine, driven as its user drives it: by `vagrant` and by SSH."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import user as account
from host import run
from host.deploy import Recap, read_recap
from host.errors import StepError
from host.processes import is_alive, status_field

# Emulated, a key exchange and a shell take seconds each.
SSH_SECONDS = 120

OnLine = Callable[[str], None]


@dataclass
class Machine:
    """The machine `stack` of the Vagrantfile in the user's checkout."""

    user: run.User
    ssh_port: int
    port_offset: int
    variables: Path
    logs: Path
    settings: Mapping[str, str] = field(default_factory=dict)

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
            "Port": str(self.ssh_port),
            "IdentityFile": f"{account.HOME}/.vagrant.d/insecure_private_key",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "ConnectTimeout": "60",
            "ServerAliveInterval": "30",
            "ControlMaster": "auto",
            "ControlPersist": "60",
            "ControlPath": f"{account.HOME}/run/ssh-%p",
        }
        return ["ssh", *(f"-o{key}={value}" for key, value in options.items()), "127.0.0.1"]

    def emulator_pid(self) -> int | None:
        """Returns the process that is the machine, or None when it is off."""
        for pid in account.processes():
            if (status_field(pid, "Name") or "").startswith("qemu-system") and is_alive(pid):
                return pid
        return None

    def port(self, inner: int) -> int:
        """Returns the port on this side that the Vagrantfile forwards to `inner`."""
        return inner + self.port_offset

    def _environment(self) -> dict[str, str]:
        return {
            **account.environment(self.user),
            "VAGRANT_HOME": f"{account.HOME}/.vagrant.d",
            "VAGRANT_DEFAULT_PROVIDER": "libvirt",
            "STACK_BUILD": "none",
            "STACK_PORT_OFFSET": str(self.port_offset),
            "STACK_VARIABLES": str(self.variables),
            "STACK_TEST_SSH_PORT": str(self.ssh_port),
            **self.settings,
        }

    def _identity(self) -> dict[str, object]:
        return {
            "user": self.user.uid,
            "group": self.user.gid,
            "extra_groups": [],
            "env": {**os.environ, **self._environment()},
            "cwd": account.CHECKOUT,
        }
