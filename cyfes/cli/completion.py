"""The command ``cyfes completion``: a script that completes commands and options in a shell."""

from __future__ import annotations

import argparse
from typing import Any

from cyfes.base.optional_packages import need
from cyfes.cli.common import OK

DESCRIPTION = """\
Print a script with which a shell completes the commands, options and files of cyfes.
"""

EXAMPLE = """\
examples:
  cyfes completion bash > ~/.local/share/bash-completion/completions/cyfes
  cyfes completion zsh > ~/.zfunc/_cyfes
"""

# The value of an option with one of these names is a file; of a list, the first is completed.
_FILES = ("FILE", "F[,F2]", "FES")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell")


def run(options: argparse.Namespace) -> int:
    """Print the script, and return the exit status."""
    shtab = need("shtab", "cyfes completion")
    parser: argparse.ArgumentParser = options.whole_parser()
    _complete_files(parser, shtab.FILE)
    print(shtab.complete(parser, options.shell))
    return OK


def _complete_files(parser: argparse.ArgumentParser, how: Any) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                _complete_files(subparser, how)
        elif action.metavar in _FILES:
            action.complete = how  # type: ignore[attr-defined]
