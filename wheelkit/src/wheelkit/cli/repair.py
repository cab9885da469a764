"""Repair a wheel: copy the libraries that it needs into it, and correct every rpath.

First auditwheel copies the libraries (such copies are called grafts) and chooses the platform tag.
It writes rpaths that are right in the archive. For a library of the data scheme, which is installed
outside of site-packages, they are wrong after the installation. Therefore the grafts of such a
library are moved into the folder `.NAME.libs` beside it, where the same rpath is right in every
install layout. The last line that is printed is the path of the repaired wheel.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wheelkit.cli import outside
from wheelkit.target.report import FaultyError, Outcome, conclude, prepare_report

if TYPE_CHECKING:
    from wheelkit.repair.repair import Step

TOOL = "repair_wheel"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit repair", description=__doc__)
    parser.add_argument("wheel", type=Path, metavar="WHEEL", help="the wheel to repair")
    parser.add_argument(
        "destination",
        type=Path,
        metavar="DEST_DIR",
        help="the folder for the repaired wheel; it is made if it is missing",
    )
    # The manylinux images name their platform in this variable.
    default = os.environ.get("AUDITWHEEL_PLAT", "auto")
    parser.add_argument(
        "--plat",
        default=default,
        metavar="P",
        help="the platform tag of the repaired wheel. auto is the one for the oldest systems that "
        f"auditwheel finds possible (default: $AUDITWHEEL_PLAT or auto, here {default})",
    )
    parser.add_argument(
        "--strategy",
        choices=["colocate", "rpath"],
        default="colocate",
        help="where libraries of the data scheme find their grafts. colocate (default): in a "
        "folder beside them. rpath: in site-packages, by an rpath entry for each install layout; "
        "some layouts have no such entry",
    )
    outside.add_options(parser)
    _add_contents(parser)
    _add_auditwheel(parser)
    parser.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="the TOML file with [tool.wheelkit]. The repair uses its keys exclude, companions, "
        "preloaded and layouts (default: ./pyproject.toml, if it describes the project of the "
        "wheel)",
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a JSON report")
    chosen = parser.parse_args(arguments)
    if not chosen.wheel.is_file():
        parser.error(f"no such file: {chosen.wheel}")
    if chosen.destination.exists() and not chosen.destination.is_dir():
        parser.error(f"not a folder: {chosen.destination}")
    return chosen


def _add_contents(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("for wheels that auditwheel refuses")
    add = group.add_argument
    add(
        "--also",
        action="append",
        default=[],
        metavar="LIB=BESIDE",
        help="graft the library LIB into the folder of the wheel's library BESIDE, which opens it "
        "by name. LIB is a path, or a name that is searched for where auditwheel searches. May be "
        "repeated",
    )
    add(
        "--copy-across",
        action="store_true",
        help="if a module in site-packages needs a library of the data scheme, copy this library "
        "into NAME.libs; if a program needs a library of site-packages, copy it into .NAME.libs "
        "beside the program. Without this option, such a wheel is refused",
    )
    add(
        "--platlib",
        action="store_true",
        help="move machine code from purelib to platlib. auditwheel refuses machine code in "
        "purelib",
    )


def _add_auditwheel(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "auditwheel", "These options have the meaning that they have in auditwheel."
    )
    add = group.add_argument
    add("--strip", action="store_true", help="strip symbols from all libraries")
    add(
        "--disable-isa-ext-check",
        action="store_true",
        help="accept libraries that are marked for newer processors, such as x86-64-v3",
    )
    add(
        "--ldpaths",
        metavar="DIRS",
        help="the folders in which libraries are searched for, separated by colons. They take the "
        "place of the system's folders and of LD_LIBRARY_PATH",
    )
    add(
        "--zip-compression-level",
        type=int,
        choices=range(10),
        metavar="N",
        help="how much the wheel is compressed: from 0 (not at all) to 9 (default: 6)",
    )


def main(arguments: list[str] | None = None, steps: Sequence[Step] | None = None) -> int:
    """Repair one wheel and report; `steps` are those of a project, if it has its own."""
    chosen = parse(arguments)
    # Only now, so that --help works and a missing dependency is reported as such.
    from wheelkit.repair.options import RepairOptions
    from wheelkit.repair.repair import STEPS, repair, summary
    from wheelkit.wheel import platforms

    prepare_report(chosen.report, chosen.wheel)
    options = RepairOptions(
        wheel=chosen.wheel,
        destination=chosen.destination,
        plat=platforms.wanted(None if chosen.plat == "auto" else chosen.plat),
        exclude=tuple(chosen.exclude or ()),
        companions=tuple(chosen.companion or ()),
        companions_folder=chosen.companions,
        strategy=chosen.strategy,
        also=tuple(chosen.also),
        platlib=chosen.platlib,
        copy_across=chosen.copy_across,
        strip=chosen.strip,
        isa_check=not chosen.disable_isa_ext_check,
        ldpaths=chosen.ldpaths,
        compression=chosen.zip_compression_level,
        settings_file=chosen.settings,
    )
    try:
        repaired = repair(options, steps or STEPS)
    except FaultyError as error:
        return conclude(TOOL, [Outcome(chosen.wheel, error.faults)], chosen.report)
    more = {
        "companions": outside.as_json(repaired.companions),
        "dropped": [
            {"file": file, "entry": entry, "reason": reason}
            for file, entry, reason in repaired.dropped
        ],
    }
    outcome = Outcome(repaired.path, repaired.warnings, more={k: v for k, v in more.items() if v})
    status = conclude(TOOL, [outcome], chosen.report)
    for line in summary(repaired):
        print(line)
    print(repaired.path)
    return status
