"""Print the CPythons that the project in the current folder supports, as a JSON list.

They are those that wheelkit knows and that requires-python of pyproject.toml admits. On GitHub the
list also becomes the output ``pythons`` of the step, from which a matrix can be made.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from wheelkit.base import github
from wheelkit.base.cpythons import CPYTHONS, numbers, parse_version
from wheelkit.target.report import MisusedError, Status


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit pythons", description=__doc__)
    parser.add_argument(
        "--since",
        metavar="X.Y",
        type=parse_version,
        default=CPYTHONS[0],
        help="the oldest to print, whatever the project supports",
    )
    return parser.parse_args(arguments)


def supported(project: Path) -> list[str]:
    """Return the CPythons that a project supports.

    Raises
    ------
    MisusedError
        Its pyproject.toml does not say which, or excludes all.
    """
    import tomli
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    path = project / "pyproject.toml"
    try:
        wanted = SpecifierSet(tomli.loads(path.read_text("utf-8"))["project"]["requires-python"])
    except (OSError, ValueError, LookupError, TypeError, InvalidSpecifier) as error:
        raise MisusedError(f"{path} has no [project] requires-python: {error!r}; add it") from None
    # A specifier admits releases and no series: 3.10.50 is taken for any release of 3.10.
    found = [version for version in CPYTHONS if wanted.contains(f"{version}.50")]
    if not found:
        known = f"{CPYTHONS[0]} to {CPYTHONS[-1]}"
        raise MisusedError(f"{path}: requires-python {wanted} admits none of CPython {known}")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Print the list."""
    oldest = numbers(parse(arguments).since)
    text = json.dumps([v for v in supported(Path.cwd()) if numbers(v) >= oldest])
    github.set_output("pythons", text)
    print(text)
    return Status.DONE
