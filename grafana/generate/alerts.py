"""Alerts: what fires, since when, and whether it reaches anybody."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from alert_tables import REAL, alerts, history
from frame import frame
from panels import BLUE, GREEN, HOST, ORANGE, RED, YELLOW, counted, figure, fixed, graph, query, steps


def build(runbooks: str) -> dashboard.Dashboard:
    d = frame("Alerts", "stack-alerts", "What fires, since when, and does it reach anybody?", runbooks)
    for severity, colour in (("critical", RED), ("warning", ORANGE), ("info", BLUE)):
        d.with_panel(
            figure(
                severity.capitalize(),
                f'count(ALERTS{{{HOST}, alertstate="firing", severity="{severity}"}}) or vector(0)',
                "none",
                steps(GREEN, (1, colour)),
                "0",
            )
        )
    d.with_panel(
        figure(
            "Pending",
            f'count(ALERTS{{{REAL}, alertstate="pending"}}) or vector(0)',
            "none",
            steps(GREEN, (1, YELLOW)),
            "0",
        )
    )
    d.with_panel(
        figure(
            "Held back or silenced",
            f'sum(alertmanager_alerts{{{HOST}, state="suppressed"}})',
            "none",
            steps(GREEN, (1, BLUE)),
            "Alertmanager down",
        ).description(
            "Alerts that Alertmanager keeps to itself: silenced by a person, or held back by a repair or a greater alert."
        )
    )
    d.with_panel(
        figure(
            "Heartbeat",
            f"time() - max(alert_bot_watchdog_last_received_timestamp_seconds{{{HOST}}} > 0)",
            "s",
            steps(GREEN, (130, ORANGE), (200, RED)),
            "never arrived",
        )
        .decimals(0)
        .description("How long ago Watchdog last reached the bot. It is sent every minute.")
    )
    d.with_panel(alerts("Firing", "firing", "Nothing fires.", height=8))
    d.with_panel(alerts("Pending", "pending", "Nothing is about to fire.", height=5))
    d.with_panel(history("Alerts over time"))
    delivery(d)
    return d


def delivery(d: dashboard.Dashboard) -> None:
    d.with_row(dashboard.Row("Delivery"))
    d.with_panel(
        counted(
            graph(
                "Alerts firing, by severity",
                "none",
                "No alert in this time: all was well.",
                query(f'count by (severity) (ALERTS{{{REAL}, alertstate="firing"}})', "{{severity}}"),
                span=8,
            )
        )
        .override_by_name("critical", [fixed(RED)])
        .override_by_name("warning", [fixed(ORANGE)])
        .override_by_name("info", [fixed(BLUE)])
    )
    d.with_panel(
        counted(
            graph(
                "Notifications sent",
                "none",
                "Alertmanager sent none.",
                query(
                    f"sum by (integration) (increase(alertmanager_notifications_total{{{HOST}}}[$__rate_interval])) > 0",
                    "{{integration}}",
                ),
                span=8,
            )
        ).description("webhook is the bot, Watchdog every minute included.")
    )
    d.with_panel(
        counted(
            graph(
                "Undelivered",
                "none",
                "Everything was delivered.",
                query(
                    f"sum by (integration) (increase(alertmanager_notifications_failed_total{{{HOST}}}[$__rate_interval])) > 0",
                    "Alertmanager by {{integration}}",
                ),
                query(
                    f"sum(increase(prometheus_notifications_dropped_total{{{HOST}}}[$__rate_interval])) > 0",
                    "dropped by Prometheus",
                    "B",
                ),
                span=8,
            )
        )
    )
    d.with_panel(
        graph(
            "Time to evaluate the rules",
            "s",
            "Prometheus does not answer.",
            query(
                f'max by (group) (label_replace(prometheus_rule_group_last_duration_seconds{{{HOST}}}, "group", "$1", "rule_group", ".*;(.*)"))',
                "{{group}}",
            ),
        ).description("By group. It must stay far below the evaluation interval.")
    )
    d.with_panel(
        counted(
            graph(
                "Rule failures",
                "none",
                "Every rule was evaluated.",
                query(
                    f"sum by (rule_group) (increase(prometheus_rule_evaluation_failures_total{{{HOST}}}[$__rate_interval])) > 0",
                    "{{rule_group}}",
                ),
            )
        )
    )
