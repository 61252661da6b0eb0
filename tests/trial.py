"""A trial of the bot: a policy of a test's own, in force on the real host for a while.

A test names units and rules as it likes; on the host every name begins with a prefix that no other
trial has, so that nothing in the ledger's memory (budgets, breakers, backoff) is about them.
"""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from stack import ALERTMANAGER, BOT, Stack
from webhooks import Alert, alert, webhook

from host.processes import wait_until

# What takes milliseconds on an idle machine has this long on a busy one.
PATIENCE_SECONDS = 30.0

POLICY = "/etc/alert-bot/policy.toml"
DROP_IN = "/etc/alert-bot/policy.d/zz-trial.toml"
POLKIT = "/etc/polkit-1/rules.d/50-alert-bot.rules"
UNITS = "/run/systemd/system"
LEDGER = "/var/lib/alert-bot/ledger.db"

SLEEPER = "[Service]\nExecStart=/usr/bin/sleep infinity\n"

# Limits that never stand in the way; a test sets those that it is about.
WIDE_HOST: Mapping[str, str] = {
    "max_in_flight": "8",
    "budget": '{ max_actions = 10000, window = "1h" }',
    "unit_budget": '{ max_actions = 10000, window = "1h" }',
    "storm": '{ share = "100%", min_units = 1000 }',
}
_WIDE_RULE: Mapping[str, str] = {
    "mode": '"auto"',
    "cooldown": '"0s"',
    # What a trial sends to Alertmanager goes on firing.
    "proof": '{ healthy_for = "100ms", deadline = "2s", alert_deadline = "0s" }',
    "budget": '{ max_actions = 10000, window = "1h" }',
    "backoff": '{ initial = "1ms", jitter = "0%" }',
    "breaker": "{ failures = 10000 }",
    "flapping": "{ repairs = 10000 }",
    "efficacy": "{ max_ineffective = 10000, max_repairs = 10000 }",
}
# Granted by the trial's polkit rule alone, so that one can tell when polkit has read it.
_SENTINEL = "sentinel.service"

_WRITE = (
    "import json, pathlib, sys\n"
    "for path, text in json.load(sys.stdin).items():\n"
    "    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)\n"
    "    pathlib.Path(path).write_text(text)\n"
)
_READ = (
    "import json, sqlite3, sys\n"
    f"ledger = sqlite3.connect('file:{LEDGER}?mode=ro', uri=True, timeout=30)\n"
    "query, values = json.load(sys.stdin)\n"
    "json.dump(ledger.execute(query, values).fetchall(), sys.stdout)\n"
)


@dataclass(frozen=True)
class Rule:
    """One rule; `keys` are further keys, or others than the wide ones, written as TOML."""

    name: str
    units: Sequence[str]
    ladder: Sequence[str]
    keys: Mapping[str, str] = field(default_factory=dict)

    def toml(self, prefix: str) -> str:
        """Returns the rule with every name under `prefix`."""
        own = f"{prefix}-{self.name}"
        lines = {
            "name": json.dumps(own),
            "match": json.dumps([f'alertname="{own}"']),
            "units": json.dumps([f"{prefix}-{unit}" for unit in self.units]),
            "ladder": f"[{', '.join(f'{{ {rung} }}' for rung in self.ladder)}]",
            **_WIDE_RULE,
            **self.keys,
        }
        body = "\n".join(f"{key} = {value}" for key, value in lines.items())
        return f"[[rule]]\n{body}\n".replace("PREFIX", prefix)


