"""More than the bot can use: hostile clients, storms of alerts, and many units broken at once."""

from __future__ import annotations

import json
import threading

from stack import BOT, Stack
from trial import SLEEPER, WIDE_HOST, Rule, Trial, in_force, rows
from webhooks import alert, webhook

START, RESET = 'action = "start"', 'action = "reset-failed-start"'
# In the unit of /proc.
MEBIBYTE = 1024.0
WEB = Rule("web", ["web.service"], [START])

# A client inside the host, so that nothing stands between it and the bot. What it is told to do
# comes as JSON: parts of a request, each a text and how often it is sent.
_SEND = """
import json, socket, sys
answers = []
for parts in json.load(sys.stdin):
    client = socket.create_connection(("127.0.0.1", 5001), 30)
    answer = b""
    try:
        for text, times in parts:
            for _ in range(times):
                client.sendall(text.encode())
        client.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    try:
        while piece := client.recv(65536):
            answer += piece
    except OSError:
        pass
    answers.append(answer[9:12].decode())
json.dump(answers, sys.stdout)
"""

# Opens connections and says nothing over them.
_IDLE = """
import pathlib, resource, signal, socket, sys
wanted = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (wanted + 100, wanted + 100))
clients = [socket.socket() for _ in range(wanted)]
for client in clients:
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", 5001))
pathlib.Path(sys.argv[2]).touch()
signal.pause()
"""
IDLE_CLIENTS = 10_000


def memory_kib(stack: Stack, field: str) -> float:
    """Returns a figure of the bot's memory: VmRSS now, VmHWM the most since `forget_peak`."""
    pid = "$(systemctl show --value --property=MainPID alert-bot.service)"
    return float(stack.run(f"awk '/^{field}:/ {{ print $2 }}' /proc/{pid}/status"))


def forget_peak(stack: Stack) -> None:
    pid = "$(systemctl show --value --property=MainPID alert-bot.service)"
    stack.run(f"echo 5 > /proc/{pid}/clear_refs")


def test_hostile_bodies_are_refused_and_take_no_memory(stack: Stack) -> None:
    head = (
        "POST /alert HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        f"authorization: Bearer {stack.token()}\r\n"
    )
    megabyte = "x" * 1_000_000
    chunk = f"{len(megabyte):x}\r\n{megabyte}\r\n"
    # Beyond the largest body, and below it.
    many, fewer = (
        webhook(alert("Labels", fingerprint="f0", **{f"l{n}": "" for n in range(count)})).decode()
        for count in (100_000, 10_000)
    )
    requests: list[tuple[str, list[tuple[str, int]]]] = [
        ("413", [(f"{head}content-length: 100000000\r\n\r\n", 1), (megabyte, 100)]),
        ("413", [(f"{head}transfer-encoding: chunked\r\n\r\n", 1), (chunk, 100), ("0\r\n\r\n", 1)]),
        ("413", [(f"{head}content-length: {len(many)}\r\n\r\n{many}", 1)]),
        ("400", [(f"{head}content-length: {len(fewer)}\r\n\r\n{fewer}", 1)]),
        ("400", [(f"{head}content-length: 300000\r\n\r\n" + '{"a":' * 2, 1), ("[", 299_990)]),
        ("400", [(f"{head}content-length: 300000\r\n\r\n", 1), ("{", 1)]),
        ("431", [(f"{head}x: ", 1), ("y" * 1000, 100), ("\r\n\r\n", 1)]),
    ]
    forget_peak(stack)
    before = memory_kib(stack, "VmRSS")
    asked = json.dumps([parts for _, parts in requests])
    answers = json.loads(stack.run(f"python3 -c '{_SEND}'", stdin=asked))
    grown = (memory_kib(stack, "VmHWM") - before) / MEBIBYTE
    print(f"\n    hostile bodies: answered {answers}, memory grew by {grown:.1f} MiB at most")
    wanted = [status for status, _ in requests]
    # Some are cut off while they still send, and then miss their answer.
    assert all(got in ("", want) for got, want in zip(answers, wanted, strict=True)), answers
    assert grown < 32
    assert stack.request(BOT, "/health").status == 200
    assert rows(stack, "select 1 from alerts where fingerprint = 'f0'") == []


