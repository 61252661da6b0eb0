"""The role `grafana` and its ways to the package: a test of the role, not of Grafana.

The package is a stub (stub_grafana.py), since the vendor's repository cannot be reached.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import stub_grafana
import yaml
from play import Play, play
from stack import Stack

from host import deploy, network, teardown, tree, up
from host.processes import all_pids, command_line, wait_until
from host.report import Progress
from host.settings import DEFAULT_SUITE, REPOSITORY, Host

# Nothing listens there: a host without a route to the vendor.
NO_ROUTE = {"grafana_apt_uri": "http://127.0.0.1:9"}
MIRROR = {"grafana_apt_uri": stub_grafana.MIRROR}
PASSWORD = "opensesame-d41d8cd98f"

INVENTORY = REPOSITORY / "ansible/inventories/local"
DASHBOARDS = sorted((REPOSITORY / "grafana/dashboards").glob("*.json"))
ANSWER_SECONDS = 20.0
# Shorter than any module of Ansible runs.
LOOK_SECONDS = 0.05

Variables = dict[str, Any]


@pytest.fixture(scope="module")
def bare() -> Iterator[Stack]:
    """A host with nothing on it but a mirror that has the stub."""
    host = Host(f"test-{os.getpid()}-grafana")
    try:
        up.start(host, tree.Base(DEFAULT_SUITE), network.wanted_forwards(host), Progress())
        stack = Stack(host)
        stub_grafana.serve(stack)
        yield stack
    finally:
        teardown.destroy(host)


@pytest.fixture
def stack(bare: Stack) -> Iterator[Stack]:
    """That host, without a Grafana again after the test."""
    yield bare
    bare.run(
        "export DEBIAN_FRONTEND=noninteractive; apt-get purge --yes --quiet grafana;"
        " rm -rf /etc/grafana /var/lib/grafana /etc/apt/sources.list.d/grafana.sources"
        " /etc/apt/keyrings/grafana.asc /etc/systemd/system/grafana-server.service.d"
        " /var/lib/observability-stack/grafana.deb; systemctl daemon-reload"
    )


def run_role(stack: Stack, variables: Variables, *arguments: str) -> Play:
    only_grafana = ("--tags=grafana", *arguments)
    return play(stack.host, deploy.PLAYBOOK, *only_grafana, inventory=INVENTORY, variables=variables)


def is_installed(stack: Stack) -> bool:
    state = "dpkg-query --show --showformat='${db:Status-Status}' grafana"
    return stack.run(state, check=False) == "installed"


def assert_no_trace(stack: Stack) -> None:
    """Nothing of Grafana is there, and apt works."""
    assert not is_installed(stack)
    traces = "/etc/grafana /etc/apt/sources.list.d/grafana.sources /etc/apt/keyrings/grafana.asc"
    assert stack.run(f"ls -d {traces} 2>/dev/null", check=False) == ""
    stack.run("apt-get check && apt-cache policy | (! grep 127.0.0.1)")


def answer(stack: Stack, password: str) -> Any:
    """What the stub says when asked with a password; waits until it answers."""
    credentials = base64.b64encode(f"admin:{password}".encode()).decode()
    said = ""

    def answered() -> bool:
        nonlocal said
        header = f"--header 'Authorization: Basic {credentials}'"
        said = stack.run(f"curl --silent {header} http://127.0.0.1:3000/", check=False)
        return said != ""

    assert wait_until(answered, ANSWER_SECONDS), stack.journal("grafana-server.service")
    return json.loads(said)


@pytest.mark.long
def test_auto_without_a_route_goes_on_and_says_so(stack: Stack) -> None:
    result = run_role(stack, NO_ROUTE).succeeded()
    assert "Grafana is left out, since http://127.0.0.1:9 has no package" in result.said
    assert_no_trace(stack)


@pytest.mark.long
def test_auto_with_a_broken_mirror_leaves_apt_working(stack: Stack) -> None:
    result = run_role(stack, {"grafana_apt_uri": stub_grafana.BROKEN_MIRROR}).succeeded()
    assert "Grafana is left out" in result.said
    assert_no_trace(stack)


@pytest.mark.long
def test_required_without_a_route_fails_and_says_what_to_set(stack: Stack) -> None:
    result = run_role(stack, {**NO_ROUTE, "grafana_install": "required"})
    assert result.status != 0
    assert "grafana_install=required, but http://127.0.0.1:9 has no package" in result.said
    assert "Set grafana_apt_uri to a mirror or grafana_deb to a file" in result.said
    assert_no_trace(stack)


@pytest.mark.long
def test_never_leaves_it_out_though_there_is_a_way(stack: Stack) -> None:
    run_role(stack, {**MIRROR, "grafana_install": "never"}).succeeded()
    assert_no_trace(stack)


def test_required_installs_from_a_mirror_and_provisions(stack: Stack, tmp_path: Path) -> None:
    required = {**MIRROR, "grafana_install": "required"}
    inventory = f"--extra-vars=@{inventory_with_password(tmp_path)}"
    with watched_command_lines() as seen:
        result = run_role(stack, required, inventory, "--diff", "-vv").succeeded()

    assert_provisioned(stack)
    settings = answer(stack, PASSWORD)["settings"]
    assert settings["GF_SERVER_HTTP_ADDR"] == "127.0.0.1", "reachable from outside by default"
    assert settings["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert answer(stack, PASSWORD)["password_is_right"]
    assert not answer(stack, "admin")["password_is_right"]
    told = {
        "the playbook's output": result.output,
        "a command line": "\n".join(seen),
        "the journal": stack.run("journalctl --no-pager"),
        "the unit": stack.run("systemctl show grafana-server; systemctl cat grafana-server"),
        "the environment": str(settings),
    }
    assert [where for where, text in told.items() if PASSWORD in text] == []

    assert run_role(stack, required, inventory).succeeded().changed == 0


def test_a_file_of_the_controller_needs_no_repository(stack: Stack, tmp_path: Path) -> None:
    package = tmp_path / "grafana.deb"
    package.write_bytes((stack.host.tree / stub_grafana.PACKAGE.lstrip("/")).read_bytes())
    variables = {**NO_ROUTE, "grafana_install": "required", "grafana_deb": str(package)}
    run_role(stack, variables).succeeded()
    assert answer(stack, "admin")["password_is_right"], "without a password Grafana's own is left"


def assert_provisioned(stack: Stack) -> None:
    """The unit runs, with both data sources and every dashboard where the provisioning says."""
    assert stack.unit_state("grafana-server.service") == "active"
    provisioning = "/etc/grafana/provisioning"
    sources = yaml.safe_load(stack.run(f"cat {provisioning}/datasources/*.yml"))["datasources"]
    assert {source["type"]: source["url"] for source in sources} == {
        "prometheus": "http://127.0.0.1:9090",
        "alertmanager": "http://127.0.0.1:9093",
    }
    (provider,) = yaml.safe_load(stack.run(f"cat {provisioning}/dashboards/*.yml"))["providers"]
    deployed = stack.run(f"ls {provider['options']['path']}").split()
    assert deployed == [file.name for file in DASHBOARDS]
    readable = f"cat {provider['options']['path']}/*.json {provisioning}/*/*.yml >/dev/null"
    stack.run(f"runuser -u grafana -- sh -c '{readable}'")


def inventory_with_password(folder: Path) -> Path:
    """Writes the variable as an inventory's vault would hold it: in a file."""
    file = folder / "secrets.yml"
    file.write_text(yaml.safe_dump({"grafana_admin_password": PASSWORD}))
    return file


@contextmanager
def watched_command_lines() -> Iterator[set[str]]:
    """Collects the command line of each process that is started on this machine meanwhile.

    The host's processes are among them: it has a view of its own, but no kernel of its own.
    """
    seen: set[str] = set()
    ended = threading.Event()
    known = set(all_pids())

    def watch() -> None:
        while not ended.wait(LOOK_SECONDS):
            new = set(all_pids()) - known
            known.update(new)
            seen.update(command_line(pid) for pid in new)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()
