"""Run one long command, and say all the while what it does and for how long it has been running.

On a terminal the last line of the screen holds the title of the step, its seconds and the newest
line that the command has printed. In a log, which keeps every line, there is a line at the start,
one at the end, and one after each ten seconds in which the command has printed nothing. A step that
is run by another one hands its state to that one, which shows it as the newest line.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

# Nobody should have to wonder for longer than this whether a step still runs.
LONGEST_SILENCE = 10.0
# The characters of the newest line that are shown: some programs print very long ones.
NEWEST = 100
# Removes the last line of a terminal, to write it anew.
ERASE = "\r\x1b[K"
# Begins a line with the state of an inner step, which is news and not output.
STATE = "\x1b[K"
# Tells a command that it runs as a step.
INNER = "STEPS_INNER"

Command = Sequence[str | Path]


def say(message: str) -> None:
    """Say on standard error what a script does now; standard output is for its results."""
    print(message, file=sys.stderr, flush=True)


@dataclass
class Done:
    """How a step ended: its exit status, and what it has printed.

    `output` has the lines of standard output; `printed` those of both streams, as they came.
    """

    status: int = 0
    output: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)

    @property
    def result(self) -> str:
        """The last line of standard output, where the project's scripts print their result."""
        return next((line for line in reversed(self.output) if line.strip()), "").strip()


class Display:
    """Shows a running step on standard error.

    Parameters
    ----------
    title
        What the step does, as in ``build the wheel``.
    silence
        The seconds after which a log gets a line although the command has printed nothing.
    """

    def __init__(self, title: str, silence: float = LONGEST_SILENCE) -> None:
        self.title = title
        self.newest = ""
        self.ending = "done"
        self.is_inner = bool(os.environ.get(INNER))
        self.on_terminal = sys.stderr.isatty() and not self.is_inner
        # A person sees the seconds pass; a log stays short.
        self._silence = 1.0 if self.on_terminal or self.is_inner else silence
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        # Set whenever a line was written, which ends the silence.
        self._spoken = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Display:
        self._write("" if self.on_terminal else f"{self.title}\n")
        self._ticker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._spoken.set()
        self._ticker.join()
        ending = "interrupted" if error else self.ending
        self._write(f"{self.title}: {ending} after {self._seconds:.0f} s\n", last=True)

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def line(self, text: str, *, shown: bool) -> None:
        """Take a line that the command has printed; `shown`: it stays on the screen."""
        is_state = text.startswith(STATE)
        self.newest = text.removeprefix(STATE).strip() or self.newest
        if shown and not is_state:
            self._write(f"{text}\n")

    def _tick(self) -> None:
        while not self._ended.is_set():
            if self._spoken.wait(self._silence):
                self._spoken.clear()
                continue
            mark = STATE if self.is_inner else ""
            self._write("" if self.on_terminal else f"{mark}{self._state()}\n")
            self._spoken.clear()

    def _state(self) -> str:
        state = f"{self.title}: {self._seconds:.0f} s"
        return f"{state}: {self.newest[:NEWEST]}" if self.newest else state

    def _write(self, text: str, *, last: bool = False) -> None:
        """Write lines that stay; on a terminal, the state of the step below them."""
        with self._lock:
            if self.on_terminal:
                width = shutil.get_terminal_size().columns - 1
                text = f"{ERASE}{text}" + ("" if last else self._state()[:width])
            sys.stderr.write(text)
            sys.stderr.flush()
        self._spoken.set()


def _forward(stream: IO[str], taken: Callable[[str], None]) -> None:
    """Hand each line of a stream on, until the command closes it."""
    for line in stream:
        taken(line.rstrip("\n"))


def run(
    title: str,
    command: Command,
    *,
    shown: bool = True,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Done:
    """Run a command to its end.

    Parameters
    ----------
    title
        What the step does.
    command
        The program and its arguments.
    shown
        Whether what the command prints stays on the screen. If not, its newest line is seen while
        it runs, and all lines are printed if it fails.
    environment, folder
        The environment variables and the working directory; this process's by default.
    """
    done = Done()

    def take(line: str) -> None:
        done.printed.append(line)
        display.line(line, shown=shown)

    def take_output(line: str) -> None:
        done.output.append(line)
        take(line)

    with Display(title) as display:
        with subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**(os.environ if environment is None else environment), INNER: "1"},
            cwd=folder,
        ) as process:
            streams = ((process.stdout, take_output), (process.stderr, take))
            readers = [threading.Thread(target=_forward, args=pair) for pair in streams]
            for reader in readers:
                reader.start()
            try:
                for reader in readers:
                    reader.join()
            except BaseException:
                # Ctrl-C reaches the command too; it must have ended before this process does.
                process.terminate()
                raise
        done.status = process.returncode
        if done.status:
            display.ending = f"failed (status {done.status})"
    if done.status and not shown:
        kept = (line for line in done.printed if not line.startswith(STATE))
        sys.stderr.write("".join(f"{line}\n" for line in kept))
    return done


def main() -> int:
    """Run the command line ``steps.py TITLE -- COMMAND…``; its exit status is the command's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quiet", action="store_true", help="show the output only if it fails")
    parser.add_argument("title", metavar="TITLE", help="what the command does")
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    command = asked.command[1:] if asked.command[:1] == ["--"] else asked.command
    if not command:
        parser.error("no command given; expected: steps.py TITLE -- COMMAND…")
    if shutil.which(command[0]) is None:
        parser.error(f"no program {command[0]} on the path ({os.environ.get('PATH')})")
    return run(asked.title, command, shown=not asked.quiet).status


if __name__ == "__main__":
    sys.exit(main())
