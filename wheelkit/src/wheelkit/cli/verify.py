"""Verify finished wheels: the archive, its libraries, its platform tag, and where it loads.

All checks run, and all findings are listed. A table at the end says what was verified. A finding is
a fault if somebody's installation, load or run goes wrong, or if the wheel is not what the project
declares in the table [tool.wheelkit] of its pyproject.toml. With a fault, the exit status is 1. A
warning does not change the exit status, except with --strict. The wheel is never changed.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from wheelkit.cli import outside
from wheelkit.target.report import Outcome, conclude, prepare_report, say

if TYPE_CHECKING:
    from wheelkit.checks.verify import Verdict, VerifyOptions

TOOL = "verify_wheel"

# Options that take the place of a key of [tool.wheelkit].
SETTINGS = ("grafts", "sass", "ptx", "max_size", "exclude", "preloaded", "accept", "build_paths")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit verify", description=__doc__)
    parser.add_argument("wheels", type=Path, nargs="+", metavar="WHEEL", help="a finished wheel")
    parser.add_argument(
        "--plat",
        metavar="P",
        help="the platform tag that the wheel must have; a tag for older systems is fine, too",
    )
    parser.add_argument(
        "--layouts",
        choices=["static", "install", "none"],
        # It needs neither an interpreter for the wheel's tag nor the time of an installation.
        default="static",
        help="static (default): follow every rpath in every install layout, as the loader does. "
        "install: also install the wheel in every way, and load each library. none: do neither",
    )
    parser.add_argument("--strict", action="store_true", help="count every warning as a fault")
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="write a JSON report. It is an object, or for several wheels a list of objects",
    )
    _add_settings(parser)
    _add_trials(parser)
    chosen = parser.parse_args(arguments)
    for wheel in chosen.wheels:
        if not wheel.is_file():
            parser.error(f"no such file: {wheel}")
    return chosen


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, outside.words(text)))


def _acceptance(text: str) -> tuple[str, str, str]:
    return text.partition(":")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "settings",
        "What the wheel must be. Each option takes the place of a key of [tool.wheelkit]. Separate "
        "the items of a list by commas.",
    )
    add = group.add_argument
    add(
        "--settings",
        type=Path,
        metavar="FILE",
        help="the TOML file with [tool.wheelkit] (default: ./pyproject.toml, if it describes the "
        "project of the wheel)",
    )
    add(
        "--grafts",
        type=outside.words,
        metavar="STEMS",
        help="the libraries that the repair has grafted, such as libcudart",
    )
    add(
        "--sass",
        type=_numbers,
        metavar="ARCHS",
        help="the GPUs with machine code, such as 80,90 for sm_80 and sm_90",
    )
    add(
        "--ptx", type=_numbers, metavar="ARCHS", help="the GPUs with PTX, such as 90 for compute_90"
    )
    add("--max-size", type=int, metavar="BYTES", help="the largest size of the wheel")
    outside.add_options(group)
    add(
        "--build-paths",
        type=outside.words,
        metavar="PATHS",
        help="folders of the build machine that no library may mention",
    )
    add(
        "--preloaded",
        type=outside.words,
        metavar="SONAMES",
        help="libraries that the package loads itself, before its own libraries",
    )
    add(
        "--for-layouts",
        type=outside.words,
        metavar="NAMES",
        help="the install layouts for which the wheel is meant (default: all)",
    )
    add(
        "--accept",
        type=_acceptance,
        action="append",
        metavar="ID[:FILES]",
        help="accept the findings with this id, in files that match the pattern, as in "
        "rpath-absolute:pkg/lib/*. May be repeated",
    )


def _add_trials(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "--layouts install", "By default, everything that the machine has is used."
    )
    add = group.add_argument
    add(
        "--pythons",
        type=outside.words,
        metavar="VERSIONS",
        help="the interpreters, such as 3.11,3.13t",
    )
    add("--installers", type=outside.words, metavar="NAMES", help="the installers: pip, uv")
    add(
        "--ways",
        type=outside.words,
        metavar="NAMES",
        help="the ways to install, such as venv,user,prefix,root,target",
    )


def options_of(chosen: argparse.Namespace) -> VerifyOptions:
    """Return what the command line asks for."""
    from wheelkit.checks.verify import VerifyOptions
    from wheelkit.install import trial
    from wheelkit.wheel import platforms
    from wheelkit.wheel.settings import Acceptance

    options = {name: getattr(chosen, name) for name in SETTINGS}
    if chosen.accept is not None:
        reason = "--accept"
        options["accept"] = tuple(
            Acceptance(finding, reason, files or "*") for finding, _, files in chosen.accept
        )
    return VerifyOptions(
        plat=platforms.wanted(chosen.plat),
        layouts=chosen.layouts,
        settings_file=chosen.settings,
        options={**options, "layouts": chosen.for_layouts, "companions": chosen.companion},
        companions_folder=chosen.companions,
        strict=chosen.strict,
        trials=trial.chosen(chosen.pythons, chosen.installers, chosen.ways),
    )


def outcome(verdict: Verdict, wanted: VerifyOptions) -> Outcome:
    """Return what the report says of a wheel: also what was asked for, and which checks ran."""
    from wheelkit.checks.verify import layouts_of

    names = () if wanted.layouts == "none" else layouts_of(verdict.settings)
    more: dict[str, object] = {
        "platform": None if wanted.plat is None else str(wanted.plat),
        "layouts": {"how": wanted.layouts, "names": names},
        "checks": {title: faults is not None for title, faults in verdict.rows.items()},
    }
    if verdict.accepted:
        more["accepted"] = [{**asdict(fault), "reason": why} for fault, why in verdict.accepted]
    if verdict.companions:
        more["companions"] = outside.as_json(verdict.companions)
    if verdict.trials:
        more["trials"] = [asdict(result) for result in verdict.trials]
    return Outcome(verdict.wheel, verdict.faults, verdict.lacking, more)


def main(arguments: list[str] | None = None) -> int:
    """Verify each wheel and report."""
    chosen = parse(arguments)
    # Only now, so that --help works and a missing dependency is reported as such.
    from wheelkit.checks import summary
    from wheelkit.checks.verify import verify

    prepare_report(chosen.report, *chosen.wheels)
    wanted = options_of(chosen)
    verdicts = [verify(wheel, wanted) for wheel in chosen.wheels]
    status = conclude(TOOL, [outcome(verdict, wanted) for verdict in verdicts], chosen.report)
    say(summary.text(verdicts))
    summary.append_to_job(verdicts)
    return status
