"""The file tree that a host boots from: a plain Debian, cached, copied per host.

The cache entry also holds the stack's Debian packages, unopened in apt's
archive folder so that a deploy need not download them, and promtool and
amtool taken out of them: installing those packages on this machine would
start a Prometheus on it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from host import run
from host.errors import StepError
from host.settings import CACHE_DIRECTORY, GUEST_NAMESERVER, Host

# A bare server as Ansible expects to find one: systemd, D-Bus and Python.
BASE_PACKAGES = (
    "apt-utils",
    "ca-certificates",
    "curl",
    "dbus",
    "hey",
    "iproute2",
    "less",
    "libpam-systemd",
    "polkitd",
    "procps",
    "python3",
    "python3-apt",
    "systemd",
    "systemd-sysv",
)

# Only downloaded; one that is missing here is fetched during the deploy. nginx and
# Redis are the services of ansible/examples.
CACHED_PACKAGES = (
    "nginx",
    "prometheus",
    "prometheus-alertmanager",
    "prometheus-blackbox-exporter",
    "prometheus-node-exporter",
    "redis-server",
    "sqlite3",
)

# Debian 13 packages promtool apart from prometheus, Debian 12 does not.
TOOL_PACKAGES = ("prometheus", "promtool", "prometheus-alertmanager")
TOOLS = ("promtool", "amtool")

# Part of the cache key: raise it when this module builds trees differently.
RECIPE = 1


@dataclass(frozen=True)
class Base:
    """One cached tree; its inputs are its identity, so a change makes a new one."""

    suite: str
    mirror: str | None = None

    @property
    def directory(self) -> Path:
        inputs = repr((RECIPE, self.mirror, BASE_PACKAGES, CACHED_PACKAGES, TOOLS))
        digest = hashlib.sha256(inputs.encode()).hexdigest()[:12]
        return CACHE_DIRECTORY / f"{self.suite}-{digest}"

    @property
    def tree(self) -> Path:
        return self.directory / "tree"

    @property
    def tools(self) -> Path:
        """The folder with promtool and amtool, runnable on this machine by any user."""
        return self.directory / "tools"


def ensure_base(base: Base, log: Path, on_line: Callable[[str], None]) -> None:
    """Builds the cached tree and its tools unless they are there already.

    # Errors
    `StepError` with mmdebstrap's last lines when it fails.
    """
    if base.directory.is_dir():
        return
    CACHE_DIRECTORY.mkdir(parents=True, exist_ok=True)
    for leftover in CACHE_DIRECTORY.glob("*.partial"):
        shutil.rmtree(leftover)
    partial = base.directory.with_suffix(".partial")
    partial.mkdir()
    run.logged(
        [*run.CONTAINED, *_mmdebstrap(base, partial / "tree")],
        log,
        what="mmdebstrap",
        on_line=on_line,
    )
    _prepare(partial / "tree")
    _extract_tools(partial, base)
    # The entry appears whole or not at all.
    partial.rename(base.directory)


def copy_tree(base: Base, host: Host) -> None:
    """Gives `host` a tree of its own unless it has one.

    # Errors
    `StepError` when the copy fails, for lack of space say.
    """
    if host.tree.is_dir():
        return
    host.directory.mkdir(parents=True, exist_ok=True)
    partial = host.tree.with_suffix(".partial")
    if partial.is_dir():
        shutil.rmtree(partial)
    copy = ["cp", "--archive", "--reflink=auto", "--no-target-directory"]
    what = f"copying {base.tree}"
    run.logged([*copy, str(base.tree), str(partial)], host.log("copy"), what=what, host=host)
    (partial / "etc/hostname").write_text(f"{host.name}\n")
    (partial / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {host.name}\n")
    partial.rename(host.tree)


def _mmdebstrap(base: Base, target: Path) -> list[str]:
    fetch = "apt-get --yes --no-install-recommends --download-only install"
    return [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join(BASE_PACKAGES)}",
        # Keep apt's lists and archives: a deploy finds its packages there.
        "--skip=cleanup/apt",
        f'--customize-hook=chroot "$1" {fetch} {" ".join(CACHED_PACKAGES)}',
        base.suite,
        str(target),
        *([base.mirror] if base.mirror else []),
    ]


def _prepare(tree: Path) -> None:
    (tree / "etc/resolv.conf").unlink(missing_ok=True)
    (tree / "etc/resolv.conf").write_text(f"nameserver {GUEST_NAMESERVER}\n")
    # An empty machine-id is filled in by each copy's first boot.
    (tree / "etc/machine-id").write_text("")
    # Keep the journal over a `make down`.
    (tree / "var/log/journal").mkdir(parents=True, exist_ok=True)
    # apt would delete the archives after the first installation otherwise.
    (tree / "etc/apt/apt.conf.d/50keep-archives").write_text('APT::Keep-Downloaded-Packages "true";\n')


def _extract_tools(partial: Path, base: Base) -> None:
    """Unpacks each tool beside the tree, with a wrapper that runs it on the tree's libraries."""
    unpacked = partial / "unpacked"
    (partial / "tools").mkdir()
    for package in TOOL_PACKAGES:
        for archive in (partial / "tree/var/cache/apt/archives").glob(f"{package}_*.deb"):
            subprocess.run(["dpkg-deb", "--extract", str(archive), str(unpacked)], check=True)
    for tool in TOOLS:
        binary = unpacked / "usr/bin" / tool
        if not binary.exists():
            raise StepError(f"{tool} is in none of the packages {', '.join(TOOL_PACKAGES)}")
        binary.rename(partial / "tools" / f".{tool}")
        wrapper = partial / "tools" / tool
        wrapper.write_text(_wrapper(base, tool, partial / "tree"))
        wrapper.chmod(0o755)
    shutil.rmtree(unpacked)
    os.chmod(partial, 0o755)


def _wrapper(base: Base, tool: str, tree: Path) -> str:
    """Returns a script that runs `tool` with the tree's own loader and C library."""
    loader = next((tree / "usr").glob("lib*/ld-linux-*.so.?"), None) or next(
        (tree / "usr/lib").glob("ld-linux-*.so.?")
    )
    libraries = next(path.parent.name for path in (tree / "usr/lib").glob("*/libc.so.6"))
    return (
        "#!/bin/sh\n"
        f"exec {base.tree}/usr/{loader.parent.name}/{loader.name}"
        f" --library-path {base.tree}/usr/lib/{libraries}"
        f' {base.tools}/.{tool} "$@"\n'
    )
