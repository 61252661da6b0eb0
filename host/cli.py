"""The tool's command line: one function per command, each a few lines long."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from host import checks, fleet, guest, health, inventory, lock, network, packages, preflight
from host import soak as campaigns
from host import teardown, tree, vagrant
from host import deploy as deploy_step
from host import up as up_steps
from host.errors import StepError
from host.processes import leader_pid
from host.report import THINGS_TO_TRY, Progress, failure, table
from host.settings import (
    CACHE_DIRECTORY,
    DEFAULT_HOST,
    DEFAULT_SUITE,
    SERVICES,
    STATE_DIRECTORY,
    SUITES,
    Host,
)


def main(arguments: list[str]) -> int:
    """Runs one command and returns the exit status."""
    options = _parser().parse_args(arguments)
    host = Host(options.name)
    try:
        status: int = options.run(host, options)
        return status
    except StepError as error:
        print(failure(error, host), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; `make down` ends what was started", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="host", description=__doc__.splitlines()[0])
    parser.add_argument("--name", default=DEFAULT_HOST, help="the host (default: %(default)s)")
    parser.add_argument(
        "--suite", default=DEFAULT_SUITE, choices=SUITES, help="its Debian (default: %(default)s)"
    )
    parser.add_argument("--mirror", help="Debian mirror to build the tree from")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: object, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text)
        command.set_defaults(run=function)
        return command

    up = add("up", _up, "bring everything up")
    up.add_argument("--hosts", type=int, default=1, help="that many, as a fleet (default: 1)")
    add("down", _down, "end everything")
    add("status", _status, "show the services")
    shell = add("shell", _shell, "open a root shell in the host")
    shell.add_argument("--command", help="run this instead and pass its status on")
    logs = add("logs", _logs, "follow the journal")
    logs.add_argument("--unit", action="append", help="of these units only")
    add("boot", _boot, "boot a bare host and stop there")
    deploy = add("deploy", _deploy, "run the playbook against a host that is up")
    deploy.add_argument("--extra-vars", action="append", default=[], metavar="NAME=VALUE")
    add("leader", _leader, "print the process id of the host's PID 1")
    add("preflight", _preflight, "say what is in the way of `up`")
    add("deb", _deb, "build the .deb packages")
    add("ansible", _ansible, "install Ansible into .venv")
    add("vagrant-table", _vagrant_table, "show the services of the Vagrantfile's machine")
    add("lint", _lint, "check everything that needs no host")
    test = add("test", _test, "check everything, the machine tests last")
    test.add_argument("pytest_arguments", nargs="*", help="for pytest, after --")
    machine = add("machine-test", _machine_test, "run the machine tests alone")
    machine.add_argument("pytest_arguments", nargs="*", help="for pytest, after --")
    bench = add("bench", _bench, "measure beside peers")
    bench.add_argument("names", nargs="*", help="which benches (default: all)")
    soak = add("soak", _soak, "run the tests' campaigns at full size")
    soak.add_argument("--transcript", type=Path, help="where to write it (default: docs/soak.md)")
    soak.add_argument("names", nargs="*", help="packages, or machine (default: all)")
    add("tools", _tools, "print the folder that holds promtool and amtool")
    add("clean", _clean, "end every host and remove its files")
    add("distclean", _distclean, "remove the caches as well")
    return parser


def _base(options: argparse.Namespace) -> tree.Base:
    return tree.Base(options.suite, options.mirror)


def _up(host: Host, options: argparse.Namespace) -> int:
    progress = Progress()
    if options.hosts != 1:
        return _up_fleet(host, options, progress)
    survey = up_steps.up(host, _base(options), progress)
    print(f"\nhost {host.name} is up after {progress.total():.0f} s\n")
    print(table(survey))
    print(f"\n{THINGS_TO_TRY}", end="")
    return 0


def _up_fleet(host: Host, options: argparse.Namespace, progress: Progress) -> int:
    surveys = fleet.up_fleet(host, options.hosts, _base(options), progress)
    print(f"\nfleet {host.name} is up after {progress.total():.0f} s")
    for member, survey in surveys.items():
        print(f"\n{member.name}\n{table(survey)}")
    print(f"\nA shell in one of them: make shell NAME={next(iter(surveys)).name}")
    return 0


def _down(host: Host, _options: argparse.Namespace) -> int:
    # The fleet's own lock first: whoever brings it up must not start another member.
    with lock.exclusive(host, evict=True):
        members = inventory.members(host)
        with fleet.exclusive(members, evict=True):
            fleet.stop(host)
    for gone in members or [host]:
        print(f"host {gone.name} is down; its files stay in {gone.directory} (`make clean`)")
    return 0


def _status(host: Host, _options: argparse.Namespace) -> int:
    running = [it for it in (host, *inventory.members(host)) if leader_pid(it) is not None]
    if not running:
        print(f"host {host.name} is down; start it with `make up`")
        return 1
    surveys = {member: health.survey(member) for member in running}
    for member, survey in surveys.items():
        print(table(survey) if member == host else f"{member.name}\n{table(survey)}")
    return 0 if all(entry.acceptable for survey in surveys.values() for entry in survey) else 1


def _shell(host: Host, options: argparse.Namespace) -> int:
    return guest.shell(host, options.command, os.environ.get("TERM", "dumb"))


def _logs(host: Host, options: argparse.Namespace) -> int:
    units = options.unit or [service.unit for service in SERVICES]
    follow = ["--follow"] if sys.stdout.isatty() else ["--no-pager"]
    command = ["journalctl", "--lines=200", *follow, *(f"--unit={unit}" for unit in units)]
    return subprocess.run(guest.enter_command(host, command), check=False).returncode


def _boot(host: Host, options: argparse.Namespace) -> int:
    with lock.exclusive(host):
        forwards = network.wanted_forwards(host)
        preflight.check({host: forwards})
        progress = Progress()
        up_steps.install_packages(progress)
        up_steps.start(host, _base(options), forwards, progress)
    for outer, inner in network.forwarded(host).items():
        print(f"  127.0.0.1:{outer} -> {inner}")
    return 0


def _deploy(host: Host, options: argparse.Namespace) -> int:
    variables = dict(item.split("=", 1) for item in options.extra_vars)
    with lock.exclusive(host):
        recap = deploy_step.deploy(host, variables=variables, on_line=print)
    print(f"{recap.ok} tasks ok, {recap.changed} changed")
    return 0


def _leader(host: Host, _options: argparse.Namespace) -> int:
    leader = leader_pid(host)
    if leader is None:
        raise StepError(f"host {host.name} is not up; start it with `make up`")
    print(leader)
    return 0


def _preflight(host: Host, _options: argparse.Namespace) -> int:
    preflight.check({host: network.wanted_forwards(host)})
    print("ready for `make up`")
    return 0


def _deb(_host: Host, _options: argparse.Namespace) -> int:
    progress = Progress()
    up_steps.install_packages(progress)
    up_steps.pack(progress)
    return 0


def _ansible(_host: Host, _options: argparse.Namespace) -> int:
    with Progress().step("tools: ansible in .venv") as on_line:
        packages.ensure_venv(packages.DEPLOY_REQUIREMENTS, on_line)
    return 0


def _vagrant_table(_host: Host, _options: argparse.Namespace) -> int:
    survey = vagrant.wait_until_healthy()
    print(table(survey))
    return 0 if all(entry.acceptable for entry in survey) else 1


def _lint(_host: Host, options: argparse.Namespace) -> int:
    checks.lint(_base(options), Progress())
    return 0


def _bench(_host: Host, options: argparse.Namespace) -> int:
    return checks.benches(options.names)


def _soak(_host: Host, options: argparse.Namespace) -> int:
    campaigns.soak(options.transcript, options.names)
    return 0


def _test(_host: Host, options: argparse.Namespace) -> int:
    return checks.test(_base(options), Progress(), options.pytest_arguments)


def _machine_test(_host: Host, options: argparse.Namespace) -> int:
    return checks.machine_tests(options.pytest_arguments)


def _tools(_host: Host, options: argparse.Namespace) -> int:
    base = _base(options)
    tree.ensure_base(base, packages.log("mmdebstrap"), lambda line: None)
    print(base.tools)
    return 0


def _clean(_host: Host, _options: argparse.Namespace) -> int:
    if STATE_DIRECTORY.is_dir():
        for directory in sorted(STATE_DIRECTORY.iterdir()):
            host = Host(directory.name)
            with lock.exclusive(host, evict=True):
                teardown.destroy(host)
            print(f"host {host.name} is gone")
    return 0


def _distclean(host: Host, options: argparse.Namespace) -> int:
    _clean(host, options)
    for directory in (CACHE_DIRECTORY, STATE_DIRECTORY, packages.VENV):
        shutil.rmtree(directory, ignore_errors=True)
    return 0
