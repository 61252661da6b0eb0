"""Transactions: what users feel, what waits behind it, how much budget is left."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from frame import frame
from panels import (
    GREEN,
    HOST,
    ORANGE,
    RED,
    YELLOW,
    bounded,
    counted,
    figure,
    fixed,
    graph,
    property_of,
    query,
    stacked,
    steps,
    timeline,
    words,
)

ROUTES = f'{HOST}, route=~"/transactions.*"'
QUIET = "No requests in this time."
IDLE = "No worker ran in this time."


def build(runbooks: str) -> dashboard.Dashboard:
    d = frame("Transactions", "stack-transactions", "What do users feel, and what waits behind it?", runbooks)
    figures(d)
    requests(d)
    workers(d)
    store(d)
    objectives(d)
    return d


def figures(d: dashboard.Dashboard) -> None:
    budget = steps(RED, (0, ORANGE), (0.5, GREEN))
    d.with_panel(
        figure(
            "API",
            f'min(probe_success{{job="blackbox-http", {HOST}}})',
            "none",
            steps(RED, (1, GREEN)),
            "not probed",
            span=3,
        ).mappings(words(_0=("DOWN", RED), _1=("UP", GREEN)))
    )
    d.with_panel(
        figure(
            "Requests",
            f"sum(transactions:http_requests:rate{{{HOST}}})",
            "reqps",
            steps("blue"),
            "none",
            span=3,
        )
    )
    d.with_panel(
        figure(
            "Errors",
            f"max(transactions:http_errors:ratio{{{HOST}}})",
            "percentunit",
            steps(GREEN, (0.01, YELLOW), (0.05, RED)),
            "no requests",
            span=3,
        )
    )
    d.with_panel(
        figure(
            "95 % quicker than",
            f"max(transactions:http_request_duration_seconds:p95{{{HOST}}})",
            "s",
            steps(GREEN, (0.1, YELLOW), (0.2, RED)),
            "no requests",
            span=3,
        )
    )
    d.with_panel(
        figure(
            "Oldest waiting",
            f"max(transactions:oldest_pending_age:seconds{{{HOST}}})",
            "s",
            steps(GREEN, (10, YELLOW), (60, RED)),
            "unknown",
            span=3,
        ).decimals(1)
    )
    d.with_panel(
        figure(
            "Workers",
            f'count(up{{job="transactions-worker", {HOST}}} == 1) or vector(0)',
            "none",
            steps(RED, (1, GREEN)),
            "0",
            span=3,
        )
    )
    d.with_panel(
        figure(
            "Uptime budget",
            f'min(slo:error_budget_left:ratio{{{HOST}, slo="availability"}})',
            "percentunit",
            budget,
            "not yet known",
            span=3,
        ).decimals(0)
    )
    d.with_panel(
        figure(
            "Latency budget",
            f'min(slo:error_budget_left:ratio{{{HOST}, slo="latency"}})',
            "percentunit",
            budget,
            "no requests",
            span=3,
        ).decimals(0)
    )


def requests(d: dashboard.Dashboard) -> None:
    d.with_row(dashboard.Row("Requests"))
    d.with_panel(
        bounded(
            graph(
                "Latency",
                "s",
                QUIET,
                query(f"transactions:http_request_duration_seconds:p50{{{HOST}}}", "50 %"),
                query(f"transactions:http_request_duration_seconds:p95{{{HOST}}}", "95 %", "B"),
                query(f"transactions:http_request_duration_seconds:p99{{{HOST}}}", "99 %", "C"),
            ),
            (0.2, RED),
        ).description("So many requests are answered within this time. The line is the objective of 200 ms.")
    )
    d.with_panel(
        stacked(
            graph(
                "Requests by code",
                "reqps",
                QUIET,
                query(
                    f"sum by (code) (rate(transactions_api_http_requests_total{{{ROUTES}}}[$__rate_interval]))",
                    "{{code}}",
                ),
            )
        )
        .override_by_regexp("/^2../", [fixed(GREEN)])
        .override_by_regexp("/^4../", [fixed(YELLOW)])
        .override_by_regexp("/^5../", [fixed(RED)])
    )
    d.with_panel(
        graph(
            "Requests by route",
            "reqps",
            QUIET,
            query(
                f"sum by (method, route) (rate(transactions_api_http_requests_total{{{ROUTES}}}[$__rate_interval]))",
                "{{method}} {{route}}",
            ),
            span=8,
        )
    )
    d.with_panel(
        bounded(
            graph(
                "Error ratio",
                "percentunit",
                QUIET,
                query(f"transactions:http_errors:ratio{{{HOST}}}", "failed"),
                span=8,
            ).axis_soft_max(0.06),
            (0.05, RED),
        ).description(
            "The share of requests that ended in a server error. The line is where the alert begins."
        )
    )
    d.with_panel(
        graph(
            "In flight and refused",
            "none",
            "The API does not answer.",
            query(f"sum(transactions_api_http_requests_in_flight{{{HOST}}})", "in flight"),
            query(
                f"sum(rate(transactions_api_http_requests_shed_total{{{HOST}}}[$__rate_interval]))",
                "refused a second",
                "B",
            ),
            span=8,
        ).override_by_name("refused a second", [fixed(RED)])
    )
    d.with_panel(
        timeline(
            "Answering",
            "Not probed in this time.",
            query(f'min by (unit) (probe_success{{job="blackbox-http", {HOST}}})', "{{unit}}"),
            words(_0=("down", RED), _1=("up", GREEN)),
        )
        .height(4)
        .description("Probes of /health from outside the API.")
    )


def workers(d: dashboard.Dashboard) -> None:
    d.with_row(dashboard.Row("Workers"))
    d.with_panel(
        graph(
            "Backlog",
            "none",
            "The API does not answer.",
            query(f"transactions:pending:count{{{HOST}}}", "pending"),
            query(f"transactions:oldest_pending_age:seconds{{{HOST}}}", "age of the oldest", "B"),
        ).override_by_name(
            "age of the oldest", [property_of("unit", "s"), property_of("custom.axisPlacement", "right")]
        )
    )
    d.with_panel(
        stacked(
            graph(
                "Settled",
                "cps",
                IDLE,
                query(
                    f"sum by (unit, outcome) (rate(transactions_worker_settled_total{{{HOST}}}[$__rate_interval]))",
                    "{{unit}} {{outcome}}",
                ),
            )
        )
    )
    d.with_panel(
        graph(
            "Workers",
            "none",
            "Prometheus does not answer.",
            query(f"transactions:workers:running{{{HOST}}}", "running"),
            query(f"transactions:workers:busy{{{HOST}}}", "busy", "B"),
            span=6,
        ).description("Where all that run are busy the backlog grows and the bot starts another.")
    )
    d.with_panel(
        graph(
            "From created to settled",
            "s",
            IDLE,
            query(
                f"histogram_quantile(0.5, sum by (le) (rate(transactions_worker_settle_latency_seconds_bucket{{{HOST}}}[$__rate_interval])))",
                "50 %",
            ),
            query(
                f"histogram_quantile(0.95, sum by (le) (rate(transactions_worker_settle_latency_seconds_bucket{{{HOST}}}[$__rate_interval])))",
                "95 %",
                "B",
            ),
            span=6,
        )
    )
    d.with_panel(
        graph(
            "Inserted and claimed",
            "cps",
            IDLE,
            query(f"sum(rate(transactions_worker_inserted_total{{{HOST}}}[$__rate_interval]))", "inserted"),
            query(
                f"sum(rate(transactions_worker_claimed_total{{{HOST}}}[$__rate_interval]))", "claimed", "B"
            ),
            span=6,
        )
    )
    d.with_panel(
        counted(
            graph(
                "Worker errors by reason",
                "none",
                "No worker failed at anything.",
                query(
                    f"sum by (reason) (increase(transactions_worker_errors_total{{{HOST}}}[$__rate_interval])) > 0",
                    "{{reason}}",
                ),
                span=6,
            )
        )
    )


def store(d: dashboard.Dashboard) -> None:
    d.with_row(dashboard.Row("Store"))
    commits = f"rate(transactions_api_store_commit_duration_seconds_bucket{{{HOST}}}[$__rate_interval])"
    d.with_panel(
        graph(
            "Time to a durable commit",
            "s",
            "Nothing was committed in this time.",
            query(f"histogram_quantile(0.5, sum by (le) ({commits}))", "50 %"),
            query(f"histogram_quantile(0.99, sum by (le) ({commits}))", "99 %", "B"),
            span=8,
        )
    )
    d.with_panel(
        graph(
            "Requests committed together",
            "none",
            "Nothing was committed in this time.",
            query(
                f"sum(rate(transactions_api_store_batch_size_sum{{{HOST}}}[$__rate_interval])) "
                f"/ (sum(rate(transactions_api_store_batch_size_count{{{HOST}}}[$__rate_interval])) > 0)",
                "on average",
            ),
            span=8,
        )
    )
    d.with_panel(
        timeline(
            "Store",
            "The API does not answer.",
            query(f"min by (unit) (transactions_api_store_up{{{HOST}}})", "{{unit}}"),
            words(_0=("down", RED), _1=("up", GREEN)),
            span=8,
        )
    )


def objectives(d: dashboard.Dashboard) -> None:
    d.with_row(dashboard.Row("Objectives"))
    for slo, title in (("availability", "Availability"), ("latency", "Latency")):
        d.with_panel(
            bounded(
                graph(
                    f"{title}: budget burnt, in multiples of what the month allows",
                    "none",
                    "Too few requests to judge.",
                    query(
                        f'slo:errors:ratio{{{HOST}, slo="{slo}", window=~"5m|1h|6h|1d|3d"}} '
                        "/ on (service, slo) group_left () (1 - slo:objective:ratio)",
                        "over {{window}}",
                    ),
                )
                .decimals(1)
                .axis_soft_max(2),
                (1, YELLOW),
                (14.4, RED),
            ).description("At 1 the budget lasts exactly its 30 days. At 14.4 over an hour people are paged.")
        )
    d.with_panel(
        bounded(
            graph(
                "Error budget left",
                "percentunit",
                "Too few requests to judge.",
                query(f"slo:error_budget_left:ratio{{{HOST}}}", "{{slo}}"),
                span=24,
            ).max(1),
            (0, RED),
        ).description("What is left of the 30 days' error budget. Below zero the objective is missed.")
    )
