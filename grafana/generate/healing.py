"""Self-healing: what the bot did, why, how quickly, and what it may still do."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from frame import UNIT, frame
from panels import (
    BLUE,
    GREEN,
    HOST,
    ORANGE,
    RED,
    YELLOW,
    column,
    counted,
    figure,
    fixed,
    graph,
    jump,
    listing,
    now,
    prose,
    query,
    ranking,
    steps,
    timeline,
    word_from,
    words,
)

DOWN = "alert-bot does not answer."
NOTHING = "The bot had nothing to do."

LOG = """
Each incident has one id, and its whole story stands in the journal of the host:

    journalctl -u alert-bot -o cat -n 50
    journalctl -x INCIDENT_ID=<id>
    journalctl TARGET_UNIT=transactions-api.service

The ledger keeps it as well:

    alert-bot incidents --since 24h
    alert-bot incident <id>
"""


def build(runbooks: str) -> dashboard.Dashboard:
    d = frame(
        "Self-healing",
        "stack-self-healing",
        "What did the bot do, why, how quickly, and what may it still do?",
        runbooks,
    )
    d.time("now-6h", "now")
    figures(d)
    incidents(d)
    judgement(d)
    the_bot(d)
    return d


def proof(quantile: float, window: str) -> str:
    return f"histogram_quantile({quantile}, sum by (le) (increase(alert_bot_alert_to_proof_seconds_bucket{{{HOST}}}[{window}])))"


def figures(d: dashboard.Dashboard) -> None:
    d.with_panel(
        figure(
            "Open incidents",
            f"sum(alert_bot_incidents_open{{{HOST}}})",
            "none",
            steps(GREEN, (1, ORANGE)),
            DOWN,
        ).description("Not closed yet, those that wait for people included.")
    )
    d.with_panel(
        figure(
            "Healed in 24 h",
            f'sum(healing:actions:increase1d{{{HOST}, outcome="effective"}}) or vector(0)',
            "none",
            steps(BLUE),
            "0",
        ).decimals(0)
    )
    d.with_panel(
        figure(
            "Of repairs, proven to help",
            f'(sum(healing:actions:increase1d{{{HOST}, outcome="effective"}}) or vector(0)) / (sum(healing:actions:increase1d{{{HOST}}}) > 0)',
            "percentunit",
            steps(RED, (0.5, ORANGE), (0.9, GREEN)),
            "none needed",
        ).decimals(0)
    )
    d.with_panel(
        figure(
            "Half healed within", proof(0.5, "24h"), "s", steps(GREEN, (5, YELLOW), (60, RED)), "none needed"
        ).description("From the acceptance of an alert to the proof of health, in the last 24 hours.")
    )
    d.with_panel(
        figure(
            "95 % healed within",
            proof(0.95, "24h"),
            "s",
            steps(GREEN, (15, YELLOW), (60, RED)),
            "none needed",
        )
    )
    d.with_panel(
        figure(
            "The bot", f"max(alert_bot_paused{{{HOST}}})", "none", steps(GREEN, (1, ORANGE)), "DOWN"
        ).mappings(words(_0=("ACTING", GREEN), _1=("PAUSED", ORANGE)))
    )


def incidents(d: dashboard.Dashboard) -> None:
    d.with_row(dashboard.Row("Incidents"))
    log = listing(
        "Repairs in 24 hours",
        NOTHING,
        [now(f"sort_desc(sum by (rule, unit, action, outcome) (healing:actions:increase1d{{{HOST}}}) > 0)")],
        {"unit": "Unit", "rule": "Rule", "action": "Action", "outcome": "Outcome", "Value": "Times"},
        span=15,
        height=9,
    )
    column(log, "Unit", links=[jump("Unit", UNIT).build()])
    column(log, "Times", decimals=0, custom_width=80)
    column(log, "Action", custom_width=150)
    column(
        log,
        "Outcome",
        custom_width=100,
        custom_cellOptions={"type": "color-text"},
        mappings=words(
            effective=("effective", GREEN), ineffective=("ineffective", RED), unknown=("unknown", ORANGE)
        ),
    )
    d.with_panel(log)
    d.with_panel(prose("The incident log", LOG, span=9, height=9))
    d.with_panel(
        counted(
            graph(
                "Repairs by outcome",
                "none",
                NOTHING,
                query(f"sum by (outcome) (healing:actions:increase1m{{{HOST}}}) > 0", "{{outcome}}"),
            )
        )
        .interval("1m")
        .override_by_name("effective", [fixed(GREEN)])
        .override_by_name("ineffective", [fixed(RED)])
        .override_by_name("unknown", [fixed(ORANGE)])
        .description("Per minute.")
    )
    d.with_panel(
        graph(
            "From alert to action, and to proof",
            "s",
            NOTHING,
            query(
                f"histogram_quantile(0.95, sum by (le) (increase(alert_bot_alert_to_action_seconds_bucket{{{HOST}}}[1h])))",
                "95 % acted within",
            ),
            query(proof(0.5, "1h"), "half healed within", "B"),
            query(proof(0.95, "1h"), "95 % healed within", "C"),
        ).description("Over the hour before each moment.")
    )


def judgement(d: dashboard.Dashboard) -> None:
    d.with_row(dashboard.Row("Judgement"))
    reasons = listing(
        "Decisions in 24 hours, by reason",
        "The bot had nothing to decide.",
        [
            now(
                f"sort_desc(sum by (decision, reason) (increase(alert_bot_decisions_total{{{HOST}}}[24h])) > 0.5)"
            )
        ],
        {"decision": "Decision", "reason": "Reason", "Value": "Times"},
        span=8,
        height=8,
    )
    column(reasons, "Times", decimals=0, custom_width=80)
    d.with_panel(reasons)
    d.with_panel(
        ranking(
            "Repairs left in each budget",
            "none",
            f"sort(min by (scope, name) (alert_bot_budget_remaining{{{HOST}}}))",
            "{{scope}} {{name}}",
            "No budget was touched yet.",
        )
        .decimals(0)
        .thresholds(steps(RED, (1, ORANGE), (2, GREEN)))
    )
    d.with_panel(
        timeline(
            "Breakers",
            "No rule has a breaker yet.",
            query(f"max by (rule) (alert_bot_circuit_open{{{HOST}}})", "{{rule}}"),
            words(_0=("closed", GREEN), _1=("open", RED)),
            span=8,
        )
    )
    d.with_panel(
        counted(
            graph(
                "Restarts, by who restarted",
                "none",
                "Nothing that the policy watches was restarted.",
                query(
                    f"sum by (unit, cause) (healing:restarts:increase1m{{{HOST}}}) > 0", "{{unit}} {{cause}}"
                ),
                span=24,
            )
        )
        .interval("1m")
        .description("Per minute. auto is systemd by itself, manual a person.")
    )


def the_bot(d: dashboard.Dashboard) -> None:
    d.with_row(dashboard.Row("The bot itself"))
    d.with_panel(
        counted(
            graph(
                "Webhooks by status",
                "none",
                "Nothing was delivered, not even Watchdog.",
                query(
                    f"sum by (code) (increase(alert_bot_webhook_requests_total{{{HOST}}}[$__rate_interval])) > 0",
                    "{{code}}",
                ),
                span=8,
            )
        ).description(
            "401 is a wrong token, 503 a ledger that could not be written; Alertmanager tries these again."
        )
    )
    d.with_panel(
        graph(
            "Alerts accepted, and repeats among them",
            "cps",
            DOWN,
            query(f"sum(rate(alert_bot_alerts_received_total{{{HOST}}}[$__rate_interval]))", "accepted"),
            query(
                f"sum(rate(alert_bot_alerts_deduplicated_total{{{HOST}}}[$__rate_interval]))", "repeats", "B"
            ),
            span=8,
        )
    )
    d.with_panel(
        graph(
            "Waiting for a decision",
            "none",
            DOWN,
            query(f"sum(alert_bot_queue_depth{{{HOST}}})", "alerts"),
            span=8,
        ).axis_soft_max(1)
    )
    d.with_panel(
        figure(
            "Policy",
            f"min(alert_bot_policy_reload_success{{{HOST}}})",
            "none",
            steps(RED, (1, GREEN)),
            DOWN,
            span=8,
        ).mappings(words(_0=("REFUSED", RED), _1=("IN FORCE", GREEN)))
    )
    d.with_panel(
        figure(
            "Policy loaded",
            f"time() - max(alert_bot_policy_reload_timestamp_seconds{{{HOST}}})",
            "s",
            steps(BLUE),
            DOWN,
            span=8,
        )
        .decimals(0)
        .description("How long ago.")
    )
    d.with_panel(
        figure(
            "Heartbeat",
            f"time() - max(alert_bot_watchdog_last_received_timestamp_seconds{{{HOST}}})",
            "s",
            steps(GREEN, (130, ORANGE), (200, RED)),
            "no bot is measured",
            span=8,
        )
        .decimals(0)
        # The bot says 0 for never, so that its age is that of the epoch.
        .mappings(word_from(1e9, "NEVER ARRIVED", RED))
    )
