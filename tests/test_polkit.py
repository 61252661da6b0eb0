"""polkit's answer to every verb on every kind of unit, asked as the bot's own user.

The calls are real ones on the real bus: what is granted happens, everything else is denied.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stack import Stack
from trial import SLEEPER, Rule, Trial, in_force

SYSTEMD = "org.freedesktop.systemd1"
MANAGER = [SYSTEMD, "/org/freedesktop/systemd1", f"{SYSTEMD}.Manager"]
SIGCONT, SIGRTMIN = "18", "34"

# Runs every call of a list as the user that runs it; what each said, nothing where it passed.
_CALL_EACH = """
import concurrent.futures, json, subprocess, sys
busctl = ["busctl", "--quiet", "--allow-interactive-authorization=no", "--"]
def refusal(call):
    done = subprocess.run([*busctl, *call], capture_output=True, text=True)
    return done.stderr.strip() or "failed" if done.returncode else None
with concurrent.futures.ThreadPoolExecutor(4) as several:
    json.dump(list(several.map(refusal, json.load(sys.stdin))), sys.stdout)
"""

DENIED = re.compile(
    r"Access denied|Permission denied|Rejected send message|authentication required"
)

# Calls that one command makes; all of them would take longer than a command may.
BATCH = 100

# By name of the call: the verb that polkit is asked about, and the call. All that systemd lets
# one do to a unit, through each of its doors.
Door = Callable[[str], list[str]]


def manager(method: str, signature: str, *arguments: str) -> Door:
    return lambda unit: ["call", *MANAGER, method, signature, unit, *arguments]


def unit_object(method: str, signature: str, *arguments: str) -> Door:
    return lambda unit: [
        "call",
        SYSTEMD,
        f"/org/freedesktop/systemd1/unit/{escaped(unit)}",
        f"{SYSTEMD}.Unit",
        method,
        signature,
        *arguments,
    ]


def escaped(unit: str) -> str:
    """Writes a unit's name as the last part of its object path."""
    return "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):02x}" for c in unit)


DOORS: dict[str, tuple[str, Door]] = {
    "StartUnit": ("start", manager("StartUnit", "ss", "replace")),
    "EnqueueUnitJob start": ("enqueue", manager("EnqueueUnitJob", "sss", "start", "replace")),
    "Unit.Start": ("start", unit_object("Start", "s", "replace")),
    "RestartUnit": ("restart", manager("RestartUnit", "ss", "replace")),
    "EnqueueUnitJob restart": ("enqueue", manager("EnqueueUnitJob", "sss", "restart", "replace")),
    "Unit.Restart": ("restart", unit_object("Restart", "s", "replace")),
    "TryRestartUnit": ("try-restart", manager("TryRestartUnit", "ss", "replace")),
    "ReloadUnit": ("reload", manager("ReloadUnit", "ss", "replace")),
    "ReloadOrRestartUnit": ("reload-or-restart", manager("ReloadOrRestartUnit", "ss", "replace")),
    "ReloadOrTryRestartUnit": (
        "reload-or-try-restart",
        manager("ReloadOrTryRestartUnit", "ss", "replace"),
    ),
    "ResetFailedUnit": ("reset-failed", manager("ResetFailedUnit", "s")),
    "KillUnit": ("kill", manager("KillUnit", "ssi", "all", SIGCONT)),
    "Unit.Kill": ("kill", unit_object("Kill", "si", "all", SIGCONT)),
    "QueueSignalUnit": ("kill", manager("QueueSignalUnit", "ssii", "all", SIGRTMIN, "0")),
    "SetUnitProperties": (
        "set-property",
        manager("SetUnitProperties", "sba(sv)", "true", "1", "CPUWeight", "t", "1"),
    ),
    "Unit.SetProperties": (
        "set-property",
        unit_object("SetProperties", "ba(sv)", "true", "1", "CPUWeight", "t", "1"),
    ),
    "FreezeUnit": ("freeze", manager("FreezeUnit", "s")),
    "CleanUnit": ("clean", manager("CleanUnit", "sas", "1", "cache")),
    "RefUnit": ("ref", manager("RefUnit", "s")),
    "StopUnit": ("stop", manager("StopUnit", "ss", "replace")),
    "EnqueueUnitJob stop": ("enqueue", manager("EnqueueUnitJob", "sss", "stop", "replace")),
}

