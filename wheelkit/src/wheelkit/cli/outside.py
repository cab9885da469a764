"""The options for libraries that a wheel does not bring, which `repair` and `verify` share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wheelkit.wheel.companions import Companion


def words(text: str) -> tuple[str, ...]:
    """Take a list apart; the empty text is an empty list."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def folder(text: str) -> Path:
    """Return the folder that an option names."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"no such folder: {text}")
    return Path(text)


def add_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the options."""
    add = parser.add_argument
    add(
        "--exclude",
        action="extend",
        type=words,
        metavar="GLOB",
        help="libraries that the wheel does not contain, as a pattern of SONAMEs such as "
        "libfoo.so.*. May be repeated",
    )
    add(
        "--companion",
        action="extend",
        type=words,
        metavar="NAME[=WHEEL]",
        help="another distribution whose libraries the wheel uses, and optionally a wheel of it. "
        "May be repeated (default: all distributions that the wheel requires and whose libraries "
        "it needs)",
    )
    add(
        "--companions",
        type=folder,
        metavar="DIR",
        help="a folder with the wheels of these distributions (default: pip downloads them)",
    )


def as_json(companions: Iterable[Companion | str]) -> list[dict[str, object]]:
    """Return what a report says of companions; of one that was not looked at, its name alone."""
    return [
        {"name": c}
        if isinstance(c, str)
        else {"name": c.name, "version": c.version, "wheel": c.path.name, "sha256": c.sha256}
        for c in companions
    ]
