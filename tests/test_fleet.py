"""Three hosts in one network: what is broken on one is healed there, once, and in turn."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_urlsafe
from typing import Any
from urllib.parse import quote

import leaks
import pytest
from play import play_fleet
from rollout import API_DROP_INS, CONFIGURATION, watching
from stack import ALERTMANAGER, API, API_UNIT, BOT, Stack

from host import boot, deploy, fleet, health, inventory, switch, teardown, tree
from host.errors import StepError
from host.processes import wait_until
from host.report import Progress, failure
from host.settings import DEFAULT_SUITE, Host

pytestmark = pytest.mark.long

SIZE = 3
HEALED_SECONDS = 90.0
QUIET_SECONDS = 180.0
# Longer than a repair of the demo takes, so that a second one would be seen.
NO_MORE_SECONDS = 10.0

# Restarts the API and the workers, and nothing else.
ANOTHER_CONFIGURATION = {"transactions_watchdog": "31s"}
# The task that keeps a deployment from the next host, and how often it asks here in vain.
GATE = "Wait until the API answers"
RETRIES = 3
# No probe is answered; it ends by itself after the deployment has given up.
HANG = "/usr/bin/transactions-api faults set hang --for 3m"

# All other variables of a fleet's inventory hold secrets.
PUBLIC_VARIABLES = ("fleet_profile", "fleet_network", "fleet_tls_authority", "fleet_tls_certificates")

LET_ONLY_THE_FLEET_IN = {
    "prometheus": 9090,
    "alertmanager": 9093,
    "node-exporter": 9100,
    "blackbox-exporter": 9115,
    "unit-exporter": 9558,
    "transactions-worker@1": 8101,
}

# As a host without a certificate of its own.
ASK = "curl --silent --fail --output /dev/null --max-time 5 --cacert /etc/observability-stack/authority.pem"
FREEZE = f"systemctl kill --signal=SIGSTOP {API_UNIT}"
# Each restart is killed as soon as it runs, until systemd gives up.
KILL_LOOP = (
    "for _ in $(seq 600); do systemctl kill --kill-whom=main --signal=SIGKILL {unit} 2>/dev/null;"
    " systemctl is-failed --quiet {unit} && exit 0; sleep 0.05; done; exit 1"
)
DATABASE_UNIT = "$(systemctl list-units --plain --no-legend 'postgresql@*' | cut -d' ' -f1)"


class Fleet:
    """The deployed fleet; the first two hosts serve and watch, the last one keeps the data."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.members = inventory.members(host)

    @property
    def hosts(self) -> list[Stack]:
        return [Stack(member) for member in self.members]

    @property
    def address_of_data(self) -> str:
        seat = self.hosts[-1].host.seat
        assert seat is not None
        return seat.address

    def sql(self, statement: str) -> str:
        """Asks the fleet's own table, on the host that has it."""
        command = f'runuser --user postgres -- psql --tuples-only --no-align fleet --command "{statement}"'
        return self.hosts[-1].run(command).strip()

    def connections(self, condition: str) -> int:
        """Counts the connections to the database that came over the network."""
        statement = (
            "SELECT count(*) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)"
            f" WHERE client_addr IS NOT NULL AND {condition}"
        )
        return int(self.sql(statement))

    def repairs(self, since: float) -> list[tuple[str, str]]:
        """Returns host and unit of every repair that any bot has begun since then."""
        return [
            (stack.host.name, entry["unit"])
            for stack in self.hosts
            for entry in stack.incidents(since)
            for _ in range(entry["attempts"])
        ]

    def is_quiet(self) -> bool:
        return all(
            entry.acceptable for member in self.members for entry in health.survey(member)
        ) and all(open_incidents(stack) == [] for stack in self.hosts)


def open_incidents(stack: Stack) -> list[Any]:
    return [entry for entry in json.loads(stack.run("alert-bot incidents --json")) if not entry["closed_at"]]


