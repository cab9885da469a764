"""The section of a version in a changelog of the Keep a Changelog format."""

from __future__ import annotations

import datetime
import re

from wheelkit.target.report import Fault, FaultyError

HEADING = re.compile(r"^## \[(?P<version>[^\]\n]+)\](?: - (?P<date>\S+))?[ \t]*$", re.M)
REMEDY = "give the changes of [Unreleased] a heading of their own, with a date"


def section(text: str, version: str) -> str:
    """Return what the changelog says of a version, without its heading.

    Raises
    ------
    FaultyError
        It has no such section or two, the section is empty, or its heading has no date.
    """
    headings = list(HEADING.finditer(text))
    own = [heading for heading in headings if heading["version"] == version]
    expected = f"one heading '## [{version}] - YYYY-MM-DD' with text below it"
    if len(own) != 1:
        raise _fault(f"{len(own)} such headings", expected)
    if not _is_date(own[0]["date"]):
        raise _fault(own[0][0], expected)
    later = [heading.start() for heading in headings if heading.start() > own[0].start()]
    body = text[own[0].end() : min(later, default=len(text))].strip()
    if not re.search(r"^[^#\s]", body, re.M):
        raise _fault(f"nothing below '{own[0][0]}'", expected)
    return body


def _is_date(text: str | None) -> bool:
    try:
        return text is not None and bool(datetime.date.fromisoformat(text))
    except ValueError:
        return False


def _fault(found: str, expected: str) -> FaultyError:
    return FaultyError([Fault("changelog", "CHANGELOG.md", found, expected, REMEDY)])
