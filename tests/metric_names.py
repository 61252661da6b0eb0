"""The metrics of other people's programs that rules, dashboards and runbooks name.

Those of our own daemons `tidy` holds against what the daemons declare.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from panels import Prometheus, all_queries

from host.settings import REPOSITORY

# What is sure to be exported only where there is more than a container has.
ON_A_MACHINE = {
    "node_disk_read_bytes_total": "disks of its own",
    "node_disk_written_bytes_total": "disks of its own",
    "node_pressure_cpu_waiting_seconds_total": "a kernel with psi=1",
    "node_pressure_io_waiting_seconds_total": "a kernel with psi=1",
    "node_pressure_memory_waiting_seconds_total": "a kernel with psi=1",
    "node_timex_maxerror_seconds": "a clock of its own",
    "node_timex_offset_seconds": "a clock of its own",
}

OURS = re.compile("(?:alert_bot|systemd|transactions|unit_exporter)_")

# What stands in an expression beside names: strings, labels and ranges, lists of labels, words
# of the language. A name before a parenthesis is a function.
_BESIDE = re.compile(
    r"""
    "(?:[^"\\]|\\.)*"
    | \[[^]]*\]
    | \b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)
    | \b(?:and|or|unless|offset|bool)\b
    """,
    re.VERBOSE,
)
_LABELS = re.compile(r"\{[^}]*\}")
_NAME = re.compile(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()")


@dataclass(frozen=True)
class Names:
    """What is named, and of this what a Prometheus has never seen and records by no rule."""

    named: set[str]
    missing: set[str]


def look(prometheus: Prometheus) -> Names:
    """Looks through the rules in force, the dashboards and the runbooks."""
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    expressions = [rule["query"] for rule in rules] + [query.text for query in all_queries()]
    asked = {name for expression in expressions for name in of(expression) if not OURS.match(name)}
    named = asked | _in_runbooks(asked)
    recorded = {rule["name"] for rule in rules if rule["type"] == "recording"}
    return Names(named, named - recorded - set(prometheus.get("label/__name__/values")))


def of(expression: str) -> set[str]:
    """Returns the metrics that an expression of PromQL names."""
    return set(_NAME.findall(_LABELS.sub("", _BESIDE.sub("", expression))))


def _in_runbooks(asked: set[str]) -> set[str]:
    """Returns the words of runbooks that begin as these metrics do, roles' variables apart."""
    beginnings = tuple(f"{name.split('_')[0]}_" for name in asked)
    words = re.findall(r"\b[a-z]+_\w+\b", _text_of("docs/runbooks/*.md"))
    variables = re.findall(r"^(\w+):", _text_of("ansible/roles/*/defaults/main.yml"), re.MULTILINE)
    return {word for word in words if word.startswith(beginnings)} - set(variables)


def _text_of(files: str) -> str:
    return "\n".join(file.read_text() for file in sorted(REPOSITORY.glob(files)))