@pytest.fixture(scope="module")
def whole(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """Three fresh hosts, deployed and healthy."""
    given = request.config.getoption("--use-host")
    host = Host(given or f"test-{os.getpid()}-fleet")
    try:
        if given is None:
            bring_up(host)
        yield Fleet(host)
    except StepError as error:
        pytest.exit(failure(error, host), returncode=1)
    finally:
        if given is None:
            for member in inventory.members(host):
                teardown.destroy(member)
            teardown.destroy(host)


def bring_up(host: Host) -> None:
    progress = Progress()
    inventory.remember(host, SIZE)
    fleet.start(host, fleet.wanted_forwards(host), tree.Base(DEFAULT_SUITE), progress)
    with progress.step("deploy"):
        deploy.deploy_fleet(host)
    with progress.step("health"):
        assert wait_until(Fleet(host).is_quiet, QUIET_SECONDS)


@pytest.fixture
def quiet(whole: Fleet) -> Fleet:
    assert wait_until(whole.is_quiet, QUIET_SECONDS), "the fleet is not quiet before the test"
    return whole


def healed_once(whole: Fleet, since: float, broken: list[Stack], unit: str = API_UNIT) -> None:
    """Waits until nothing is broken any more, and holds that each break took one repair."""
    assert wait_until(whole.is_quiet, HEALED_SECONDS), "not healed"
    expected = sorted((stack.host.name, unit) for stack in broken)
    assert not wait_until(lambda: sorted(whole.repairs(since)) != expected, NO_MORE_SECONDS), (
        f"repairs: {whole.repairs(since)}, expected {expected}"
    )


def test_hosts_share_their_data_and_watch_each_other(quiet: Fleet) -> None:
    one, two, _ = quiet.hosts
    body = json.dumps({"amount": "12.34", "currency": "EUR"}).encode()
    answer = one.request(API, "/transactions", body=body, headers={"Content-Type": "application/json"})
    assert answer.status == 201, answer
    made = json.loads(answer.body)["id"]
    assert two.request(API, f"/transactions/{made}").status == 200

    names = {member.name for member in quiet.members}
    for watcher in (one, two):
        # On a busy machine a scrape may be late now and then.
        down = 'max_over_time(up{job!="transactions-worker"}[1m]) == 0'
        assert wait_until(lambda w=watcher: w.query(down) == [], HEALED_SECONDS), watcher.query(down)
        assert {series["metric"]["host"] for series in watcher.query("up")} == names
        assert watcher.metric("alertmanager_cluster_members") == 4, "each of two sees two"


def test_what_crosses_the_network_is_encrypted(quiet: Fleet) -> None:
    one, two, _ = quiet.hosts
    assert two.host.seat is not None
    for port in (API, BOT):
        health = f"//{two.host.seat.address}:{port}/health"
        one.run(f"{ASK} https:{health}")
        assert one.run(f"{ASK} http:{health} || echo refused") == "refused\n", port

    assert quiet.connections("ssl") > 0
    assert quiet.connections("NOT ssl") == 0
    clear = f"psql 'host={quiet.address_of_data} dbname=fleet user=fleet sslmode=disable' --command ''"
    assert "no encryption" in quiet.hosts[-1].run(f"PGPASSWORD=x {clear} 2>&1 || true")

    gossip = f"openssl s_client -connect {two.host.seat.address}:9094 -brief </dev/null 2>&1 || true"
    assert "TLSv1.3" in one.run(gossip)


def test_what_tells_of_the_hosts_lets_nobody_in_but_the_fleet(quiet: Fleet) -> None:
    one, two, _ = quiet.hosts
    assert two.host.seat is not None
    own = "/etc/prometheus/credentials/node-exporter"
    for name, port in LET_ONLY_THE_FLEET_IN.items():
        page = f"//{two.host.seat.address}:{port}/metrics"
        one.run(f"{ASK} --cert {own}-certificate --key {own}-key https:{page}")
        assert one.run(f"{ASK} https:{page} || echo refused") == "refused\n", name
        assert one.run(f"{ASK} http:{page} || echo refused") == "refused\n", name


def test_a_bot_tells_every_alertmanager_of_its_fleet(quiet: Fleet) -> None:
    one, two, _ = quiet.hosts
    since = time.time()
    one.run(FREEZE)
    ours = f'filter=alertname="RemediationInProgress"&filter=host="{one.host.name}"'
    path = f"/api/v2/alerts?{quote(ours, safe='=&')}"
    for alertmanager in (one, two):
        assert wait_until(
            lambda it=alertmanager: it.request(ALERTMANAGER, path).body not in ("", "[]\n"),
            HEALED_SECONDS,
        ), alertmanager.host.name
    healed_once(quiet, since, [one])


def test_nothing_listens_but_where_the_inventory_says(quiet: Fleet) -> None:
    for stack in quiet.hosts:
        assert stack.host.seat is not None
        listening = stack.run("ss --no-header --listening --tcp --udp --numeric | awk '{print $5}'")
        addresses = {line.rpartition(":")[0] for line in listening.splitlines()}
        own = {"127.0.0.1", "[::1]", "127.0.0.53%lo", "127.0.0.54", stack.host.seat.address}
        assert addresses <= own, stack.host.name


def test_healing_goes_on_without_one_alertmanager(quiet: Fleet) -> None:
    one, two, _ = quiet.hosts
    with stopped(one, "prometheus-alertmanager.service"):
        since = time.time()
        two.run(FREEZE)
        assert wait_until(two.api_is_healthy, HEALED_SECONDS)
    healed_once(quiet, since, [two])


def test_healing_goes_on_without_one_prometheus(quiet: Fleet) -> None:
    one, _, _ = quiet.hosts
    with stopped(one, "prometheus.service"):
        since = time.time()
        one.run(FREEZE)
        assert wait_until(one.api_is_healthy, HEALED_SECONDS)
    healed_once(quiet, since, [one])


def test_two_hosts_of_a_group_are_repaired_one_after_the_other(quiet: Fleet) -> None:
    one, two, _ = quiet.hosts
    since = time.time()
    one.run(FREEZE)
    two.run(FREEZE)
    healed_once(quiet, since, [one, two])
    overlaps = quiet.sql(
        "SELECT count(*) FROM fleet_repairs a JOIN fleet_repairs b ON a.id < b.id"
        " AND a.host <> b.host AND a.host_groups && b.host_groups"
        " AND tstzrange(a.begun_at, a.ended_at) && tstzrange(b.begun_at, b.ended_at)"
    )
    assert overlaps == "0"
    ended = f"SELECT count(*) FROM fleet_repairs WHERE ended_at IS NOT NULL AND begun_at >= to_timestamp({since})"
    assert quiet.sql(ended) == "2"


def test_a_host_without_the_network_waits_and_the_others_heal(quiet: Fleet) -> None:
    one, two, _ = quiet.hosts
    seat = one.host.seat
    assert seat is not None
    since = time.time()
    switch.cut(seat)
    try:
        one.run(KILL_LOOP.format(unit=API_UNIT))
        two.run(FREEZE)
        assert wait_until(two.api_is_healthy, HEALED_SECONDS), "the others do not heal"
        held = "journalctl --output=cat REASON=fleet-unreachable --since=-5min | head -1"
        assert wait_until(lambda: one.run(held, check=False) != "", HEALED_SECONDS), "it does not wait"
        assert [name for name, _ in quiet.repairs(since)] == [two.host.name]
    finally:
        switch.mend(seat)
    healed_once(quiet, since, [one, two])


def test_the_database_is_repaired_although_the_table_of_turns_is_in_it(quiet: Fleet) -> None:
    data = quiet.hosts[-1]
    unit = data.run(f"echo {DATABASE_UNIT}").strip()
    since = time.time()
    data.run(KILL_LOOP.format(unit=unit))
    its_repair = (data.host.name, unit)
    assert wait_until(lambda: its_repair in quiet.repairs(since), HEALED_SECONDS), "not repaired"
    assert wait_until(quiet.is_quiet, HEALED_SECONDS), "not healed"
    # An API may have been found unhealthy before its database was back, and restarted after.
    assert quiet.repairs(since).count(its_repair) == 1


@contextmanager
def units_of_the_api(whole: Fleet, lines: str, hosts: list[Stack]) -> Iterator[None]:
    """Adds lines to the API's unit on some hosts, for the next deployment to meet.

    Nothing repairs meanwhile what they break.
    """
    drop_in = f"{API_DROP_INS}/90-test.conf"
    for stack in whole.hosts[:-1]:
        stack.run("alert-bot pause --for 10m --why 'a deployment is tested'")
    for stack in hosts:
        stack.run(f"cat > {drop_in}", stdin=f"[Service]\n{lines}\n")
    try:
        yield
    finally:
        for stack in hosts:
            stack.run(f"rm {drop_in}; systemctl daemon-reload; systemctl reset-failed {API_UNIT}")
        deploy.deploy_fleet(whole.host)
        for stack in whole.hosts[:-1]:
            stack.run("alert-bot resume")


def test_a_deployment_stops_at_the_first_host_that_does_not_come_back(quiet: Fleet) -> None:
    one, two, _ = quiet.hosts
    lives = f"systemctl show --property=InvocationID,ActiveState {API_UNIT}"
    before = two.run(lives), two.run(f"cat {CONFIGURATION}")
    with units_of_the_api(quiet, "ExecStart=\nExecStart=/bin/false", [one]):
        with pytest.raises(StepError, match="the playbook failed"):
            deploy.deploy_fleet(quiet.host, variables=ANOTHER_CONFIGURATION)
        assert (two.run(lives), two.run(f"cat {CONFIGURATION}")) == before
        assert two.api_is_healthy()
    assert one.api_is_healthy()


def test_a_deployment_goes_on_once_the_host_before_is_healthy(quiet: Fleet) -> None:
    """Each API runs soon after its restart; its probes are answered once the playbook waits for it."""
    one, two, _ = quiet.hosts
    waited: list[str] = []

    def end_hang(line: str) -> None:
        for stack in (one, two):
            if line.startswith(f"FAILED - RETRYING: [{stack.host.name}]: {GATE}"):
                waited.append(stack.host.name)
                if waited.count(stack.host.name) == RETRIES:
                    stack.run("transactions-api faults clear")

    with units_of_the_api(quiet, f"ExecStartPost={HANG}", [one, two]):
        since = time.time()
        with watching([one, two]) as watch:
            deploy.deploy_fleet(quiet.host, variables=ANOTHER_CONFIGURATION, on_line=end_hang)
        assert sorted(set(waited)) == [one.host.name, two.host.name], "it did not wait"
        first, second = (watch.restart(stack, since) for stack in (one, two))
    for restart in (first, second):
        assert restart.touched <= restart.stopped <= restart.started < restart.healthy
    assert first.healthy < second.touched, "the second host was touched too early"
    for restart, other in ((first, two), (second, one)):
        looks = watch.during(other, restart.stopped, restart.healthy)
        assert len(looks) >= RETRIES
        assert all(look.healthy for look in looks), "both were down at once"
    down = [f"{it.healthy - it.stopped:.1f} s" for it in (first, second)]
    print(f"\n    down one after the other: {', '.join(down)}")


def test_no_secret_stands_but_in_its_files(quiet: Fleet) -> None:
    secrets = secrets_of(quiet)
    # As a deployment that brings new passwords does, beside a server that logs every statement.
    quiet.hosts[-1].run(
        "runuser --user postgres -- env PGOPTIONS='--log_statement=all --log_min_duration_statement=0'"
        " psql --quiet --set=ON_ERROR_STOP=1 --file=/etc/postgresql/stack-databases.sql"
    )
    assert len(secrets) == 2 * SIZE + 2, "a token and a key for each host, two passwords"
    for stack in quiet.hosts:
        texts = {name: leaks.telling(secret) for name, secret in secrets.items()}
        assert leaks.found(stack, texts) == [], stack.host.name


def test_a_deployment_prints_no_secret(quiet: Fleet) -> None:
    """Neither the one that was, nor one that replaces every secret and would show each change."""
    present = secrets_of(quiet)
    variables = {name: renewed(value) for name, value in variables_of(quiet).items()}
    look = play_fleet(quiet.host, "--check", "--diff", "-vvv", variables=variables).succeeded()
    assert look.changed >= len(present)
    printed = look.output + quiet.host.log("deploy").read_text(encoding="utf-8")
    secrets = {**present, **{f"new {name}": text for name, text in named(variables)}}
    told = {name for name, secret in secrets.items() for it in leaks.telling(secret) if it in printed}
    assert told == set()


def secrets_of(whole: Fleet) -> dict[str, str]:
    """Returns every secret that the fleet's inventory holds."""
    return dict(named(variables_of(whole)))


def variables_of(whole: Fleet) -> dict[str, Any]:
    """Returns the fleet's variables that are not known to be public."""
    text = (inventory.directory(whole.host) / "hosts.json").read_text(encoding="utf-8")
    variables = json.loads(text)["all"]["vars"]
    return {name: value for name, value in variables.items() if name not in PUBLIC_VARIABLES}


def named(variables: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in variables.items():
        if isinstance(value, dict):
            yield from ((f"{name} of {host}", text) for host, text in value.items())
        else:
            yield name, value


def renewed(value: Any) -> Any:
    """Returns another secret in the place of each."""
    return {host: token_urlsafe() for host in value} if isinstance(value, dict) else token_urlsafe()


def test_samples_reach_the_engine_for_the_long_term(quiet: Fleet) -> None:
    data = quiet.hosts[-1]
    data.run("DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes victoria-metrics", check=True)
    data.run("systemctl start victoria-metrics", check=True)
    entries = [{"url": f"http://{quiet.address_of_data}:8428/api/v1/write"}]
    deploy.deploy_fleet(quiet.host, variables={"prometheus_remote_write": entries})
    try:
        ask = "curl -sf 'http://localhost:8428/api/v1/query?query=count(up)by(host)'"

        def hosts_there() -> set[str]:
            output = data.run(ask, check=False)
            found = json.loads(output)["data"]["result"] if output else []
            return {series["metric"]["host"] for series in found}

        assert wait_until(lambda: hosts_there() == {it.name for it in quiet.members}, HEALED_SECONDS)
    finally:
        deploy.deploy_fleet(quiet.host)
        data.run("systemctl stop victoria-metrics")


def test_healing_goes_on_when_a_host_is_gone(quiet: Fleet) -> None:
    one, two, _ = quiet.hosts
    teardown.stop(one.host, gracefully=False)
    since = time.time()
    two.run(FREEZE)
    assert wait_until(two.api_is_healthy, HEALED_SECONDS)
    bring_back(one.host)
    healed_once(quiet, since, [two])


def bring_back(member: Host) -> None:
    seat = member.seat
    assert seat is not None
    boot.boot(member)
    switch.plug(seat, member)
    boot.wait_until_booted(member)


@contextmanager
def stopped(stack: Stack, unit: str) -> Iterator[None]:
    """Kills a unit and keeps it from coming back for a while."""
    stack.run(f"systemctl kill --signal=SIGKILL {unit}; systemctl stop {unit}")
    try:
        yield
    finally:
        stack.run(f"systemctl reset-failed {unit}; systemctl start {unit}")
