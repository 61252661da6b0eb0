"""The unit exporter on a real systemd: figures under load, a storm of units, a bus that is away."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import exposition
import pytest
import unit_figures
import unit_probes
from stack import Stack

from host import tree
from host.processes import wait_until
from host.settings import DEFAULT_SUITE

DAEMONS = {
    "transactions-api": 8000,
    "transactions-worker": 8101,
    "alert-bot": 5001,
    "unit-exporter": 9558,
}
# For how long, and how many at once; their rate is PID 1's affair, and printed.
STORM = {"seconds": 10.0, "units": 50}
BUS = "dbus.socket dbus.service"
# States are shown for ten more seconds, in case the bus only restarts.
STALE_SECONDS = 30.0
BACK_SECONDS = 30.0


def test_figures_agree_with_the_kernel_and_systemd(stack: Stack) -> None:
    with unit_probes.running(stack.run):
        # The second scrape is the one that may leave out what has not changed.
        unit_probes.read(stack.run)
        found = unit_figures.compare(unit_probes.read(stack.run))
    print("\n" + "\n".join(found.figures))
    assert not found.problems


@pytest.mark.parametrize("daemon", DAEMONS)
def test_promtool_finds_nothing_wrong(stack: Stack, daemon: str) -> None:
    exposed = stack.run(f"curl -fsS http://127.0.0.1:{DAEMONS[daemon]}/metrics")
    promtool = tree.Base(DEFAULT_SUITE).tools / "promtool"
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=exposed, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_a_storm_of_units_spoils_no_scrape(stack: Stack) -> None:
    script = Path(__file__).with_name("unit_storm.py").read_text(encoding="utf-8")
    stack.run("cat > /run/unit_storm.py", stdin=script)
    told = json.loads(stack.run("python3 /run/unit_storm.py", stdin=json.dumps(STORM)))
    rate = told["ran"] / told["seconds"]
    print(f"\n{told['ran']} units came and went, {rate:.0f} a second, in {told['scrapes']} scrapes")
    assert not told["wrong"]
    assert told["scrapes"] > 1
    assert told["ran"] > STORM["units"]
    assert wait_until(lambda: "stack-storm@" not in _metrics(stack), BACK_SECONDS)


def test_without_the_bus_the_figures_stay_and_the_states_go(stack: Stack) -> None:
    def cpu() -> float | None:
        return exposition.value(
            _metrics(stack), "systemd_unit_cpu_seconds_total", unit="unit-exporter.service"
        )

    def state() -> float | None:
        return exposition.value(
            _metrics(stack), "systemd_unit_state", unit="unit-exporter.service", state="active"
        )

    before = cpu()
    assert before is not None
    assert state() == 1
    try:
        stack.run(f"systemctl stop {BUS}")
        assert wait_until(lambda: state() is None, STALE_SECONDS)
        without = cpu()
        assert without is not None
        assert without > before
    finally:
        stack.run(f"systemctl start {BUS}")
    assert wait_until(lambda: state() == 1, BACK_SECONDS)


def _metrics(stack: Stack) -> str:
    return stack.run(unit_probes.SCRAPE)
