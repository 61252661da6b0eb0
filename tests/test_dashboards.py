"""Every query of every dashboard, asked of a live Prometheus after some load and one repair."""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass

from stack import API, API_UNIT, PROMETHEUS, Json, Stack

from host.processes import wait_until
from host.settings import REPOSITORY

REQUESTS = 100
HEALED_SECONDS = 30.0
# The objectives are recorded once a minute, and need two minutes for a first value.
FILLED_SECONDS = 240.0

# One evaluation of the demo's rules: an alert that fires for one only is still seen.
STEP_SECONDS = 1

# What Grafana puts in for a dashboard's variables; the demo scrapes each second.
VARIABLES = {
    "$host": ".*",
    "$unit": API_UNIT,
    "$__rate_interval": "15s",
}

# Queries that find nothing on a healthy demo host, each with what would make it find something.
# The controllers are bound to the outer host's cgroup v1 under systemd-nspawn.
EMPTY_BY_DESIGN = {
    ("Overview", "Broken now", "A"): "an alert that stands; test_breaks provokes some",
    ("Alerts", "Firing", "A"): "an alert that stands; test_breaks provokes some",
    ("Alerts", "Pending", "A"): "an alert about to fire; test_breaks provokes some",
    ("Alerts", "Undelivered", "A"): "a bot that is down; test_breaks stops it",
    ("Alerts", "Undelivered", "B"): "an Alertmanager that is down",
    ("Alerts", "Rule failures", "A"): "a rule that cannot be evaluated",
    ("Transactions", "Worker errors by reason", "A"): "a store that fails",
    ("Self-healing", "Repairs left in each budget", "A"): "a budget that was drawn upon",
    ("Units", "OOM kills in 24 h", "A"): "a cgroup tree with the memory controller",
    ("Units", "Memory", "B"): "a cgroup tree with the memory controller",
    ("Units", "Memory", "C"): "a cgroup tree with the memory controller",
    ("Units", "Tasks", "B"): "a cgroup tree with the pids controller",
    ("Units", "IO, read and written", "A"): "a cgroup tree with the io controller",
    ("Units", "IO", "A"): "a cgroup tree with the io controller",
    ("Units", "IO", "B"): "a cgroup tree with the io controller",
    ("Units", "Pressure: time that some task waited", "A"): "a kernel with psi=1",
    ("Units", "Pressure", "A"): "a kernel with psi=1",
    ("Units", "Throttled", "A"): "a unit with CPUQuota= that is busy",
    ("Units", "Network, where it is accounted for", "A"): "a unit with IPAccounting=",
    ("Units", "Network, where it is accounted for", "B"): "a unit with IPAccounting=",
    ("Node health", "Pressure: time that some task waited", "A"): "a kernel with psi=1",
    ("Node health", "Pressure: time that some task waited", "B"): "a kernel with psi=1",
    ("Node health", "Pressure: time that some task waited", "C"): "a kernel with psi=1",
    ("Node health", "Disk IO", "A"): "a host with disks of its own",
    ("Node health", "Disk IO", "B"): "a host with disks of its own",
    ("Node health", "Clock may be off by", "A"): "a host with a clock of its own",
}

# How a variable asks for the values of a label.
LABEL_VALUES = re.compile(r"label_values\((?P<series>.+), (?P<label>\w+)\)")


@dataclass(frozen=True)
class Query:
    """What one place of a dashboard asks Prometheus."""

    dashboard: str
    title: str
    ref: str
    text: str

    @property
    def place(self) -> tuple[str, str, str]:
        return self.dashboard, self.title, self.ref


def test_every_query_finds_something_after_load_and_a_repair(stack: Stack) -> None:
    queries = list(all_queries())
    places = {query.place for query in queries}
    assert EMPTY_BY_DESIGN.keys() <= places, "a query of the list is on no dashboard"
    since = time.time()
    put_load_on(stack)
    stack.run(f"systemctl stop {API_UNIT}")
    assert wait_until(stack.api_is_healthy, HEALED_SECONDS), "the API was not healed"
    put_load_on(stack)
    empty = [query for query in queries if query.place not in EMPTY_BY_DESIGN]

    def none_is_empty() -> bool:
        empty[:] = [query for query in empty if not finds_something(stack, query, since)]
        return not empty

    assert wait_until(none_is_empty, FILLED_SECONDS), f"no data: {empty}"
    # Those that may be empty must still be asked rightly.
    for query in queries:
        finds_something(stack, query, since)


def test_every_variable_has_values(stack: Stack) -> None:
    variables = list(all_variables())
    assert variables
    for variable in variables:
        asked = LABEL_VALUES.fullmatch(variable.text)
        assert asked, f"{variable} is asked for in another way"
        series = urllib.parse.urlencode({"match[]": asked["series"]})
        assert ask(stack, variable, f"/api/v1/label/{asked['label']}/values?{series}")


def all_queries() -> Iterator[Query]:
    """The queries of all panels and annotations."""
    for dashboard in all_dashboards():
        for panel in panels_of(dashboard):
            for target in panel.get("targets", []):
                yield query_of(dashboard, panel["title"], target["refId"], target["expr"])
        for annotation in dashboard["annotations"]["list"]:
            yield query_of(dashboard, annotation["name"], "annotation", annotation["expr"])


def all_variables() -> Iterator[Query]:
    for dashboard in all_dashboards():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield query_of(dashboard, variable["name"], "variable", variable["query"])


def query_of(dashboard: Json, title: str, ref: str, text: str) -> Query:
    return Query(dashboard["title"], filled_in(title), ref, filled_in(text))


def all_dashboards() -> Iterator[Json]:
    for file in sorted((REPOSITORY / "grafana/dashboards").glob("*.json")):
        yield json.loads(file.read_text())


def panels_of(node: Json) -> Iterator[Json]:
    """The panels of a dashboard or a row, those inside folded rows included."""
    for panel in node["panels"]:
        if panel["type"] == "row":
            yield from panels_of(panel | {"panels": panel.get("panels") or []})
        else:
            yield panel


def filled_in(text: str) -> str:
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    unknown = re.search(r"\$[a-zA-Z_]\w*", text)
    assert not unknown, f"{unknown} in {text}"
    return text


def put_load_on(stack: Stack) -> None:
    for _ in range(REQUESTS):
        stack.request(API, "/transactions")
    body = json.dumps({"amount": "12.34", "currency": "EUR"}).encode()
    answer = stack.request(
        API, "/transactions", body=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status == 201, answer


def finds_something(stack: Stack, query: Query, since: float) -> bool:
    """Whether the query has had a value since then."""
    span = {"query": query.text, "start": since, "end": time.time(), "step": STEP_SECONDS}
    return bool(ask(stack, query, f"/api/v1/query_range?{urllib.parse.urlencode(span)}")["result"])


def ask(stack: Stack, query: Query, path: str) -> Json:
    """What Prometheus answers; to refuse or not to answer is an error."""
    answer = stack.request(PROMETHEUS, path)
    assert answer.status == 200, f"{query}\n{answer}"
    return json.loads(answer.body)["data"]
