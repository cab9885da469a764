"""Runs the code blocks of the documentation's pages, in order, each page in a folder of its own.

A ``python`` block is executed; a ``console`` block's lines that begin with ``$`` are commands of
``cyfes`` or ``wheelkit``. What a block prints is kept as ``1.txt``, ``2.txt`` and
so on beside the pictures that it writes, for the page to include. A page that begins with
``needs: NAME`` finds the files of that page in its folder.
"""

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

# The language of code that needs a GPU, CuPy and PyTorch.
GPU_CODE = "{code-block} python"

# Commands of a shell, and what they print. Tests of their own run them.
SHELL_CODE = "{code-block} console"

# Languages of blocks that are no code, and of code that needs a GPU: shown, not run here.
SHOWN = ("text", "toml", "yaml", "json", GPU_CODE, SHELL_CODE)
# Directives that show files, or other markup; an argument may follow.
DIRECTIVES = ("{literalinclude}", "{include}", "{toctree}", "{eval-rst}")

# Commands that a page may show although the docs cannot run them: they install cyfes.
NOT_RUN = ("pip", "python3", ".")

# A block that runs for longer says so, again and again, after this many seconds.
SILENCE = 5.0

_FENCE = re.compile(r"^```(?P<language>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A code block and the number of its first line."""

    language: str
    body: str
    line: int


class PageError(Exception):
    """A block cannot be run, or fails."""


def blocks_of(page: Path, languages: tuple[str, ...] = ("python", "console")) -> list[Block]:
    """Return the code blocks of a page in some languages."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        language = match["language"].strip()
        line = text.count("\n", 0, match.start()) + 2
        if language in languages:
            found.append(Block(language, match["body"], line))
            continue
        known = (*SHOWN, "python", "console")
        if language not in known and not language.startswith(DIRECTIVES):
            raise PageError(
                f"{page.name}:{line}: found the language {language!r}, expected one of "
                f"{', '.join(known)}"
            )
    return found


def needed_by(page: Path) -> str | None:
    """Return the name of the page whose files this one needs."""
    match = re.search(r"^---\nneeds: (\w+)\n---$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else None


def run_page(
    page: Path,
    folder: Path,
    given: Path | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> None:
    """Run the blocks of a page.

    Parameters
    ----------
    page : Path
        The page.
    folder : Path
        The folder in which the blocks run. It is removed first.
    given : Path, optional
        The folder of the page whose files this one needs.
    say : callable
        Takes a line that says which block runs or has run, and its seconds.

    Raises
    ------
    PageError
        If a block fails; the message names its file and line.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in given.iterdir() if given else ():
        if file.suffix not in (".txt", ".svg", ".png"):
            shutil.copy(file, folder)
    names: dict[str, Any] = {"__name__": "__main__"}
    blocks = blocks_of(page)
    for number, block in enumerate(blocks, 1):
        where = f"{page.name}:{block.line}"
        with _inside(folder), _timed(f"{where}: block {number} of {len(blocks)}", say):
            run = _run_python if block.language == "python" else _run_console
            output = run(block.body, names, where)
        (folder / f"{number}.txt").write_text(output, encoding="utf-8")


def run_all(pages: Path, folder: Path, say: Callable[[str], object]) -> None:
    """Run all pages, those first that others need; `say` takes a line for each page and block."""
    found = [page for page in sorted(pages.rglob("*.md")) if folder not in page.parents]
    found.sort(key=lambda page: needed_by(page) is not None)
    for number, page in enumerate(found, 1):
        say(f"running the code of {page.name}, page {number} of {len(found)}")
        need = needed_by(page)
        run_page(page, folder / page.stem, folder / need if need else None, say)


@contextlib.contextmanager
def _timed(what: str, say: Callable[[str], object]) -> Iterator[None]:
    """Say while a block runs that it still does, and how many seconds it took."""
    started = time.monotonic()
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(SILENCE):
            say(f"{what} has been running for {time.monotonic() - started:.0f} s")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
    say(f"{what}: {time.monotonic() - started:.1f} s")


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _run_python(body: str, names: dict[str, Any], where: str) -> str:
    output = io.StringIO()
    # Without a screen.
    os.environ.setdefault("MPLBACKEND", "Agg")
    try:
        with contextlib.redirect_stdout(output):
            exec(compile(body, where, "exec"), names)  # noqa: S102 - the page's own code
    except Exception as error:
        raise PageError(f"{where}: {type(error).__name__}: {error}") from error
    return output.getvalue()


def _run_console(body: str, _: dict[str, Any], where: str) -> str:
    output = []
    for line in body.replace("\\\n", " ").splitlines():
        if not line.startswith("$ "):
            raise PageError(f"{where}: found {line!r}, expected commands after '$ '")
        program, *arguments = shlex.split(line[2:], comments=True)
        if program in NOT_RUN:
            continue
        if program not in ("cyfes", "wheelkit"):
            raise PageError(f"{where}: found {line!r}, expected a command of cyfes or wheelkit")
        command = [sys.executable, "-m", program, *arguments]
        done = subprocess.run(
            command, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if done.returncode:
            raise PageError(f"{where}: exit status {done.returncode}: {done.stdout}")
        output.append(done.stdout)
    return "".join(output)
