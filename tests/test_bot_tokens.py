"""The webhook's token: rotated without refusing anybody, and seen nowhere."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import leaks
from stack import BOT, Stack
from trial import write
from webhooks import alert, webhook

CREDENTIALS = "/etc/alert-bot/credentials"
CURRENT, PREVIOUS = f"{CREDENTIALS}/webhook-token", f"{CREDENTIALS}/webhook-token-previous"
DROP_IN = "/run/systemd/system/alert-bot.service.d/zz-test-previous.conf"
ROTATIONS = 3
# A webhook that arrives while the bot restarts waits in systemd's socket.
RESTART_SECONDS = 60.0


class Stream:
    """Webhooks without end, with whichever token Alertmanager has at the moment."""

    def __init__(self, stack: Stack, token: str) -> None:
        self.token = token
        self.statuses: list[int] = []
        self._stack = stack

    @contextmanager
    def running(self) -> Iterator[None]:
        over = threading.Event()

        def send() -> None:
            while not over.is_set():
                body = webhook(alert("TokenTest", severity="info"))
                headers = {"Authorization": f"Bearer {self.token}"}
                answer = self._stack.request(
                    BOT, "/alert", body=body, headers=headers, seconds=RESTART_SECONDS
                )
                self.statuses.append(answer.status)

        threads = [threading.Thread(target=send) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()


@contextmanager
def tokens_put_back(stack: Stack) -> Iterator[str]:
    """Yields the present token, which is the only one again afterwards."""
    token = stack.token()
    write(stack, {DROP_IN: f"[Service]\nLoadCredential=webhook-token-previous:{PREVIOUS}\n"})
    try:
        yield token
    finally:
        stack.run(f"printf %s {token} > {CURRENT}; rm -f {PREVIOUS} {DROP_IN}")
        stack.run(
            "systemctl daemon-reload; systemctl reset-failed alert-bot.service;"
            " systemctl restart alert-bot.service"
        )


def rotate(stack: Stack, old: str) -> str:
    """Makes a new token the current one and `old` the previous one; returns the new one."""
    new = secrets.token_urlsafe(32)
    stack.run(
        f"umask 077; printf %s {old} > {PREVIOUS}; printf %s {new} > {CURRENT};"
        # Rotations on the heels of each other are not the crash loop that the limit is about.
        " systemctl daemon-reload; systemctl reset-failed alert-bot.service;"
        " systemctl restart alert-bot.service"
    )
    return new


def test_a_rotation_refuses_no_webhook(stack: Stack) -> None:
    with tokens_put_back(stack) as first:
        stream = Stream(stack, first)
        with stream.running():
            for _ in range(ROTATIONS):
                # The bot knows both now; Alertmanager's file follows when it likes.
                before = len(stream.statuses)
                stream.token = rotate(stack, stream.token)
                while len(stream.statuses) < before + 10:
                    threading.Event().wait(0.01)
        print(f"\n    {ROTATIONS} rotations: {len(stream.statuses)} webhooks, all taken")
        assert set(stream.statuses) == {200}
        body = webhook(alert("TokenTest", severity="info"))
        assert stack.send_alert(body, first).status == 401, "the first one is two rotations old"


def test_the_token_is_nowhere_but_in_its_files(stack: Stack) -> None:
    with tokens_put_back(stack) as old:
        new = rotate(stack, old)
        for token in (old, new):
            body = webhook(alert("TokenTest", severity="info"))
            assert stack.send_alert(body, token).status == 200
            assert stack.send_alert(b"no webhook", token).status == 400
        assert stack.send_alert(b"", f"{new}x").status == 401
        assert leaks.found(stack, {"new": [new], "old": [old]}) == []
        said = stack.request(BOT, "/none").body + stack.run("alert-bot status")
        assert not any(token in said for token in (old, new))
        assert stack.run("systemctl show --value --property=LimitCORE alert-bot.service") == "0\n"
