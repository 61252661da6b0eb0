"""The bot's door: who may knock, what it takes, and what it says when it cannot keep it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stack import API_UNIT, BOT, Stack
from trial import rows
from webhooks import alert, webhook

from host.processes import wait_until

RESTART_SECONDS = 15.0


def unselected(fingerprint: str) -> bytes:
    """Returns a webhook with an alert that no policy rule selects."""
    labels = {"severity": "info", "unit": API_UNIT}
    return webhook(alert("IntakeTest", fingerprint=fingerprint, **labels))


def known(stack: Stack, fingerprint: str) -> bool:
    """Says whether the ledger holds an alert with this fingerprint."""
    return bool(rows(stack, "select 1 from alerts where fingerprint = ?", fingerprint))


def test_a_wrong_token_is_refused_without_side_effect(stack: Stack) -> None:
    started = stack.run(f"systemctl show --property=InvocationID {API_UNIT}")
    assert stack.send_alert(unselected("00000000000000a1"), "wrong").status == 401
    assert stack.request(BOT, "/alert", body=unselected("00000000000000a1")).status == 401
    assert not known(stack, "00000000000000a1")
    assert stack.run(f"systemctl show --property=InvocationID {API_UNIT}") == started


def test_a_malformed_body_is_refused_with_the_reason(stack: Stack) -> None:
    answer = stack.send_alert(b'{"version": "4", "alerts": [', stack.token())
    assert answer.status == 400
    assert "line 1" in answer.body or "column" in answer.body


def test_a_good_alert_is_kept_before_it_is_acknowledged(stack: Stack) -> None:
    assert stack.send_alert(unselected("00000000000000a2"), stack.token()).status == 200
    assert known(stack, "00000000000000a2")


def test_a_full_store_answers_503_until_there_is_room(stack: Stack) -> None:
    token = stack.token()
    with tiny_store(stack):
        assert stack.send_alert(unselected("00000000000000b1"), token).status == 200
        stack.run("head -c 64M /dev/zero > /var/lib/alert-bot/filler", check=False)
        assert stack.send_alert(unselected("00000000000000b2"), token).status == 503
        stack.run("rm /var/lib/alert-bot/filler")
        assert wait_until(
            lambda: stack.send_alert(unselected("00000000000000b2"), token).status == 200,
            RESTART_SECONDS,
        )
        assert known(stack, "00000000000000b1")
        assert known(stack, "00000000000000b2")


@contextmanager
def tiny_store(stack: Stack) -> Iterator[None]:
    """Puts the bot's state on a file system of its own that is easily filled."""
    stop = "systemctl stop alert-bot.service alert-bot.socket"
    start = "systemctl start alert-bot.socket alert-bot.service"
    mount = "mount -t tmpfs -o size=4m,mode=0700 ledger /var/lib/alert-bot"
    owner = "chown alert-bot:alert-bot /var/lib/alert-bot"
    stack.run(f"{stop} && {mount} && {owner} && {start}")
    try:
        yield
    finally:
        stack.run(f"{stop}; umount /var/lib/alert-bot; {start}")
        assert wait_until(lambda: stack.request(BOT, "/health").status == 200, RESTART_SECONDS)
