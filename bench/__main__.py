"""Runs the benches named on the command line, or all of them."""

from __future__ import annotations

import importlib
import sys

BENCHES = ("healing", "webhooks", "exporter", "transactions")


def main(names: list[str]) -> int:
    """Runs each bench in turn; returns the exit status."""
    unknown = set(names) - set(BENCHES)
    if unknown:
        print(f"no such bench: {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
        return 64
    for name in names or BENCHES:
        importlib.import_module(f"bench.{name}").main()
    return 0


sys.exit(main(sys.argv[1:]))
