"""What a machine goes through: a reboot, and the plug pulled in the middle of work."""

from __future__ import annotations

import signal
import time

import guest
from load import Load
from machine import Machine, wait_until

from host.errors import StepError
from host.processes import is_alive, send_signal

REBOOT_SECONDS = 600.0
# Long enough that every store has committed many batches and has one under way.
LOAD_SECONDS = 30.0
LEAST_TRANSACTIONS = 100
LEAST_ALERTS = 5
END_SECONDS = 10.0


def reboot(machine: Machine) -> list[str]:
    """Reboots the machine from inside; everything must come back without a hand."""
    boot = _boot_id(machine)
    before = {entry["id"] for entry in guest.incidents(machine)}
    started = time.monotonic()
    # The connection ends before the command does.
    machine.ssh("systemctl reboot", check=False)
    machine.forget_connection()
    if not wait_until(lambda: machine.answers() and _boot_id(machine) != boot, REBOOT_SECONDS):
        raise StepError(f"the machine did not come back within {REBOOT_SECONDS:.0f} s")
    back = time.monotonic() - started
    guest.wait_until_settled(machine)
    settled = time.monotonic() - started
    return [
        f"answers after {back:.0f} s, every service active after {settled:.0f} s",
        *_memory_of(machine, before, boots=2),
    ]


def power_cut(machine: Machine) -> list[str]:
    """Kills the machine under load; nothing that it acknowledged may be lost."""
    token = machine.ssh("cat /etc/alert-bot/credentials/webhook-token").strip()
    before = {entry["id"] for entry in guest.incidents(machine)}
    load = Load(machine.forwards[8000], machine.forwards[5001], token)
    started = time.monotonic()
    load.start()
    try:
        if not wait_until(lambda: _is_enough(load, started), 4 * LOAD_SECONDS):
            raise StepError(f"only {load.count()} transactions and alerts were acknowledged")
        loaded = time.monotonic() - started
        _pull_the_plug(machine)
    finally:
        load.stop()
    promised = load.acknowledged
    restarted = time.monotonic()
    machine.vagrant("up", "--no-provision", step="up-after-power-cut")
    guest.wait_until_settled(machine)
    settled = time.monotonic() - restarted
    lost = _lost_transactions(machine, promised.transactions)
    lost_alerts = sorted(set(promised.alerts) - _known_alerts(machine))
    if lost or lost_alerts:
        raise StepError(
            f"acknowledged and gone: {len(lost)} transactions ({lost[:5]}),"
            f" {len(lost_alerts)} alerts ({lost_alerts[:5]})"
        )
    return [
        f"killed after {loaded:.0f} s with {len(promised.transactions)} transactions"
        f" and {len(promised.alerts)} alerts acknowledged",
        "lost: 0 transactions, 0 alerts",
        f"vagrant up and every service active after {settled:.0f} s",
        *_memory_of(machine, before, boots=3),
    ]


def _boot_id(machine: Machine) -> str:
    return machine.ssh("cat /proc/sys/kernel/random/boot_id", check=False).strip()


def _memory_of(machine: Machine, before: set[str], *, boots: int) -> list[str]:
    """Checks that ledger and journal still tell of the incidents of the boots before."""
    missing = before - {entry["id"] for entry in guest.incidents(machine)}
    if missing:
        raise StepError(f"the ledger has forgotten {sorted(missing)}")
    untold = [incident for incident in before if not guest.journal_of(machine, incident)]
    if untold:
        raise StepError(f"the journal has forgotten {sorted(untold)}")
    listed = machine.ssh("journalctl --list-boots --quiet --no-pager").splitlines()
    known = [line for line in listed if line.split()[0].lstrip("-").isdigit()]
    if len(known) != boots:
        raise StepError(f"the journal knows {len(known)} boots, not {boots}")
    return [f"ledger and journal tell of all {len(before)} incidents before, over {boots} boots"]


def _is_enough(load: Load, started: float) -> bool:
    transactions, alerts = load.count()
    long_enough = time.monotonic() - started > LOAD_SECONDS
    return long_enough and transactions >= LEAST_TRANSACTIONS and alerts >= LEAST_ALERTS


def _pull_the_plug(machine: Machine) -> None:
    emulator = machine.emulator_pid()
    if emulator is None:
        raise StepError("the machine's process is not there to be killed")
    send_signal(emulator, signal.SIGKILL)
    if not wait_until(lambda: not is_alive(emulator), END_SECONDS):
        raise StepError(f"process {emulator} survived SIGKILL")
    # Until libvirt has noticed, it would refuse to start the machine again.
    if not wait_until(lambda: machine.domain_state() == "shut off", END_SECONDS):
        raise StepError("libvirt takes the killed machine for running")
    machine.forget_connection()


def _lost_transactions(machine: Machine, promised: dict[str, str]) -> list[str]:
    """Returns the ids that the API no longer has, or has with another amount."""
    kept: dict[str, str] = {}
    cursor = ""
    while True:
        page = machine.get_json(8000, f"/transactions?limit=500{cursor}")
        kept |= {item["id"]: item["amount"] for item in page["items"]}
        if "next_cursor" not in page or promised.keys() <= kept.keys():
            return [key for key, amount in promised.items() if kept.get(key) != amount]
        cursor = f"&cursor={page['next_cursor']}"


def _known_alerts(machine: Machine) -> set[str]:
    script = (
        "import sqlite3;"
        "ledger = sqlite3.connect('file:/var/lib/alert-bot/ledger.db?mode=ro', uri=True);"
        "print(*(row[0] for row in ledger.execute('select fingerprint from alerts')))"
    )
    return set(machine.ssh(f'python3 -c "{script}"').split())
