"""What the dashboards show on a machine of its own alone: controllers, pressure, disks, a clock."""

from __future__ import annotations

import metric_names
from machine import Machine, wait_until
from panels import Prometheus
from provocations import ON_A_MACHINE, left_empty

from host.errors import StepError


def check(machine: Machine) -> list[str]:
    """Returns which places of the dashboards had a value.

    # Errors
    `StepError` with the queries that found nothing, or the metrics that Prometheus has not.
    """
    empty = left_empty(machine.ssh, ON_A_MACHINE, wait_until)
    if empty:
        raise StepError("the dashboards show nothing of\n  " + "\n  ".join(map(str, empty)))
    missing = metric_names.missing(Prometheus(machine.ssh))
    if missing:
        raise StepError(f"named by a rule or a panel, but not exported: {sorted(missing)}")
    return [
        "every metric of a rule, a panel or a runbook is there",
        *(": ".join(place) for provocation in ON_A_MACHINE for place in provocation.places),
    ]
