"""What the dashboards ask, put to the Prometheus of any machine that takes commands."""

from __future__ import annotations

import json
import re
import shlex
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from unit_probes import Run

from host.errors import StepError
from host.settings import REPOSITORY

# Dashboard, title and letter of a query.
Place = tuple[str, str, str]

API = "http://127.0.0.1:9090/api/v1"
# An emulated processor takes seconds for what a real one does at once.
ANSWER_SECONDS = 60
# The narrowest that Grafana makes `$__rate_interval`.
SCRAPES_IN_A_RATE = 4


@dataclass(frozen=True)
class Query:
    """What one place of a dashboard asks Prometheus."""

    dashboard: str
    title: str
    ref: str
    text: str

    @property
    def place(self) -> Place:
        return self.dashboard, self.title, self.ref

    def about(self, unit: str) -> Query:
        """Returns the query of a dashboard on which this unit is chosen."""
        return replace(self, text=self.text.replace("$unit", unit))


class Prometheus:
    """A machine's own Prometheus, asked on that machine."""

    def __init__(self, run: Run) -> None:
        self._run = run
        targets = self.get("targets?state=active")["activeTargets"]
        (interval,) = {target["scrapeInterval"] for target in targets}
        self._scrape_seconds = int(interval.removesuffix("s"))

    def get(self, path: str) -> Any:
        """Returns what the API has at `path`."""
        (data,) = self._ask([shlex.quote(f"{API}/{path}")])
        return data

    def filled(self, queries: Iterable[Query], since: float) -> list[bool]:
        """Returns of each query whether it has had a value since then."""
        answers = self._ask([self._range(query, since) for query in queries])
        return [bool(data["result"]) for data in answers]

    def _range(self, query: Query, since: float) -> str:
        """Returns the word of a shell that asks for all values since then.

        The demo evaluates its rules as often as it scrapes: with that step an alert that stands
        for one evaluation is still seen.
        """
        text = _filled_in(query.text, SCRAPES_IN_A_RATE * self._scrape_seconds)
        span = {"query": text, "start": since, "step": self._scrape_seconds}
        return shlex.quote(f"{API}/query_range?{urllib.parse.urlencode(span)}&end=") + "$now"

    def _ask(self, urls: Sequence[str]) -> list[Any]:
        """Asks everything in one command: to enter a machine takes longer than a query."""
        curl = f"curl --silent --globoff --max-time {ANSWER_SECONDS} --write-out '\\n'"
        answers = self._run(f"now=$(date +%s.%N); {curl} {' '.join(urls)}").splitlines()
        return [_data(url, answer) for url, answer in zip(urls, answers, strict=True)]


class Search:
    """Queries that have not found anything yet, asked again and again."""

    def __init__(self, prometheus: Prometheus, queries: Iterable[Query], since: float) -> None:
        self.left = list(queries)
        self._prometheus = prometheus
        self._since = since

    def is_over(self) -> bool:
        filled = self._prometheus.filled(self.left, self._since)
        self.left = [query for query, found in zip(self.left, filled, strict=True) if not found]
        return not self.left


def clock(run: Run) -> float:
    """Returns the machine's time: what its Prometheus stores is stamped with it."""
    return float(run("date +%s.%N"))


def all_queries() -> Iterator[Query]:
    """The queries of all panels and annotations."""
    for dashboard in _all_dashboards():
        name = dashboard["title"]
        for panel in _panels_of(dashboard):
            for target in panel.get("targets", []):
                yield Query(name, panel["title"], target["refId"], target["expr"])
        for annotation in dashboard["annotations"]["list"]:
            yield Query(name, annotation["name"], "annotation", annotation["expr"])


def all_variables() -> Iterator[Query]:
    """The queries by which dashboards learn what can be chosen."""
    for dashboard in _all_dashboards():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                name, text = variable["name"], _filled_in(variable["query"])
                yield Query(dashboard["title"], name, "variable", text)


def _all_dashboards() -> Iterator[Any]:
    for file in sorted((REPOSITORY / "grafana/dashboards").glob("*.json")):
        yield json.loads(file.read_text())


def _panels_of(node: Any) -> Iterator[Any]:
    """The panels of a dashboard or a row, those inside folded rows included."""
    for panel in node["panels"]:
        if panel["type"] == "row":
            yield from _panels_of(panel | {"panels": panel.get("panels") or []})
        else:
            yield panel


def _filled_in(text: str, rate_seconds: int = 0) -> str:
    """Puts in what Grafana puts in for every variable but `$unit`."""
    text = text.replace("$host", ".*").replace("$__rate_interval", f"{rate_seconds}s")
    unknown = re.search(r"\$[a-zA-Z_]\w*", text)
    if unknown:
        raise StepError(f"{unknown[0]} in {text} is no variable that is known here")
    return text


def _data(url: str, answer: str) -> Any:
    """Returns what Prometheus answered; to refuse is an error."""
    told = json.loads(answer)
    if told["status"] != "success":
        raise StepError(f"{urllib.parse.unquote_plus(url)}\n{told}")
    return told["data"]
