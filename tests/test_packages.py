"""The .deb packages by themselves, with apt and without the playbook.

They are installed, upgraded, purged and refused on a plain host, where nothing of ours was before.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from stack import Stack

from host import build, network, teardown, tree, up
from host.report import Progress
from host.settings import DAEMONS, DEFAULT_SUITE, SUITES, Host

# Where the packages lie inside the host: the ones just built, and the ones before them.
PRESENT, FORMER = "/root/packages/present", "/root/packages/former"
FORMER_VERSION = "0.0.9-1"

# Debian's playbooks answer dpkg's question about changed files like this, as ours does.
INSTALL = (
    "DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "
    "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
)
# dpkg, unlike apt-get, does not mind a package that is not there.
PURGE = f"dpkg --purge {' '.join(DAEMONS)}"

CONFIGURATION = {
    "transactions-api": "/etc/transactions/api.toml",
    "transactions-worker": "/etc/transactions/worker.toml",
    "alert-bot": "/etc/alert-bot/alert-bot.toml",
    "unit-exporter": "/etc/unit-exporter/unit-exporter.toml",
}
UNITS = (
    "transactions-api.service",
    "transactions-worker@1.service",
    "alert-bot.service",
    "alert-bot.socket",
    "alert-bot-control.socket",
    "unit-exporter.service",
    "unit-exporter.socket",
)
ACCOUNTS = ("transactions", "alert-bot", "unit-exporter")
TRANSACTIONS = "http://127.0.0.1:8000/transactions"
SHIPPED_BEFORE = "# This line was in the former package only."
EDITED = "# The administrator was here."

# What Debian's own tools write wherever packages come and go.
OF_THE_SYSTEM = re.compile(
    r"/(var/(cache|log|tmp)|tmp|root|proc|sys|dev)/"
    r"|/var/lib/(apt|dpkg|systemd)/|/run/(systemd|lock|log|udev|user)/"
    # `systemctl enable` makes the folder for the first link.
    r"|/etc/systemd/system/[^/]+\.wants$"
    r"|/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|/etc/\.pwd\.lock$"
)

# Debian 11's, whose libraries and systemd are too old for these packages.
OLD_HOST = {"libc6": "2.31-13", "systemd": "247.3-7", "dbus": "1.12.28-0", "polkitd": "0.105-31"}


def built() -> list[Path]:
    """Returns the packages of `make deb`."""
    found = [build.DEBS.glob(f"{daemon}_*.deb") for daemon in DAEMONS]
    packages = [package for matches in found for package in matches]
    assert len(packages) == len(DAEMONS), f"run `make deb`: {packages}"
    return packages


def field(package: Path, name: str) -> str:
    """Returns a field of a package's control file."""
    command = ["dpkg-deb", "--field", str(package), name]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def make_former(package: Path, folder: Path) -> None:
    """Packs `package` again as an earlier version with another configuration file."""
    name = package.name.partition("_")[0]
    contents = folder / f"{name}.contents"
    subprocess.run(["dpkg-deb", "--raw-extract", package, contents], check=True)
    control = contents / "DEBIAN/control"
    version = re.sub(r"(?m)^Version: .*$", f"Version: {FORMER_VERSION}", control.read_text())
    # An earlier version needs no later one of the others.
    control.write_text(version.replace("transactions-api (>= 0.1.0)", "transactions-api"))
    configuration = contents / CONFIGURATION[name].lstrip("/")
    configuration.write_text(f"{configuration.read_text()}{SHIPPED_BEFORE}\n")
    pack = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", contents, folder]
    subprocess.run(pack, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(suite, marks=[] if suite == DEFAULT_SUITE else [pytest.mark.long])
        for suite in SUITES
    ],
)
def machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A host with nothing of ours, but with our packages at hand."""
    host = Host(f"test-{os.getpid()}-packages")
    former = tmp_path_factory.mktemp("former")
    for package in built():
        make_former(package, former)
    try:
        base = tree.Base(request.param)
        up.start(host, base, network.wanted_forwards(host), Progress())
        for place, packages in ((PRESENT, built()), (FORMER, list(former.glob("*.deb")))):
            folder = host.tree / place.lstrip("/")
            folder.mkdir(parents=True)
            for package in packages:
                subprocess.run(["cp", package, folder], check=True)
        yield Stack(host)
    finally:
        teardown.destroy(host)


@pytest.fixture
def plain(machine: Stack) -> Iterator[Stack]:
    """The host without our packages, before the test and after it."""
    yield machine
    machine.run(PURGE, check=False)


def prepare_bot(plain: Stack) -> None:
    """Gives the bot the one thing that it cannot start without."""
    plain.run("install --mode=600 <(echo secret) /etc/alert-bot/credentials/webhook-token")


def main_pid(plain: Stack, unit: str) -> str:
    return plain.run(f"systemctl show --property=MainPID --value {unit}").strip()


def test_installing_is_complete_and_starts_nothing(plain: Stack) -> None:
    plain.run(f"{INSTALL} {PRESENT}/*.deb")

    assert plain.run(f"dpkg --verify {' '.join(DAEMONS)}") == ""
    for account in ACCOUNTS:
        plain.run(f"getent passwd {account}")
    for daemon in DAEMONS:
        plain.run(f"{daemon} validate")
        installed = plain.run(f"dpkg --listfiles {daemon}").splitlines()
        for place in (
            f"/usr/share/man/man8/{daemon}.8.gz",
            f"/usr/share/man/man5/{daemon}.toml.5.gz",
            f"/usr/share/bash-completion/completions/{daemon}",
            f"/usr/share/zsh/vendor-completions/_{daemon}",
            f"/usr/share/fish/vendor_completions.d/{daemon}.fish",
            f"/usr/share/doc/{daemon}/changelog.Debian.gz",
            f"/usr/share/doc/{daemon}/copyright",
            f"/usr/share/doc/{daemon}/third-party.gz",
        ):
            assert place in installed
        plain.run(f"zgrep --quiet '^tokio ' /usr/share/doc/{daemon}/third-party.gz")
    for unit in UNITS:
        assert plain.unit_state(unit) == "inactive", unit
        assert plain.run(f"systemctl is-enabled {unit}", check=False).strip() != "enabled", unit


def test_bash_completes_the_commands(plain: Stack) -> None:
    plain.run(f"{INSTALL} {PRESENT}/alert-bot_*.deb")
    completed = plain.run(
        "source /usr/share/bash-completion/completions/alert-bot && "
        "COMP_WORDS=(alert-bot inc) COMP_CWORD=1 && "
        '_alert__bot alert-bot inc alert-bot && echo "${COMPREPLY[@]}"'
    )
    assert completed.split() == ["incidents", "incident"]


def test_an_upgrade_keeps_data_and_settings_and_restarts_what_runs(plain: Stack) -> None:
    plain.run(f"{INSTALL} {FORMER}/*.deb")
    prepare_bot(plain)
    running = ("transactions-api.service", "transactions-worker@1.service", "alert-bot.service")
    plain.run(f"systemctl start {' '.join(running)}")
    body = shlex.quote('{"amount": "12.34", "currency": "EUR"}')
    posted = plain.run(f"curl --fail --silent --show-error --data {body} {TRANSACTIONS}")
    identity = re.search(r'"id":"([^"]+)"', posted)
    assert identity is not None, posted
    plain.run("alert-bot pause --for 1h --why upgrade")
    plain.run(f"echo {shlex.quote(EDITED)} >> {CONFIGURATION['alert-bot']}")
    before = {unit: main_pid(plain, unit) for unit in running}

    plain.run(f"{INSTALL} {PRESENT}/*.deb")

    for unit in running:
        assert plain.unit_state(unit) == "active", plain.journal(unit)
        after = main_pid(plain, unit)
        assert after != before[unit], f"{unit} was not restarted"
        assert "(deleted)" not in plain.run(f"readlink /proc/{after}/exe"), unit
    assert plain.unit_state("unit-exporter.service") == "inactive"
    assert '"12.34"' in plain.run(f"curl --fail --silent {TRANSACTIONS}/{identity[1]}")
    assert "upgrade" in plain.run("alert-bot status"), "the ledger forgot a pause"

    edited = plain.run(f"cat {CONFIGURATION['alert-bot']}")
    assert EDITED in edited
    assert SHIPPED_BEFORE in edited
    offered = plain.run(f"cat {CONFIGURATION['alert-bot']}.dpkg-dist")
    assert SHIPPED_BEFORE not in offered
    untouched = plain.run(f"cat {CONFIGURATION['transactions-worker']}")
    assert SHIPPED_BEFORE not in untouched


def test_purging_leaves_nothing_but_the_accounts(plain: Stack) -> None:
    def files() -> set[str]:
        listed = plain.run("find / -xdev -print 2>/dev/null; find /run -print", check=False)
        return {path for path in listed.splitlines() if not OF_THE_SYSTEM.match(path)}

    before = files()
    plain.run(f"{INSTALL} {PRESENT}/*.deb")
    prepare_bot(plain)
    plain.run(f"systemctl enable --now {' '.join(UNITS)}")
    assert files() > before

    plain.run(PURGE)

    assert files() == before
    for unit in UNITS:
        assert plain.unit_state(unit) in ("inactive", "unknown"), unit
    for account in ACCOUNTS:
        plain.run(f"getent passwd {account}")


def test_apt_refuses_a_host_that_is_too_old_and_says_why(plain: Stack) -> None:
    plain.run("mkdir --parents /root/old/lists/partial")
    stanza = (
        "Package: {}\nStatus: install ok installed\nArchitecture: {}\nVersion: {}\n"
        "Maintainer: Debian\nDescription: of Debian 11\n"
    )
    architecture = plain.run("dpkg --print-architecture").strip()
    status = "\n".join(stanza.format(name, architecture, OLD_HOST[name]) for name in OLD_HOST)
    plain.run("cat > /root/old/status", stdin=status)
    refusal = plain.run(
        "apt-get install --simulate -o Dir::State::status=/root/old/status "
        "-o Dir::State::lists=/root/old/lists -o Dir::Etc::sourcelist=/dev/null "
        f"-o Dir::Etc::sourceparts=/dev/null {PRESENT}/alert-bot_*.deb 2>&1",
        check=False,
    )
    needed = re.search(r"alert-bot : Depends: libc6 \(>= ([\d.]+)\)", refusal)
    assert needed is not None, refusal
    assert "Depends: systemd (>= 252)" in refusal, refusal


@pytest.mark.parametrize("daemon", DAEMONS)
def test_the_needed_c_library_is_the_one_that_the_binary_asks_for(daemon: str) -> None:
    def version(text: str) -> tuple[int, ...]:
        return tuple(map(int, text.split(".")))

    (package,) = (found for found in built() if found.name.startswith(f"{daemon}_"))
    depends = field(package, "Depends")
    declared = re.search(r"libc6 \(>= ([\d.]+)\)", depends)
    assert declared is not None, depends
    symbols = subprocess.run(
        ["objdump", "--dynamic-syms", build.DEBS.parent / "release" / daemon],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    asked = max(map(version, re.findall(r"GLIBC_(\d+\.[\d.]+)", symbols)))
    assert version(declared[1]) >= asked


def test_lintian_finds_nothing_to_say() -> None:
    command = ["lintian", "--allow-root", "--fail-on=error,warning", "--info", *map(str, built())]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
