"""The API beside its peers, in one run: processor time of a request, and durable writes a second.

Servers have one processor, the load the other; peers take turns and the best round of each counts,
because whatever else runs only ever makes a round worse.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from bench.pinned import Run, Server, load, serving
from host import build, packages
from host.settings import REPOSITORY

ROUNDS = 3
SECONDS = 4
CLIENTS = 32
WRITERS = 64
PEERS = REPOSITORY / "bench" / "peers"
DEBIAN_PACKAGES = (
    "golang-go",
    "golang-github-mattn-go-sqlite3-dev",
    "golang-github-prometheus-client-golang-dev",
    "gunicorn",
    "python3-flask",
    "python3-prometheus-client",
    "wrk",
)

POST = """
wrk.method = "POST"
wrk.body = '{"amount":"12.34","currency":"EUR"}'
wrk.headers["Content-Type"] = "application/json"
"""
# At four fifths of the peak: each connection waits between its requests.
PACED = POST + "function delay() return %d end\n"

BUILT = ("--package=transactions-api", "--package=transactions-worker", "--package=transactions")

AUTOCOMMIT_ROWS = 300

WORKERS = 2
WORKERS_PORT = 18_210
SETTLED = "transactions_worker_settled_total{"

Work = TypeVar("Work")


def main() -> None:
    """Measures everything and prints it with its goals."""
    packages.install_test_packages(lambda line: None)
    installed = ["dpkg-query", "--show", "--showformat=${Package}\\n"]
    there = subprocess.run(installed, capture_output=True, text=True, check=True).stdout.split()
    missing = [package for package in DEBIAN_PACKAGES if package not in there]
    packages.install_debian_packages(lambda line: None, missing)
    build.cargo(
        [*"build --release --locked --bins --examples".split(), *BUILT],
        "bench",
        lambda line: None,
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        _reads(folder)
        _writes(folder)
        _postgresql(folder)


def _reads(folder: Path) -> None:
    with ExitStack() as running:
        api = running.enter_context(_api(folder, f"sqlite:{folder}/reads.db", 18_201))
        shown = f"/transactions/{_store_some(api)}"
        hyper = running.enter_context(_hyper(18_202))
        go = running.enter_context(_go(folder, folder / "reads.db", 18_203))
        flask = running.enter_context(_flask(18_204))
        best = _best(
            {
                "api": lambda: _get(api, "/health"),
                "hyper": lambda: _get(hyper, "/health"),
                "go": lambda: _get(go, "/health"),
                "flask": lambda: _get(flask, "/health"),
                "api, one": lambda: _get(api, shown),
                "go, one": lambda: _get(go, shown),
            }
        )
    print("\nprocessor time of one request, without the store")
    for server in ("hyper", "api", "go", "flask"):
        print(f"  {server:24} {best[server].cpu_us:8.1f} us  {best[server].per_second:9.0f}/s")
    _ratio("api / bare hyper", best["api"].cpu_us / best["hyper"].cpu_us, "<= 1.5")
    _ratio("go / api", best["go"].cpu_us / best["api"].cpu_us, ">= 2.5")
    _ratio("flask / api", best["flask"].cpu_us / best["api"].cpu_us, ">= 40")
    print("GET /transactions/{id}")
    for server in ("api, one", "go, one"):
        print(f"  {server:24} {best[server].cpu_us:8.1f} us  {best[server].per_second:9.0f}/s")
    _ratio("go / api", best["go, one"].cpu_us / best["api, one"].cpu_us, ">= 2")


def _writes(folder: Path) -> None:
    with _api(folder, f"sqlite:{folder}/writes.db", 18_205) as api:
        peak = _best({"post": lambda: _post(api)})["post"]
        pause = WRITERS / (0.8 * peak.per_second) - WRITERS / peak.per_second
        paced = _post(api, PACED % max(1, round(pause * 1000)))
        resident = api.resident_mib()
        with ExitStack() as running:
            workers = [
                running.enter_context(_worker(folder, f"sqlite:{folder}/writes.db", number))
                for number in range(1, WORKERS + 1)
            ]
            alone, _ = _settled_during(workers, lambda: time.sleep(SECONDS))
            beside, crowded = _settled_during(workers, lambda: _post(api))
    one_by_one = max(_autocommit(folder / f"autocommit-{round}.db") for round in range(ROUNDS))
    print(f"\nPOST /transactions, {WRITERS} keep-alive clients, synchronous=FULL")
    _ratio("acknowledged a second", peak.per_second, ">= 10000")
    _ratio("times a commit for each", peak.per_second / one_by_one, ">= 30")
    _ratio("p99 at the peak, ms", peak.p99_seconds * 1e3, "")
    share = paced.per_second / peak.per_second
    _ratio(f"p99 at {share:.0%} of it, ms", paced.p99_seconds * 1e3, "flat")
    _ratio("resident afterwards, MiB", resident, "<= 10")
    print(f"{WORKERS} workers on the same file and the same processor, without processing time")
    _ratio("settled a second, alone", alone, "")
    _ratio("settled at the API's peak", beside, "")
    _ratio("acknowledged meanwhile", crowded.per_second, "")


def _postgresql(folder: Path) -> None:
    with _database(folder) as socket:
        url = f"postgresql://postgres@{str(socket).replace('/', '%2F')}/postgres"
        with _api(folder, url, 18_206) as api:
            posted = _best({"post": lambda: _post(api)})["post"].per_second
            one_by_one = max(_pgbench(folder, socket) for _ in range(ROUNDS))
        stored = max(_store_inserts(url) for _ in range(ROUNDS))
    print("\nPostgreSQL, each acknowledged after its commit")
    _ratio("its autocommit a second", one_by_one, "")
    _ratio("POST /transactions", posted, "")
    _ratio("times its autocommit", posted / one_by_one, "")
    _ratio("the store by itself", stored, "")
    _ratio("times its autocommit", stored / one_by_one, ">= 20")


def _best(contestants: dict[str, Callable[[], Run]]) -> dict[str, Run]:
    """Lets each run once in every round; keeps what took the least processor time."""
    best: dict[str, Run] = {}
    for _ in range(ROUNDS):
        for name, run in contestants.items():
            result = run()
            if name not in best or result.cpu_us < best[name].cpu_us:
                best[name] = result
    return best


def _get(server: Server, path: str) -> Run:
    return load(server, path, clients=CLIENTS, seconds=SECONDS)


def _post(server: Server, script: str = POST) -> Run:
    return load(server, "/transactions", clients=WRITERS, seconds=SECONDS, script=script)


def _ratio(what: str, value: float, goal: str) -> None:
    print(f"  {what:24} {value:11.1f}{f'  goal {goal}' if goal else ''}")


def _store_some(api: Server) -> str:
    """Stores a thousand transactions and returns the id of one in their middle."""
    ids = []
    for _ in range(1_000):
        request = urllib.request.Request(
            f"{api.url}/transactions", b'{"amount":"12.34","currency":"EUR"}'
        )
        with urllib.request.urlopen(request) as answer:
            ids.append(json.load(answer)["id"])
    return str(ids[500])


@contextmanager
def _api(folder: Path, store: str, port: int) -> Iterator[Server]:
    config = folder / f"api-{port}.toml"
    config.write_text(f'listen = "127.0.0.1:{port}"\nstore = "{store}"\n')
    program = REPOSITORY / "target/release/transactions-api"
    with serving([str(program), "serve", "--config", str(config)], f"http://127.0.0.1:{port}") as api:
        yield api


@contextmanager
def _worker(folder: Path, store: str, instance: int) -> Iterator[Server]:
    config = folder / "worker.toml"
    config.write_text(
        f'store = "{store}"\nmetrics_address = "127.0.0.1"\nmetrics_base_port = {WORKERS_PORT}\n'
        'processing_time = "0s"\n'
    )
    program = REPOSITORY / "target/release/transactions-worker"
    command = [str(program), "serve", f"--instance={instance}", "--config", str(config)]
    with serving(command, f"http://127.0.0.1:{WORKERS_PORT + instance}") as worker:
        yield worker


def _settled_during(workers: list[Server], work: Callable[[], Work]) -> tuple[float, Work]:
    """Returns what the workers settle a second while `work` is done, and what that returns."""
    before, began = _settled(workers), time.monotonic()
    done = work()
    return (_settled(workers) - before) / (time.monotonic() - began), done


def _settled(workers: list[Server]) -> float:
    total = 0.0
    for worker in workers:
        with urllib.request.urlopen(f"{worker.url}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        total += sum(float(line.split()[1]) for line in lines if line.startswith(SETTLED))
    return total


def _hyper(port: int) -> AbstractContextManager[Server]:
    program = REPOSITORY / "target/release/examples/hyper-hello"
    return serving([str(program), f"127.0.0.1:{port}"], f"http://127.0.0.1:{port}")


def _go(folder: Path, database: Path, port: int) -> AbstractContextManager[Server]:
    program = folder / "go_server"
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode"}
    subprocess.run(
        ["go", "build", "-o", program, "."], cwd=PEERS / "go_server", env=environment, check=True
    )
    # As a Go program knows that it has one processor.
    command = ["env", "GOMAXPROCS=1", str(program), f"127.0.0.1:{port}", str(database)]
    return serving(command, f"http://127.0.0.1:{port}")


def _flask(port: int) -> AbstractContextManager[Server]:
    options = ["--workers=1", f"--bind=127.0.0.1:{port}", "--keep-alive=60"]
    command = ["gunicorn", *options, "flask_server:app"]
    return serving(command, f"http://127.0.0.1:{port}", cwd=PEERS)


def _autocommit(path: Path) -> float:
    """Returns the rows a second of a commit for each, with the journal that SQLite begins with."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute(
        "CREATE TABLE t (id BLOB PRIMARY KEY, minor INTEGER, currency TEXT, status TEXT, at INTEGER)"
    )
    began = time.monotonic()
    for number in range(AUTOCOMMIT_ROWS):
        row = (os.urandom(16), 1234, "EUR", "pending", number)
        database.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?)", row)
    return AUTOCOMMIT_ROWS / (time.monotonic() - began)


