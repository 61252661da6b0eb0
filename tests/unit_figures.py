"""The unit exporter's figures of the probes, held against the kernel's and systemd's."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Callable

import exposition
from unit_probes import (
    CHILDREN,
    EXIT_STATUS,
    FAILING_UNIT,
    HELD_BYTES,
    TASKS_MAX,
    TIMER,
    UNIT,
    WRITTEN_BYTES,
    Moment,
    Reading,
)

# The kernel counts memory in batches per core; between two reads of a unit that
# holds still only that may differ.
MEMORY_TOLERANCE_BYTES = 1 << 20


class Comparison:
    """What was compared, and what was wrong."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.problems: list[str] = []
        self.figures: list[str] = []

    def between(self, title: str, seen: float | None, low: float, high: float) -> None:
        """Notes a figure that must lie within a range."""
        if seen is None:
            self.problems.append(f"{title}: missing")
        elif not low <= seen <= high:
            self.problems.append(f"{title}: {seen:g}, but it must be {low:g} to {high:g}")
        else:
            self.figures.append(f"{title:<46} {seen:>16,.3f}".removesuffix(".000"))

    def absent(self, title: str, seen: float | None) -> None:
        """Notes a figure that must be left out: the kernel does not know it."""
        if seen is None:
            self.figures.append(f"{title:<46} {'left out':>16}")
        else:
            self.problems.append(f"{title}: {seen:g}, but the kernel does not say")

    def metric(self, name: str, *, unit: str = UNIT, **labels: str) -> float | None:
        return exposition.value(self.reading.metrics, f"systemd_{name}", unit=unit, **labels)

    def around(
        self, title: str, name: str, source: Callable[[Moment], float | None], **labels: str
    ) -> None:
        """Compares a metric with its source, read before and after the scrape.

        Where the machine has no such source, the metric must be left out.
        """
        seen = self.metric(name, **labels)
        before, after = source(self.reading.before), source(self.reading.after)
        if before is None or after is None:
            self.absent(title, seen)
        else:
            self.between(title, seen, min(before, after), max(before, after))


def compare(reading: Reading) -> Comparison:
    """Compares everything that the machine has."""
    found = Comparison(reading)
    _processor(found)
    _memory(found)
    _tasks(found)
    _devices(found)
    _pressure(found)
    _systemd(found)
    return found


def controllers(reading: Reading) -> set[str]:
    """Returns which of the kernel's files there were."""
    return set(reading.before.files)


def _processor(found: Comparison) -> None:
    for mode in ("user", "system"):
        source = _key("cpu.stat", f"{mode}_usec", 1e6)
        found.around(f"processor, {mode}", "unit_cpu_seconds_total", source, mode=mode)
    for name, key, scale in (
        ("throttled_seconds", "throttled_usec", 1e6),
        ("throttled_periods", "nr_throttled", 1.0),
        ("periods", "nr_periods", 1.0),
    ):
        found.around(f"processor, {name}", f"unit_cpu_{name}_total", _key("cpu.stat", key, scale))
    used = found.metric("unit_cpu_seconds_total")
    low, high = (
        float(moment.shown[UNIT]["CPUUsageNSec"]) / 1e9
        for moment in (found.reading.before, found.reading.after)
    )
    found.between("processor, as systemctl show has it", used, low, high)


def _memory(found: Comparison) -> None:
    """From the memory controller, or else from the processes."""
    current = _whole("memory.current")
    before, after = current(found.reading.before), current(found.reading.after)
    if before is None or after is None:
        found.absent("memory, current", found.metric("unit_memory_current_bytes"))
        resident = [moment.resident_bytes for moment in (found.reading.before, found.reading.after)]
        found.between(
            "memory, the processes' sum",
            found.metric("unit_processes_resident_memory_bytes"),
            max(HELD_BYTES, min(resident) - MEMORY_TOLERANCE_BYTES),
            max(resident) + MEMORY_TOLERANCE_BYTES,
        )
        return
    low = min(before, after) - MEMORY_TOLERANCE_BYTES
    high = max(before, after) + MEMORY_TOLERANCE_BYTES
    found.between(
        "memory, current", found.metric("unit_memory_current_bytes"), max(low, HELD_BYTES), high
    )
    anon = found.metric("unit_memory_anon_bytes")
    found.between("memory, anonymous", anon, HELD_BYTES, high)
    found.around("memory, peak", "unit_memory_peak_bytes", _whole("memory.peak"))
    found.around("memory, swap", "unit_memory_swap_bytes", _whole("memory.swap.current"))
    working = found.metric("unit_memory_working_set_bytes")
    found.between("memory, working set", working, HELD_BYTES, high)
    for event in ("high", "max", "oom", "oom_kill"):
        source = _key("memory.events", event)
        found.around(f"memory event {event}", "unit_memory_events_total", source, event=event)
    found.absent("memory, no limit", found.metric("unit_memory_max_bytes"))
    found.absent(
        "memory, no sum of processes", found.metric("unit_processes_resident_memory_bytes")
    )


