"""docs/adopt.md, done: bot and exporter beside Debian's nginx and Redis and a monitoring of theirs.

Neither the services nor Prometheus and Alertmanager were set up by our roles. Their
configuration is hand-made, and what the document says to add is taken from the document.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from documents import sections
from play import REMOVE, Play, play
from stack import Stack

from host import network, teardown, tree, up
from host.processes import wait_until
from host.report import Progress
from host.settings import DEFAULT_SUITE, REPOSITORY, Host

EXAMPLE = REPOSITORY / "ansible/examples/own-services"
# Their Prometheus looks each second, so the rules need not wait longer either. Their Alertmanager
# takes the time that the document says, so a repair has the grace that goes with it.
QUICK = {"stack_profile": "demo", "own_services_down_for": "1s", "prometheus_restart_grace": "60s"}

DOCUMENT = sections("adopt.md")
TELL_PROMETHEUS = DOCUMENT["3. Tell Prometheus"]
TELL_ALERTMANAGER = DOCUMENT["4. Tell Alertmanager"]
(VALIDATE, STATUS, LAST_WATCHDOG, STOP_NGINX, KILL_REDIS, LIST_INCIDENTS, READ_JOURNAL, EXPLAIN) = (
    DOCUMENT["5. See that it works"].commands
)

THEIR_PACKAGES = "nginx redis-server prometheus prometheus-alertmanager prometheus-blackbox-exporter"
THEIR_UNITS = (
    "nginx.service",
    "redis-server.service",
    "prometheus.service",
    "prometheus-alertmanager.service",
    "prometheus-blackbox-exporter.service",
)
PROMETHEUS_FILE, ALERTMANAGER_FILE = "/etc/prometheus/prometheus.yml", "/etc/prometheus/alertmanager.yml"
CREDENTIALS = "/etc/prometheus/credentials"

THEIR_PROMETHEUS = """
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
alerting: {alertmanagers: [{static_configs: [{targets: ['localhost:9093']}]}]}
rule_files: [/etc/prometheus/their_rules.yml]
scrape_configs:
  - {job_name: prometheus, static_configs: [{targets: ['localhost:9090']}]}
"""
THEIR_RULES = """
groups: [{name: theirs, rules: [{record: theirs, expr: vector(1)}]}]
"""
# Nobody listens there: Alertmanager counts the attempt to tell people all the same.
THEIR_ALERTMANAGER = """
route: {receiver: team, group_by: [alertname], group_wait: 1s, group_interval: 5s}
receivers:
  - {name: team, slack_configs: [{api_url: 'http://127.0.0.1:9/', channel: '#team'}]}
"""

READY_SECONDS = 60.0
# A Prometheus that is reloaded drops what fires before it has found Alertmanager again (5 s), and
# repeats it a minute later, at the rule's next evaluation.
WATCHDOG_SECONDS = 90.0
HEALED_SECONDS = 60.0

# What the journal tells of a repair, in this order.
HEALED_STEPS = ["detected", "decided", "acted", "proved", "closed"]


@dataclass(frozen=True)
class Site:
    """The host `web1` with everything on it."""

    stack: Stack
    # Their files as they were before the playbook ran, and as they were after.
    files_before: str
    files_after: str

    def play(self, *arguments: str) -> Play:
        return play_example(self.stack.host, *arguments)


def play_example(host: Host, *arguments: str) -> Play:
    inventory = EXAMPLE / "inventory.yml"
    return play(host, EXAMPLE / "deploy.yml", *arguments, inventory=inventory, variables=QUICK)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Their services and their monitoring, and then what the document says, in its order."""
    host = Host(f"test-{os.getpid()}-adopt")
    progress = Progress()
    try:
        up.start(host, tree.Base(DEFAULT_SUITE), network.wanted_forwards(host), progress)
        stack = Stack(host)
        with progress.step("their services and monitoring"):
            set_up_theirs(stack)
        before = their_files(stack)
        with progress.step("deploy: ansible/examples/own-services"):
            play_example(host).succeeded()
        after = their_files(stack)
        add_snippets(stack)
        yield Site(stack, before, after)
    finally:
        teardown.destroy(host)


def set_up_theirs(stack: Stack) -> None:
    stack.run(
        "export DEBIAN_FRONTEND=noninteractive;"
        f" apt-get install --yes --quiet --no-install-recommends {THEIR_PACKAGES}"
    )
    for path, text in (
        (PROMETHEUS_FILE, THEIR_PROMETHEUS),
        ("/etc/prometheus/their_rules.yml", THEIR_RULES),
        (ALERTMANAGER_FILE, THEIR_ALERTMANAGER),
    ):
        stack.run(f"cat > {path}", stdin=text)
    stack.run("systemctl restart prometheus.service prometheus-alertmanager.service")
    assert wait_until(lambda: stack.query("theirs") != [], READY_SECONDS)


def their_files(stack: Stack) -> str:
    """Returns checksums of all their configuration and drop-ins, with modes and owners."""
    return stack.run(
        "find /etc/nginx /etc/redis /etc/default /etc/prometheus /etc/systemd/system"
        f" -not -path '{CREDENTIALS}*' -not -path '/etc/prometheus/rules*'"
        " -not -path '*alert-bot*' -not -path '*unit-exporter*' -not -path '*/stack-*'"
        " -not -path '*.target.wants' -not -path /etc/prometheus -not -path /etc/systemd/system"
        " -printf '%p %m %u %g ' -exec sh -c 'test -f \"$1\" && md5sum < \"$1\" || echo' sh {} ';'"
        " | sort"
    )


