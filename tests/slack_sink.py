"""A Slack-shaped receiver inside the host: it keeps every page as a line of a file."""

from __future__ import annotations

import json
from typing import Any

from stack import Stack

from host.processes import wait_until

PORT = 9900
# Deployed with these, Alertmanager tells people through it.
VARIABLES = {"alertmanager_slack_api_url": f"http://127.0.0.1:{PORT}/services/page"}
_UNIT = "slack-sink.service"
_FILE = "/run/slack-sink.jsonl"
_START_SECONDS = 10.0

_SERVER = f"""
import http.server
class Sink(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open("{_FILE}", "ab") as pages:
            pages.write(body.strip() + b"\\n")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", {PORT}), Sink).serve_forever()
"""


class SlackSink:
    """Takes what Alertmanager tells people."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def start(self) -> None:
        """Starts the receiver and waits until it listens."""
        run = self._stack.run
        if self._stack.unit_state(_UNIT) == "active":
            return
        run(f"touch {_FILE}; cat > /run/slack-sink.py", stdin=_SERVER)
        run(f"systemd-run --quiet --collect --unit={_UNIT} python3 /run/slack-sink.py")
        probe = f"python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {PORT}))'"
        assert wait_until(
            lambda: run(f"{probe} && echo up", check=False).strip() == "up", _START_SECONDS
        )

    def clear(self) -> None:
        """Forgets every page so far."""
        self._stack.run(f": > {_FILE}")

    def pages(self) -> list[dict[str, Any]]:
        """Returns the calls for help about the workload that have arrived, oldest first.

        Left out are good news, what Alertmanager says of a busy machine, and late words about
        the units of an earlier trial.
        """
        messages = map(json.loads, self._stack.run(f"cat {_FILE}").splitlines())
        return [message for message in messages if _calls_for_help(message)]


def _calls_for_help(message: dict[str, Any]) -> bool:
    title = message["attachments"][0]["title"]
    is_ours = "ransactions" in title or "Remediation" in title
    return title.startswith("FIRING") and is_ours and " trial" not in title
