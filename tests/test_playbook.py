"""The playbook on hosts of every kind: fresh, deployed, upgraded, and rid of it again."""

from __future__ import annotations

import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import pytest
import yaml
from play import REMOVE, play
from slack_sink import VARIABLES
from stack import API, BOT, Stack

from host import build, deploy, health, network, tree, up
from host.processes import wait_until
from host.report import Progress
from host.settings import DAEMONS, DEFAULT_SUITE, SUITES, Host

# Each run of the playbook takes a good part of a minute, and there are many.
pytestmark = pytest.mark.long

PREVIOUS_VERSION = "0.0.9-1"
KNOCKING_SECONDS = 10.0
SHOWN_DIFFERENCES = 100

# System accounts stay when a package is purged, as Debian's do: files elsewhere may
# still belong to their numbers.
KEPT_ACCOUNTS = {"alert-bot", "postgres", "prometheus", "ssl-cert", "transactions", "unit-exporter"}

# Every installed Debian has these, unlike the bare tree. Once they are there, apt keeps them for
# the packages that recommend or suggest them.
USUAL_PACKAGES = "adduser libgcrypt20 locales netbase perl sensible-utils"

# What comes and goes by itself, or is a record of what was done.
_NOT_COMPARED = (
    "/dev /proc /run /sys /tmp /root /var/cache /var/lib/apt /var/lib/dpkg /var/lib/systemd"
    " /var/log /var/tmp */__pycache__ /etc/.pwd.lock"
)
# Contents that follow from the accounts and packages, which are compared themselves.
_DERIVED = r"/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?|/etc/ld.so.cache|/etc/resolv.conf"


@dataclass(frozen=True)
class Snapshot:
    """What there is on a host, apart from logs, caches and what runs."""

    packages: frozenset[str]
    units: frozenset[str]
    accounts: frozenset[str]
    files: frozenset[str]

    @staticmethod
    def of(stack: Stack) -> Snapshot:
        pruned = " -o ".join(f"-path '{folder}'" for folder in _NOT_COMPARED.split())
        lists = (
            "dpkg-query --show --showformat='${Package} ${Version} ${db:Status-Abbrev}\\n'",
            "systemctl list-unit-files --no-legend --plain",
            "{ getent passwd; getent group; } | cut -d: -f1",
            f"find / -xdev \\( {pruned} \\) -prune -o -printf '%y %m %u %g %p\\n';"
            f" find /etc -type f -regextype egrep -not -regex '{_DERIVED}' -exec md5sum {{}} +",
        )
        return Snapshot(*(frozenset(stack.run(command).splitlines()) for command in lists))

    def differences(self, other: Snapshot) -> list[str]:
        """What the other one has too much or too little, a line each."""
        return [
            f"{field.name}: {sign} {line}"
            for field in fields(self)
            for sign, lines in (
                ("gone", getattr(self, field.name) - getattr(other, field.name)),
                ("new", getattr(other, field.name) - getattr(self, field.name)),
            )
            for line in sorted(lines)
        ]


@pytest.fixture
def fresh(bare_host: Host, request: pytest.FixtureRequest) -> Stack:
    """A bare host of the suite that the test asks for."""
    suite = getattr(request, "param", DEFAULT_SUITE)
    up.start(bare_host, tree.Base(suite), network.wanted_forwards(bare_host), Progress())
    return Stack(bare_host)


def test_a_look_at_a_fresh_host_changes_nothing(fresh: Stack) -> None:
    before = Snapshot.of(fresh)
    play(fresh.host, deploy.PLAYBOOK, "--check", "--diff").succeeded()
    assert before.differences(Snapshot.of(fresh)) == []


def test_a_look_at_a_deployed_host_finds_nothing_to_change(stack: Stack) -> None:
    running = "systemctl show --property=Id,InvocationID '*.service'"
    before = stack.run(f"{running} | sort")
    look = play(stack.host, deploy.PLAYBOOK, "--check", "--diff", variables=VARIABLES).succeeded()
    assert look.changed == 0, look.output
    assert stack.run(f"{running} | sort") == before


def test_a_look_shows_what_a_variable_would_change(stack: Stack) -> None:
    variables = {**VARIABLES, "prometheus_memory_max": "1234M"}
    look = play(stack.host, deploy.PLAYBOOK, "--check", "--diff", "--tags=prometheus", variables=variables)
    assert "+MemoryMax=1234M" in look.succeeded().output
    assert "1234M" not in stack.run("systemctl cat prometheus.service")


