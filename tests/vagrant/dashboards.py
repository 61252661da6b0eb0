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
    `StepError` with the queries that found nothing, or the metrics that Prometheus lacks.
    """
    empty = left_empty(machine.ssh, ON_A_MACHINE, wait_until)
    if empty:
        raise StepError("the dashboards show nothing of\n  " + "\n  ".join(map(str, empty)))
    names = metric_names.look(Prometheus(machine.ssh))
    if names.missing:
        raise StepError(f"named by a rule or a panel, but not there: {sorted(names.missing)}")
    return [
        f"all {len(names.named)} metrics of others in rules, panels and runbooks",
        *(": ".join(place) for provocation in ON_A_MACHINE for place in provocation.places),
    ]
