"""Repair a wheel: graft the libraries it needs, then make every rpath right once installed.

auditwheel grafts external libraries and chooses the platform tag. What it leaves wrong are
libraries outside of site-packages (the wheel's data scheme): their rpaths hold in the archive and
not after installation. Such a library gets its grafts beside it, in `.NAME.libs`, which is the same
way in every install layout; or, by --strategy rpath, an rpath entry for each layout that entries
can reach. The path of the repaired wheel is the last line printed.
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
    parser.add_argument("destination", type=Path, metavar="DEST_DIR", help="made if missing")
    # The manylinux images name their platform in this variable.
    default = os.environ.get("AUDITWHEEL_PLAT", "auto")
    parser.add_argument(
        "--plat",
        default=default,
        metavar="P",
        help="platform tag to give; auto: the best that auditwheel finds (default: "
        f"$AUDITWHEEL_PLAT or auto, here {default})",
    )
    parser.add_argument(
        "--strategy",
        choices=["colocate", "rpath"],
        default="colocate",
        help="how displaced libraries find their grafts: colocate (default) puts them beside; "
        "rpath leaves them in site-packages and writes an entry for each install layout, which "
        "cannot reach all",
    )
    outside.add_options(parser)
    _add_contents(parser)
    _add_auditwheel(parser)
    parser.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="the TOML file with [tool.wheelkit]: exclude, companions, preloaded, layouts "
        "(default: ./pyproject.toml, for a wheel of the project that it describes)",
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a JSON report")
    chosen = parser.parse_args(arguments)
    if not chosen.wheel.is_file():
        parser.error(f"no such file: {chosen.wheel}")
    if chosen.destination.exists() and not chosen.destination.is_dir():
        parser.error(f"not a folder: {chosen.destination}")
    return chosen


def _add_contents(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what the wheel gets besides")
    add = group.add_argument
    add(
        "--also",
        action="append",
        default=[],
        metavar="LIB=BESIDE",
        help="graft a library that the wheel's library BESIDE opens by name, into the folder of "
        "BESIDE; LIB is a path, or a name to look for where auditwheel does; may be repeated",
    )
    add(
        "--copy-across",
        action="store_true",
        help="copy a library of the data scheme that a module in site-packages needs into "
        "NAME.libs, where every install layout has it; without this such a wheel is refused",
    )
    add(
        "--platlib",
        action="store_true",
        help="move machine code out of purelib (Root-Is-Purelib: true), which auditwheel refuses",
    )


def _add_auditwheel(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("auditwheel", "They mean what they mean to auditwheel.")
    add = group.add_argument
    add("--strip", action="store_true", help="strip symbols from all libraries")
    add(
        "--disable-isa-ext-check",
        action="store_true",
        help="take libraries that are marked for newer processors, as x86-64-v3",
    )
    add(
        "--ldpaths",
        metavar="DIRS",
        help="folders to look for libraries in, separated by colons, instead of the system's and "
        "those of LD_LIBRARY_PATH",
    )
    add(
        "--zip-compression-level",
        type=int,
        choices=range(10),
        metavar="N",
        help="0 (none) to 9 (smallest) (default: 6)",
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
