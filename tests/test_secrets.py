"""The bot's token stays in root's files and in the memory of those that need it."""

from __future__ import annotations

import pytest
from stack import BOT, Stack
from test_deploy import OWN_UNITS

TOKEN_FILE = "/etc/alert-bot/credentials/webhook-token"
METRICS = (8000, 8101, 5001, 9558, 9090, 9093)


def holding(stack: Stack, command: str) -> str:
    """Returns the lines of the command's output that hold the token.

    grep reads the token from its file, so that it stands in no command line of this test's.
    """
    return stack.run(f"{command} | grep --text --fixed-strings --file={TOKEN_FILE}", check=False)


@pytest.fixture(scope="module", autouse=True)
def a_refused_and_an_accepted_webhook(stack: Stack) -> None:
    """Whatever the bot says about tokens, it has said before the tests look."""
    assert stack.send_alert(b"{}", "no such token").status == 401
    assert stack.send_alert(b"{}", stack.token()).status == 400


def test_it_is_in_no_command_line_and_no_environment(stack: Stack) -> None:
    assert holding(stack, "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null") == ""
    assert holding(stack, "systemctl show '*'") == ""


def test_it_is_in_no_log(stack: Stack) -> None:
    assert holding(stack, "journalctl --all --output=export") == ""


def test_it_is_in_no_metric(stack: Stack) -> None:
    for port in METRICS:
        metrics = stack.run(f"curl --fail --silent --show-error http://127.0.0.1:{port}/metrics")
        assert metrics
        assert stack.token() not in metrics, port
    assert stack.token() not in stack.request(BOT, "/").body


def test_only_root_reads_the_file(stack: Stack) -> None:
    assert stack.run(f"stat --format='%U %a' {TOKEN_FILE}").strip() == "root 600"


@pytest.mark.parametrize("unit", OWN_UNITS)
def test_no_core_file_can_be_written(stack: Stack, unit: str) -> None:
    stack.run(f"systemctl start {unit}")
    pid = stack.run(f"systemctl show --property=MainPID --value {unit}").strip()
    limits = stack.run(f"grep 'Max core file size' /proc/{pid}/limits")
    assert limits.split()[4:6] == ["0", "0"]
