"""Reads single samples out of the text that Prometheus scrapes."""

from __future__ import annotations

import re

_SAMPLE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def value(text: str, name: str, **labels: str) -> float | None:
    """Returns the sum of the samples of `name` that have all of `labels`, None without any."""
    found = [
        float(sample["value"])
        for line in text.splitlines()
        if line.startswith(name) and (sample := _SAMPLE.match(line)) and sample["name"] == name
        if labels.items() <= dict(_LABEL.findall(sample["labels"] or "")).items()
    ]
    return sum(found) if found else None
