"""The repository's documents as the tests do what they say: their commands and snippets."""

from __future__ import annotations

import re
from dataclasses import dataclass

from host.settings import REPOSITORY

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Section:
    """What stands below one second-level heading."""

    text: str

    @property
    def commands(self) -> list[str]:
        """The indented lines, each of them a command to type."""
        plain = _FENCED.sub("", self.text)
        return [line.strip() for line in plain.splitlines() if line.startswith("    ")]

    def snippet(self, language: str) -> str:
        """The one fenced block in this language."""
        (found,) = [text for kind, text in _FENCED.findall(self.text) if kind == language]
        return found


def sections(document: str) -> dict[str, Section]:
    """Returns the sections of a document below `docs/` by their headings."""
    text = (REPOSITORY / "docs" / document).read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)[1:]
    return {title: Section(body) for title, body in zip(parts[::2], parts[1::2], strict=True)}
