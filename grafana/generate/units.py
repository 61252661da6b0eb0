"""Units: which unit takes the resources, and what one unit did."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, dashboard

from frame import choice, frame
from panels import (
    BLUE,
    GREEN,
    GREY,
    HOST,
    ORANGE,
    RED,
    YELLOW,
    bounded,
    counted,
    figure,
    fixed,
    graph,
    jump,
    query,
    ranking,
    stacked,
    steps,
    timeline,
    words,
)

# Slices hold what their units already count.
EACH = f'{HOST}, unit!~".+[.]slice"'
ONE = f'{HOST}, unit="$unit"'

# Where the kernel's memory controller is absent the exporter adds up the processes.
MEMORY = (
    "(systemd_unit_memory_working_set_bytes{{{0}}} "
    "or on (host, unit) systemd_unit_processes_resident_memory_bytes{{{0}}})"
)

# Numbers that sort a failed unit to the top of what a timeline shows.
STATES = (
    'max by (host, unit) (5 * (systemd_unit_state{{{0}, state="failed"}} == 1) '
    'or on (host, unit) 4 * (systemd_unit_state{{{0}, state="deactivating"}} == 1) '
    'or on (host, unit) 3 * (systemd_unit_state{{{0}, state="activating"}} == 1) '
    'or on (host, unit) 2 * (systemd_unit_state{{{0}, state="inactive"}} == 1) '
    'or on (host, unit) (systemd_unit_state{{{0}, state="active"}} == 1))'
)
STATE_WORDS = words(
    _1=("active", GREEN),
    _2=("inactive", GREY),
    _3=("activating", BLUE),
    _4=("deactivating", YELLOW),
    _5=("failed", RED),
)

NO_MEMORY = "No memory controller in this host's cgroups, and no fallback."
NO_IO = "No IO controller in this host's cgroups."


def build(runbooks: str) -> dashboard.Dashboard:
    d = frame("Units", "stack-units", "Which unit takes the resources, and what did this one do?", runbooks)
    d.with_variable(
        choice("unit", "Unit", f"label_values(systemd_unit_state{{{HOST}}}, unit)").current(
            option("transactions-api.service")
        )
    )
    all_units(d)
    one_unit(d)
    return d


def option(value: str):
    from grafana_foundation_sdk.models.dashboard import VariableOption

    return VariableOption(selected=True, text=value, value=value)


def top(title: str, unit: str, expr: str, empty: str, legend: str = "{{unit}}") -> bargauge.Panel:
    """The eight largest; a click shows that unit below."""
    return ranking(title, unit, f"topk(8, {expr})", legend, empty).data_links(
        [jump("This unit", "/d/stack-units?var-unit=${__field.labels.unit}&var-host=${host}")]
    )


def all_units(d: dashboard.Dashboard) -> None:
    d.with_row(dashboard.Row("All units"))
    for state, colours in (
        ("active", steps(BLUE)),
        ("failed", steps(GREEN, (1, RED))),
        ("activating", steps(GREEN, (1, BLUE))),
    ):
        d.with_panel(
            figure(
                state.capitalize(),
                f'sum(systemd_unit_state{{{EACH}, state="{state}"}})',
                "none",
                colours,
                "exporter down",
                span=4,
            )
        )
    d.with_panel(
        figure(
            "Restarts in 24 h",
            f"sum(increase(systemd_service_restart_total{{{EACH}}}[24h]))",
            "none",
            steps(GREEN, (1, YELLOW), (20, RED)),
            "exporter down",
        )
        .decimals(0)
        .description("Automatic restarts by systemd; those by the bot or a person are not among them.")
    )
    d.with_panel(
        figure(
            "OOM kills in 24 h",
            f'sum(increase(systemd_unit_memory_events_total{{{EACH}, event="oom_kill"}}[24h]))',
            "none",
            steps(GREEN, (1, RED)),
            "no memory controller",
        ).decimals(0)
    )
    d.with_panel(
        figure(
            "systemd",
            f"max(systemd_system_running{{{HOST}}})",
            "none",
            steps(ORANGE, (1, GREEN)),
            "exporter down",
        ).mappings(words(_0=("DEGRADED", ORANGE), _1=("RUNNING", GREEN)))
    )
    d.with_panel(
        top(
            "CPU, cores",
            "none",
            f"sum by (unit) (rate(systemd_unit_cpu_seconds_total{{{EACH}}}[$__rate_interval]))",
            "unit-exporter does not answer.",
        ).decimals(3)
    )
    d.with_panel(top("Memory", "bytes", f"sum by (unit) {MEMORY.format(EACH)}", NO_MEMORY))
    d.with_panel(
        top(
            "IO, read and written",
            "Bps",
            f"sum by (unit) (rate(systemd_unit_io_read_bytes_total{{{EACH}}}[$__rate_interval]) + rate(systemd_unit_io_written_bytes_total{{{EACH}}}[$__rate_interval]))",
            NO_IO,
        )
    )
    d.with_panel(
        top(
            "Pressure: time that some task waited",
            "percentunit",
            f'sum by (unit, resource) (rate(systemd_unit_pressure_seconds_total{{{EACH}, kind="some"}}[$__rate_interval])) > 0',
            "Nothing waited, or the kernel offers no pressure (psi=1).",
            "{{unit}} {{resource}}",
        )
    )
    d.with_panel(
        top(
            "Tasks",
            "none",
            f"sum by (unit) (systemd_unit_tasks_current{{{EACH}}})",
            "Nothing runs.",
        )
    )
    d.with_panel(
        top(
            "Starts in 24 h",
            "none",
            f"sum by (unit) (increase(systemd_unit_invocations_total{{{EACH}}}[24h])) > 0.5",
            "No unit was started again.",
        )
        .decimals(0)
        .description(
            "Each time a unit came up again, whoever asked for it. Timers' services start often by design."
        )
    )


def one_unit(d: dashboard.Dashboard) -> None:
    d.with_row(dashboard.Row("$unit"))
    d.with_panel(
        timeline(
            "State of $unit",
            "The exporter does not know this unit.",
            query(STATES.format(ONE), "{{unit}}"),
            STATE_WORDS,
            span=16,
        ).height(5)
    )
    d.with_panel(
        figure(
            "Up for",
            f"time() - max(systemd_unit_start_time_seconds{{{ONE}}})",
            "s",
            steps(BLUE),
            "not running",
        )
        .decimals(0)
        .height(5)
    )
    d.with_panel(
        figure(
            "Last exit status",
            f"max(systemd_service_exec_main_status{{{ONE}}})",
            "none",
            steps(GREEN, (1, RED)),
            "never ran",
        ).height(5)
    )
    d.with_panel(
        stacked(
            graph(
                "CPU, cores",
                "none",
                "The unit has no cgroup now.",
                query(
                    f"sum by (mode) (rate(systemd_unit_cpu_seconds_total{{{ONE}}}[$__rate_interval]))",
                    "{{mode}}",
                ),
                span=8,
            )
        )
    )
    d.with_panel(
        graph(
            "Memory",
            "bytes",
            NO_MEMORY,
            query(f"sum {MEMORY.format(ONE)}", "used"),
            query(f"sum(systemd_unit_memory_file_bytes{{{ONE}}})", "file cache", "B"),
            query(f"min(systemd_unit_memory_max_bytes{{{ONE}}})", "limit", "C"),
            span=8,
        ).override_by_name("limit", [fixed(RED)])
    )
    d.with_panel(
        graph(
            "IO",
            "Bps",
            NO_IO,
            query(
                f"sum by (device) (rate(systemd_unit_io_read_bytes_total{{{ONE}}}[$__rate_interval]))",
                "{{device}} read",
            ),
            query(
                f"sum by (device) (rate(systemd_unit_io_written_bytes_total{{{ONE}}}[$__rate_interval]))",
                "{{device}} written",
                "B",
            ),
            span=8,
        )
    )
    d.with_panel(
        graph(
            "Pressure",
            "percentunit",
            "The kernel offers no pressure (psi=1).",
            query(
                f"sum by (resource, kind) (rate(systemd_unit_pressure_seconds_total{{{ONE}}}[$__rate_interval]))",
                "{{resource}} {{kind}}",
            ),
            span=8,
        ).description("The share of time that some, or all, of the unit's tasks waited.")
    )
    d.with_panel(
        bounded(
            graph(
                "Throttled",
                "percentunit",
                "The unit has no CPU quota.",
                query(
                    f"sum(rate(systemd_unit_cpu_throttled_periods_total{{{ONE}}}[$__rate_interval])) "
                    f"/ (sum(rate(systemd_unit_cpu_periods_total{{{ONE}}}[$__rate_interval])) > 0)",
                    "of periods",
                ),
                span=8,
            ),
            (0.25, RED),
        )
    )
    d.with_panel(
        graph(
            "Tasks",
            "none",
            "Nothing of it runs.",
            query(f"sum(systemd_unit_tasks_current{{{ONE}}})", "tasks"),
            query(f"min(systemd_unit_tasks_max{{{ONE}}})", "limit", "B"),
            span=8,
        ).override_by_name("limit", [fixed(RED)])
    )
    d.with_panel(
        counted(
            graph(
                "Restarts, by who restarted it",
                "none",
                "Nobody restarted it.",
                query(f"sum by (cause) (healing:restarts:increase1m{{{ONE}}}) > 0", "{{cause}}"),
            )
        )
        .interval("1m")
        .description("Per minute, for units that the bot's policy watches. auto is systemd by itself.")
    )
    d.with_panel(
        graph(
            "Network, where it is accounted for",
            "Bps",
            "IP accounting is off for this unit.",
            query(f"sum(rate(systemd_unit_ip_ingress_bytes_total{{{ONE}}}[$__rate_interval]))", "in"),
            query(f"sum(rate(systemd_unit_ip_egress_bytes_total{{{ONE}}}[$__rate_interval]))", "out", "B"),
        )
    )
