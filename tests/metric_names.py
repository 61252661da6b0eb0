"""The metrics of other people's programs that rules, dashboards and runbooks name.

Those of our own daemons `tidy` holds against what the daemons declare.
"""

from __future__ import annotations

import re

from panels import Prometheus, all_queries

from host.settings import REPOSITORY

# What only a machine of its own is sure to export, as the provocations of panels say.
ON_A_MACHINE = {
    "node_disk_read_bytes_total",
    "node_disk_written_bytes_total",
    "node_pressure_cpu_waiting_seconds_total",
    "node_pressure_io_waiting_seconds_total",
    "node_pressure_memory_waiting_seconds_total",
    "node_timex_maxerror_seconds",
    "node_timex_offset_seconds",
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


def missing(prometheus: Prometheus) -> set[str]:
    """Returns which of the named metrics this Prometheus has never seen, and records by no rule."""
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    expressions = [rule["query"] for rule in rules] + [query.text for query in all_queries()]
    named = {name for expression in expressions for name in of(expression)}
    others = {name for name in named if not OURS.match(name)}
    recorded = {rule["name"] for rule in rules if rule["type"] == "recording"}
    seen = set(prometheus.get("label/__name__/values"))
    return (others | _in_runbooks(others)) - recorded - seen


def of(expression: str) -> set[str]:
    """Returns the metrics that an expression of PromQL names."""
    return set(_NAME.findall(_LABELS.sub("", _BESIDE.sub("", expression))))


def _in_runbooks(others: set[str]) -> set[str]:
    """Returns the words of runbooks that begin as these metrics do, but for roles' variables."""
    beginnings = tuple(f"{name.split('_')[0]}_" for name in others)
    words = re.findall(r"\b[a-z]+_\w+\b", _text_of("docs/runbooks/*.md"))
    variables = re.findall(r"^(\w+):", _text_of("ansible/roles/*/defaults/main.yml"), re.MULTILINE)
    return {word for word in words if word.startswith(beginnings)} - set(variables)


def _text_of(files: str) -> str:
    return "\n".join(file.read_text() for file in sorted(REPOSITORY.glob(files)))
