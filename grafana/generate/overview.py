"""Overview: what is broken now, what was healed today."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from alert_tables import alerts, history
from frame import UNIT, frame
from panels import (
    GREEN,
    HOST,
    ORANGE,
    RED,
    YELLOW,
    bounded,
    column,
    figure,
    fixed,
    graph,
    jump,
    listing,
    now,
    query,
    steps,
    words,
)

# What somebody should care about; information is on the dashboard of alerts.
SERIOUS = f'{HOST}, severity=~"critical|warning"'


def build(runbooks: str) -> dashboard.Dashboard:
    d = frame("Overview", "stack-overview", "What is broken now, and what was healed today?", runbooks)
    d.with_panel(
        figure(
            "Transactions API",
            f'min(probe_success{{job="blackbox-http", {HOST}}})',
            "none",
            steps(RED, (1, GREEN)),
            "not probed",
        )
        .mappings(words(_0=("DOWN", RED), _1=("UP", GREEN)))
        .data_links([jump("Transactions", "/d/stack-transactions?var-host=${host}")])
    )
    d.with_panel(
        figure(
            "Alerts firing",
            f'count(ALERTS{{{SERIOUS}, alertstate="firing"}}) or vector(0)',
            "none",
            steps(GREEN, (1, RED)),
            "0",
        ).data_links([jump("Alerts", "/d/stack-alerts?var-host=${host}")])
    )
    d.with_panel(
        figure(
            "Failed units",
            f'count(systemd_unit_state{{{HOST}, state="failed"}} == 1) or vector(0)',
            "none",
            steps(GREEN, (1, RED)),
            "0",
        ).data_links([jump("Units", "/d/stack-units?var-host=${host}")])
    )
    d.with_panel(
        figure(
            "Being repaired",
            f"sum(alert_bot_incidents_open{{{HOST}}})",
            "none",
            steps(GREEN, (1, ORANGE)),
            "bot unknown",
        ).description("Incidents that the bot has not closed, those that wait for people included.")
    )
    d.with_panel(
        figure(
            "Healed in 24 h",
            f'sum(healing:actions:increase1d{{{HOST}, outcome="effective"}}) or vector(0)',
            "none",
            steps("blue"),
            "0",
        )
        .decimals(0)
        .data_links([jump("Self-healing", "/d/stack-self-healing?var-host=${host}")])
    )
    d.with_panel(
        figure(
            "Not healed in 24 h",
            f'sum(healing:actions:increase1d{{{HOST}, outcome!="effective"}}) or vector(0)',
            "none",
            steps(GREEN, (1, RED)),
            "0",
        )
        .decimals(0)
        .description("Repairs that were not proven to help.")
    )
    d.with_panel(alerts("Broken now", "firing", "Nothing is broken.", SERIOUS, span=14))
    healed = listing(
        "Healed in 24 hours",
        "The bot had nothing to do.",
        [now(f"sort_desc(sum by (unit, action, outcome) (healing:actions:increase1d{{{HOST}}}) > 0)")],
        {"unit": "Unit", "action": "Action", "outcome": "Outcome", "Value": "Times"},
        span=10,
    )
    column(healed, "Unit", links=[jump("Unit", UNIT).build()])
    column(healed, "Times", decimals=0, custom_width=65)
    column(healed, "Action", custom_width=135)
    column(
        healed,
        "Outcome",
        custom_width=100,
        custom_cellOptions={"type": "color-text"},
        mappings=words(
            effective=("effective", GREEN), ineffective=("ineffective", RED), unknown=("unknown", ORANGE)
        ),
    )
    d.with_panel(healed)
    d.with_panel(history("Alerts over time"))
    d.with_panel(
        bounded(
            graph(
                "Answer time of the API",
                "s",
                "No requests in this time.",
                query(f"transactions:http_request_duration_seconds:p95{{{HOST}}}", "95 % are quicker"),
                query(f"transactions:http_request_duration_seconds:p50{{{HOST}}}", "half are quicker", "B"),
                span=8,
            ),
            (0.2, RED),
        )
    )
    d.with_panel(
        graph(
            "Requests",
            "reqps",
            "No requests in this time.",
            query(f"transactions:http_requests:rate{{{HOST}}}", "all"),
            query(
                f"transactions:http_requests:rate{{{HOST}}} * transactions:http_errors:ratio{{{HOST}}}",
                "failed",
                "B",
            ),
            span=8,
        ).override_by_name("failed", [fixed(RED)])
    )
    d.with_panel(
        bounded(
            graph(
                "The host",
                "percentunit",
                "node_exporter does not answer.",
                query(f"node:cpu_busy:ratio{{{HOST}}}", "CPU busy"),
                query(f"1 - node:memory_available:ratio{{{HOST}}}", "memory used", "B"),
                query(f"1 - min by (host) (node:disk_available:ratio{{{HOST}}})", "fullest disk", "C"),
                span=8,
            ).max(1),
            (0.9, YELLOW),
        ).links([jump("Node health", "/d/stack-node?var-host=${host}")])
    )
    return d
