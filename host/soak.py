"""`make soak`: the campaigns of the tests at their full size, and a transcript of what they did.

A campaign is a test whose size is a variable of the environment. `make test` runs it small;
here it runs as large as the promise it keeps. Each prints one line that begins with `campaign:`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from host import build, packages, run
from host.errors import StepError
from host.settings import REPOSITORY
from host.transcript import OnLine, Transcript

INTRODUCTION = """\
# `make soak`, as it ran

Written by `make soak`: the campaigns of `make test` at full size. What each one asserts stands in
the test that it names; the lines below the names are what the tests print.
"""


@dataclass(frozen=True)
class Campaign:
    """Tests and how large they run; `only` picks them in the words of nextest."""

    title: str
    package: str
    only: str
    variables: dict[str, str]


CAMPAIGNS = (
    Campaign(
        "decisions: generated alert sequences",
        "remediation",
        "test(every_sequence_of_events_keeps_every_promise)",
        {"REMEDIATION_SEQUENCES": "1000000"},
    ),
    Campaign(
        "the bot's engine: simulated crashes, hangs, clocks",
        "alert-bot",
        "test(the_books_balance)",
        {"ALERT_BOT_SIMULATION_SEEDS": "10000"},
    ),
    Campaign(
        "transactions-api: SIGKILL under load",
        "transactions-api",
        "test(by_kills)",
        {"TRANSACTIONS_KILLS": "500"},
    ),
    Campaign(
        "transactions-worker: SIGKILL under load",
        "transactions-worker",
        "test(by_kills)",
        {"TRANSACTIONS_KILLS": "500"},
    ),
    Campaign(
        "transactions-api: a failing disk",
        "transactions-api",
        "test(a_failing_disk)",
        {"TRANSACTIONS_IO_FAULTS": "200"},
    ),
)

# Of the machine tests, those marked `campaign`, with these sizes.
ON_A_HOST = {"ALERT_BOT_KILLS": "200"}


def soak(document: Path | None, names: list[str]) -> None:
    """Runs the campaigns and writes their transcript.

    `names` are packages to stay with, and `machine`; none means all. Only a whole run has a
    document of its own, docs/soak.md.

    # Errors
    `StepError` of the first campaign that fails or does not say what it did.
    """
    transcript = Transcript()
    packages.install_test_packages(lambda line: None)
    packages.install_cargo_command("cargo-nextest", packages.NEXTEST_VERSION, lambda line: None)
    packages.ensure_venv(packages.TEST_REQUIREMENTS, lambda line: None)
    for campaign in CAMPAIGNS:
        if not names or campaign.package in names:
            transcript.step(campaign.title, lambda on_line, it=campaign: _nextest(it, on_line))
    if not names or "machine" in names:
        transcript.step("on a real systemd", _machine)
    transcript.finish()
    introduction = INTRODUCTION
    if names:
        introduction += f"\nThis was a part of it: {', '.join(names)}.\n"
    else:
        document = document or REPOSITORY / "docs" / "soak.md"
    if document is not None:
        transcript.write(document, introduction, [["cargo", "--version"]])


def figures(log: Path) -> list[str]:
    """Returns what the campaigns printed into a log, in order."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return re.findall(r"^\s*(?:\x1b\[\S*m)*campaign: (.*)$", text, re.MULTILINE)


def _nextest(campaign: Campaign, on_line: OnLine) -> list[str]:
    command = ["nextest", "run", "--cargo-profile=soak", "--locked", "--profile=soak"]
    command += [f"--package={campaign.package}", f"--filterset={campaign.only}"]
    step = f"soak-{campaign.package}"
    build.cargo(command, step, on_line, campaign.variables)
    return _said(campaign.title, step)


def _machine(on_line: OnLine) -> list[str]:
    build.compile_daemons(on_line)
    build.pack_daemons(on_line)
    command = [str(packages.VENV / "bin/python"), "-m", "pytest", "tests", "-m", "campaign"]
    run.logged(
        command,
        packages.log("soak-machine"),
        what="the machine tests",
        environment={"PYTHONPATH": str(REPOSITORY), **run.cargo_environment(), **ON_A_HOST},
        cwd=REPOSITORY,
        on_line=on_line,
    )
    return _said("the machine tests", "soak-machine")


def _said(title: str, step: str) -> list[str]:
    said = figures(packages.log(step))
    if not said:
        raise StepError(f"{title}: no test said what it did", packages.log(step))
    return said
