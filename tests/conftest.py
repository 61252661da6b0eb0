"""Fixtures of the machine tests: hosts of their own, gone when the tests end, however they end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
import slack_sink
from stack import Stack

from host import deploy, health, network, teardown, tree, up
from host.errors import StepError
from host.processes import is_alive
from host.report import Progress, failure
from host.settings import DEFAULT_SUITE, STATE_DIRECTORY, Host

# A test host's name holds its owner's process id, so that a later run can tell
# the hosts of a killed run from those of one that goes on beside it.
_PREFIX = "test-"

# What a failed test shows the last lines of.
JOURNALS = (
    "transactions-api.service",
    "alert-bot.service",
    "prometheus-alertmanager.service",
    "prometheus.service",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds an option to spend no time on a deploy while writing a test."""
    parser.addoption("--use-host", help="test this host, which is up, and leave it so")


def pytest_sessionstart() -> None:
    """Removes the hosts of killed runs, and turns SIGTERM into an orderly end."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=143))
    if not STATE_DIRECTORY.is_dir():
        return
    for directory in STATE_DIRECTORY.glob(f"{_PREFIX}*"):
        owner = directory.name.removeprefix(_PREFIX).partition("-")[0]
        if not (owner.isdigit() and is_alive(int(owner))):
            teardown.destroy(Host(directory.name))


@pytest.fixture
def bare_host() -> Iterator[Host]:
    """A name for a host that does not exist yet; whatever becomes of it is removed."""
    host = Host(f"{_PREFIX}{os.getpid()}-bare")
    try:
        yield host
    finally:
        teardown.destroy(host)


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A fresh host with the whole stack deployed in the demo profile and healthy.

    People are told through a receiver inside the host, so that pages can be counted.
    """
    given = request.config.getoption("--use-host")
    host = Host(given or f"{_PREFIX}{os.getpid()}-stack")
    try:
        if given is None:
            deploy_to(host)
        yield Stack(host)
    except StepError as error:
        pytest.exit(failure(error, host), returncode=1)
    finally:
        if given is None:
            teardown.destroy(host)


def deploy_to(host: Host) -> None:
    """Brings `host` up and deploys to it, as `make up` does."""
    progress = Progress()
    up.start(host, tree.Base(DEFAULT_SUITE), network.wanted_forwards(host), progress)
    with progress.step("deploy"):
        deploy.deploy(host, variables=slack_sink.VARIABLES)
    with progress.step("health"):
        survey = health.wait_until_healthy(host)
    up.check_health(host, survey)


@pytest.fixture(scope="session")
def sink(stack: Stack) -> slack_sink.SlackSink:
    """The receiver of pages, listening."""
    receiver = slack_sink.SlackSink(stack)
    receiver.start()
    return receiver


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Adds the journals of the units concerned to the report of a failed test."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    hosts = {
        stack.host.name: stack
        for fixture in getattr(item, "funcargs", {}).values()
        for stack in stacks_of(fixture)
    }
    for name, stack in hosts.items():
        for unit in JOURNALS:
            report.sections.append((f"journal of {unit} on {name}", stack.journal(unit)))


def stacks_of(fixture: object) -> list[Stack]:
    """Returns the hosts that a fixture stands for: itself, its own, or those of its fleet."""
    if isinstance(fixture, Stack):
        return [fixture]
    stack = getattr(fixture, "stack", None)
    return [stack] if isinstance(stack, Stack) else getattr(fixture, "hosts", [])
