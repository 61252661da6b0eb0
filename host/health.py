"""Whether every part of a deployed stack is active and answers, seen from this machine."""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from host import guest, inventory, network
from host.processes import wait_until
from host.settings import (
    FORWARD_ADDRESS,
    SERVICES,
    SERVICES_OF_A_HOST_BY_ITSELF,
    Host,
    Service,
)

HEALTHY_SECONDS = 90.0
PROBE_SECONDS = 3.0

# The units of all services, in one call.
SHOW_UNITS = (
    "systemctl",
    "show",
    "--property=Id,LoadState,ActiveState,SubState",
    *(service.unit for service in SERVICES),
)


@dataclass(frozen=True)
class Health:
    """One service's state now."""

    service: Service
    unit_state: str
    url: str | None
    answer: str
    healthy: bool
    installed: bool

    @property
    def acceptable(self) -> bool:
        """Healthy, or left out because it is optional and was not installed."""
        return self.healthy or (self.service.optional and not self.installed)


def survey(host: Host) -> list[Health]:
    """Returns the state of every service of the stack on `host`."""
    outer_ports = {inner: outer for outer, inner in network.forwarded(host).items()}
    services = inventory.services_of(host)
    return assess(guest.run(host, SHOW_UNITS).stdout, outer_ports, services)


def assess(
    shown_units: str,
    outer_ports: Mapping[int, int],
    services: Sequence[Service] = SERVICES_OF_A_HOST_BY_ITSELF,
) -> list[Health]:
    """Returns the state of every one of `services`.

    `shown_units` is what SHOW_UNITS printed on the host, `outer_ports` gives
    the port on this machine that leads to each of the host's.
    """
    states = _unit_states(shown_units)
    return [_inspect(service, _state_of(service, states), outer_ports) for service in services]


def wait_until_healthy(host: Host) -> list[Health]:
    """Waits until every service is healthy; returns the last survey either way."""
    return wait_for(lambda: survey(host))


def wait_for(
    look: Callable[[], list[Health]], seconds: float = HEALTHY_SECONDS
) -> list[Health]:
    """Looks until every service is healthy; returns the last survey either way."""
    last: list[Health] = []

    def all_acceptable() -> bool:
        nonlocal last
        last = look()
        return all(health.acceptable for health in last)

    wait_until(all_acceptable, seconds)
    return last


def _state_of(service: Service, states: Mapping[str, dict[str, str]]) -> dict[str, str]:
    """Returns the properties of its unit, which may be a pattern of which there is one."""
    return next((states[unit] for unit in states if fnmatch(unit, service.unit)), {})


def _unit_states(shown_units: str) -> dict[str, dict[str, str]]:
    """Returns Id → properties."""
    states = {}
    for block in shown_units.strip().split("\n\n"):
        properties = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in properties:
            states[properties["Id"]] = properties
    return states


def _inspect(service: Service, state: dict[str, str], outer_ports: Mapping[int, int]) -> Health:
    installed = state.get("LoadState") == "loaded"
    unit_state = state.get("ActiveState", "unknown") if installed else "not installed"
    active = unit_state == "active"
    outer = outer_ports.get(service.port) if service.port is not None else None
    if outer is None:
        return Health(service, unit_state, None, "", active and service.port is None, installed)
    url = f"{service.scheme}://localhost:{outer}"
    answer, well = _probe(service, f"{FORWARD_ADDRESS}:{outer}")
    shown = answer if installed else "not installed"
    return Health(service, unit_state, url, shown, active and well, installed)


def _probe(service: Service, address: str) -> tuple[str, bool]:
    url = f"{service.scheme}://{address}{service.health_path}"
    trust = trust_in(service)
    started = time.monotonic()
    try:
        with urllib.request.urlopen(url, timeout=PROBE_SECONDS, context=trust) as response:
            milliseconds = (time.monotonic() - started) * 1000
            return f"{response.status} in {milliseconds:.0f} ms", True
    except urllib.error.HTTPError as error:
        return str(error.code), False
    except OSError as error:
        return f"no answer ({getattr(error, 'reason', error)})", False


def trust_in(service: Service) -> ssl.SSLContext | None:
    """Returns how to find out who answers, and to prove who asks; None where nobody has to."""
    if service.authority is None:
        return None
    trust = ssl.create_default_context(cafile=service.authority)
    if service.identity is not None:
        trust.load_cert_chain(service.identity)
    return trust