@dataclass(frozen=True)
class Trial:
    """What a test asks of its trial."""

    stack: Stack
    prefix: str
    token: str

    def unit(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def alert(self, rule: str, unit: str | None = None, **labels: str) -> Alert:
        """Returns a new alert for a rule, about one of the trial's units."""
        about = {"unit": self.unit(unit)} if unit else {}
        return alert(self.unit(rule), **about, **labels)

    def send(self, *alerts: Alert, truncated: int = 0) -> None:
        """Has the bot acknowledge these alerts."""
        answer = self.stack.send_alert(webhook(*alerts, truncated=truncated), self.token)
        assert answer.status == 200, answer

    def fire(self, rule: str, unit: str) -> None:
        """Has Alertmanager know, for a minute, of a rule's alert, and tell the bot alone."""
        labels = self.alert(rule, unit, severity="info")["labels"]
        body = json.dumps([{"labels": labels}]).encode()
        headers = {"Content-Type": "application/json"}
        answer = self.stack.request(ALERTMANAGER, "/api/v2/alerts", body=body, headers=headers)
        assert answer.status == 200, answer

    def systemctl(self, verb: str, *units: str) -> str:
        names = " ".join(self.unit(unit) for unit in units)
        return self.stack.run(f"systemctl {verb} {names}")

    def state(self, unit: str) -> str:
        return self.stack.unit_state(self.unit(unit))

    def invocation(self, unit: str) -> str:
        """Returns what changes with every start of the unit."""
        name = self.unit(unit)
        return self.stack.run(f"systemctl show --value --property=InvocationID {name}").strip()

    def rows(self, query: str, *values: str | int) -> list[list[Any]]:
        return rows(self.stack, query, *values)

    def metric(self, series: str) -> float:
        """Returns one of the bot's own series, 0 where it has none of this name and labels."""
        for line in self.stack.request(BOT, "/metrics").body.splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        return 0.0

    def incidents(self, unit: str | None = None) -> list[Any]:
        """Returns the trial's incidents, newest first."""
        listed = json.loads(self.stack.run("alert-bot incidents --json"))
        start = self.unit(unit) if unit else self.prefix
        return [entry for entry in listed if (entry["unit"] or "").startswith(start)]

    def open_incidents(self, unit: str | None = None) -> list[Any]:
        return [entry for entry in self.incidents(unit) if entry["state"] != "closed"]

    def actions(self, unit: str | None = None) -> list[str]:
        """Returns what the ledger says was intended, oldest first."""
        query = "select action from attempts where unit like ? order by id"
        start = self.unit(unit) if unit else self.prefix
        return [action for (action,) in rows(self.stack, query, f"{start}%")]

    def verdicts(self, unit: str | None = None) -> list[tuple[str, str]]:
        """Returns the decisions about the trial's units and their reasons, oldest first."""
        query = "select verdict, reason from decisions where unit like ? order by id"
        start = self.unit(unit) if unit else self.prefix
        return [(verdict, reason) for verdict, reason in rows(self.stack, query, f"{start}%")]

    def ending(self, sent: Alert) -> tuple[str | None, str | None]:
        """Returns the disposition and reason that the ledger has for an alert."""
        query = "select disposition, reason from alerts where fingerprint = ? and status = ?"
        found = rows(self.stack, query, sent["fingerprint"], sent["status"])
        assert len(found) == 1, f"{sent} is {len(found)} times in the ledger"
        return found[0][0], found[0][1]

    def wait(
        self, what: str, condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Waits for what the bot should bring about; fails with the story of the trial."""
        if not wait_until(condition, seconds):
            raise AssertionError(f"not within {seconds:.0f} s: {what}\n{self._story()}")

    def wait_for_outcome(self, outcome: str, unit: str | None = None, count: int = 1) -> None:
        """Waits until so many incidents have ended, all of them so."""

        def ended() -> bool:
            return [entry["outcome"] for entry in self.incidents(unit)] == [outcome] * count

        self.wait(f"{count} incidents that are {outcome}", ended)

    def wait_for_verdict(self, verdict: str, reason: str, unit: str | None = None) -> None:
        self.wait(f"{verdict} ({reason})", lambda: (verdict, reason) in self.verdicts(unit))

    def notices(self, unit: str | None = None) -> list[str]:
        """Returns the names of the bot's own alerts about the trial that Alertmanager has now."""
        alerts = json.loads(self.stack.request(ALERTMANAGER, "/api/v2/alerts").body)
        start = self.unit(unit) if unit else self.prefix
        return sorted(
            entry["labels"]["alertname"]
            for entry in alerts
            if entry["labels"].get("unit", "").startswith(start)
            and entry["labels"]["alertname"].startswith("Remediation")
        )

    def _story(self) -> str:
        told = self.stack.journal("alert-bot.service", 30)
        return f"decisions: {self.verdicts()}\nactions: {self.actions()}\n{told}"


def rows(stack: Stack, query: str, *values: str | int) -> list[list[Any]]:
    """Asks the ledger, read only, beside the running bot."""
    asked = json.dumps([query, values])
    found: list[list[Any]] = json.loads(stack.run(f"python3 -c {shlex.quote(_READ)}", stdin=asked))
    return found


def write(stack: Stack, files: Mapping[str, str]) -> None:
    """Writes files on the host."""
    stack.run(f"python3 -c {shlex.quote(_WRITE)}", stdin=json.dumps(files))


@contextmanager
def in_force(
    stack: Stack,
    rules: Sequence[Rule],
    units: Mapping[str, str],
    host: Mapping[str, str] = WIDE_HOST,
) -> Iterator[Trial]:
    """Puts units and rules beside the deployed ones, and takes all of it away again.

    `host` is what the policy says in its table of that name.
    """
    trial = Trial(stack, f"trial{secrets.token_hex(3)}", stack.token())
    try:
        files = _files(trial, rules, units, host)
        stack.run(_INSTALL.format(**_places(trial)), stdin=json.dumps(files))
        yield trial
    finally:
        stack.run(_REMOVE.format(**_places(trial)))
        trial.wait("no open incident", lambda: not trial.open_incidents())


# A rule file that is cut short while it is made would take the bot's rights away.
_INSTALL = """set -e
mkdir {kept}
cp --preserve=all {policy} {polkit} {kept}
python3 -c {write}
systemctl daemon-reload
alert-bot polkit-rules > {kept}/new.rules
cat {kept}/new.rules > {polkit}
systemctl reload alert-bot.service
may_start() {{
    pkcheck --action-id org.freedesktop.systemd1.manage-units --detail verb start \
        --detail unit {sentinel} \
        --process $(systemctl show --value --property=MainPID alert-bot.service)
}}
for _ in $(seq {patience}); do may_start > /dev/null 2>&1 && exit; sleep 0.1; done
echo 'polkit did not take the new rule up' >&2
exit 1
"""
# Without its rules the bot leaves the trial's units alone, and closes what is open about them.
_REMOVE = """
rm -f {drop_in}
cp --preserve=all {kept}/policy.toml {policy}
cp --preserve=all {kept}/50-alert-bot.rules {polkit}
systemctl reset-failed alert-bot.service
systemctl reload-or-restart alert-bot.service
systemctl kill --signal=SIGKILL '{prefix}-*' 2> /dev/null
systemctl stop '{prefix}-*' 2> /dev/null
systemctl reset-failed '{prefix}-*' 2> /dev/null
rm -rf {kept} {run}/{prefix}-* {units}/{prefix}-* /etc/systemd/system/{prefix}-*
systemctl daemon-reload
"""


def _places(trial: Trial) -> dict[str, str]:
    return {
        "kept": f"/run/{trial.prefix}",
        "prefix": trial.prefix,
        "policy": POLICY,
        "polkit": POLKIT,
        "drop_in": DROP_IN,
        "units": UNITS,
        "run": "/run",
        "write": shlex.quote(_WRITE),
        "sentinel": trial.unit(_SENTINEL),
        "patience": str(int(PATIENCE_SECONDS * 10)),
    }


def _files(
    trial: Trial, rules: Sequence[Rule], units: Mapping[str, str], host: Mapping[str, str]
) -> dict[str, str]:
    """Returns what is written where."""
    sentinel = Rule("sentinel", [_SENTINEL], ['action = "start"'])
    table = "\n".join(f"{key} = {value}" for key, value in host.items())
    unit_files = {
        f"{UNITS}/{trial.unit(name)}": text.replace("PREFIX", trial.prefix)
        for name, text in units.items()
    }
    return {
        **unit_files,
        POLICY: f"[host]\n{table}\n",
        DROP_IN: "\n".join(rule.toml(trial.prefix) for rule in [*rules, sentinel]),
    }