def _tasks(found: Comparison) -> None:
    tasks = found.metric("unit_tasks_current")
    found.between("tasks that the probe started", tasks, CHILDREN + 1, CHILDREN + 1)
    threads = found.reading.before.threads
    found.between("tasks, as the processes have them", tasks, threads, threads)
    if "pids.max" in found.reading.before.files:
        limit = float(found.reading.before.shown[UNIT]["TasksMax"])
        found.between("tasks, limit", found.metric("unit_tasks_max"), TASKS_MAX, limit)
    events = _key("pids.events", "max")
    found.around("forks refused", "unit_pids_max_events_total", events)


def _devices(found: Comparison) -> None:
    for title, name, key in (
        ("bytes read", "unit_io_read_bytes_total", "rbytes"),
        ("bytes written", "unit_io_written_bytes_total", "wbytes"),
        ("reads", "unit_io_reads_total", "rios"),
        ("writes", "unit_io_writes_total", "wios"),
    ):
        found.around(title, name, _key("io.stat", key))
    if "io.stat" in found.reading.before.files:
        written = found.metric("unit_io_written_bytes_total")
        found.between("bytes written by the probe", written, WRITTEN_BYTES, 2 * WRITTEN_BYTES)


def _pressure(found: Comparison) -> None:
    for resource in ("cpu", "memory", "io"):
        for kind in ("some", "full"):
            found.around(
                f"pressure, {resource} {kind}",
                "unit_pressure_seconds_total",
                _total(f"{resource}.pressure", kind),
                resource=resource,
                kind=kind,
            )


def _systemd(found: Comparison) -> None:
    """What `systemctl show` says, which holds still here."""
    for unit in (UNIT, FAILING_UNIT, TIMER):
        state = found.reading.before.shown[unit]["ActiveState"]
        one = found.metric("unit_state", unit=unit, state=state)
        found.between(f"{unit} is {state}", one, 1, 1)
        shown = found.reading.before.shown[unit]
        info = {"load_state": shown["LoadState"], "sub_state": shown["SubState"]}
        found.between(f"{unit}, finer states", found.metric("unit_info", unit=unit, **info), 1, 1)
    probe, failing, timer = (
        found.reading.before.shown[unit] for unit in (UNIT, FAILING_UNIT, TIMER)
    )
    start = _epoch(probe["ActiveEnterTimestamp"])
    found.between("start", found.metric("unit_start_time_seconds"), start, start + 1)
    result = found.metric("service_result", unit=FAILING_UNIT, result=failing["Result"])
    found.between(f"result {failing['Result']}", result, 1, 1)
    status = found.metric("service_exec_main_status", unit=FAILING_UNIT)
    found.between("exit status", status, EXIT_STATUS, float(failing["ExecMainStatus"]))
    restarts = float(failing["NRestarts"])
    found.between("restarts", found.metric("service_restart_total", unit=FAILING_UNIT), 1, restarts)
    runs = found.metric("unit_invocations_total", unit=FAILING_UNIT)
    found.between("runs that began", runs, 1, restarts + 1)
    last = _epoch(timer["LastTriggerUSec"])
    found.between(
        "timer, last", found.metric("timer_last_trigger_seconds", unit=TIMER), last, last + 1
    )
    following = found.metric("timer_next_elapse_seconds", unit=TIMER)
    found.between("timer, next", following, last, last + 2 * 3600)


def _epoch(shown: str) -> float:
    """Reads a time as `systemctl show` prints it, in whole seconds."""
    return calendar.timegm(time.strptime(shown, "%a %Y-%m-%d %H:%M:%S UTC"))


def _whole(file: str) -> Callable[[Moment], float | None]:
    """Returns what reads the only number of a file, None where there is no file or no limit."""

    def read(moment: Moment) -> float | None:
        text = moment.files.get(file, "max").strip()
        return None if text == "max" else float(text)

    return read


def _key(file: str, key: str, scale: float = 1.0) -> Callable[[Moment], float | None]:
    """Returns what reads the numbers under a key, summed, None where there are none."""

    def read(moment: Moment) -> float | None:
        numbers = re.findall(rf"\b{key}[ =](\d+)", moment.files.get(file, ""))
        return sum(map(int, numbers)) / scale if numbers else None

    return read


def _total(file: str, kind: str) -> Callable[[Moment], float | None]:
    """Returns what reads a total of a pressure file in seconds."""

    def read(moment: Moment) -> float | None:
        total = re.search(rf"^{kind} .*total=(\d+)", moment.files.get(file, ""), re.MULTILINE)
        return int(total[1]) / 1e6 if total else None

    return read
