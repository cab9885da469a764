"""Run one long command, and show what it does and for how long it has been running.

On a terminal, the last line of the screen shows the title of the step, its seconds and the newest
line that the command has printed. A log, which keeps every line, gets a line at the start, one at
the end, and one after each ten seconds in which the command has printed nothing. A command that is
run as a step may run steps itself: such an inner step prints its state, and the outer step shows it
as the newest line.
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

# After this many seconds without output, a line in the log shows that the step is still running.
LONGEST_SILENCE = 10.0
# The characters of the newest line that are shown: some programs print very long ones.
NEWEST = 100
# Erases the last line of a terminal, so that a new one can be written there.
ERASE = "\r\x1b[K"
# Marks a line as the state of an inner step, which is not output of the command.
STATE = "\x1b[K"
# This environment variable tells a command that it is run as a step.
INNER = "STEPS_INNER"

Command = Sequence[str | Path]


def say(message: str) -> None:
    """Print on standard error what a script does now; standard output is for its results."""
    print(message, file=sys.stderr, flush=True)


@dataclass
class StepResult:
    """The result of a step: its exit status, and what it has printed.

    `output` has the lines of standard output; `printed` has those of both streams, in the order in
    which they arrived.
    """

    status: int = 0
    output: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)

    @property
    def result(self) -> str:
        """The last line of standard output: the project's scripts print their result there."""
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
        # On a terminal the seconds are shown; a log gets fewer lines.
        self._silence = 1.0 if self.on_terminal or self.is_inner else silence
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        # Set whenever a line was written, so that the time without a line is counted from then on.
        self._written = threading.Event()
        self._writer = threading.Thread(target=self._write_after_silence, daemon=True)

    def __enter__(self) -> Display:
        self._write("" if self.on_terminal else f"{self.title}\n")
        self._writer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._written.set()
        self._writer.join()
        ending = "interrupted" if error else self.ending
        self._write(f"{self.title}: {ending} after {self._seconds:.0f} s\n", last=True)

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def line(self, text: str, *, shown: bool) -> None:
        """Remember a line that the command has printed; with `shown`, write it to the screen."""
        is_state = text.startswith(STATE)
        self.newest = text.removeprefix(STATE).strip() or self.newest
        if shown and not is_state:
            self._write(f"{text}\n")

    def _write_after_silence(self) -> None:
        while not self._ended.is_set():
            if self._written.wait(self._silence):
                self._written.clear()
                continue
            mark = STATE if self.is_inner else ""
            self._write("" if self.on_terminal else f"{mark}{self._state()}\n")
            self._written.clear()

    def _state(self) -> str:
        state = f"{self.title}: {self._seconds:.0f} s"
        return f"{state}: {self.newest[:NEWEST]}" if self.newest else state

    def _write(self, text: str, *, last: bool = False) -> None:
        """Write lines that stay on the screen; on a terminal, the step's state below them."""
        with self._lock:
            if self.on_terminal:
                width = shutil.get_terminal_size().columns - 1
                text = f"{ERASE}{text}" + ("" if last else self._state()[:width])
            sys.stderr.write(text)
            sys.stderr.flush()
        self._written.set()


def _forward(stream: IO[str], handle: Callable[[str], None]) -> None:
    """Call `handle` with each line of a stream, until the command closes the stream."""
    for line in stream:
        handle(line.rstrip("\n"))


def run(
    title: str,
    command: Command,
    *,
    shown: bool = True,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> StepResult:
    """Run a command to its end.

    Parameters
    ----------
    title
        What the step does.
    command
        The program and its arguments.
    shown
        Whether the command's output stays on the screen. If not, only the newest line is shown
        while the command runs; if the command fails, all lines are printed.
    environment, folder
        The environment variables and the working directory; this process's by default.
    """
    done = StepResult()

    def keep(line: str) -> None:
        done.printed.append(line)
        display.line(line, shown=shown)

    def keep_output(line: str) -> None:
        done.output.append(line)
        keep(line)

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
            streams = ((process.stdout, keep_output), (process.stderr, keep))
            readers = [threading.Thread(target=_forward, args=pair) for pair in streams]
            for reader in readers:
                reader.start()
            try:
                for reader in readers:
                    reader.join()
            except BaseException:
                # Ctrl-C ends the command too, but other errors do not; the command must end
                # before this process does.
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
    parser.add_argument(
        "--quiet", action="store_true", help="show the output only if the command fails"
    )
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
