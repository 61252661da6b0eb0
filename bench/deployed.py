"""A host of a bench's own: with the stack deployed in the demo profile, or bare."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from host import build, deploy, guest, health, network, teardown, tree, up
from host.report import Progress
from host.settings import DEFAULT_SUITE, Host

# Measuring breaks a unit far more often than any limit meant for people allows.
NO_LIMITS = {"alert_bot_host_actions_per_hour": 10_000, "alert_bot_unit_actions_per_hour": 10_000}


@contextmanager
def host(purpose: str, variables: Mapping[str, Any] | None = None) -> Iterator[Host]:
    """Yields a fresh, healthy host; it is gone afterwards, however the bench ends."""
    progress = Progress()
    with bare(purpose, progress) as fresh:
        with progress.step("deploy"):
            deploy.deploy(fresh, variables={**NO_LIMITS, **(variables or {})})
        with progress.step("health"):
            up.check_health(fresh, health.wait_until_healthy(fresh))
        yield fresh


@contextmanager
def bare(purpose: str, progress: Progress) -> Iterator[Host]:
    """Yields a fresh host with nothing deployed to it; it is gone afterwards all the same."""
    fresh = Host(f"bench-{os.getpid()}-{purpose}")
    try:
        up.pack(progress)
        up.start(fresh, tree.Base(DEFAULT_SUITE), network.wanted_forwards(fresh), progress)
        yield fresh
    finally:
        teardown.destroy(fresh)


def run(on: Host, command: str, *, stdin: str = "") -> str:
    """Runs a shell command as root inside and returns its output.

    # Errors
    `RuntimeError` with its output when it fails.
    """
    result = guest.run(on, ["bash", "-c", command], stdin=stdin)
    if result.returncode != 0:
        raise RuntimeError(f"`{command}` ended with {result.returncode}:\n{result.stderr}")
    return result.stdout


def install(on: Host, *packages: str) -> None:
    """Installs Debian packages inside, by name or by path; their services are left stopped."""
    run(
        on,
        "printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d;"
        " export DEBIAN_FRONTEND=noninteractive; apt-get update -qq;"
        f" apt-get install -y -qq --no-install-recommends {' '.join(packages)};"
        " rm /usr/sbin/policy-rc.d",
    )


def install_daemon(on: Host, daemon: str) -> None:
    """Installs the package of one of our own daemons inside."""
    (package,) = build.DEBS.glob(f"{daemon}_*.deb")
    # The guest's /run and /tmp are mounts of its own; this is not.
    copy = on.tree / "var/cache" / package.name
    copy.write_bytes(package.read_bytes())
    install(on, f"/var/cache/{package.name}")
    copy.unlink()
