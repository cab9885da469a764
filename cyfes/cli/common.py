"""What the command lines share: exit status, messages on standard error, values of options."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import threading
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from cyfes.base.numbers import parse_number
from cyfes.errors import (
    CyfesWarning,
    DeviceError,
    InputError,
    LibraryError,
    MissingDependencyError,
)
from cyfes.model.hill_kernels import KERNELS

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence
    from typing import NoReturn, TypeVar

    _T = TypeVar("_T")

OK, INPUT_AT_FAULT, WRONG_USAGE, ENVIRONMENT_LACKS, INTERNAL_ERROR = 0, 1, 2, 3, 70

# What a shell reports for a program ended by SIGINT or SIGPIPE.
_INTERRUPTED, _BROKEN_PIPE = 130, 141

# What a shell adds to the number of a signal that has ended a program.
_SIGNALLED = 128

#: What `device_name` takes, for the help.
DEVICES = "auto|cpu|cuda|cuda:N[,M]|cuda:all"


class UsageError(InputError):
    """The options are wrong, or do not fit the file that they are used with."""


class Parser(argparse.ArgumentParser):
    """A parser that leaves the reporting of errors to `run`."""

    #: The option that a message about wrong usage refers to.
    help_option = "--help"

    def error(self, message: str) -> NoReturn:
        """Raise a `UsageError` that names the help."""
        raise UsageError(f"{message} (see '{self.prog} {self.help_option}')")


class _EndedBySignal(BaseException):
    """A signal asks this process to end; raised so that it removes its unfinished files first."""


def run(command: Callable[[], int]) -> int:
    """Run a command; print what it raises in one line, and return the exit status."""
    try:
        with _warnings_in_one_line(), _signals_raised():
            status = command()
            sys.stdout.flush()
        return status
    except SystemExit as end:
        # argparse has printed the help or the version.
        return int(end.code or OK)
    except KeyboardInterrupt:
        print_message("interrupted")
        return _INTERRUPTED
    except _EndedBySignal as end:
        number = signal.Signals(end.args[0])
        # After SIGHUP, the terminal may be gone.
        with suppress(OSError):
            print_message(f"ended by {number.name}")
        return _SIGNALLED + number
    except BrokenPipeError:
        # Python flushes standard output once more when it exits; this lets that succeed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except Exception as error:
        return _reported(error)


def _reported(error: Exception) -> int:
    """Print an error in one line, and return its exit status."""
    message = str(error)
    if isinstance(error, UsageError):
        status = WRONG_USAGE
    elif isinstance(error, (DeviceError, LibraryError, MissingDependencyError)):
        status = ENVIRONMENT_LACKS
    elif isinstance(error, MemoryError):
        status, message = ENVIRONMENT_LACKS, f"too little memory {message}"
    elif isinstance(error, OSError):
        status, message = INPUT_AT_FAULT, f"{error.filename or 'output'}: {error.strerror}"
    elif isinstance(error, InputError):
        status = INPUT_AT_FAULT
    else:
        # Imported here, because it is seldom needed and its import takes time.
        import traceback

        traceback.print_exc()
        status = INTERNAL_ERROR
        message = f"internal error, please report it with the lines above: {error!r}"
    print_message(f"error: {message}")
    return status


def print_message(message: str) -> None:
    """Print a message in one line on standard error."""
    print("cyfes:", " ".join(message.split("\n")).strip(), file=sys.stderr, flush=True)


@contextmanager
def _signals_raised() -> Iterator[None]:
    """Raise an exception where a signal would end this process, unless the caller handles it."""

    def end(number: int, _: object) -> None:
        for other in replaced:
            signal.signal(other, signal.SIG_IGN)
        raise _EndedBySignal(number)

    replaced = []
    if threading.current_thread() is threading.main_thread():
        asking = (signal.SIGTERM, signal.SIGHUP)
        replaced = [number for number in asking if signal.getsignal(number) == signal.SIG_DFL]
    for number in replaced:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in replaced:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Show cyfes's own warnings as a line each, whatever the filters say."""
    with warnings.catch_warnings():
        usual = warnings.showwarning
        shown: set[str] = set()

        def show(message: Warning | str, category: type[Warning], *args: Any) -> None:
            if issubclass(category, CyfesWarning):
                # Input that is read twice would give each warning twice.
                if str(message) not in shown:
                    print_message(f"warning: {message}")
                shown.add(str(message))
            else:
                usual(message, category, *args)

        warnings.showwarning = show  # type: ignore[assignment]
        warnings.simplefilter("always", CyfesWarning)
        yield


