"""Secrets stay in root's files and in the memory of those that need them."""

from __future__ import annotations

import re
import secrets

import leaks
import pytest
import yaml
from play import play
from stack import Stack
from test_deploy import OWN_UNITS

from host import deploy
from host.settings import REPOSITORY

TOKEN_FILE = "/etc/alert-bot/credentials/webhook-token"

# What a role's variable is called that holds a secret, and no file's name.
IS_SECRET = re.compile(r".*(token|token_previous|password|tls_key|slack_api_url)")


@pytest.fixture(scope="module", autouse=True)
def a_refused_and_an_accepted_webhook(stack: Stack) -> None:
    """Whatever the bot says about tokens, it has said before the tests look."""
    assert stack.send_alert(b"{}", "no such token").status == 401
    assert stack.send_alert(b"{}", stack.token()).status == 400


def test_the_search_finds_what_is_planted(stack: Stack) -> None:
    planted = f"planted{secrets.token_hex(16)}"
    unit, file = f"{planted}.service", f"/var/log/{planted}"
    # The unit's name goes into the journal and the exporter's metrics.
    stack.run(
        f"umask 077; echo {planted} > {file}; systemd-run --quiet --collect --unit={unit}"
        f" --setenv=PLANTED={planted} bash -c 'exec -a {planted} sleep infinity'"
    )
    try:
        places = [re.sub(r"\d+/", "N/", place) for _, place in leaks.found(stack, {"it": [planted]})]
    finally:
        stack.run(f"systemctl stop {unit}; rm {file}")
    assert {
        "/proc/N/cmdline",
        "/proc/N/environ",
        "systemctl show *",
        "journalctl --all --output=export",
        "http://127.0.0.1:N/metrics",
        f"/run/systemd/transient/{unit}",
        file,
    } <= set(places)
    assert leaks.found(stack, {"never": [secrets.token_hex(16)]}) == []


def test_a_deployment_prints_no_secret(stack: Stack) -> None:
    """Not even one that would show every change, and every module's arguments."""
    new = {name: secrets.token_urlsafe() for name in secret_variables()}
    others = {"stack_tls_authority": "none", "stack_tls_certificate": "none"}
    arguments = ("--check", "--diff", "-vvv")
    look = play(stack.host, deploy.PLAYBOOK, *arguments, variables={**new, **others}).succeeded()
    assert look.changed >= 5
    printed = {name for name, text in (*new.items(), ("present", stack.token())) if text in look.output}
    assert printed == set()
    assert leaks.found(stack, {name: [text] for name, text in new.items()}) == []


def test_a_secret_for_a_file_that_everybody_reads_is_refused(stack: Stack) -> None:
    hush = secrets.token_urlsafe()
    entry = {"url": "http://metrics.example/write", "basic_auth": {"username": "us", "password": hush}}
    variables = {"prometheus_remote_write": [entry]}
    look = play(stack.host, deploy.PLAYBOOK, "--check", "--tags=prometheus", variables=variables)
    assert look.status != 0
    assert "prometheus_remote_write holds a secret" in look.said
    assert hush not in look.output


def secret_variables() -> list[str]:
    """Returns the roles' variables that hold secrets, as their defaults list them."""
    files = REPOSITORY.glob("ansible/roles/*/defaults/main.yml")
    names = [name for file in files for name in yaml.safe_load(file.read_text(encoding="utf-8"))]
    return [name for name in names if IS_SECRET.fullmatch(name)]


def test_the_token_is_nowhere_but_in_its_files(stack: Stack) -> None:
    assert leaks.found(stack, {"token": [stack.token()]}) == []


def test_only_root_reads_the_file(stack: Stack) -> None:
    assert stack.run(f"stat --format='%U %a' {TOKEN_FILE}").strip() == "root 600"


@pytest.mark.parametrize("unit", OWN_UNITS)
def test_no_core_file_can_be_written(stack: Stack, unit: str) -> None:
    stack.run(f"systemctl start {unit}")
    pid = stack.run(f"systemctl show --property=MainPID --value {unit}").strip()
    limits = stack.run(f"grep 'Max core file size' /proc/{pid}/limits")
    assert limits.split()[4:6] == ["0", "0"]
