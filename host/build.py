"""Builds the release binaries and packs each daemon as a .deb."""

from __future__ import annotations

import gzip
import json
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from host import changelog, notices, packages, run
from host.settings import DAEMONS, REPOSITORY

# Known to read this workspace's [package.metadata.deb] sections.
CARGO_DEB_VERSION = "3.8.0"

# The daemons that run on several threads.
THREADED = ("transactions-api", "transactions-worker")

DEBS = REPOSITORY / "target" / "debian"
# Where the packages' manifests look for them, one file a package.
CHANGELOGS = REPOSITORY / "target" / "debian-changelog"
NOTICES = REPOSITORY / "target" / "debian-notices"

OnLine = Callable[[str], None]


def compile_daemons(on_line: OnLine) -> None:
    """Compiles every daemon in release mode, as the calling user.

    Those with one thread and those with many apart: together cargo would give all of them the
    scheduler for many, and with it half a megabyte of libm.
    """
    for of_many, step in ((False, "build"), (True, "build-threaded")):
        daemons = [f"--package={daemon}" for daemon in DAEMONS if (daemon in THREADED) == of_many]
        cargo(["build", "--release", "--locked", *daemons], step, on_line)


def pack_daemons(on_line: OnLine) -> list[str]:
    """Packs the daemons whose package is older than its parts; returns their names."""
    stale = [daemon for daemon in DAEMONS if is_stale(daemon)]
    if stale:
        packages.install_cargo_command("cargo-deb", CARGO_DEB_VERSION, on_line)
        _write_notices(stale)
    epoch = _epoch()
    for daemon in stale:
        for old in DEBS.glob(f"{daemon}_*.deb"):
            old.unlink()
        command = ["deb", "--no-build", "--locked", f"--package={daemon}"]
        _write_changelog(daemon, epoch)
        cargo(command, f"deb-{daemon}", on_line, {"SOURCE_DATE_EPOCH": str(epoch)})
    return stale


def cargo(
    arguments: list[str], step: str, on_line: OnLine, variables: Mapping[str, str] | None = None
) -> None:
    """Runs cargo in the workspace as the calling user, with `variables` in its environment."""
    _run(["cargo", *arguments], step, on_line, variables)


def _run(
    command: list[str], step: str, on_line: OnLine, variables: Mapping[str, str] | None = None
) -> None:
    run.logged(
        command,
        packages.log(step),
        what=" ".join(command[:2]),
        user=run.User.calling(),
        environment={**packages.cargo_environment(), **(variables or {})},
        cwd=REPOSITORY,
        on_line=on_line,
    )


def _epoch() -> int:
    """Returns the time of the last commit, or of the changelog where there is no git.

    Packages of the same commit are the same, whenever they are built.
    """
    # Root may look into a checkout that is a user's.
    git = ["git", "-c", f"safe.directory={REPOSITORY}", "-C", str(REPOSITORY)]
    command = [*git, "log", "--max-count=1", "--format=%ct"]
    try:
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return int(_changed(REPOSITORY / "CHANGELOG.md"))


def _write_changelog(daemon: str, epoch: int) -> None:
    version = _manifest(REPOSITORY)["workspace"]["package"]["version"]
    deb = _manifest(REPOSITORY / "daemons" / daemon)["package"]["metadata"]["deb"]
    changes = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    CHANGELOGS.mkdir(exist_ok=True)
    text = changelog.debian(changes, daemon, version, deb["maintainer"], epoch)
    (CHANGELOGS / daemon).write_text(text, encoding="utf-8")


def _write_notices(daemons: list[str]) -> None:
    said: list[str] = []
    _run(["rustc", "--version", "--verbose"], "rustc", said.append)
    (platform,) = (line.removeprefix("host: ") for line in said if line.startswith("host: "))
    options = ["--format-version=1", "--locked", f"--filter-platform={platform}"]
    cargo(["metadata", *options], "metadata", said.append)
    metadata = json.loads(said[-1])
    NOTICES.mkdir(exist_ok=True)
    for daemon in daemons:
        text = notices.third_party(metadata, daemon)
        (NOTICES / f"{daemon}.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def _manifest(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "Cargo.toml").read_text(encoding="utf-8"))


def is_stale(daemon: str) -> bool:
    """Says whether a daemon's package is missing or older than its parts."""
    package = max(DEBS.glob(f"{daemon}_*.deb"), default=None, key=_changed)
    return package is None or any(_changed(part) > _changed(package) for part in _parts(daemon))


def _parts(daemon: str) -> Iterator[Path]:
    """Yields what goes into the daemon's package."""
    yield REPOSITORY / "target" / "release" / daemon
    for file in ("LICENSE", "Cargo.toml", "CHANGELOG.md"):
        yield REPOSITORY / file
    yield from (REPOSITORY / "daemons" / daemon / "manual").iterdir()
    yield from (path for path in (REPOSITORY / "daemons" / daemon).glob("*.toml"))
    yield from (path for path in (REPOSITORY / "systemd-units").rglob("*") if path.is_file())


def _changed(path: Path) -> float:
    return path.stat().st_mtime
