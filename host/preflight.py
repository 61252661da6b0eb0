"""What must be true before anything is changed, all of it said at once."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from host import ports, run
from host.errors import StepError
from host.processes import of_host
from host.settings import REPOSITORY, Host

RUST_HINT = (
    "Debian's own is too old; install the current one with rustup:\n"
    "      sudo apt-get install rustup && rustup default stable      (Debian 13)\n"
    "      see https://rustup.rs                                     (Debian 12)"
)


@dataclass(frozen=True)
class Tool:
    """A program that the tool calls, and the Debian package that brings it."""

    program: str
    package: str


RUN_TOOLS = (
    Tool("systemd-nspawn", "systemd-container"),
    Tool("mmdebstrap", "mmdebstrap"),
    Tool("slirp4netns", "slirp4netns"),
    Tool("nsenter", "util-linux"),
    Tool("ip", "iproute2"),
    Tool("openssl", "openssl"),
    Tool("dpkg-deb", "dpkg"),
)
BUILD_TOOLS = (
    Tool("cc", "gcc"),
    Tool("make", "make"),
    Tool("pkg-config", "pkg-config"),
)


# What only the tests call: faults from strace, Debian's judge of packages, libFuzzer's compiler, and
# a PostgreSQL that they start themselves.
TEST_TOOLS = (
    Tool("gpg", "gnupg"),
    Tool("strace", "strace"),
    Tool("lintian", "lintian"),
    Tool("objdump", "binutils"),
    Tool("c++", "g++"),
)
POSTGRESQL = Path("/usr/lib/postgresql")


def missing_test_packages() -> list[str]:
    """Returns the Debian packages that the tests need beside those of `up`."""
    packages = [tool.package for tool in TEST_TOOLS if shutil.which(tool.program) is None]
    if not any(POSTGRESQL.glob("*/bin/initdb")):
        packages.append("postgresql")
    return packages


def missing_packages() -> list[str]:
    """Returns the Debian packages that are not installed and have to be."""
    packages = [
        tool.package for tool in (*RUN_TOOLS, *BUILD_TOOLS) if shutil.which(tool.program) is None
    ]
    if not os.path.exists("/usr/include/stdlib.h"):
        packages.append("libc6-dev")
    if not os.path.exists("/usr/share/keyrings/debian-archive-keyring.gpg"):
        packages.append("debian-archive-keyring")
    # Debian splits ensurepip, which makes virtual environments, out of python3.
    if subprocess.run(["python3", "-c", "import ensurepip"], stderr=subprocess.DEVNULL, check=False).returncode:
        packages.append("python3-venv")
    return packages


def check(forwards: Mapping[Host, Iterable[int]]) -> None:
    """Checks the machine for hosts, each with the ports of this machine that it will take.

    # Errors
    `StepError` that lists everything in the way, each with what to do.
    """
    problems = [*_rust_problems(), *_port_problems(forwards), *_privilege_problems()]
    if problems:
        raise StepError("this machine is not ready:\n" + "\n".join(f"  - {it}" for it in problems))


def _rust_problems() -> list[str]:
    least = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())["workspace"]["package"][
        "rust-version"
    ]
    rustc = shutil.which("rustc", path=run.cargo_environment()["PATH"])
    if rustc is None:
        return [f"no Rust compiler; at least {least} is needed. {RUST_HINT}"]
    answer = subprocess.run([rustc, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"(\d+)\.(\d+)", answer.stdout)
    if found is None:
        return [f"`{rustc} --version` failed: {answer.stderr.strip()}"]
    if tuple(map(int, found.groups())) < tuple(map(int, least.split("."))):
        return [f"Rust {found[0]} is older than {least}. {RUST_HINT}"]
    return []


def _port_problems(forwards: Mapping[Host, Iterable[int]]) -> list[str]:
    wanted = [port for ports_of_one in forwards.values() for port in ports_of_one]
    networks = {host.seat.network for host in forwards if host.seat}
    ours = [pid for host in {*forwards, *networks} for pid in of_host(host)]
    return [f"{holder}; stop it first" for holder in ports.taken(wanted, ignore=ours)]


def _privilege_problems() -> list[str]:
    if os.geteuid() == 0:
        return []
    missing = missing_packages()
    install = f" (and to run: apt-get install {' '.join(missing)})" if missing else ""
    return [f"root is needed to boot a host{install}; run as root, or install sudo"]
