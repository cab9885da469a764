"""Run the command line: ``python -m cyfes``, also with the options of CyFES 4.5."""

from __future__ import annotations

import re
import sys


def main(arguments: list[str]) -> int:
    """Run the command line that the first argument belongs to.

    Parameters
    ----------
    arguments : list of str
        The arguments. CyFES 4.5 had options with a single dash only, the newer command line has
        commands and options with two.

    Returns
    -------
    int
        The exit status.
    """
    # Only the one that runs is imported, because the imports of the other take time.
    if arguments and re.match("-[A-Za-z]", arguments[0]):
        from cyfes.cli import cyfes45

        return cyfes45.main(arguments)
    from cyfes.cli import main

    return main.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
