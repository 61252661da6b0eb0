"""Installs what is missing: Debian packages, cargo subcommands, the virtual environment."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from host import preflight, run
from host.errors import StepError
from host.settings import REPOSITORY

VENV = REPOSITORY / ".venv"
LOGS = REPOSITORY / "target" / "logs"

DEPLOY_REQUIREMENTS = (REPOSITORY / "requirements" / "deploy.txt",)
TEST_REQUIREMENTS = (
    *DEPLOY_REQUIREMENTS,
    REPOSITORY / "requirements" / "dev.txt",
    REPOSITORY / "requirements" / "dashboards.txt",
)

# Knows `--locked` and the 2024 edition; any newer one is as good.
NEXTEST_VERSION = "0.9.143"

NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/observability-stack.conf")

OnLine = Callable[[str], None]


def log(step: str) -> Path:
    """Returns the log of a step that belongs to the checkout and to no host."""
    user = run.User.calling()
    file = LOGS / f"{step}.log"
    for path, create in ((LOGS.parent, Path.mkdir), (LOGS, Path.mkdir), (file, Path.touch)):
        if not path.exists():
            create(path)
            os.chown(path, user.uid, user.gid)
    return file


def install_test_packages(on_line: OnLine) -> list[str]:
    """Installs what only the tests need, none of it running, and returns the names."""
    missing = preflight.missing_test_packages()
    if "postgresql" in missing:
        # Debian's package would make and start a cluster; the tests start their own.
        NO_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
        NO_CLUSTER.write_text("create_main_cluster = false\n", encoding="utf-8")
    return install_debian_packages(on_line, missing)


def install_debian_packages(on_line: OnLine, missing: list[str] | None = None) -> list[str]:
    """Installs the Debian packages that are missing, by default for `up`; returns their names."""
    missing = preflight.missing_packages() if missing is None else missing
    if not missing:
        return []
    if shutil.which("apt-get") is None:
        raise StepError(f"no apt-get here; install what these Debian packages hold: {missing}")
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update"],
        ["apt-get", "install", "--yes", "--no-install-recommends", *missing],
    ):
        run.logged(
            command, log("apt"), what=" ".join(command[:2]), environment=environment, on_line=on_line
        )
    return missing


def cargo_environment() -> dict[str, str]:
    """Returns PATH with `.venv`, which brings some of cargo's subcommands ready built."""
    environment = run.cargo_environment()
    return {**environment, "PATH": f"{VENV}/bin:{environment['PATH']}"}


def install_cargo_command(name: str, version: str, on_line: OnLine) -> bool:
    """Installs a cargo subcommand where there is none; returns whether it had to."""
    environment = cargo_environment()
    if shutil.which(name, path=environment["PATH"]) is not None:
        return False
    run.logged(
        ["cargo", "install", "--locked", "--version", version, name],
        log(name),
        what=f"cargo install {name}",
        user=run.User.calling(),
        environment=environment,
        on_line=on_line,
    )
    return True


def ensure_venv(requirements: tuple[Path, ...], on_line: OnLine) -> bool:
    """Makes `.venv` hold what the files of pinned versions say; returns whether it had to."""
    wanted = hashlib.sha256(b"".join(file.read_bytes() for file in requirements)).hexdigest()
    stamp = VENV / "requirements.sha256"
    if stamp.exists() and wanted in stamp.read_text().split():
        return False
    user = run.User.calling()
    commands = [
        [str(VENV / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check"]
        + [f"--requirement={file}" for file in requirements]
    ]
    if not (VENV / "bin/python").exists():
        commands.insert(0, ["python3", "-m", "venv", str(VENV)])
    for command in commands:
        run.logged(command, log("venv"), what="setting up .venv", user=user, on_line=on_line)
    known = stamp.read_text().split() if stamp.exists() else []
    # The test requirements contain the deploy ones, so one stamp may answer for both.
    smaller = hashlib.sha256(
        b"".join(file.read_bytes() for file in DEPLOY_REQUIREMENTS)
    ).hexdigest()
    stamp.write_text("\n".join({*known, wanted, smaller}) + "\n")
    os.chown(stamp, user.uid, user.gid)
    return True
