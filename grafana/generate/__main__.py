"""Writes grafana/dashboards/*.json, or says with --check which are not what the code writes."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

import alerts
import healing
import node
import overview
import transactions
import units

REPOSITORY = Path(__file__).resolve().parents[2]
DASHBOARDS = REPOSITORY / "grafana" / "dashboards"
PROMETHEUS_DEFAULTS = REPOSITORY / "ansible" / "roles" / "prometheus" / "defaults" / "main.yml"

MODULES = {
    "overview": overview,
    "transactions": transactions,
    "units": units,
    "node": node,
    "alerts": alerts,
    "self-healing": healing,
}


def runbook_base_url() -> str:
    """Where the alerts' runbooks are, as the rules have it."""
    found = re.search(r"^prometheus_runbook_base_url: (\S+)$", PROMETHEUS_DEFAULTS.read_text(), re.MULTILINE)
    if not found:
        raise SystemExit(f"{PROMETHEUS_DEFAULTS}: no line prometheus_runbook_base_url: URL")
    return found[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail where a file differs")
    check = parser.parse_args().check
    base = runbook_base_url()
    stale = []
    for name, module in MODULES.items():
        text = JSONEncoder(sort_keys=True, indent=2).encode(module.build(base).build()) + "\n"
        file = DASHBOARDS / f"{name}.json"
        if file.exists() and file.read_text() == text:
            continue
        stale.append(file.relative_to(REPOSITORY))
        if not check:
            file.write_text(text)
    known = {f"{name}.json" for name in MODULES}
    stale += [file.relative_to(REPOSITORY) for file in DASHBOARDS.glob("*.json") if file.name not in known]
    for file in stale:
        print(f"{file} {'differs from grafana/generate' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
