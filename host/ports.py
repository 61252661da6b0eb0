"""Which ports of this machine are taken, and by whom, before anything is changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from host.processes import all_pids, command_line

_LISTEN = "0A"
# Loopback and "any", as /proc/net writes addresses: hexadecimal, byte-swapped words.
_IPV4_ADDRESSES = ("0100007F", "00000000")
_IPV6_ADDRESSES = ("0" * 32, "0000000000000000FFFF00000100007F")


@dataclass(frozen=True)
class Holder:
    """A listening port and the process behind it, where that can be told."""

    port: int
    pid: int | None
    command: str

    def __str__(self) -> str:
        who = f"process {self.pid} ({self.command})" if self.pid else "a process of another user"
        return f"port {self.port} is taken by {who}"


def taken(ports: Iterable[int], *, ignore: Iterable[int] = ()) -> list[Holder]:
    """Returns who holds any of `ports` on the loopback address, but for processes `ignore`."""
    wanted = set(ports)
    inodes = {inode: port for port, inode in _listening() if port in wanted}
    owners = dict(_owners(set(inodes)))
    ignored = set(ignore)
    return sorted(
        (
            Holder(port, owners.get(inode), command_line(owners[inode]) if inode in owners else "")
            for inode, port in inodes.items()
            if owners.get(inode) not in ignored
        ),
        key=lambda holder: holder.port,
    )


def _listening() -> Iterator[tuple[int, str]]:
    """Yields port and socket inode of each TCP listener that loopback traffic can reach."""
    for table, addresses in (("tcp", _IPV4_ADDRESSES), ("tcp6", _IPV6_ADDRESSES)):
        try:
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            address, port = fields[1].split(":")
            if fields[3] == _LISTEN and address in addresses:
                yield int(port, 16), fields[9]


def _owners(inodes: set[str]) -> Iterator[tuple[str, int]]:
    names = {f"socket:[{inode}]": inode for inode in inodes}
    if not names:
        return
    for pid in all_pids():
        folder = f"/proc/{pid}/fd"
        try:
            descriptors = os.listdir(folder)
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                target = os.readlink(f"{folder}/{descriptor}")
            except OSError:
                continue
            if target in names:
                yield names[target], pid
