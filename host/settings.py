"""Names, paths, ports and limits of a host: the one place that knows them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

STATE_DIRECTORY = Path("/var/lib/observability-stack/hosts")
# Trees take about 400 MB each; the variable moves them to another disk.
CACHE_DIRECTORY = Path(
    os.environ.get("OBSERVABILITY_STACK_CACHE", "/var/cache/observability-stack")
)
RUNTIME_DIRECTORY = Path("/run/observability-stack")

DEFAULT_HOST = "demo"
DEFAULT_SUITE = "trixie"
SUITES = ("trixie", "bookworm")

# In the environment of every process that the tool starts for a host, so that
# a later call finds them all, even when the call that started them was killed.
HOST_MARKER = "OBSERVABILITY_STACK_HOST"

# slirp4netns gives every guest the same addresses in a network of its own.
GUEST_NETWORK = "10.0.2.0/24"
GUEST_PREFIX_LENGTH = 24
GUEST_ADDRESS = "10.0.2.100"
GUEST_GATEWAY = "10.0.2.2"
GUEST_NAMESERVER = "10.0.2.3"
FORWARD_ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class Service:
    """One part of the deployed stack: what must be active, and where it answers."""

    name: str
    unit: str
    port: int | None = None
    health_path: str = "/health"
    optional: bool = False
    # The group of a fleet's hosts that has it; None means every host. A host by
    # itself has all but the database.
    group: str | None = None
    # Whose word proves who answers, where it speaks TLS.
    authority: Path | None = None
    # What it must be shown, where it lets only its fleet in: certificate and key in one file.
    identity: Path | None = None

    @property
    def scheme(self) -> str:
        return "http" if self.authority is None else "https"


APP, DATABASE, MONITORING = "app", "database", "monitoring"

SERVICES = (
    Service("transactions-api", "transactions-api.service", 8000, group=APP),
    Service("alert-bot", "alert-bot.service", 5001),
    Service("prometheus", "prometheus.service", 9090, "/-/ready", group=MONITORING),
    Service("alertmanager", "prometheus-alertmanager.service", 9093, "/-/ready", group=MONITORING),
    # Grafana comes from its vendor's repository, which may be out of reach.
    Service(
        "grafana", "grafana-server.service", 3000, "/api/health", optional=True, group=MONITORING
    ),
    Service("transactions-worker@1", "transactions-worker@1.service", group=APP),
    # Its service starts with the first scrape; the socket is what must be there.
    Service("unit-exporter", "unit-exporter.socket"),
    Service("node-exporter", "prometheus-node-exporter.service"),
    Service("blackbox-exporter", "prometheus-blackbox-exporter.service", group=MONITORING),
    # The cluster; `postgresql.service` is Debian's umbrella, which does nothing itself.
    Service("postgresql", "postgresql@*.service", group=DATABASE),
)

SERVICES_OF_A_HOST_BY_ITSELF = tuple(
    service for service in SERVICES if service.group in (None, APP, MONITORING)
)

FORWARDED_PORTS = tuple(service.port for service in SERVICES if service.port is not None)

DAEMONS = ("transactions-api", "transactions-worker", "alert-bot", "unit-exporter")

# What a fleet's hosts are called: the fleet's name and a number.
_MEMBER_NAME = re.compile(r"(?P<fleet>.+)-(?P<number>[1-9])")
MOST_MEMBERS = 9

_HOST_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True)
class Host:
    """One host and where its parts lie; the name is also its hostname."""

    name: str

    def __post_init__(self) -> None:
        if not _HOST_NAME.fullmatch(self.name):
            raise ValueError(
                f"host name {self.name!r}: use at most 32 of a-z, 0-9 and '-', a letter first"
            )

    @property
    def directory(self) -> Path:
        return STATE_DIRECTORY / self.name

    @property
    def tree(self) -> Path:
        return self.directory / "tree"

    @property
    def lock(self) -> Path:
        return RUNTIME_DIRECTORY / f"{self.name}.lock"

    @property
    def network_socket(self) -> Path:
        return RUNTIME_DIRECTORY / f"{self.name}.network"

    @property
    def machine_unit(self) -> str:
        return f"observability-stack-{self.name}.service"

    @property
    def network_unit(self) -> str:
        return f"observability-stack-{self.name}-network.service"

    @property
    def seat(self) -> Seat | None:
        """Its place in a fleet, as far as its name tells."""
        found = _MEMBER_NAME.fullmatch(self.name)
        return Seat(Host(found["fleet"]), int(found["number"])) if found else None

    @property
    def marker(self) -> dict[str, str]:
        return {HOST_MARKER: self.name}

    def log(self, step: str) -> Path:
        """Returns the file that takes the output of `step`; its folder exists afterwards."""
        folder = self.directory / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{step}.log"


@dataclass(frozen=True)
class Seat:
    """A host's place in a fleet; `network` bears the fleet's name and is what connects it."""

    network: Host
    number: int

    @property
    def address(self) -> str:
        first = GUEST_ADDRESS.rpartition(".")
        return f"{first[0]}.{int(first[2]) + self.number}"


def child_environment(host: Host | None = None) -> dict[str, str]:
    """Returns this process's environment, marked as work for `host`."""
    return {**os.environ, **(host.marker if host else {})}