# What is about no unit, or about unit files. None of it is ever granted.
WHOLE_MANAGER: dict[str, list[str]] = {
    "StartTransientUnit": [
        "ssa(sv)a(sa(sv))", "evil.service", "replace",
        "1", "ExecStart", "a(sasb)", "1", "/bin/true", "1", "/bin/true", "false", "0",
    ],
    "EnableUnitFiles": ["asbb", "1", "transactions-api.service", "true", "false"],
    "DisableUnitFiles": ["asb", "1", "transactions-api.service", "true"],
    "ReenableUnitFiles": ["asbb", "1", "transactions-api.service", "true", "false"],
    "LinkUnitFiles": ["asbb", "1", "/run/evil.service", "true", "false"],
    "MaskUnitFiles": ["asbb", "1", "transactions-api.service", "true", "false"],
    "UnmaskUnitFiles": ["asb", "1", "transactions-api.service", "true"],
    "PresetUnitFiles": ["asbb", "1", "transactions-api.service", "true", "false"],
    "RevertUnitFiles": ["as", "1", "transactions-api.service"],
    "AddDependencyUnitFiles": [
        "asssbb", "1", "a.service", "multi-user.target", "Wants", "true", "false",
    ],
    "SetDefaultTarget": ["sb", "rescue.target", "false"],
    "SetEnvironment": ["as", "1", "LD_PRELOAD=/run/evil.so"],
    "ResetFailed": [],
    "ClearJobs": [],
    "Reload": [],
    "Reexecute": [],
    "SetExitCode": ["y", "1"],
    "Exit": [],
    "SwitchRoot": ["ss", "/run", "/bin/true"],
    "SoftReboot": ["s", ""],
    "Reboot": [],
    "PowerOff": [],
    "Halt": [],
    "KExec": [],
}  # fmt: skip

# Units that a host has anyway; no policy may name the first ones.
OTHERS = (
    "alert-bot.service",
    "alert-bot.socket",
    "alert-bot-control.socket",
    "dbus.service",
    "dbus.socket",
    "systemd-journald.service",
    "systemd-journald.socket",
    "polkit.service",
    "init.scope",
    "-.slice",
    "multi-user.target",
    "unit-exporter.socket",
    "prometheus.service",
    "prometheus-alertmanager.service",
)

# Names that are close to a granted one, or would be more than one, or none.
ODD = (
    "*",
    "*.service",
    "PREFIX-*.service",
    "PREFIX-web.servic?",
    "xPREFIX-web.service",
    "PREFIX-web.service.service",
    "PREFIX-webXservice",
    "PREFIX-web",
    "PREFIX-web.socket",
    "PREFIX-WEB.service",
    "PREFIX-web.service\nPREFIX-secret.service",
    "PREFIX-secret.service\nPREFIX-web.service",
    "PREFIX-web.service ",
    "../PREFIX-web.service",
    "/run/systemd/system/PREFIX-web.service",
    "PREFIX-pool@.service",
    "PREFIX-pool@1.socket",
    "PREFIX-pool@../secret.service",
    "PREFIX-pool@1.service/../PREFIX-secret.service",
    "PREFIX-one@11.service",
    "PREFIX-%n.service",
)

RULES = [
    Rule("web", ["web.service"], ['action = "start"', 'action = "restart"']),
    Rule("conf", ["conf.service"], ['action = "reload"']),
    Rule("hook", ["hook.service"], ['action = "kill", signal = "SIGCONT"']),
    Rule(
        "ill",
        ["ill.service"],
        ['action = "reset-failed-start"'],
        {"also_reset": '["PREFIX-other.service"]'},
    ),
    Rule("pool", ["pool@*.service"], ['action = "scale-up", max = 2']),
    Rule("one", ["one@1.service"], ['action = "stop"']),
    Rule("book", ["secret.service"], ['action = "runbook", unit = "PREFIX-book.service"']),
    Rule("seen", ["seen.service"], ['action = "restart"'], {"mode": '"observe"'}),
]
GRANTED = {
    ("web.service", "start"),
    ("web.service", "restart"),
    ("conf.service", "reload"),
    ("hook.service", "kill"),
    ("ill.service", "start"),
    ("ill.service", "reset-failed"),
    ("other.service", "reset-failed"),
    ("pool@1.service", "start"),
    ("pool@2.service", "start"),
    ("one@1.service", "stop"),
    ("book.service", "start"),
}
UNITS = {
    "web.service": SLEEPER,
    "conf.service": f"{SLEEPER}ExecReload=/bin/true\n",
    "hook.service": SLEEPER,
    "ill.service": SLEEPER,
    "other.service": SLEEPER,
    "pool@.service": SLEEPER,
    "one@.service": SLEEPER,
    "book.service": SLEEPER,
    "seen.service": SLEEPER,
    "secret.service": SLEEPER,
}
RUNNING = [
    *(name for name in UNITS if "@" not in name),
    "pool@1.service",
    "pool@2.service",
    "one@1.service",
    "one@2.service",
]


