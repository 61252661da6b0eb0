"""SIGKILL at any instant: nothing acknowledged is lost, and nothing is done twice."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from stack import Stack
from trial import SLEEPER, Rule, Trial, in_force
from webhooks import webhook

KILLS = int(os.environ.get("ALERT_BOT_KILLS", "10"))
SEED = int(os.environ.get("ALERT_BOT_SEED", str(random.randrange(1_000_000))))

# From shortly after its start, when it takes up what is open, to well into its work.
LONGEST_LIFE_SECONDS = 0.6
UNITS = [f"victim{number}.service" for number in range(4)]
# Between two webhooks, so that the stream is steady and the rest of the host still works.
PAUSE_SECONDS = 0.02
# A restart shows in the journal even where a second one would find the unit active.
REPAIR = 'action = "restart", times = 100'
# Judged within most lives of the bot, so that the next repair is not long in coming.
PROOF = '{ healthy_for = "50ms", deadline = "300ms" }'
# PID 1's message of a unit that has started.
STARTED = "39f53479d3a045ac8e11786248231fbf"
SETTLED_SECONDS = 120.0


@dataclass
class Stream:
    """Alerts without end: about units that it breaks first, and about none of the policy's.

    What was not acknowledged is sent again, as Alertmanager does.
    """

    trial: Trial
    chance: random.Random
    acknowledged: list[str] = field(default_factory=list)
    refused: int = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        over = threading.Event()
        threads = [
            threading.Thread(target=self._repeat, args=(over, rule))
            for rule in ("victim", "nobody")
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def wait_for_another(self) -> None:
        """Waits until one more alert has been acknowledged."""
        before = len(self.acknowledged)
        self.trial.wait("another alert", lambda: len(self.acknowledged) > before)

    def _repeat(self, over: threading.Event, rule: str) -> None:
        while not over.wait(PAUSE_SECONDS):
            unit = self.chance.choice(UNITS)
            # One that is down has its repair still to come.
            if rule == "victim" and self.trial.state(unit) == "active":
                self.trial.systemctl("stop", unit)
            self._send(over, rule, unit)

    def _send(self, over: threading.Event, rule: str, unit: str) -> None:
        alert = self.trial.alert(rule, unit)
        while self.trial.stack.send_alert(webhook(alert), self.trial.token).status != 200:
            self.refused += 1
            if over.wait(PAUSE_SECONDS):
                return
        self.acknowledged.append(alert["fingerprint"])


@pytest.mark.campaign
def test_kills_at_random_instants_lose_nothing_and_repeat_nothing(stack: Stack) -> None:
    print(f"\n    {KILLS} kills (ALERT_BOT_KILLS), seed {SEED} (ALERT_BOT_SEED)")
    rule = Rule("victim", UNITS, [REPAIR], {"proof": PROOF})
    chance = random.Random(SEED)
    with in_force(stack, [rule], dict.fromkeys(UNITS, SLEEPER)) as trial:
        stream = Stream(trial, random.Random(SEED))
        with stream.running():
            for _ in range(KILLS):
                # One kill in two meets it at work, the others while it starts and takes up
                # what is open.
                if chance.random() < 0.5:
                    stream.wait_for_another()
                kill(trial, chance.uniform(0.0, LONGEST_LIFE_SECONDS))
        stack.run("systemctl start alert-bot.service")
        assert_each_has_one_decision(trial, stream.acknowledged)
        actions = assert_nothing_was_done_twice(trial)
        print(
            f"\n    campaign: {KILLS} kills of the bot, seed {SEED} (ALERT_BOT_SEED):"
            f" {len(stream.acknowledged)} alerts acknowledged, {stream.refused} webhooks sent"
            f" again, {actions} actions; nothing lost, nothing done twice"
        )


def kill(trial: Trial, life: float) -> None:
    """Kills the bot once it has lived so long; systemd starts it again."""
    run = trial.stack.run
    pid = "systemctl show --value --property=MainPID alert-bot.service"
    kill = "systemctl kill --signal=SIGKILL alert-bot.service"
    killed = run(f"{pid}; sleep {life:.3f}; {kill}").strip()
    # More kills than the unit's start limit allows are the test's own doing.
    run("systemctl reset-failed alert-bot.service")
    trial.wait("another process", lambda: run(pid).strip() not in ("0", killed))


def assert_each_has_one_decision(trial: Trial, acknowledged: list[str]) -> None:
    """Each acknowledged alert is in the ledger once, and has had its final decision."""
    assert acknowledged, "there was no stream"

    def endings() -> dict[str, str | None]:
        # Alertmanager lists none of them, so that a bot that comes back may note their end.
        query = (
            "select fingerprint, disposition from alerts where alert like ? and status = 'firing'"
        )
        found = trial.rows(query, f"%{trial.prefix}%")
        assert len(found) == len({fingerprint for fingerprint, _ in found})
        return {fingerprint: disposition for fingerprint, disposition in found}

    deadline = time.monotonic() + SETTLED_SECONDS
    while any(ending is None for ending in endings().values()) and time.monotonic() < deadline:
        time.sleep(0.5)
    kept = endings()
    assert [one for one in acknowledged if one not in kept] == [], "acknowledged and lost"
    assert [one for one in acknowledged if kept[one] is None] == [], "never decided"
    assert set(kept.values()) <= {"acted", "joined", "suppressed", "refused", "escalated"}


def assert_nothing_was_done_twice(trial: Trial) -> int:
    """Every start of a unit follows an intent of its own; returns how many intents there were."""
    assert trial.rows("select decision from attempts group by decision having count(*) > 1") == []
    intents = 0
    for unit in UNITS:
        name = trial.unit(unit)
        query = "select intended_at from attempts where unit = ? order by id"
        intended = [at for (at,) in trial.rows(query, name)]
        journal = f"journalctl --output=json UNIT={name} MESSAGE_ID={STARTED}"
        started = [
            int(json.loads(line)["__REALTIME_TIMESTAMP"])
            for line in trial.stack.run(journal).splitlines()
        ]
        last = 0
        for at in started:
            own = [intent for intent in intended if last < intent <= at]
            assert own, f"{name} was started at {at} without an intent since {last}"
            last = at
        intents += len(intended)
    assert intents > 0, "nothing was ever repaired"
    return intents
