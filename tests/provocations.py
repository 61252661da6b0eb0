"""What makes those places of the dashboards find something that load and one repair leave empty.

Each names its places, so that none is forgotten: `ON_THE_HOST` is provoked by test_dashboards.py
on the nspawn host, `ON_A_MACHINE` by tests/vagrant on a machine of its own.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass

from panels import Place, Prometheus, Query, Search, all_queries, clock
from stack import API_UNIT, BOT_UNITS
from unit_probes import Run

HOLDING_UNIT = "stack-probe-holding.service"
BUSY_UNIT = "stack-probe-busy.service"
TALKING_UNIT = "stack-probe-talking.service"
ALERTMANAGER_UNIT = "prometheus-alertmanager.service"
RULES = "/etc/prometheus/rules/zz-stack-probe.yml"
EXPORTER_CONFIGURATION = "/etc/unit-exporter/unit-exporter.toml"

# Every target matches every other one of its host, which shows only when it is evaluated.
MANY_TO_MANY = (
    "groups: [{name: stack-probe, rules: [{record: stack:probe, expr: up * on (host) up}]}]"
)
HOLD_THE_STORE = """
import signal, sqlite3
store = sqlite3.connect("/var/lib/transactions/transactions.db", isolation_level=None)
store.execute("BEGIN IMMEDIATE")
signal.pause()
"""
BURN = "sh -c 'while :; do :; done'"
TALK = "sh -c 'while sleep 0.2; do curl --silent --output /dev/null http://127.0.0.1:9090/; done'"

# An emulated machine scrapes seldom and answers slowly.
FILLED_SECONDS = 300.0

Wait = Callable[[Callable[[], bool], float], bool]


@dataclass(frozen=True)
class Provocation:
    """What is done for as long as these places have found nothing, and undone afterwards."""

    what: str
    places: tuple[Place, ...]
    provoked: Callable[[Run], AbstractContextManager[None]]
    # Which one is chosen on the dashboard of units.
    unit: str = API_UNIT

    def queries(self) -> list[Query]:
        return [query.about(self.unit) for query in all_queries() if query.place in self.places]


def left_empty(run: Run, provocations: Sequence[Provocation], wait: Wait) -> list[Query]:
    """Provokes all of it at once; returns what has found nothing nonetheless."""
    queries = [query for provocation in provocations for query in provocation.queries()]
    search = Search(Prometheus(run), queries, clock(run))
    with ExitStack() as undone:
        for provocation in provocations:
            undone.enter_context(provocation.provoked(run))
        wait(search.is_over, FILLED_SECONDS)
    return search.left


@contextmanager
def _bot_away(run: Run) -> Iterator[None]:
    with _stopped(run, *BOT_UNITS), _stopped(run, API_UNIT):
        yield


@contextmanager
def _alertmanager_away(run: Run) -> Iterator[None]:
    with _stopped(run, ALERTMANAGER_UNIT), _stopped(run, API_UNIT):
        yield


@contextmanager
def _rule_that_fails(run: Run) -> Iterator[None]:
    reload = "systemctl reload prometheus.service"
    try:
        run(f"echo {shlex.quote(MANY_TO_MANY)} > {RULES} && {reload}")
        yield
    finally:
        run(f"rm -f {RULES} && {reload}")


def _store_held_by_another(run: Run) -> AbstractContextManager[None]:
    return _running(run, HOLDING_UNIT, f"python3 -c {shlex.quote(HOLD_THE_STORE)}")


def _busy_beyond_its_quota(run: Run) -> AbstractContextManager[None]:
    return _running(run, BUSY_UNIT, BURN, "CPUQuota=5%")


@contextmanager
def _network_accounted_for(run: Run) -> Iterator[None]:
    """Switches the exporter's collector on, too, which is off by default."""
    kept = "/run/stack-probe-exporter.toml"
    restart = "systemctl restart unit-exporter.service"
    run(f"cp --preserve=all {EXPORTER_CONFIGURATION} {kept}")
    try:
        run(f"printf '\\n[collectors]\\nip = true\\n' >> {EXPORTER_CONFIGURATION} && {restart}")
        with _running(run, TALKING_UNIT, TALK, "IPAccounting=yes"):
            yield
    finally:
        run(f"mv {kept} {EXPORTER_CONFIGURATION} && {restart}")


def _nothing(_run: Run) -> AbstractContextManager[None]:
    return nullcontext()


@contextmanager
def _stopped(run: Run, *units: str) -> Iterator[None]:
    try:
        run(f"systemctl stop {' '.join(units)}")
        yield
    finally:
        run(f"systemctl start {' '.join(units)}")


@contextmanager
def _running(run: Run, unit: str, command: str, *properties: str) -> Iterator[None]:
    options = "".join(f" --property={each}" for each in properties)
    run(f"systemd-run --quiet --collect --unit={unit}{options} {command}")
    try:
        yield
    finally:
        run(f"systemctl stop {unit}")


ON_THE_HOST = (
    Provocation("a bot that cannot be told", (("Alerts", "Undelivered", "A"),), _bot_away),
    Provocation(
        "an Alertmanager that cannot be told", (("Alerts", "Undelivered", "B"),), _alertmanager_away
    ),
    Provocation(
        "a rule that cannot be evaluated", (("Alerts", "Rule failures", "A"),), _rule_that_fails
    ),
    Provocation(
        "a store that another holds",
        (("Transactions", "Worker errors by reason", "A"),),
        _store_held_by_another,
    ),
)

# Under systemd-nspawn the outer machine may keep the controllers, the counting of packets,
# the disks and the clock to itself.
ON_A_MACHINE = (
    Provocation(
        "a cgroup tree with the memory controller",
        (
            ("Units", "OOM kills in 24 h", "A"),
            ("Units", "Memory", "B"),
            ("Units", "Memory", "C"),
        ),
        _nothing,
    ),
    Provocation("a cgroup tree with the pids controller", (("Units", "Tasks", "B"),), _nothing),
    Provocation(
        "a cgroup tree with the io controller",
        (
            ("Units", "IO, read and written", "A"),
            ("Units", "IO", "A"),
            ("Units", "IO", "B"),
        ),
        _nothing,
    ),
    Provocation(
        "a unit with CPUQuota= that is busy, and the cpu controller",
        (("Units", "Throttled", "A"),),
        _busy_beyond_its_quota,
        BUSY_UNIT,
    ),
    Provocation(
        "a kernel with psi=1",
        (
            ("Units", "Pressure: time that some task waited", "A"),
            ("Units", "Pressure", "A"),
            ("Node health", "Pressure: time that some task waited", "A"),
            ("Node health", "Pressure: time that some task waited", "B"),
            ("Node health", "Pressure: time that some task waited", "C"),
        ),
        _nothing,
    ),
    Provocation(
        "disks of its own",
        (("Node health", "Disk IO", "A"), ("Node health", "Disk IO", "B")),
        _nothing,
    ),
    Provocation("a clock of its own", (("Node health", "Clock may be off by", "A"),), _nothing),
    Provocation(
        "a unit with IPAccounting=, and a kernel that lets systemd count",
        (
            ("Units", "Network, where it is accounted for", "A"),
            ("Units", "Network, where it is accounted for", "B"),
        ),
        _network_accounted_for,
        TALKING_UNIT,
    ),
)
