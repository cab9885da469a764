"""The section of a version in a changelog of the Keep a Changelog format."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from markdown_it import MarkdownIt

from wheelkit.target.report import Fault, FaultyError

HEADING = re.compile(r"\[(?P<version>[^\]\n]+)\](?: - (?P<date>\S+))?")
REMEDY = "put a heading with the version and the date above the changes of [Unreleased]"


@dataclass(frozen=True)
class Heading:
    """A heading of the second level or above: its text, and the lines from and to which it goes."""

    level: str
    text: str
    first: int
    end: int


def section(text: str, version: str) -> str:
    """Return what the changelog says of a version, without its heading.

    Raises
    ------
    FaultyError
        It has no such section or two, the section is empty, or its heading has no date.
    """
    headings = _headings(text)
    matches = {heading: HEADING.fullmatch(heading.text) for heading in headings}
    own = [
        (heading, match["date"])
        for heading, match in matches.items()
        if heading.level == "h2" and match is not None and match["version"] == version
    ]
    expected = f"one heading '## [{version}] - YYYY-MM-DD' with text below it"
    if len(own) != 1:
        raise _fault(f"{len(own)} such headings", expected)
    ((heading, date),) = own
    if not _is_date(date):
        raise _fault(f"## {heading.text}", expected)
    later = [other.first for other in headings if other.first > heading.first]
    # The line breaks that the parser counts.
    lines = re.split(r"\r\n?|\n", text)[heading.end : min(later, default=None)]
    body = "\n".join(lines).strip()
    if not _says_something(body):
        raise _fault(f"nothing below '## {heading.text}'", expected)
    return body


def _headings(text: str) -> list[Heading]:
    """Return the headings that a reader sees: none in a comment, a quotation or a block of code."""
    tokens = MarkdownIt("commonmark").parse(text)
    return [
        Heading(token.tag, tokens[index + 1].content.strip(), *token.map)
        for index, token in enumerate(tokens)
        if token.type == "heading_open" and token.level == 0 and token.map
        if token.tag in ("h1", "h2")
    ]


def _says_something(body: str) -> bool:
    """Whether there is more than headings and comments."""
    tokens = MarkdownIt("commonmark").parse(body)
    return any(
        token.type in ("fence", "code_block")
        or (token.type == "inline" and tokens[index - 1].type != "heading_open")
        for index, token in enumerate(tokens)
    )


def _is_date(text: str | None) -> bool:
    try:
        return text is not None and bool(datetime.date.fromisoformat(text))
    except ValueError:
        return False


def _fault(found: str, expected: str) -> FaultyError:
    return FaultyError(
        [Fault("changelog", "CHANGELOG.md", found=found, expected=expected, remedy=REMEDY)]
    )