def add_snippets(stack: Stack) -> None:
    """Adds to their configuration what the document says, and does what it says next."""
    for path, section in ((PROMETHEUS_FILE, TELL_PROMETHEUS), (ALERTMANAGER_FILE, TELL_ALERTMANAGER)):
        snippet = section.snippet("yaml")
        assert snippet.startswith(f"# {path}\n"), "the snippet says where it belongs"
        theirs = yaml.safe_load(stack.run(f"cat {path}"))
        stack.run(f"cat > {path}", stdin=yaml.safe_dump(added(yaml.safe_load(snippet), theirs)))
        for command in section.commands:
            stack.run(command)


def added(ours: Any, theirs: Any) -> Any:
    """Returns their configuration with ours in it: mappings joined, our list entries first."""
    if isinstance(ours, dict):
        both = {key: added(ours[key], theirs[key]) for key in ours.keys() & theirs.keys()}
        return {**theirs, **ours, **both}
    return [*ours, *theirs]


def test_their_files_and_units_are_left_alone(site: Site) -> None:
    assert site.files_before == site.files_after
    for unit in THEIR_UNITS:
        assert site.stack.run(f"systemctl show --value --property=Slice {unit}") == "system.slice\n"


def test_a_second_deploy_changes_nothing(site: Site) -> None:
    assert site.play().succeeded().changed == 0


def test_the_way_to_the_bot_is_open(site: Site) -> None:
    run = site.stack.run
    assert "2 rules" in run(VALIDATE)
    assert run(STATUS).startswith("watching; 2 rules")
    assert wait_until(lambda: float(run(LAST_WATCHDOG).split()[1]) > 0, WATCHDOG_SECONDS)


def test_a_stopped_nginx_is_started(site: Site) -> None:
    heal(site.stack, STOP_NGINX, "nginx.service", "NginxDown", "start")


def test_a_frozen_nginx_is_restarted(site: Site) -> None:
    freeze = "systemctl kill --signal=SIGSTOP nginx.service"
    heal(site.stack, freeze, "nginx.service", "NginxDown", "restart")


def test_redis_past_its_start_limit_is_reset_and_started(site: Site) -> None:
    heal(site.stack, KILL_REDIS, "redis-server.service", None, "reset-failed-start")
    for unit in ("nginx.service", "redis-server.service"):
        assert unit in site.stack.run(LIST_INCIDENTS)
    assert "incident closed for redis-server.service: effective" in site.stack.run(READ_JOURNAL)


def test_people_were_told_nothing(site: Site) -> None:
    told = site.stack.run("curl --silent --fail http://127.0.0.1:9093/metrics")
    assert 'alertmanager_notifications_total{integration="slack"' in told
    attempts = [line for line in told.splitlines() if line.startswith("alertmanager_notifications_total{")]
    people = [line for line in attempts if 'integration="slack"' in line]
    bot = [line for line in attempts if 'integration="webhook"' in line]
    assert all(float(line.split()[-1]) == 0 for line in people), people
    assert any(float(line.split()[-1]) > 0 for line in bot), bot


def test_taking_it_away_leaves_their_services(site: Site) -> None:
    run = site.stack.run
    play(site.stack.host, REMOVE, inventory=EXAMPLE / "inventory.yml").succeeded()
    assert run("dpkg-query --show alert-bot unit-exporter 2>/dev/null", check=False) == ""
    assert run("ls -d /etc/alert-bot /etc/unit-exporter /var/lib/alert-bot 2>/dev/null", check=False) == ""
    assert run(f"ls {CREDENTIALS} /etc/prometheus/rules 2>/dev/null", check=False) == ""
    assert [site.stack.unit_state(unit) for unit in THEIR_UNITS] == ["active"] * len(THEIR_UNITS)


def heal(stack: Stack, command: str, unit: str, alert: str | None, action: str) -> None:
    """Breaks a service with a command; the bot must heal it and tell the journal of it.

    Without an alert it acts on systemd's own word that the unit has failed.
    """
    assert wait_until(lambda: quiet(stack, unit), READY_SECONDS), f"{unit} is not well to begin with"
    started = time.time()
    stack.run(command)

    def closed() -> list[Any]:
        incidents = stack.incidents(started)
        return [it for it in incidents if it["unit"] == unit and it["state"] == "closed"]

    assert wait_until(lambda: bool(closed()), HEALED_SECONDS), stack.incidents(started)
    incident = closed()[-1]
    print(f"    {command[:70]}: {incident['alertname']}, closed after {time.time() - started:.1f} s")
    assert incident["outcome"] == "effective", incident
    if alert is not None:
        assert incident["alertname"] == alert
    entries = stack.incident_journal(incident["id"])
    assert [it["INCIDENT_STEP"] for it in entries if it["INCIDENT_STEP"] in HEALED_STEPS] == HEALED_STEPS
    assert {it["ACTION"] for it in entries if it["INCIDENT_STEP"] == "acted"} == {action}
    story = EXPLAIN.replace("=ID", f"={incident['id']}")
    assert stack.run(story).count("Subject: ") == len(entries)
    assert wait_until(lambda: quiet(stack, unit), READY_SECONDS), f"{unit} is still alerting"


def quiet(stack: Stack, unit: str) -> bool:
    """Says whether the unit is active, answers, and nothing is said against it."""
    return (
        stack.unit_state(unit) == "active"
        and stack.metric(f'probe_success{{unit="{unit}"}}') == 1
        and not stack.query(f'ALERTS{{unit="{unit}"}}')
        and stack.metric("alert_bot_incidents_open") == 0
    )
