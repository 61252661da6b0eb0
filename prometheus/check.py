#!/usr/bin/env python3
"""Checks the very rules and routes that a deployment installs.

Renders the templates of this directory with the variables of the Ansible roles,
once per profile, and runs Prometheus' and Alertmanager's own checkers on what
comes out: syntax, rule tests, the configuration of both, and a table of routes.

    prometheus/check.py --tools DIRECTORY_WITH_PROMTOOL_AND_AMTOOL

Needs Jinja2 and PyYAML, which ansible-core brings. Exit status 1 when a check fails.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import yaml

HERE = Path(__file__).resolve().parent
ROLES = HERE.parent / "ansible" / "roles"
EXAMPLE = HERE.parent / "ansible" / "examples" / "own-services"
ROLES_WITH_VARIABLES = ("stack", "transactions", "prometheus", "alertmanager")
PROFILES = ("production", "demo")

# What the role `stack` derives of its defaults, where hosts do not speak TLS.
DERIVED = {"inventory_hostname": "check", "stack_tls_authority_file": ""}

# What an inventory adds for a fleet, whose hosts do.
FLEET: dict[str, object] = {
    "stack_tls_authority_file": "/etc/observability-stack/authority.pem",
    "prometheus_fleet_tls": {name: f"/etc/{name}.pem" for name in ("ca_file", "cert_file", "key_file")},
    "alertmanager_bots": [
        {"host": host, "url": f"https://{host}.example:5001/alert", "token": "secret"} for host in "ab"
    ],
    "prometheus_hosts": [
        {"host": "a", "address": "192.0.2.1", "groups": ["app", "monitoring"]},
        {"host": "b", "address": "192.0.2.2", "groups": ["database"]},
    ],
    "prometheus_remote_write": [{"url": "http://metrics.example:8428/api/v1/write"}],
}

# What an inventory adds where people shall be told; `{}` is a host where nobody is.
RECEIVER_SETTINGS: dict[str, dict[str, object]] = {
    "silent": {},
    "everything": {
        "alertmanager_slack_api_url": "https://hooks.slack.example/x",
        "alertmanager_smtp_smarthost": "mail.example:587",
        "alertmanager_smtp_to": "people@example",
        "alertmanager_smtp_auth_username": "alertmanager",
        "alertmanager_people_webhook_url": "http://127.0.0.1:9999/page",
    },
    "fleet": FLEET,
}


class CheckFailed(Exception):
    """One of the checkers said no; the message is what it printed."""


def environment(**delimiters: str) -> jinja2.Environment:
    """Jinja as Ansible's template module sets it up."""
    env = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True, **delimiters
    )
    env.filters["to_json"] = json.dumps
    env.filters["bool"] = lambda value: str(value).lower() in ("true", "yes", "1")
    return env


CONFIGURATION = environment()
# Alert texts are Go templates with {{ }} of their own, hence other delimiters.
RULES = environment(variable_start_string="<<", variable_end_string=">>")


def role_variables(profile: str, overrides: dict[str, object]) -> dict[str, object]:
    """The roles' defaults for a profile, with references among them resolved.

    A default that needs what only a deployment knows is left out, so that a
    template which uses it fails here by name.
    """
    variables: dict[str, object] = dict(DERIVED)
    for role in ROLES_WITH_VARIABLES:
        variables |= yaml.safe_load((ROLES / role / "defaults" / "main.yml").read_text())
    variables |= {"stack_profile": profile} | overrides
    pending = {name: text for name, text in variables.items() if isinstance(text, str) and "{{" in text}
    for name in pending:
        del variables[name]
    while pending:
        resolved = {}
        for name, text in pending.items():
            try:
                resolved[name] = CONFIGURATION.from_string(text).render(variables)
            except jinja2.UndefinedError:
                continue
        if not resolved:
            break
        variables |= resolved
        pending = {name: text for name, text in pending.items() if name not in resolved}
    return variables


def render(env: jinja2.Environment, template: Path, variables: dict[str, object], target: Path) -> Path:
    """Writes one rendered template; an unknown variable is named with its file."""
    try:
        text = env.from_string(template.read_text()).render(variables)
    except jinja2.UndefinedError as error:
        raise CheckFailed(f"{template.relative_to(HERE.parent)}: {error}") from error
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    return target


