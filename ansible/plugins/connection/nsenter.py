"""Connects Ansible to a systemd-nspawn host on this machine, without SSH.

A command runs inside the namespaces of the host's PID 1. Nothing has to be installed,
opened or authorised in the guest besides Python, which Ansible needs anyway.
"""

from __future__ import annotations

import os
import shlex
import subprocess

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
    name: nsenter
    short_description: run in the namespaces of a process
    description:
        - Enters all namespaces of one process (a container's PID 1, seen from outside) with nsenter(1).
        - Needs root on the controller, or sudo without a password.
    author: The observability stack maintainers
    extends_documentation_fragment:
        - connection_pipelining
    options:
        leader_pid:
            description: Process id, on the controller, of the container's PID 1.
            type: int
            required: true
            vars:
                - name: ansible_nsenter_pid
        executable:
            description: Shell in the container.
            type: str
            default: /bin/sh
            vars:
                - name: ansible_executable
"""

# The guest must not inherit the controller's environment: a virtual environment's
# PATH or a user's locale mean something else in there.
GUEST_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LANG": "C.UTF-8",
}


class Connection(ConnectionBase):
    """Runs commands and copies files by entering a container's namespaces."""

    transport = "nsenter"
    has_pipelining = True
    # Commands in there are root's, so `become: true` has nothing left to do.
    default_user = "root"

    def _connect(self) -> Connection:
        if not self._connected:
            leader = self.get_option("leader_pid")
            if not os.path.exists(f"/proc/{leader}/ns/mnt"):
                raise AnsibleConnectionFailure(
                    f"ansible_nsenter_pid={leader}: no such process; is the host up?"
                )
            self._connected = True
        return self

    def exec_command(
        self, cmd: str, in_data: bytes | None = None, sudoable: bool = True
    ) -> tuple[int, bytes, bytes]:
        """Run a shell command line inside; return its exit status, output and errors."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._run(cmd, stdin=in_data)

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the controller into the container."""
        super().put_file(in_path, out_path)
        try:
            with open(in_path, "rb") as source:
                content = source.read()
        except FileNotFoundError as error:
            raise AnsibleFileNotFound(f"{in_path}: no such file on the controller") from error
        status, _, errors = self._run(f"cat > {shlex.quote(out_path)}", stdin=content)
        if status != 0:
            raise AnsibleError(f"cannot write {out_path} in the container: {errors.decode()}")

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file out of the container."""
        super().fetch_file(in_path, out_path)
        status, content, errors = self._run(f"cat {shlex.quote(in_path)}")
        if status != 0:
            raise AnsibleError(f"cannot read {in_path} in the container: {errors.decode()}")
        with open(out_path, "wb") as target:
            target.write(content)

    def close(self) -> None:
        """Nothing stays open between commands."""
        self._connected = False

    def _run(self, shell_line: str, stdin: bytes | None = None) -> tuple[int, bytes, bytes]:
        self._connect()
        sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
        environment = [f"{name}={value}" for name, value in GUEST_ENVIRONMENT.items()]
        leader = str(self.get_option("leader_pid"))
        shell = [self.get_option("executable"), "-c", shell_line]
        done = subprocess.run(
            [*sudo, "nsenter", "--target", leader, "--all", "env", "-i", *environment, *shell],
            input=stdin if stdin is not None else b"",
            capture_output=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr
