"""The ``#!`` lines above the rows of PLUMED's files: what they say, and those of a grid file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cyfes.errors import HillsFileError, InputError
from cyfes.model.domains import checked_ends

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cyfes.model.domains import Domain


_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}

_LONE_RETURN = re.compile(rb"\r[^\r\n]")


class Header(NamedTuple):
    """What the ``#!`` lines above some rows say."""

    fields: tuple[str, ...]
    #: What ``#! SET name value`` lines set.
    constants: dict[str, str]
    #: The number of the FIELDS line.
    line: int


def with_line(header: Header | None, line: str, number: int) -> Header | None:
    """Return the header after one more ``#!`` line.

    Parameters
    ----------
    header : Header or None
        The header before this line; None before the first FIELDS line.
    line : str
        The line. FIELDS begins a new header, SET adds a constant, and any other line changes
        nothing.
    number : int
        The number of the line.
    """
    words = line.split()
    if words[:2] == ["#!", "FIELDS"]:
        return Header(tuple(words[2:]), {}, number)
    if words[:2] == ["#!", "SET"] and len(words) == 4 and header is not None:
        header.constants[words[2]] = words[3]
    return header


def fault_of_text(start: bytes | bytearray) -> str | None:
    """Return what is wrong with the start of a text file, or None: its line ends, or a mark."""
    mark = next((name for mark, name in _BYTE_ORDER_MARKS.items() if start.startswith(mark)), None)
    if mark is not None:
        return (
            f"found a byte order mark (BOM) of {mark} at the start, as some editors write it; "
            "expected plain text: save the file as UTF-8 without BOM"
        )
    if b"\r" in start and _LONE_RETURN.search(start):
        return (
            "found lines that end with a carriage return (CR) alone, expected line feeds (LF); "
            "convert the file, for example with: tr '\\r' '\\n' < IN > OUT"
        )
    return None


def header_domain(name: str, constants: dict[str, str]) -> Domain:
    """Return the ends of a CV's domain as a header sets them, or None for a CV without period."""
    low, high = constants.get(f"min_{name}"), constants.get(f"max_{name}")
    if low is None and high is None:
        return None
    if low is None or high is None:
        missing = "min" if low is None else "max"
        raise HillsFileError(f"found no '#! SET {missing}_{name}', expected both ends of a domain")
    try:
        return checked_ends(name, (low, high))
    except InputError as error:
        raise HillsFileError(str(error)) from error


def column_header(fields: Sequence[str], constants: Mapping[str, str]) -> str:
    """Return the header of a column file: the names of its columns, and what it sets."""
    lines = [" ".join(["#! FIELDS", *fields])]
    lines += [f"#! SET {name} {value}" for name, value in constants.items()]
    return "\n".join(lines) + "\n"


def domain_constants(names: Sequence[str], domain: Sequence[Domain]) -> dict[str, str]:
    """Return what a header sets for the domains of the periodic ones among some variables."""
    return {
        f"{end}_{name}": literal
        for name, ends in zip(names, domain)
        if ends is not None
        for end, literal in zip(("min", "max"), ends)
    }


def grid_header(
    names: Sequence[str],
    bounds: Sequence[tuple[str, str]],
    shape: Sequence[int],
    periodic: Sequence[bool],
    columns: Sequence[str],
) -> str:
    """Return the header of a PLUMED grid file.

    Parameters
    ----------
    names : sequence of D str
        The collective variables.
    bounds : sequence of D (str, str)
        The literals of each axis's ends.
    shape : sequence of D int
        The points on each axis.
    periodic : sequence of D bool
        Whether each axis is periodic.
    columns : sequence of str
        The columns behind the coordinates.
    """
    lines = [" ".join(["#! FIELDS", *names, *columns])]
    for name, (lower, upper), points, wraps in zip(names, bounds, shape, periodic):
        lines += [
            f"#! SET min_{name} {lower}",
            f"#! SET max_{name} {upper}",
            # PLUMED writes two blanks before whole numbers.
            f"#! SET nbins_{name}  {points}",
            f"#! SET periodic_{name} {'true' if wraps else 'false'}",
        ]
    return "\n".join(lines) + "\n"