@pytest.mark.parametrize("fresh", SUITES, indirect=True)
def test_a_host_from_nothing_and_back(fresh: Stack, tmp_path: Path) -> None:
    progress = Progress()
    install = "DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends"
    fresh.run(f"apt-get update -qq; {install} {USUAL_PACKAGES}")
    before = Snapshot.of(fresh)
    database = f"--inventory={database_inventory(tmp_path)}"
    roll_out = partial(play, fresh.host, deploy.PLAYBOOK, database)
    remove = partial(play, fresh.host, REMOVE, database)
    previous = {"stack_packages_dir": str(previous_packages(tmp_path / "previous"))}

    for tag in tags():
        with progress.step(f"deploy the previous version: --tags {tag}"):
            roll_out(f"--tags={tag}", variables=previous).succeeded()
    with progress.step("deploy all of it: nothing is left to change"):
        assert roll_out(variables=previous).succeeded().changed == 0
    survey = health.wait_until_healthy(fresh.host)
    up.check_health(fresh.host, survey)
    assert set(versions(fresh).values()) == {PREVIOUS_VERSION}

    with progress.step("upgrade"), refused_connections(fresh) as refused:
        ledger = fresh.run("stat --format=%i /var/lib/alert-bot/ledger.db")
        fresh.run("echo '# kept' >> /etc/alert-bot/policy.d/own.toml")
        roll_out().succeeded()
    assert refused() == 0
    assert PREVIOUS_VERSION not in versions(fresh).values()
    assert fresh.run("stat --format=%i /var/lib/alert-bot/ledger.db") == ledger
    assert fresh.run("cat /etc/alert-bot/policy.d/own.toml") == "# kept\n"
    assert fresh.run("ls -l /proc/[0-9]*/exe 2>/dev/null | grep '/usr/bin/.*(deleted)' || true") == ""
    survey = health.wait_until_healthy(fresh.host)
    up.check_health(fresh.host, survey)

    with progress.step("deploy again, then look: nothing to change"):
        assert roll_out().succeeded().changed == 0
        assert roll_out("--check", "--diff").succeeded().changed == 0

    databases = "SELECT datname FROM pg_database WHERE datname = 'ledger'"
    assert fresh.run(f'runuser --user postgres -- psql -At --command "{databases}"') == "ledger\n"

    with progress.step("remove"):
        remove().succeeded()
    kept = {f"accounts: new {name}" for name in KEPT_ACCOUNTS}
    left = [it for it in before.differences(Snapshot.of(fresh)) if it not in kept]
    assert not left, "\n".join(left[:SHOWN_DIFFERENCES])
    with progress.step("remove again: nothing to do"):
        assert remove().succeeded().changed == 0


def database_inventory(folder: Path) -> Path:
    """Writes an inventory that adds a database to the host of the demo's inventory."""
    written = folder / "database.yml"
    variables = {"postgresql_databases": [{"name": "ledger", "password": secrets.token_hex(16)}]}
    written.write_text(yaml.safe_dump({"database": {"hosts": {"demo": {}}, "vars": variables}}))
    return written


def tags() -> Iterator[str]:
    """The tag of each role, in the playbook's order."""
    for each in yaml.safe_load(deploy.PLAYBOOK.read_text()):
        for role in each["roles"]:
            yield from role["tags"]


def previous_packages(folder: Path) -> Path:
    """Packs what `make deb` packed as an older version, and returns the folder with it."""
    folder.mkdir()
    for daemon in DAEMONS:
        (package,) = build.DEBS.glob(f"{daemon}_*.deb")
        unpacked = folder / daemon
        subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(unpacked)], check=True)
        control = unpacked / "DEBIAN/control"
        text = control.read_text()
        (version,) = re.findall(r"^Version: (.*)-\d+$", text, re.MULTILINE)
        # Also where one of them depends on another.
        control.write_text(text.replace(version, PREVIOUS_VERSION.partition("-")[0]))
        target = folder / f"{daemon}_{PREVIOUS_VERSION}_all.deb"
        command = ["dpkg-deb", "--root-owner-group", "--build", str(unpacked), str(target)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def versions(stack: Stack) -> dict[str, str]:
    listed = stack.run(f"dpkg-query --show {' '.join(DAEMONS)}")
    return dict(line.split("\t") for line in listed.splitlines())


# Connects to the ports that systemd keeps open, again and again, and counts refusals.
_KNOCKER = f"""
import pathlib, socket, time
refused = 0
while True:
    for port in ({API}, {BOT}):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            refused += 1
        pathlib.Path("/run/refused").write_text(str(refused))
    time.sleep(0.01)
"""


@contextmanager
def refused_connections(stack: Stack) -> Iterator[Callable[[], int]]:
    """Knocks at the API's and the bot's ports meanwhile; the yielded function counts refusals."""
    stack.run("cat > /run/knocker.py", stdin=_KNOCKER)
    stack.run("systemd-run --quiet --collect --unit=knocker.service python3 /run/knocker.py")
    assert wait_until(lambda: stack.run("cat /run/refused", check=False) == "0", KNOCKING_SECONDS)
    try:
        yield lambda: int(stack.run("cat /run/refused"))
    finally:
        stack.run("systemctl stop knocker.service")
