"""`make lint` and `make test`: every check in order, each a line with its time."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from host import build, fuzz, packages, run, soak, tree, up
from host.errors import StepError
from host.report import Progress
from host.settings import REPOSITORY

YAML = ("ansible", "prometheus", "grafana/provisioning")


def lint(base: tree.Base, progress: Progress) -> None:
    """Runs every check that needs no host.

    # Errors
    `StepError` of the first one that fails.
    """
    up.install_packages(progress)
    with progress.step("tools: linters in .venv") as on_line:
        packages.ensure_venv(packages.TEST_REQUIREMENTS, on_line)
    _cargo(progress, "cargo fmt --all --check")
    _cargo(progress, "cargo clippy --workspace --all-targets --locked -- --deny warnings")
    _cargo(progress, "cargo deny --locked check bans licenses sources")
    _known_vulnerabilities(progress)
    with progress.step("promtool and amtool from the cached tree") as on_line:
        tree.ensure_base(base, packages.log("mmdebstrap"), on_line)
    _python(progress, "rules, routes and their tests", "prometheus/check.py", f"--tools={base.tools}")
    _python(progress, "dashboards are what grafana/generate writes", "grafana/generate", "--check")
    folders = [folder for folder in YAML if (REPOSITORY / folder).is_dir()]
    _venv(progress, "yamllint", "yamllint", "--strict", *folders)
    _venv(progress, "ansible-lint", "ansible-lint", "--offline", "ansible")


def test(base: tree.Base, progress: Progress, pytest_arguments: Sequence[str]) -> int:
    """Runs every check there is; returns the machine tests' exit status.

    # Errors
    `StepError` of the first step before them that fails.
    """
    lint(base, progress)
    with progress.step("tools: what the tests call") as on_line:
        packages.install_test_packages(on_line)
    with progress.step("tools: cargo-nextest") as on_line:
        packages.install_cargo_command("cargo-nextest", packages.NEXTEST_VERSION, on_line)
    with progress.step("cargo nextest: unit, property, process tests") as on_line:
        build.cargo(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"], "nextest", on_line)
    for figure in soak.figures(packages.log("nextest")):
        print(f"      {figure}", flush=True)
    fuzz.run_all(progress)
    up.pack(progress)
    print("  machine tests on a host of their own:", flush=True)
    status = machine_tests(pytest_arguments)
    if status == 0:
        print(f"  all of it took {progress.total():.0f} s")
    return status


def machine_tests(arguments: Sequence[str]) -> int:
    """Runs the machine tests with their output on the screen; returns pytest's status."""
    return _in_the_foreground("pytest", "tests", *arguments)


def benches(names: Sequence[str]) -> int:
    """Runs the benches with their output on the screen; returns their status."""
    packages.install_debian_packages(lambda line: None)
    packages.ensure_venv(packages.DEPLOY_REQUIREMENTS, lambda line: None)
    return _in_the_foreground("bench", *names)


def _in_the_foreground(module: str, *arguments: str) -> int:
    environment = {"PYTHONPATH": str(REPOSITORY), **run.cargo_environment()}
    process = subprocess.Popen(
        [str(packages.VENV / "bin/python"), "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        cwd=REPOSITORY,
        env={**run.child_environment(), **environment},
    )
    try:
        return process.wait()
    except KeyboardInterrupt:
        # The terminal interrupted it as well; it takes its hosts down.
        return process.wait()


def _known_vulnerabilities(progress: Progress) -> None:
    """Looks for crates with advisories, where their database can be had."""
    try:
        with progress.step("cargo deny fetch db") as on_line:
            build.cargo(["deny", "fetch", "db"], "cargo-deny-fetch", on_line)
    except StepError as error:
        print(f"  SKIPPED cargo deny check advisories: no database (log: {error.log})", flush=True)
        return
    _cargo(progress, "cargo deny --locked check --disable-fetch advisories")


def _cargo(progress: Progress, command: str) -> None:
    arguments = command.split()[1:]
    with progress.step(command.removesuffix(" -- --deny warnings").replace(" --locked", "")) as on_line:
        build.cargo(arguments, f"cargo-{arguments[0]}", on_line)


def _python(progress: Progress, title: str, *arguments: str) -> None:
    _venv(progress, title, "python", *arguments)


def _venv(progress: Progress, title: str, program: str, *arguments: str) -> None:
    with progress.step(title) as on_line:
        run.logged(
            [str(packages.VENV / "bin" / program), *arguments],
            packages.log(program if program != "python" else "rules"),
            what=title,
            user=run.User.calling(),
            # ansible-lint looks for its helpers beside itself.
            environment={"PATH": f"{packages.VENV}/bin:{run.cargo_environment()['PATH']}"},
            cwd=REPOSITORY,
            on_line=on_line,
        )
