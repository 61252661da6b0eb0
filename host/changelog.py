"""`CHANGELOG.md` in the form that Debian's tools read."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

# What is in no release yet is what the packages are built from.
UNRELEASED = "Unreleased"
# Of the packages that cargo-deb makes.
REVISION = "1"

_SECTION = re.compile(r"^## (?P<heading>.+)\n(?P<body>(?:(?!## ).*\n?)*)", re.MULTILINE)
_ENTRY = re.compile(r"^- (?P<text>.+(?:\n  .+)*)", re.MULTILINE)


def debian(markdown: str, package: str, version: str, maintainer: str, epoch: int) -> str:
    """Returns the changelog of one package; what is unreleased is `version`, dated `epoch`.

    A released section's heading is `VERSION - YEAR-MONTH-DAY`.
    """
    return "\n".join(_sections(markdown, package, version, maintainer, epoch))


def _sections(
    markdown: str, package: str, version: str, maintainer: str, epoch: int
) -> Iterator[str]:
    for section in _SECTION.finditer(markdown):
        if section["heading"] == UNRELEASED:
            of, date = version, datetime.fromtimestamp(epoch, UTC)
        else:
            of, _, day = section["heading"].partition(" - ")
            date = datetime.fromisoformat(day).replace(tzinfo=UTC)
        entries = [_wrapped(entry["text"]) for entry in _ENTRY.finditer(section["body"])]
        yield (
            f"{package} ({of}-{REVISION}) unstable; urgency=medium\n\n"
            + "".join(entries)
            + f"\n -- {maintainer}  {format_datetime(date)}\n"
        )


def _wrapped(entry: str) -> str:
    text = " ".join(entry.replace("`", "").split())
    lines = textwrap.wrap(text, 78, initial_indent="  * ", subsequent_indent="    ")
    return "".join(f"{line}\n" for line in lines)
