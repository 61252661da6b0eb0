"""`make vagrant-test`: a real `vagrant up` where there is no hardware virtualisation.

The steps in order; each is a function of its own module. Everything that they
start belongs to one account, which goes at the end with all that is its.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import sys
from pathlib import Path

import box
import dashboards
import guest
import metrics
import outages
import packages
import runaway
import triggers
import user as account
from machine import Machine, wait_until

from host import ports
from host.errors import StepError
from host.packages import LOGS
from host.report import failure
from host.settings import FORWARDED_PORTS
from host.transcript import OnLine, Transcript

INTRODUCTION = """\
# `make vagrant-test`, as it ran

Written by `make vagrant-test`. A real `vagrant up` with the repository's own Vagrantfile: a
virtual machine under software emulation on one core, 16 to 36 times slower than the machine
around it, so the durations tell what happened and in which order, not how fast the stack is.
"""

BOX = "stack-test"
API, BOT, SSH = 8000, 5001, 22
OFFSETS = range(10_000, 50_000, 10_000)

# A connection that Ansible shared notices after a while that its machine is gone.
GONE_SECONDS = 90.0

STOP = "systemctl stop transactions-api.service"
FREEZE = "systemctl kill --signal=SIGSTOP transactions-api.service"


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/vagrant/run.sh", description=__doc__)
    parser.add_argument("--transcript", type=Path, help="write the figures to this file as well")
    parser.add_argument("--keep", action="store_true", help="leave the machine of a failed run up")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("root is needed, for packages, the box and the account of the test", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report = Transcript()
    failed = True
    try:
        run_all(report)
        report.finish()
        failed = False
    except StepError as error:
        print(failure(error), file=sys.stderr)
    finally:
        if not (failed and options.keep):
            account.remove()
    if options.transcript and not failed:
        report.write(
            options.transcript, INTRODUCTION, [["vagrant", "--version"], ["qemu-system-x86_64", "--version"]]
        )
    return int(failed)


def run_all(report: Transcript) -> None:
    """Runs every step on a machine of its own.

    # Errors
    `StepError` of the first that fails.
    """
    logs = LOGS / "vagrant-test"
    logs.mkdir(parents=True, exist_ok=True)
    report.step(
        "tools: vagrant, libvirt, qemu", lambda on_line: packages.install(logs / "apt.log", on_line)
    )
    report.step(
        "vagrant up: its triggers", lambda on_line: triggers.fire(logs / "triggers.log", on_line)
    )
    report.step("box: Debian 13 from Debian's packages", lambda on_line: make_box(logs, on_line))
    machine = Machine(account.create(), free_forwards(), free_offset(), BOX, logs)
    account.install_settings(Path(__file__).parent / "emulation.rb")
    report.step("vagrant box add", lambda on_line: add_box(machine, on_line))
    report.step("vagrant up: boot and deploy", lambda on_line: bring_up(machine, on_line))
    report.step("everything is active", lambda _: guest.wait_until_settled(machine))
    report.step("metrics agree with the kernel", lambda _: metrics.check(machine))
    report.step("dashboards show what a container lacks", lambda _: dashboards.check(machine))
    report.step("break: stop", lambda _: guest.heal(machine, STOP))
    report.step("break: freeze", lambda _: guest.heal(machine, FREEZE))
    report.step("reboot", lambda _: outages.reboot(machine))
    report.step("power cut under load", lambda _: outages.power_cut(machine))
    report.step("vagrant provision: nothing to change", lambda on_line: provision(machine, on_line))
    report.step("a worker runs away", lambda _: runaway.check(machine))
    report.step("vagrant destroy", lambda _: destroy(machine))


def make_box(logs: Path, on_line: OnLine) -> list[str]:
    made = box.ensure(logs / "box.log", on_line)
    return [f"{made.stat().st_size / 1e6:.0f} MB"]


def add_box(machine: Machine, on_line: OnLine) -> list[str]:
    machine.vagrant("box", "add", "--name", BOX, str(box.path()), step="box-add", on_line=on_line)
    return []


def bring_up(machine: Machine, on_line: OnLine) -> list[str]:
    """Runs `vagrant up`, which must end with the table of `make up`."""
    output = machine.vagrant("up", step="up", on_line=on_line)
    recap = re.findall(r"ok=\d+ +changed=\d+ +unreachable=0 +failed=0", output)
    table = [line.partition("stack:")[2].strip() or line for line in output.splitlines()]
    first = next(
        (at for at, line in enumerate(table) if line.split()[:2] == ["service", "unit"]), None
    )
    if not recap or first is None:
        raise StepError("vagrant up ended without Ansible's counts or without the table")
    shown = [line for line in table[first:] if line.strip() != "stack:"]
    return [re.sub(" +", " ", recap[-1]), *shown]


def provision(machine: Machine, on_line: OnLine) -> list[str]:
    recap = machine.provision("provision", on_line)
    if recap.changed:
        raise StepError(
            f"{recap.changed} tasks changed something; the log names them",
            machine.logs / "provision.log",
        )
    return [f"{recap.ok} tasks ok, 0 changed"]


def destroy(machine: Machine) -> list[str]:
    """Runs `vagrant destroy`, after which nothing of the machine may be found."""
    machine.vagrant("destroy", "--force", step="destroy")
    machine.forget_connection()
    if not wait_until(lambda: not machine.leftovers(), GONE_SECONDS):
        raise StepError("vagrant destroy has left " + ", ".join(machine.leftovers()))
    return ["no process, disk, definition or port is left"]


def free_forwards() -> dict[int, int]:
    """Returns a free port on this side for each that qemu is to forward."""
    forwards = {}
    for inner in (SSH, API, BOT):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            forwards[inner] = probe.getsockname()[1]
    return forwards


def free_offset() -> int:
    """Returns the first offset at which all of the Vagrantfile's ports are free."""
    for offset in OFFSETS:
        if not ports.taken(port + offset for port in FORWARDED_PORTS):
            return offset
    raise StepError(f"at none of the offsets {list(OFFSETS)} all of {FORWARDED_PORTS} are free")


if __name__ == "__main__":
    sys.exit(main())
