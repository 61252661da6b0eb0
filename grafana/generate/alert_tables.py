"""Tables and timelines of alerts, shown by more than one dashboard."""

from __future__ import annotations

from grafana_foundation_sdk.builders import statetimeline, table

from frame import RUNBOOK, UNIT
from panels import HOST, ORANGE, RED, YELLOW, column, jump, listing, now, query, timeline, words

# Watchdog always fires and has severity none.
REAL = f'{HOST}, severity!="none"'

SEVERITIES = words(critical=("critical", RED), warning=("warning", ORANGE), info=("info", "blue"))


COLUMNS = {"alertname": "Alert", "severity": "Severity", "host": "Host", "unit": "Unit", "Value": "For"}


def alerts(
    title: str, state: str, empty: str, matchers: str = REAL, span: int = 24, height: int = 7
) -> table.Panel:
    """Alerts in a state, the oldest first; the name leads to its runbook, the unit to its graphs."""
    age = (
        f"sort_desc((time() - ALERTS_FOR_STATE{{{matchers}}}) "
        f'and ignoring (alertstate) ALERTS{{{matchers}, alertstate="{state}"}})'
    )
    panel = listing(title, empty, [now(age)], COLUMNS, span, height)
    column(panel, "Alert", links=[jump("Runbook", RUNBOOK).build()])
    column(panel, "Host", custom_width=110)
    column(panel, "Unit", noValue="–", links=[jump("Unit", UNIT).build()])
    column(panel, "For", unit="s", decimals=0, custom_width=90)
    return column(
        panel, "Severity", mappings=SEVERITIES, custom_cellOptions={"type": "color-text"}, custom_width=90
    )


def history(title: str, span: int = 24) -> statetimeline.Panel:
    """When each alert was pending and when it fired."""
    states = words(_1=("pending", YELLOW), _2=("firing", RED))
    expr = (
        f'max by (alertname, unit) (2 * ALERTS{{{REAL}, alertstate="firing"}} '
        f'or ALERTS{{{REAL}, alertstate="pending"}})'
    )
    return timeline(
        title, "No alert in this time: all was well.", query(expr, "{{alertname}} {{unit}}"), states, span
    )
