"""The notices of the crates that are part of a binary, which their licences want passed on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_NOTICE = re.compile(r"(?:un)?licen[cs]e|copying|copyright|notice", re.IGNORECASE)
_RULE = "-" * 78


def third_party(metadata: Mapping[str, Any], package: str) -> str:
    """Returns what the crates say of themselves that `package` is linked with.

    `metadata` is what `cargo metadata` prints. A text that several crates share is given once.
    """
    shared: dict[str, list[str]] = {}
    for crate in _linked(metadata, package):
        name = (
            f"{crate['name']} {crate['version']} ({crate['license'] or 'see its text'})"
        )
        texts = list(_texts(Path(crate["manifest_path"]).parent))
        for text in texts or [_unwritten(crate)]:
            shared.setdefault(text, []).append(name)
    return "\n".join(
        "\n".join([_RULE, *names, _RULE, "", text, ""])
        for text, names in shared.items()
    )


def _linked(metadata: Mapping[str, Any], package: str) -> Iterator[Mapping[str, Any]]:
    """Yields the crates from elsewhere whose code is in the binary, sorted by name."""
    crates = {crate["id"]: crate for crate in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    own = set(metadata["workspace_members"])
    seen: set[str] = set()
    ahead = [each for each in own if crates[each]["name"] == package]
    while ahead:
        at = ahead.pop()
        if at in seen or _runs_in_the_compiler(crates[at]):
            continue
        seen.add(at)
        ahead.extend(
            dependency["pkg"]
            for dependency in nodes[at]["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"])
        )
    yield from sorted(
        (crates[each] for each in seen - own), key=lambda crate: crate["id"]
    )


def _runs_in_the_compiler(crate: Mapping[str, Any]) -> bool:
    return any("proc-macro" in target["kind"] for target in crate["targets"])


def _texts(folder: Path) -> Iterator[str]:
    for file in sorted(folder.iterdir()):
        if file.is_file() and _NOTICE.match(file.name):
            yield file.read_text(encoding="utf-8", errors="replace").strip()


def _unwritten(crate: Mapping[str, Any]) -> str:
    authors = ", ".join(crate["authors"]) or "its authors"
    return f"Copyright {authors}. Its package holds no text of its licence."
