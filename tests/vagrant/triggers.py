"""What the Vagrantfile does on this side before there is a machine: Ansible and the packages.

Vagrant itself does it here, in the checkout, as whoever called the test and has Rust. The account
that has the machine has none, and takes the packages as they are (`STACK_BUILD=none`).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from host import build, packages, run
from host.errors import StepError
from host.packages import OnLine
from host.settings import DAEMONS, REPOSITORY

NO_MACHINE = Path(__file__).parent / "no_machine.rb"
# What Vagrant says as the last thing where everything before the machine has succeeded.
END = "here the machine would begin"
BUILDS = "Running trigger: Packages"


def fire(log: Path, on_line: OnLine) -> list[str]:
    """Runs `vagrant up` as far as to the machine; returns the packages that there are then.

    # Errors
    `StepError` when it ended before, or has built nothing.
    """
    user = run.User.calling()
    with tempfile.TemporaryDirectory() as home:
        os.chown(home, user.uid, user.gid)
        shutil.copy(NO_MACHINE, Path(home, "Vagrantfile"))
        environment = {
            **packages.cargo_environment(),
            "VAGRANT_HOME": home,
            "VAGRANT_DOTFILE_PATH": f"{home}/dotfile",
            "VAGRANT_DEFAULT_PROVIDER": "libvirt",
            "STACK_TEST_END": END,
        }
        try:
            run.logged(
                ["vagrant", "up"],
                log,
                what="vagrant up, as far as to the machine,",
                user=user,
                environment=environment,
                cwd=REPOSITORY,
                on_line=on_line,
            )
        except StepError:
            said = log.read_text(encoding="utf-8")
            if END not in said or BUILDS not in said:
                raise
    stale = [daemon for daemon in DAEMONS if build.is_stale(daemon)]
    if stale:
        raise StepError(f"the Vagrantfile has not built {', '.join(stale)}", log)
    return [package.name for package in sorted(build.DEBS.glob("*.deb"))]
