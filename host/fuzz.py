"""A short run of every fuzz target: libFuzzer over the committed corpus and what it makes of it.

It is the real thing, coverage-guided, but on the stable compiler and so without sanitizers, which
this code, being without `unsafe`, has little use for.
"""

from __future__ import annotations

import os

from host import build, packages, run
from host.report import Progress
from host.settings import REPOSITORY

FUZZ = REPOSITORY / "fuzz"
SCRATCH = REPOSITORY / "target" / "fuzz"

# Enough to walk the committed corpus and try each of its bytes otherwise.
RUNS = 20_000
# A policy's regular expressions are slow to compile: so many seconds have to do.
MAX_SECONDS = 30
# Larger inputs only take longer: every parser works line by line or token by token.
MAX_BYTES = 4096


def targets() -> list[str]:
    """Returns the names of the fuzz targets."""
    return sorted(path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs"))


def run_all(progress: Progress) -> None:
    """Runs every target; prints what libFuzzer counted.

    # Errors
    `StepError` with the input that broke a target.
    """
    for target in targets():
        with progress.step(f"cargo fuzz run {target}") as on_line:
            build.cargo(_arguments(target), f"fuzz-{target}", on_line)
        print(f"      {_summary(target)}", flush=True)


def _arguments(target: str) -> list[str]:
    # libFuzzer writes what it finds into the first folder; the committed one stays as it is.
    found = SCRATCH / "corpus" / target
    user = run.User.calling()
    for folder in (SCRATCH.parent, SCRATCH, SCRATCH / "corpus", found):
        if not folder.exists():
            folder.mkdir()
            os.chown(folder, user.uid, user.gid)
    return [
        *("fuzz", "run", f"--fuzz-dir={FUZZ}", f"--target-dir={SCRATCH}"),
        *("--sanitizer=none", "--dev", target, str(found), str(FUZZ / "corpus" / target)),
        *("--", f"-runs={RUNS}", f"-max_total_time={MAX_SECONDS}", f"-max_len={MAX_BYTES}"),
        *("-print_final_stats=1", f"-artifact_prefix={SCRATCH}/"),
    ]


def _summary(target: str) -> str:
    lines = packages.log(f"fuzz-{target}").read_text(errors="replace").splitlines()
    return next((line for line in reversed(lines) if line.startswith("Done ")), "no runs")