def test_ten_thousand_silent_clients_keep_nobody_out(stack: Stack) -> None:
    with in_force(stack, [WEB], {"web.service": SLEEPER}) as trial:
        before = memory_kib(stack, "VmRSS")
        connected, idle = f"/run/{trial.prefix}-connected", trial.unit("idle.service")
        stack.run(
            f"systemd-run --quiet --collect --unit={idle} --property=LimitNOFILE=20000"
            f" python3 -c '{_IDLE}' {IDLE_CLIENTS} {connected}"
        )
        trial.wait("they are there", lambda: stack.run(f"ls {connected}", check=False) != "")
        body = webhook(trial.alert("web", "web.service"))
        trial.wait("an alert gets in", lambda: stack.send_alert(body, trial.token).status == 200)
        trial.wait_for_outcome("effective")
        assert stack.unit_state(idle) == "active", "they are still there"
        grown = (memory_kib(stack, "VmRSS") - before) / MEBIBYTE
        print(f"\n    {IDLE_CLIENTS} silent clients: memory grew by {grown:.1f} MiB")
        assert grown < 16


STORM_ALERTS, STORM_EACH, STORM_UNITS, STORM_CAP = 10_000, 50, 40, 5
STORM_SECONDS = 120.0


def test_a_storm_from_two_alertmanagers_is_accounted_for_and_stays_below_the_cap(
    stack: Stack,
) -> None:
    """Each webhook comes from both. A tenth of the alerts are about units that are down."""
    units = [f"web{number}.service" for number in range(STORM_UNITS)]
    budget = {"budget": f'{{ max_actions = {STORM_CAP}, window = "1h" }}'}
    rules = [Rule("storm", units, [START], budget)]
    with in_force(stack, rules, dict.fromkeys(units, SLEEPER)) as trial:
        alerts = [
            trial.alert("storm", units[number // 10 % STORM_UNITS])
            if number % 10 == 0
            else trial.alert("noise", f"unit{number}.service")
            for number in range(STORM_ALERTS)
        ]
        counters = accounts(stack)
        bodies = [
            webhook(*alerts[start : start + STORM_EACH])
            for start in range(0, STORM_ALERTS, STORM_EACH)
        ]
        half = len(bodies) // 2
        deliver_twice(trial, bodies[:half])
        before = memory_kib(stack, "VmRSS")
        deliver_twice(trial, bodies[half:])
        after = memory_kib(stack, "VmRSS")

        def endings() -> dict[str | None, int]:
            query = "select disposition, count(*) from alerts where alert like ? group by 1"
            return dict(map(tuple, trial.rows(query, f"%{trial.prefix}%")))

        trial.wait("each has its decision", lambda: None not in endings(), STORM_SECONDS)
        ended = endings()
        assert sum(ended.values()) == STORM_ALERTS, "each is there once"
        assert len(trial.actions()) == STORM_CAP
        received, deduplicated = (b - a for a, b in zip(counters, accounts(stack), strict=True))
        assert received >= 2 * STORM_ALERTS
        assert deduplicated >= STORM_ALERTS
        print(
            f"\n    {STORM_ALERTS} alerts twice: {ended}, {STORM_CAP} actions,"
            f" {before / MEBIBYTE:.1f} MiB after half of it, {after / MEBIBYTE:.1f} after all"
        )
        assert after - before < 8 * MEBIBYTE


def deliver_twice(trial: Trial, bodies: list[bytes]) -> None:
    """Sends each webhook from two sides at once; all must be taken."""
    statuses: list[int] = []

    def deliver() -> None:
        statuses.extend(trial.stack.send_alert(body, trial.token).status for body in bodies)

    managers = [threading.Thread(target=deliver) for _ in range(2)]
    for manager in managers:
        manager.start()
    for manager in managers:
        manager.join()
    assert statuses == [200] * 2 * len(bodies)


def accounts(stack: Stack) -> tuple[float, float]:
    """Returns how many alerts the bot has acknowledged, and how many of them said nothing new."""
    lines = [line.split() for line in stack.request(BOT, "/metrics").body.splitlines()]
    values = {line[0]: float(line[1]) for line in lines if len(line) == 2}
    received = sum(v for k, v in values.items() if k.startswith("alert_bot_alerts_received_total"))
    return received, values["alert_bot_alerts_deduplicated_total"]


def test_two_alertmanagers_at_the_same_moment_cause_one_action(stack: Stack) -> None:
    with in_force(stack, [WEB], {"web.service": SLEEPER}) as trial:
        same = trial.alert("web", "web.service")
        senders = [threading.Thread(target=trial.send, args=(same,)) for _ in range(2)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        trial.wait_for_outcome("effective")
        trial.send(same)
        assert trial.actions() == ["start"]
        assert trial.ending(same)[0] == "acted"
        query = "select deliveries from alerts where fingerprint = ?"
        assert trial.rows(query, same["fingerprint"]) == [[3]]


CRASH_LOOPING = """[Unit]
StartLimitIntervalSec=60
StartLimitBurst=2
[Service]
Type=exec
ExecStart=/bin/sh -c 'sleep 0.1; exit 1'
Restart=on-failure
RestartSec=0
"""


def test_a_crash_loop_is_tried_with_growing_waits_and_then_left_to_people_for_good(
    stack: Stack,
) -> None:
    rule = Rule(
        "loop",
        ["loop.service"],
        [f"{RESET}, times = 3", 'action = "escalate"'],
        {
            "on_unit_failed": "true",
            "backoff": '{ initial = "500ms", factor = 2, jitter = "0%" }',
            "proof": '{ healthy_for = "1s", deadline = "2s" }',
        },
    )
    with in_force(stack, [rule], {"loop.service": CRASH_LOOPING}) as trial:
        trial.systemctl("start", "loop.service")
        trial.wait_for_verdict("escalate", "escalate-rung")
        times = trial.rows(
            "select intended_at, ended_at from attempts where unit like ? order by id",
            f"{trial.prefix}%",
        )
        waits = [(after[0] - before[1]) / 1e6 for before, after in zip(times, times[1:])]
        assert len(times) == 3
        assert waits[0] >= 0.5 and waits[1] >= 1.0, waits
        first = trial.alert("loop", "loop.service")
        trial.send(first)
        trial.wait("it joins", lambda: trial.ending(first)[0] == "joined")
        stack.run("systemctl restart alert-bot.service")
        later = trial.alert("loop", "loop.service")
        trial.send(later)
        trial.wait("it joins as well", lambda: trial.ending(later)[0] == "joined")
        assert len(trial.actions()) == 3
        assert [verdict for verdict, _ in trial.verdicts()].count("escalate") == 1
        assert len(trial.incidents()) == 1
        trial.wait("one call for help", lambda: trial.notices() == ["RemediationExhausted"])


STORM = '{ share = "40%", min_units = 3, quiet_for = "10m" }'


def test_when_many_units_fail_together_none_is_restarted_and_people_are_asked_once(
    stack: Stack,
) -> None:
    units = [f"member{number}.service" for number in range(8)]
    rule = Rule("together", units, [RESET], {"on_unit_failed": "true"})
    host = {**WIDE_HOST, "storm": STORM}
    with in_force(stack, [rule], dict.fromkeys(units, SLEEPER), host) as trial:
        trial.systemctl("start", *units)
        stack.run("alert-bot pause --for 1m --why 'until all have failed'")
        trial.systemctl("kill --signal=SIGKILL", *units)
        trial.wait("all are noticed", lambda: len(trial.open_incidents()) == len(units))
        stack.run("alert-bot resume")
        trial.wait_for_verdict("escalate", "storm")
        waiting = [("hold", "storm")] * (len(units) - 1)
        trial.wait(
            "the others wait",
            lambda: [pair for pair in trial.verdicts() if pair == waiting[0]] == waiting,
        )
        assert trial.actions() == []
        assert [verdict for verdict, _ in trial.verdicts()].count("escalate") == 1
        trial.wait("people know", lambda: trial.notices() == ["RemediationEscalated"])
