"""The nightly backup on a real host, and a store that is put back as docs/operate.md tells it."""

from __future__ import annotations

import json
import time

from documents import sections
from stack import API, API_UNIT, BOT_UNITS, Stack

from host.processes import wait_until

UNIT = "transactions-backup.service"
BACKUPS = "/var/lib/transactions/backups"
LEDGER_COPY = "/root/ledger-copy.db"
HEALTHY_SECONDS = 30.0
RESTORE = """
set -e
systemctl stop transactions-api.service 'transactions-worker@*.service'
cd /var/lib/transactions
rm -f transactions.db transactions.db-wal transactions.db-shm
install -o transactions -g transactions -m 0600 backups/{name} transactions.db
systemctl start transactions-api.service transactions-worker@1.service
"""


def test_a_backup_is_made_beside_the_daemons_and_can_be_put_back(stack: Stack) -> None:
    stack.wait_until_quiet()
    assert stack.unit_state("transactions-backup.timer") == "active"
    kept = post(stack)
    stack.run(f"systemctl start {UNIT}")
    assert stack.unit_state("transactions-api.service") == "active"
    name = stack.run(f"ls {BACKUPS}").split()[-1]
    lost = post(stack)

    # What the bot does about a stopped API is not what is tested.
    stack.run(f"systemctl stop {' '.join(BOT_UNITS)}")
    try:
        stack.run(RESTORE.format(name=name))
    finally:
        stack.run(f"systemctl start {' '.join(BOT_UNITS)}")
    assert wait_until(stack.api_is_healthy, HEALTHY_SECONDS)
    assert stack.request(API, f"/transactions/{kept}").status == 200
    assert stack.request(API, f"/transactions/{lost}").status == 404, "it came after the backup"


def test_a_backup_that_cannot_be_made_leaves_the_earlier_ones(stack: Stack) -> None:
    stack.run(f"systemctl start {UNIT}")
    before = stack.run(f"ls {BACKUPS}")
    stack.run(f"chown root: {BACKUPS}")
    try:
        stack.run(f"! systemctl start {UNIT}")
    finally:
        stack.run(f"chown transactions: {BACKUPS}; systemctl stop {UNIT}; systemctl reset-failed {UNIT}")
    assert stack.run(f"ls {BACKUPS}") == before


def test_the_ledger_is_copied_and_put_back_as_the_document_says(stack: Stack) -> None:
    stack.wait_until_quiet()
    broken = time.time()
    stack.run(f"systemctl stop {API_UNIT}")
    assert wait_until(lambda: stack.incidents(broken) != [], HEALTHY_SECONDS)
    stack.wait_until_quiet()
    told = stack.incidents(broken)
    copy, *put_back = sections("operate.md")["Back up the bot's ledger"].commands
    try:
        stack.run(copy)
        for command in put_back:
            stack.run(command)
    finally:
        stack.run(f"systemctl start {' '.join(BOT_UNITS)}; rm -f {LEDGER_COPY}")
    assert stack.incidents(broken) == told


def post(stack: Stack) -> str:
    """Stores a transaction and returns its id."""
    answer = stack.request(API, "/transactions", body=b'{"amount":"1.00","currency":"EUR"}')
    assert answer.status == 201, answer
    return str(json.loads(answer.body)["id"])