def with_signed_values(arguments: Sequence[str], options: Container[str]) -> list[str]:
    """Write ``--min -pi`` as ``--min=-pi``; argparse would take -pi for an option.

    Parameters
    ----------
    arguments : sequence of str
        The arguments.
    options : container of str
        The options whose value may begin with a minus sign.
    """
    joined: list[str] = []
    for argument in arguments:
        signed = argument.startswith("-") and not argument.startswith("--")
        if signed and joined and joined[-1] in options:
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def list_of(convert: Callable[[str], _T]) -> Callable[[str], list[_T]]:
    """Return the type of an option whose value is a list between commas."""

    def read(text: str) -> list[_T]:
        words = text.split(",")
        if not all(word.strip() for word in words):
            raise argparse.ArgumentTypeError(f"found {text!r}, expected values between commas")
        return [convert(word.strip()) for word in words]

    return read


def add_hills_file_options(option: Callable[..., object]) -> None:
    """Add the options of the kernel of hills, of their checks, and of files of other programs."""
    option(
        "--columns",
        type=list_of(str),
        metavar="NAME[,..]",
        help="the columns of HILLS files that have no header of PLUMED, such as "
        "time,x,sigma_x,height. Files of Colvars (.hills.traj) and CP2K (.metadynLog) do not need "
        "it",
    )
    option(
        "--periodic",
        type=list_of(_domain),
        metavar="CV=X:Y[,..]",
        help="for files without a header: the domains of the periodic CVs, such as phi=-pi:pi",
    )
    option(
        "--bias-factor",
        type=positive_number,
        metavar="G",
        help="for files without a header, and for Colvars: the bias factor of a well-tempered run. "
        "It makes heights of the free energy from heights of the bias. The files of PLUMED and "
        "CP2K have the heights of the free energy already",
    )
    option(
        "--no-check",
        dest="check",
        action="store_false",
        help="do not look for mistakes in the hills. Otherwise you are warned if times fall or "
        "repeat, if there are gaps, if a height or a width is unusual, or if a file is given twice",
    )
    option(
        "--kernel",
        choices=KERNELS,
        help="the kernel of all hills (default: the one that the header above the hill names, or "
        f"{KERNELS[0]} if it names none, as in PLUMED 2.8 and newer)",
    )


def _domain(text: str) -> tuple[str, tuple[str, str]]:
    name, equals, ends = text.partition("=")
    low, colon, high = ends.partition(":")
    if not (name and equals and colon):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected CV=LOW:HIGH")
    number(low)
    number(high)
    return name, (low, high)


def file_format(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of readers of hills that describe the files of other programs."""
    periodic = None if options.periodic is None else dict(options.periodic)
    return {"columns": options.columns, "periodic": periodic, "bias_factor": options.bias_factor}


def device_name(text: str) -> str:
    """Return the name of one or several devices that is the value of an option."""
    if not re.fullmatch("auto|cpu|cuda(:(all|[0-9]+(,[0-9]+)*))?", text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected one of {DEVICES}")
    return text


def number(text: str) -> float:
    """Return the number, or multiple of pi, that is the value of an option."""
    try:
        return parse_number(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def positive_number(text: str) -> float:
    """Return the number above zero that is the value of an option."""
    value = number(text)
    if value <= 0.0:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number above zero")
    return value


def count(text: str) -> int:
    """Return the whole number above zero that is the value of an option."""
    if not re.fullmatch("[0-9]{1,18}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number above zero")
    return int(text)
