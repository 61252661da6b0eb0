"""The table of `make up` for the virtual machine of the Vagrantfile, which calls this."""

from __future__ import annotations

import os
import subprocess

from host import health
from host.errors import StepError
from host.settings import FORWARDED_PORTS, REPOSITORY

# A machine without hardware virtualisation needs minutes to start everything.
HEALTHY_SECONDS = 300.0


def wait_until_healthy() -> list[health.Health]:
    """Waits until every service in the machine is healthy; returns the last survey either way.

    # Errors
    `StepError` when the machine is not up.
    """
    return health.wait_for(_survey, HEALTHY_SECONDS)


def _survey() -> list[health.Health]:
    offset = int(os.environ.get("STACK_PORT_OFFSET", "0"))
    outer_ports = {port: port + offset for port in FORWARDED_PORTS}
    command = ["vagrant", "ssh", "--no-tty", "--command", " ".join(health.SHOW_UNITS)]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise StepError(f"the virtual machine does not answer: {result.stderr.strip()}")
    return health.assess(result.stdout.replace("\r", ""), outer_ports)
