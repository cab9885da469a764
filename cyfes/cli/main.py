"""The command line ``cyfes COMMAND …``: finds the command's module and runs it."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cyfes._version import __version__
from cyfes.cli.common import Parser, UsageError, run, with_signed_values

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

# Each command with its line in the help. The module of the same name in cyfes.cli has
# DESCRIPTION, EXAMPLE, add_options(parser), run(options) and, where the value of an option may
# begin with a minus sign, SIGNED_OPTIONS.
COMMANDS = {
    "sum-hills": "sum hills; the result is a free-energy surface",
    "opes": "compute the free-energy surface of an OPES run from its STATE file",
    "reweight": "compute a free-energy surface from weighted samples",
    "analyze": "list minima, barriers, paths and differences with error bars",
    "plot": "draw surfaces and paths",
    "completion": "print a script that completes commands and options in a shell",
    "info": "show versions, the library and the devices",
}

_DESCRIPTION = """\
Free-energy surfaces of metadynamics runs, on the CPU and on CUDA GPUs.
'python -m cyfes' takes the options of CyFES 4.5 too: see 'python -m cyfes -h'.

exit status: 0 done, 1 the input is at fault, 2 wrong usage, 3 the environment
lacks something (a GPU, the compiled library), 70 an internal error
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        The exit status: 0 done, 1 the input is at fault, 2 wrong usage, 3 the environment lacks
        something, 70 an internal error, 130 interrupted, 129 or 143 ended by SIGHUP
        or SIGTERM, 141 the reader of the output has gone.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    # PLUMED's command is sum_hills, with an underscore.
    if arguments and arguments[0].replace("_", "-") in COMMANDS:
        arguments[0] = arguments[0].replace("_", "-")

    def command() -> int:
        # Only the command that runs is imported, because the imports of the others take time.
        chosen = [name for name in arguments[:1] if name in COMMANDS]
        parser, modules = build_parser(chosen)
        signed = [o for module in modules for o in getattr(module, "SIGNED_OPTIONS", ())]
        options = parser.parse_args(with_signed_values(arguments, signed))
        status: int = options.run(options)
        return status

    return run(command)


def build_parser(loaded: Sequence[str]) -> tuple[Parser, list[ModuleType]]:
    """Return the parser of the command line, and the modules of some commands.

    Parameters
    ----------
    loaded : sequence of str
        The commands whose options the parser is to know; all are listed in its help.
    """
    layout: Any = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    parser = Parser(prog="cyfes", description=_DESCRIPTION, **layout)
    parser.add_argument("--version", action="version", version=f"cyfes {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")
    # argparse's own message on CPython 3.7 does not say what is expected.
    parser.set_defaults(run=_no_command)
    modules = []
    for name, summary in COMMANDS.items():
        if name not in loaded:
            commands.add_parser(name, help=summary)
            continue
        module: Any = import_module("cyfes.cli." + name.replace("-", "_"))
        texts = {"description": module.DESCRIPTION, "epilog": module.EXAMPLE}
        subparser = commands.add_parser(name, help=summary, **texts, **layout)
        module.add_options(subparser)
        subparser.set_defaults(run=module.run, whole_parser=_whole_parser)
        modules.append(module)
    return parser, modules


def _whole_parser() -> Parser:
    """Return the parser that knows the options of all commands."""
    return build_parser(list(COMMANDS))[0]


def _no_command(_: argparse.Namespace) -> int:
    names = list(COMMANDS)
    expected = f"{', '.join(names[:-1])} or {names[-1]}"
    raise UsageError(f"found no command, expected {expected} (see 'cyfes --help')")
