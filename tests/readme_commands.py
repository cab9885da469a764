"""Reads from README the commands that it tells its readers to type."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

INSTALL = ["sudo", "apt", "install"]


class ReadmeError(Exception):
    """README does not have what is read from it."""


def console_commands(page: Path, section: str) -> list[str]:
    """Return the commands of the first console block in a section of a Markdown page.

    Parameters
    ----------
    page
        The Markdown file.
    section
        The text of the section's heading.

    Returns
    -------
    list of str
        What stands after each ``$``, as typed; a line that a backslash ends goes on in the next.

    Raises
    ------
    ReadmeError
        There is no such section, no console block in it, or no command in the block.
    """
    text = page.read_text(encoding="utf-8")
    heading = re.search(rf"^(#+) {re.escape(section)}\n", text, re.MULTILINE)
    if heading is None:
        raise ReadmeError(f"{page.name} has no section '{section}'")
    # It ends at the next heading of its own level or a higher one.
    after = re.split(rf"^#{{1,{len(heading[1])}}} ", text[heading.end() :], flags=re.MULTILINE)[0]
    block = re.search(r"^```console\n(.*?)^```$", after, re.MULTILINE | re.DOTALL)
    if block is None:
        raise ReadmeError(f"section '{section}' of {page.name} has no ```console block")
    commands = re.findall(r"^\$ ((?:.*\\\n)*.*)$", block[1], re.MULTILINE)
    if not commands:
        raise ReadmeError(f"the console block of '{section}' in {page.name} has no line '$ …'")
    return commands


def packages(command: str) -> list[str]:
    """Return the Debian packages that a command ``sudo apt install …`` names.

    Raises
    ------
    ReadmeError
        It is another command, or names no package.
    """
    words = shlex.split(command)
    names = [word for word in words[len(INSTALL) :] if not word.startswith("-")]
    if words[: len(INSTALL)] != INSTALL or not names:
        raise ReadmeError(f"found '{command}', expected '{' '.join(INSTALL)} PACKAGE…'")
    return names


def cloned_address(commands: list[str]) -> str:
    """Return the address that the one command ``git clone ADDRESS`` among others names.

    Raises
    ------
    ReadmeError
        There is none, or there are several.
    """
    found = [words[2] for words in map(shlex.split, commands) if words[:2] == ["git", "clone"]]
    if len(found) != 1:
        raise ReadmeError(f"found {len(found)} commands 'git clone ADDRESS', expected one")
    return found[0]
