"""Which hosts a fleet has and what each is for, written as the inventory that Ansible reads.

The file is made by `up` and is the one place that remembers a fleet's size.
Its variables are those of the inventory `example-fleet`.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from secrets import token_urlsafe

from host import certificates
from host.processes import leader_pid
from host.settings import (
    APP,
    DATABASE,
    GUEST_NETWORK,
    MONITORING,
    REPOSITORY,
    SERVICES,
    SERVICES_OF_A_HOST_BY_ITSELF,
    Host,
    Service,
)

EXAMPLE = REPOSITORY / "ansible" / "inventories" / "example-fleet"

# Two watch each other and all the rest; a third would add nothing but load.
MOST_MONITORING = 2


def plan(network: Host, size: int) -> dict[str, list[str]]:
    """Returns group → hosts of a fleet of so many hosts.

    The last one keeps the data, all others run the application, and the first
    two of them watch.
    """
    names = [f"{network.name}-{number}" for number in range(1, size + 1)]
    application = names[:-1]
    return {APP: application, DATABASE: names[-1:], MONITORING: application[:MOST_MONITORING]}


def directory(network: Host) -> Path:
    """Returns the folder that `ansible-playbook --inventory` takes."""
    return network.directory / "inventory"


def remember(network: Host, size: int) -> None:
    """Writes down which hosts there are to be, before any of them runs."""
    _write(network, plan(network, size), {})


def forget(network: Host) -> None:
    """Makes `network` a host by itself."""
    shutil.rmtree(directory(network), ignore_errors=True)


def write(network: Host) -> Path:
    """Writes the inventory of the running fleet, how to reach each host included."""
    groups = _groups(network)
    reach: dict[str, dict[str, object]] = {}
    for member in members(network):
        seat = member.seat
        assert seat is not None, "a member's name tells its seat"
        reach[member.name] = {
            "ansible_connection": "nsenter",
            "ansible_nsenter_pid": leader_pid(member),
            "stack_listen_address": seat.address,
            "stack_external_host": "localhost",
        }
    _write(network, groups, reach)
    return directory(network)


def members(network: Host) -> list[Host]:
    """Returns the fleet's hosts, as last brought up; none where it is no fleet."""
    names = {name for hosts in _groups(network).values() for name in hosts}
    return [Host(name) for name in sorted(names)]


def services_of(host: Host) -> list[Service]:
    """Returns the services that `host` should have."""
    seat = host.seat
    groups = _groups(seat.network) if seat else {}
    mine = {group for group, hosts in groups.items() if host.name in hosts}
    if not mine:
        return list(SERVICES_OF_A_HOST_BY_ITSELF)
    assert seat is not None, "only a fleet has groups"
    return [
        _in_fleet(service, seat.network)
        for service in SERVICES
        if service.group is None or service.group in mine
    ]


def _in_fleet(service: Service, network: Host) -> Service:
    """Returns how the service is reached: API and bot let anybody ask, the others only the fleet."""
    match service.name:
        case "transactions-api" | "alert-bot":
            return replace(service, authority=authority_file(network))
        case "grafana" | "postgresql":
            return service
        case _:
            return replace(service, authority=authority_file(network), identity=operator_file(network))


def authority_file(network: Host) -> Path:
    """Returns where the certificate of the authority is that the members trust."""
    return network.directory / "authority.pem"


def operator_file(network: Host) -> Path:
    """Returns where certificate and key are with which people reach what lets only the fleet in."""
    return network.directory / "operator.pem"


def _file(network: Host) -> Path:
    return directory(network) / "hosts.json"


def _groups(network: Host) -> dict[str, list[str]]:
    try:
        written = json.loads(_file(network).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {group: list(entry["hosts"]) for group, entry in written.items() if group != "all"}


def _write(
    network: Host, groups: dict[str, list[str]], reach: dict[str, dict[str, object]]
) -> None:
    directory(network).mkdir(parents=True, exist_ok=True, mode=0o700)
    variables = directory(network) / "group_vars"
    variables.unlink(missing_ok=True)
    variables.symlink_to(EXAMPLE / "group_vars")
    content: dict[str, dict[str, object]] = {
        group: {"hosts": dict.fromkeys(hosts, {})} for group, hosts in groups.items()
    }
    names = sorted({name for hosts in groups.values() for name in hosts})
    content["all"] = {"hosts": reach, "vars": _variables(network, names)}
    _file(network).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _variables(network: Host, names: list[str]) -> dict[str, object]:
    """Returns the fleet's own variables; what a site would keep in a vault is made once, and kept."""
    try:
        known = json.loads(_file(network).read_text(encoding="utf-8"))["all"]["vars"]
    except FileNotFoundError:
        known = {}
    tokens = known.get("fleet_webhook_tokens", {})
    return {
        # A fleet of `make up` is there to be broken and watched, as its single host is.
        "fleet_profile": "demo",
        "fleet_network": GUEST_NETWORK,
        "fleet_webhook_tokens": {name: tokens.get(name, token_urlsafe()) for name in names},
        **_identities(network, names, known),
        "fleet_transactions_password": known.get("fleet_transactions_password", token_urlsafe()),
        "fleet_repairs_password": known.get("fleet_repairs_password", token_urlsafe()),
    }


def _identities(
    network: Host, names: list[str], known: dict[str, dict[str, str]]
) -> dict[str, object]:
    """Returns what the members prove themselves with; once for each set of members."""
    if set(known.get("fleet_tls_keys", {})) == set(names):
        kept = ("fleet_tls_authority", "fleet_tls_certificates", "fleet_tls_keys")
        return {name: known[name] for name in kept}
    authority = certificates.make_authority(f"{network.name} fleet")
    seats = {name: Host(name).seat for name in names}
    made = {
        name: certificates.certify_host(authority, name, seat.address)
        for name, seat in seats.items()
        if seat is not None
    }
    authority_file(network).write_text(authority.certificate, encoding="ascii")
    operator = certificates.certify_person(authority, "operator")
    operator_file(network).touch(mode=0o600)
    operator_file(network).write_text(operator.certificate + operator.key, encoding="ascii")
    return {
        "fleet_tls_authority": authority.certificate,
        "fleet_tls_certificates": {name: it.certificate for name, it in made.items()},
        "fleet_tls_keys": {name: it.key for name, it in made.items()},
    }