@contextmanager
def _database(folder: Path) -> Iterator[Path]:
    """A PostgreSQL server of the bench's own; returns the directory of its socket."""
    programs = max(Path("/usr/lib/postgresql").iterdir()) / "bin"
    place = folder / "postgresql"
    place.mkdir()
    folder.chmod(0o755)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
    if nobody:
        os.chown(place, 65534, 65534)

    def run(*words: object) -> None:
        subprocess.run([*nobody, *map(str, words)], check=True, capture_output=True)

    run(programs / "initdb", "--username=postgres", "--auth=trust", "-D", place / "data")
    options = f"-k {place} -c listen_addresses="
    run(programs / "pg_ctl", "-D", place / "data", "-o", options, "-l", place / "log", "-w", "start")
    try:
        yield place
    finally:
        run(programs / "pg_ctl", "-D", place / "data", "-m", "immediate", "stop")


def _store_inserts(url: str) -> float:
    """Returns the inserts a second of the store without HTTP before it."""
    program = REPOSITORY / "target/release/examples/store-inserts"
    command = [str(program), url, str(SECONDS)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _pgbench(folder: Path, socket: Path) -> float:
    """Returns the inserts a second of one connection that commits each."""
    script = folder / "insert.sql"
    script.write_text(
        "INSERT INTO transactions (id, amount_minor, currency, created_at_ms)"
        " VALUES (gen_random_uuid(), 1234, 'EUR', 0);\n"
    )
    programs = max(Path("/usr/lib/postgresql").iterdir()) / "bin"
    connection = ["-h", socket, "-U", "postgres", "postgres"]
    command = [programs / "pgbench", "-n", "-f", script, "-T", str(SECONDS), *connection]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (line,) = (line for line in report.splitlines() if line.startswith("tps ="))
    return float(line.split()[2])
