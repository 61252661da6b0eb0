"""The deployed host: stable under a second deploy, its units sound and confined."""

from __future__ import annotations

import re

import pytest
from slack_sink import VARIABLES
from stack import Stack

from host import deploy, health
from host.processes import wait_until

OWN_UNITS = (
    "transactions-api.service",
    "transactions-worker@1.service",
    "alert-bot.service",
    "unit-exporter.service",
)

# Exposure as `systemd-analyze security` scores it, in tenths of a point. Those that
# open TCP ports or connections themselves need address families that cost points.
EXPOSURE_TENTHS = {
    "transactions-api.service": 10,
    "transactions-worker@1.service": 10,
    "alert-bot.service": 10,
    "unit-exporter.service": 4,
    "transactions-backup.service": 4,
}

# Units of the distribution that a drop-in of ours confines.
THEIR_UNITS = (
    "prometheus.service",
    "prometheus-alertmanager.service",
    "prometheus-node-exporter.service",
    "prometheus-blackbox-exporter.service",
)
# What holds for each of them, whether by our drop-in or by the distribution's own unit.
CONFINED = {"LockPersonality", "MemoryDenyWriteExecute", "ProtectKernelModules", "RestrictSUIDSGID"}
# What a drop-in sets for another end than to confine.
ARGUMENTS = {"EnvironmentFile", "Environment"}
MEBIBYTE, GIBIBYTE = 2**20, 2**30


# What each says of itself in the line `Status:` of `systemctl status`.
STATUS = {
    "transactions-api.service": r"store up, \d+ pending, \d+ in flight",
    "transactions-worker@1.service": r"\d+ settled, \d+ declined",
    "alert-bot.service": r"watching; \d+ rules, \d+ open incidents(; last: \S+ of \S+, [a-z ]+)?",
    "unit-exporter.service": r"watching \d+ units, the system is \w+",
}
STATUS_SECONDS = 30.0


def test_a_second_deploy_changes_nothing(stack: Stack) -> None:
    recap = deploy.deploy(stack.host, variables=VARIABLES)
    assert recap.changed == 0
    assert recap.ok > 0


def test_every_service_is_healthy(stack: Stack) -> None:
    ill = [entry for entry in health.survey(stack.host) if not entry.acceptable]
    assert ill == []


def test_no_unit_has_failed(stack: Stack) -> None:
    assert stack.run("systemctl list-units --state=failed --plain --no-legend") == ""


@pytest.mark.parametrize("unit", OWN_UNITS)
def test_unit_files_are_sound(stack: Stack, unit: str) -> None:
    assert stack.run(f"systemd-analyze verify --man=no {unit} 2>&1") == ""


@pytest.mark.parametrize("unit", EXPOSURE_TENTHS)
def test_units_are_confined(stack: Stack, unit: str) -> None:
    threshold = EXPOSURE_TENTHS[unit]
    print("   ", stack.run(f"systemd-analyze security --no-pager {unit} | tail -1").strip())
    stack.run(f"systemd-analyze security --no-pager --threshold={threshold} {unit} >/dev/null")


@pytest.mark.parametrize("unit", THEIR_UNITS)
def test_what_confines_the_distributions_units_is_in_force(stack: Stack, unit: str) -> None:
    drop_in = settings(stack.run(f"cat /etc/systemd/system/{unit}.d/50-stack.conf"))
    wanted = {name: as_shown(value) for name, value in drop_in.items() if name not in ARGUMENTS}
    wanted |= dict.fromkeys(CONFINED, "yes")
    shown = stack.run(f"systemctl show --property={','.join(wanted)} {unit}")
    assert settings(shown) == wanted


def settings(text: str) -> dict[str, str]:
    """The lines `NAME=VALUE` of a unit file, or of what `systemctl show` prints."""
    lines = (line for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def as_shown(value: str) -> str:
    """A setting as `systemctl show` prints it: sizes in bytes, capabilities in lower case."""
    size = re.fullmatch(r"(\d+)([MG])", value)
    if size:
        return str(int(size[1]) * {"M": MEBIBYTE, "G": GIBIBYTE}[size[2]])
    return value.lower() if value.startswith("CAP_") else value


@pytest.mark.parametrize("unit", OWN_UNITS)
def test_the_status_line_says_what_it_does(stack: Stack, unit: str) -> None:
    def said() -> str:
        return stack.run(f"systemctl show --property=StatusText --value {unit}").strip()

    assert wait_until(lambda: re.fullmatch(STATUS[unit], said()) is not None, STATUS_SECONDS), said()


def test_prometheus_scrapes_every_target(stack: Stack) -> None:
    down = {
        series["metric"]["job"]
        for series in stack.query("up == 0")
        # Instances beyond the running ones are listed for the day they are needed.
        if series["metric"]["job"] != "transactions-worker"
    }
    assert down == set()
    assert stack.metric("count(up == 1)") >= 8