@dataclass(frozen=True)
class Attempt:
    """One call as the bot's user; `unit` is empty where the call is about none."""

    door: str
    unit: str
    call: list[str]
    is_granted: bool
    # Why it was refused; nothing where it passed.
    refusal: str | None = None


def as_the_bot(stack: Stack, calls: list[list[str]]) -> list[str | None]:
    """Makes calls with no more rights than the service has."""
    command = f"runuser --user=alert-bot -- python3 -c '{_CALL_EACH}'"
    said: list[str | None] = []
    for start in range(0, len(calls), BATCH):
        batch = json.dumps(calls[start : start + BATCH])
        said += json.loads(stack.run(command, stdin=batch))
    return said


def test_each_verb_on_each_unit_passes_where_the_policy_needs_it_and_nowhere_else(
    stack: Stack,
) -> None:
    with in_force(stack, RULES, UNITS) as trial:
        trial.systemctl("start", *RUNNING)
        attempts = list(tried(trial))
        report(attempts)
        passed = {(a.door, a.unit) for a in attempts if a.refusal is None}
        assert passed == {(a.door, a.unit) for a in attempts if a.is_granted}
        known = {*OTHERS, *map(trial.unit, RUNNING), ""}
        by_accident = [
            a for a in attempts if a.unit in known and a.refusal and not DENIED.search(a.refusal)
        ]
        assert by_accident == [], "refused, but not for want of a right"


def test_the_deployed_policys_own_grants_pass_as_well(stack: Stack) -> None:
    rules = stack.run("cat /etc/polkit-1/rules.d/50-alert-bot.rules")
    assert rules.strip() == stack.run("alert-bot polkit-rules").strip()
    worker = "transactions-worker@1.service"
    api = "transactions-api.service"
    wanted = [(api, "start"), (api, "restart"), (api, "reset-failed"), (worker, "start")]
    doors = {verb: door for verb, door in reversed(DOORS.values())}
    said = as_the_bot(stack, [doors[verb](unit) for unit, verb in wanted])
    assert dict(zip(wanted, said, strict=True)) == dict.fromkeys(wanted)
    denied = [(api, "stop"), (api, "kill"), (worker, "restart"), (worker, "kill")]
    said = as_the_bot(stack, [doors[verb](unit) for unit, verb in denied])
    assert all(text and DENIED.search(text) for text in said), said
    stack.wait_until_quiet()


def tried(trial: Trial) -> Iterator[Attempt]:
    """Makes every call and yields what came of each."""
    granted = {(trial.unit(unit), verb) for unit, verb in GRANTED}
    units = [*OTHERS, *map(trial.unit, RUNNING)]
    asked = [
        Attempt(name, unit, door(unit), (unit, verb) in granted)
        # One verb after the other: what `stop` stops, others have had their turn with.
        for name, (verb, door) in DOORS.items()
        for unit in units
    ]
    asked += [
        Attempt(name, unit, door(unit), is_granted=False)
        for name, (verb, door) in DOORS.items()
        if verb in ("start", "stop")
        for unit in (odd.replace("PREFIX", trial.prefix) for odd in ODD)
    ]
    asked += [
        Attempt(method, "", ["call", *MANAGER, method, *arguments], False)
        for method, arguments in WHOLE_MANAGER.items()
    ]
    said = as_the_bot(trial.stack, [attempt.call for attempt in asked])
    for attempt, refusal in zip(asked, said, strict=True):
        yield Attempt(attempt.door, attempt.unit, attempt.call, attempt.is_granted, refusal)


def report(attempts: list[Attempt]) -> None:
    """Prints how many calls there were, and why the refused ones were."""
    refused = Counter(
        "denied" if DENIED.search(attempt.refusal) else "no such unit or name"
        for attempt in attempts
        if attempt.refusal
    )
    passed = sum(attempt.refusal is None for attempt in attempts)
    print(f"\n    polkit, as alert-bot: {len(attempts)} calls, {passed} passed, {dict(refused)}")