def run(*command: str | Path) -> str:
    """Runs a checker and returns what it printed."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        printed = "\n".join(part for part in (done.stdout.strip(), done.stderr.strip()) if part)
        raise CheckFailed(f"$ {' '.join(str(word) for word in command)}\n{printed}")
    return done.stdout


def check_rules(tools: Path, profile: str, directory: Path) -> None:
    """Renders and checks the rules, then runs the rule tests written for the profile."""
    variables = role_variables(profile, {})
    rules = [
        render(RULES, template, variables, directory / "rules" / template.stem)
        for template in sorted((HERE / "rules").glob("*.yml.j2"))
    ]
    run(tools / "promtool", "check", "rules", *rules)
    for name, settings in (("host", {}), ("fleet", FLEET)):
        template, target = HERE / "prometheus.yml.j2", directory / f"prometheus-{name}.yml"
        configuration = render(CONFIGURATION, template, role_variables(profile, settings), target)
        run(tools / "promtool", "check", "config", "--syntax-only", configuration)
    # The tests name their rules by a relative path: ../../rules/FILE.yml.
    tests = directory / "rules-tests" / profile
    shutil.copytree(HERE / "rules-tests" / profile, tests)
    files = sorted(tests.glob("*.yml"))
    run(tools / "promtool", "test", "rules", *files)
    print(f"{profile}: {len(rules)} rule files, {len(files)} test files")


def check_example(tools: Path, directory: Path) -> None:
    """Renders and tests the alerts that the example has for its own services."""
    variables = yaml.safe_load((EXAMPLE / "group_vars" / "all.yml").read_text())
    template = EXAMPLE / "prometheus" / "own-services.yml.j2"
    rules = render(RULES, template, variables, directory / template.stem)
    run(tools / "promtool", "check", "rules", rules)
    tests = shutil.copy(EXAMPLE / "prometheus" / "tests.yml", directory)
    run(tools / "promtool", "test", "rules", tests)
    print(f"{EXAMPLE.name}: 1 rule file, 1 test file")


def render_routes(profile: str, settings: str, directory: Path) -> Path:
    """Renders alertmanager.yml as it is where people are told by these settings."""
    variables = role_variables(profile, RECEIVER_SETTINGS[settings])
    template = HERE / "alertmanager" / "alertmanager.yml.j2"
    return render(CONFIGURATION, template, variables, directory / f"alertmanager-{settings}.yml")


def check_routes(tools: Path, profile: str, directory: Path) -> None:
    """Checks alertmanager.yml, and where it sends each alert of the table and of the rules."""
    for settings in RECEIVER_SETTINGS:
        run(tools / "amtool", "check-config", render_routes(profile, settings, directory))
    # The routes do not depend on how people are told.
    configuration = render_routes(profile, "everything", directory)
    table = yaml.safe_load((HERE / "rules-tests" / "routes.yml").read_text())
    table += [route_of(rule) for rule in alert_rules(directory)]
    for case in table:
        expect_route(tools, configuration, case["labels"], case["receivers"])
    # Each host's bot hears of its own host alone.
    fleet = render_routes(profile, "fleet", directory)
    for host, bots in (("a", ["alert-bot-a"]), ("b", ["alert-bot-b"]), ("c", ["nobody"])):
        labels = {"alertname": "UnitFailed", "host": host, "severity": "warning", "repair": "restart"}
        expect_route(tools, fleet, labels, bots)
    print(f"{profile}: {len(table)} routes")


def expect_route(tools: Path, configuration: Path, labels: dict[str, str], expected: list[str]) -> None:
    """Asks Alertmanager's own tool who hears of an alert."""
    given = [f"{name}={value}" for name, value in labels.items()]
    command = (tools / "amtool", "config", "routes", "test", f"--config.file={configuration}", *given)
    receivers = run(*command).strip().split(",")
    if receivers != expected:
        raise CheckFailed(f"{given} goes to {receivers}, not to {expected}")


def alert_rules(directory: Path) -> Iterator[dict[str, Any]]:
    """The alerting rules among the rendered ones."""
    for file in sorted((directory / "rules").glob("*.yml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from (rule for rule in group["rules"] if "alert" in rule)


def route_of(rule: dict[str, Any]) -> dict[str, Any]:
    """Where an alert of ours belongs: to the bot, and to people what is severe and not its to repair."""
    given = rule.get("labels", {})
    labels = {"alertname": rule["alert"], "host": "a"}
    # A label that is a template has no value before there is an alert.
    labels |= {name: text for name, text in given.items() if "{{" not in text}
    if rule["alert"] == "RepairOverdue":
        return {"labels": labels, "receivers": ["people"]}
    to_people = "repair" not in labels and labels["severity"] not in ("none", "info")
    return {"labels": labels, "receivers": ["alert-bot", "people"] if to_people else ["alert-bot"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tools", type=Path, required=True, help="directory with promtool and amtool")
    tools = parser.parse_args().tools
    with tempfile.TemporaryDirectory() as scratch:
        try:
            for profile in PROFILES:
                check_rules(tools, profile, Path(scratch) / profile)
                check_routes(tools, profile, Path(scratch) / profile)
            check_example(tools, Path(scratch) / "example")
        except CheckFailed as failure:
            print(failure, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
