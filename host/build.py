"""Builds the release binaries and packs each daemon as a .deb."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from host import packages, run
from host.settings import DAEMONS, REPOSITORY

# Known to read this workspace's [package.metadata.deb] sections.
CARGO_DEB_VERSION = "3.8.0"

DEBS = REPOSITORY / "target" / "debian"

OnLine = Callable[[str], None]


def compile_daemons(on_line: OnLine) -> None:
    """Compiles every daemon in release mode, as the calling user."""
    daemons = [f"--package={daemon}" for daemon in DAEMONS]
    cargo(["build", "--release", "--locked", *daemons], "build", on_line)


def pack_daemons(on_line: OnLine) -> list[str]:
    """Packs the daemons whose package is older than its parts; returns their names."""
    stale = [daemon for daemon in DAEMONS if _is_stale(daemon)]
    if stale:
        packages.install_cargo_command("cargo-deb", CARGO_DEB_VERSION, on_line)
    for daemon in stale:
        for old in DEBS.glob(f"{daemon}_*.deb"):
            old.unlink()
        command = ["deb", "--no-build", "--locked", f"--package={daemon}"]
        cargo(command, f"deb-{daemon}", on_line)
    return stale


def cargo(
    arguments: list[str], step: str, on_line: OnLine, variables: Mapping[str, str] | None = None
) -> None:
    """Runs cargo in the workspace as the calling user, with `variables` in its environment."""
    run.logged(
        ["cargo", *arguments],
        packages.log(step),
        what=f"cargo {arguments[0]}",
        user=run.User.calling(),
        environment={**packages.cargo_environment(), **(variables or {})},
        cwd=REPOSITORY,
        on_line=on_line,
    )


def _is_stale(daemon: str) -> bool:
    package = max(DEBS.glob(f"{daemon}_*.deb"), default=None, key=_changed)
    return package is None or any(_changed(part) > _changed(package) for part in _parts(daemon))


def _parts(daemon: str) -> Iterator[Path]:
    """Yields what goes into the daemon's package."""
    yield REPOSITORY / "target" / "release" / daemon
    yield REPOSITORY / "LICENSE"
    yield REPOSITORY / "Cargo.toml"
    yield from (path for path in (REPOSITORY / "daemons" / daemon).glob("*.toml"))
    yield from (path for path in (REPOSITORY / "systemd-units").rglob("*") if path.is_file())


def _changed(path: Path) -> float:
    return path.stat().st_mtime
