"""Node health: the machine under the units."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from frame import frame
from panels import (
    BLUE,
    GREEN,
    HOST,
    RED,
    YELLOW,
    bounded,
    column,
    figure,
    graph,
    listing,
    now,
    query,
    stacked,
    steps,
)

DOWN = "node_exporter does not answer."
DISKS = f'{HOST}, fstype!~"tmpfs|ramfs|squashfs|iso9660|devtmpfs"'
LOAD = (0.7, YELLOW), (0.9, RED)


def build(runbooks: str) -> dashboard.Dashboard:
    d = frame("Node health", "stack-node", "How is the machine underneath?", runbooks)
    figures(d)
    processors(d)
    disks(d)
    return d


def figures(d: dashboard.Dashboard) -> None:
    d.with_panel(
        figure(
            "CPU busy", f"max(node:cpu_busy:ratio{{{HOST}}})", "percentunit", steps(GREEN, *LOAD), DOWN
        ).decimals(0)
    )
    d.with_panel(
        figure(
            "Memory used",
            f"1 - min(node:memory_available:ratio{{{HOST}}})",
            "percentunit",
            steps(GREEN, *LOAD),
            DOWN,
        ).decimals(0)
    )
    d.with_panel(
        figure(
            "Fullest disk",
            f"1 - min(node:disk_available:ratio{{{HOST}}})",
            "percentunit",
            steps(GREEN, (0.8, YELLOW), (0.95, RED)),
            DOWN,
        ).decimals(0)
    )
    d.with_panel(
        figure(
            "Clock may be off by",
            f"max(node_timex_maxerror_seconds{{{HOST}}})",
            "s",
            steps(GREEN, (1, YELLOW), (16, RED)),
            "not measured here",
        ).description("The kernel's own estimate. It reaches 16 s when nothing has set the clock for long.")
    )
    d.with_panel(
        figure(
            "Load per processor",
            f'max by (host) (node_load1{{{HOST}}}) / count by (host) (node_cpu_seconds_total{{{HOST}, mode="idle"}})',
            "none",
            steps(GREEN, (1, YELLOW), (2, RED)),
            DOWN,
        ).decimals(2)
    )
    d.with_panel(
        figure("Up for", f"time() - max(node_boot_time_seconds{{{HOST}}})", "s", steps(BLUE), DOWN).decimals(
            0
        )
    )


def processors(d: dashboard.Dashboard) -> None:
    d.with_row(dashboard.Row("Processors and memory"))
    d.with_panel(
        stacked(
            graph(
                "CPU by mode",
                "percentunit",
                DOWN,
                query(
                    f'sum by (mode) (rate(node_cpu_seconds_total{{{HOST}, mode!="idle"}}[$__rate_interval]) > 0) '
                    f'/ scalar(count(node_cpu_seconds_total{{{HOST}, mode="idle"}}))',
                    "{{mode}}",
                ),
            )
        ).axis_soft_max(1)
    )
    d.with_panel(
        graph(
            "Memory",
            "bytes",
            DOWN,
            query(
                f"sum(node_memory_MemTotal_bytes{{{HOST}}} - node_memory_MemAvailable_bytes{{{HOST}}})",
                "used",
            ),
            query(
                f"sum(node_memory_Cached_bytes{{{HOST}}} + node_memory_Buffers_bytes{{{HOST}}})", "cache", "B"
            ),
            query(f"sum(node_memory_MemTotal_bytes{{{HOST}}})", "total", "C"),
        )
    )
    d.with_panel(
        graph(
            "Load",
            "none",
            DOWN,
            query(f"max(node_load1{{{HOST}}})", "1 minute"),
            query(f"max(node_load5{{{HOST}}})", "5 minutes", "B"),
            query(f"max(node_load15{{{HOST}}})", "15 minutes", "C"),
            span=8,
        )
    )
    d.with_panel(
        graph(
            "Pressure: time that some task waited",
            "percentunit",
            "The kernel offers no pressure (psi=1).",
            query(f"max(rate(node_pressure_cpu_waiting_seconds_total{{{HOST}}}[$__rate_interval]))", "cpu"),
            query(
                f"max(rate(node_pressure_memory_waiting_seconds_total{{{HOST}}}[$__rate_interval]))",
                "memory",
                "B",
            ),
            query(
                f"max(rate(node_pressure_io_waiting_seconds_total{{{HOST}}}[$__rate_interval]))", "io", "C"
            ),
            span=8,
        )
    )
    d.with_panel(
        graph(
            "Network",
            "Bps",
            DOWN,
            query(
                f'sum by (device) (rate(node_network_receive_bytes_total{{{HOST}, device!="lo"}}[$__rate_interval]))',
                "{{device}} in",
            ),
            query(
                f'sum by (device) (rate(node_network_transmit_bytes_total{{{HOST}, device!="lo"}}[$__rate_interval]))',
                "{{device}} out",
                "B",
            ),
            span=8,
        )
    )


def disks(d: dashboard.Dashboard) -> None:
    d.with_row(dashboard.Row("Disks"))
    rows = listing(
        "File systems",
        DOWN,
        [
            now(f"max by (host, mountpoint, fstype) (node_filesystem_size_bytes{{{DISKS}}})", ref="A"),
            now(f"max by (host, mountpoint, fstype) (node_filesystem_avail_bytes{{{DISKS}}})", ref="B"),
            now(
                f"max by (host, mountpoint, fstype) (1 - node_filesystem_avail_bytes{{{DISKS}}} / node_filesystem_size_bytes)",
                ref="C",
            ),
            now(
                f"max by (host, mountpoint, fstype) (1 - node_filesystem_files_free{{{DISKS}}} / (node_filesystem_files > 0))",
                ref="D",
            ),
        ],
        {
            "host": "Host",
            "mountpoint": "Mounted at",
            "fstype": "Type",
            "Value #A": "Size",
            "Value #B": "Free",
            "Value #C": "Used",
            "Value #D": "Inodes used",
        },
    )
    for heading in ("Size", "Free"):
        column(rows, heading, unit="bytes", custom_width=110)
    share = {
        "mode": "absolute",
        "steps": [
            {"value": None, "color": GREEN},
            {"value": 0.8, "color": YELLOW},
            {"value": 0.95, "color": RED},
        ],
    }
    for heading in ("Used", "Inodes used"):
        column(
            rows,
            heading,
            unit="percentunit",
            min=0,
            max=1,
            decimals=1,
            thresholds=share,
            custom_cellOptions={"type": "gauge", "mode": "basic"},
        )
    d.with_panel(rows)
    d.with_panel(
        graph(
            "Disk IO",
            "Bps",
            DOWN,
            query(
                f"sum by (device) (rate(node_disk_read_bytes_total{{{HOST}}}[$__rate_interval]))",
                "{{device}} read",
            ),
            query(
                f"sum by (device) (rate(node_disk_written_bytes_total{{{HOST}}}[$__rate_interval]))",
                "{{device}} written",
                "B",
            ),
        )
    )
    d.with_panel(
        bounded(
            graph(
                "Disk used",
                "percentunit",
                DOWN,
                query(f"1 - node:disk_available:ratio{{{HOST}}}", "{{mountpoint}}"),
            ).max(1),
            (0.95, RED),
        )
    )
