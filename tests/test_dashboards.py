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

# Panels that show nothing on a healthy demo host, each with what would fill it.
EMPTY_BY_DESIGN = {
    "Broken now": "an alert that stands; test_breaks provokes some",
    "Firing": "an alert that stands; test_breaks provokes some",
    "Pending": "an alert about to fire; test_breaks provokes some",
    "Worker errors by reason": "a store that fails",
    "Undelivered": "a bot that is down; test_breaks stops it",
    "Rule failures": "a rule that cannot be evaluated",
    "Throttled": "a unit with CPUQuota= that is busy",
    "Network, where it is accounted for": "a unit with IPAccounting=",
    "Repairs left in each budget": "a budget that was drawn upon",
    # The controllers are bound to the outer host's cgroup v1 under systemd-nspawn.
    "IO": "a cgroup tree with the io controller",
    "IO, read and written": "a cgroup tree with the io controller",
    "Tasks": "a cgroup tree with the pids controller",
    "OOM kills in 24 h": "a cgroup tree with the memory controller",
    "Pressure": "a kernel with psi=1",
    "Pressure: time that some task waited": "a kernel with psi=1",
    "Disk IO": "a host with disks of its own",
    "Clock may be off by": "a host with a clock of its own",
}


@dataclass(frozen=True)
class Panel:
    """A panel and what it asks Prometheus."""

    dashboard: str
    title: str
    queries: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.title}"


def test_every_panel_shows_something_after_load_and_a_repair(stack: Stack) -> None:
    panels = list(all_panels())
    titles = {panel.title for panel in panels}
    assert EMPTY_BY_DESIGN.keys() <= titles, "a panel of the list is on no dashboard"
    since = time.time()
    put_load_on(stack)
    stack.run(f"systemctl stop {API_UNIT}")
    assert wait_until(stack.api_is_healthy, HEALED_SECONDS), "the API was not healed"
    put_load_on(stack)
    expected = [panel for panel in panels if panel.title not in EMPTY_BY_DESIGN]

    def empty() -> list[str]:
        return [str(panel) for panel in expected if not has_data(stack, panel, since)]

    assert wait_until(lambda: not empty(), FILLED_SECONDS), f"no data: {empty()}"
    # Those that may be empty must still be asked rightly.
    for panel in panels:
        has_data(stack, panel, since)


def all_panels() -> Iterator[Panel]:
    for file in sorted((REPOSITORY / "grafana/dashboards").glob("*.json")):
        dashboard = json.loads(file.read_text())
        for panel in panels_of(dashboard):
            queries = tuple(filled_in(target["expr"]) for target in panel.get("targets", []))
            if queries:
                yield Panel(dashboard["title"], filled_in(panel["title"]), queries)


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


def has_data(stack: Stack, panel: Panel, since: float) -> bool:
    """Whether any of the panel's queries has a value since then; a refused one is an error."""
    found = False
    for query in panel.queries:
        span = urllib.parse.urlencode(
            {"query": query, "start": since, "end": time.time(), "step": STEP_SECONDS}
        )
        answer = stack.request(PROMETHEUS, f"/api/v1/query_range?{span}")
        assert answer.status in (0, 200), f"{panel}: {query}\n{answer.body}"
        found = found or (answer.status == 200 and bool(json.loads(answer.body)["data"]["result"]))
    return found
