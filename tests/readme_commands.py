"""Reads the commands that README tells its readers to type."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

INSTALL = ["sudo", "apt", "install"]


class ReadmeError(Exception):
    """README does not contain what is to be read from it."""


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
        The text after each ``$``. A line that ends with a backslash continues on the next line.

    Raises
    ------
    ReadmeError
        There is no such section, no console block in it, or no command in the block.
    """
    text = page.read_text(encoding="utf-8")
    heading = re.search(rf"^(#+) {re.escape(section)}\n", text, re.MULTILINE)
    if heading is None:
        raise ReadmeError(f"{page.name} has no section '{section}'")
    # The section ends at the next heading of the same level or a higher one.
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
        The command is another one, or names no package.
    """
    words = shlex.split(command)
    names = [word for word in words[len(INSTALL) :] if not word.startswith("-")]
    if words[: len(INSTALL)] != INSTALL or not names:
        raise ReadmeError(f"found '{command}', expected '{' '.join(INSTALL)} PACKAGE…'")
    return names


def cloned_address(commands: list[str]) -> str:
    """Return the address in the only command ``git clone ADDRESS`` of a list of commands.

    Raises
    ------
    ReadmeError
        There is no such command, or more than one.
    """
    found = [words[2] for words in map(shlex.split, commands) if words[:2] == ["git", "clone"]]
    if len(found) != 1:
        raise ReadmeError(f"found {len(found)} commands 'git clone ADDRESS', expected one")
    return found[0]
