"""The API's contract, /openapi.json, held against the running server by schemathesis."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from stack import API, Stack

from host.settings import FORWARD_ADDRESS

# What one run may take on a busy machine; it takes about a minute on a quiet one.
SECONDS = 900
# Random requests to each operation, beside those that cover each constraint of the document.
EXAMPLES = 30


def test_the_server_does_what_its_document_says(stack: Stack, tmp_path: Path) -> None:
    stack.wait_until_quiet()
    schemathesis = Path(sys.executable).with_name("schemathesis")
    url = f"http://{FORWARD_ADDRESS}:{stack.outer_port(API)}/openapi.json"
    run = subprocess.run(
        [str(schemathesis), "run", url, f"--max-examples={EXAMPLES}", "--generation-deterministic"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Tested: " in run.stdout, run.stdout
