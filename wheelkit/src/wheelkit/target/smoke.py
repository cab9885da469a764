"""Prove that an installed wheel computes: the right files, the right numbers, its own libraries.

It runs under the interpreter in whose environment WHEEL is installed, CPython 3.7 or newer, and
needs nothing but the standard library. Every installed file, and every library that is mapped
after the kernels have run, must be the wheel's own by its RECORD. What the project gives is one
Python file:

- ``PACKAGE``: the name under which the package is imported;
- ``run_kernels(package, device)``: runs them on ``cpu``, ``cuda`` or ``auto``, and returns a
  mapping with ``device`` (``{"id": "cuda:0", "name": …}``), ``kernels`` (for each its ``name``,
  ``max_error``, ``limit`` and, where they are of several, its ``dtype``) and whatever else the
  report is to have, such as ``driver``. It raises ``wheelkit.target.report.LackingError`` where
  there is no such device;
- ``LIBRARIES``, which may be absent: the stems of the libraries that must have been loaded from
  the wheel, as in ``libcudart``;
- ``GRAFTS``, which may be absent: those of LIBRARIES that the repair grafts. A wheel that was not
  repaired takes them from the machine.
"""

from __future__ import annotations

import argparse
import base64
import csv
import importlib
import importlib.machinery
import importlib.util
import json
import platform
import re
import sys
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any, Dict, Iterator, NamedTuple

from wheelkit.target.report import (
    Fault,
    FaultyError,
    LackingError,
    MisusedError,
    Outcome,
    Status,
    conclude,
    prepare_report,
    say,
    sha256,
    write_whole,
)

OLDEST = (3, 7)
TOOL = "smoke_test"
REINSTALL = "install the wheel again in a clean environment (pip install --force-reinstall WHEEL)"

Result = Dict[str, Any]


class Member(NamedTuple):
    """A row of the wheel's RECORD."""

    name: str
    sha256: str


class Wheel(NamedTuple):
    """What the wheel's archive says of itself."""

    dist_info: str
    members: list[Member]


class Project(NamedTuple):
    """What the file of a project says; see the text at the top of this module."""

    file: Path
    package: str
    run_kernels: Any
    libraries: tuple[str, ...]
    grafts: tuple[str, ...]


# ------------------------------------------------------------------------------- the project


def read_project(file: Path) -> Project:
    """Load the file of a project; what it imports from its own folder is found there.

    Raises
    ------
    MisusedError
        It lacks a name that it must have.
    """
    if not file.is_file():
        raise MisusedError(f"{file} is no file; pass the file that runs the kernels")
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(file.stem, str(file))
    if spec is None or spec.loader is None:
        raise MisusedError(f"{file} is no Python file; pass the file that runs the kernels")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, kind in (("PACKAGE", "a text"), ("run_kernels", "a function")):
        if not hasattr(module, name):
            raise MisusedError(f"{file} has no {name}; define it: {kind}")
    libraries = tuple(getattr(module, "LIBRARIES", ()))
    grafts = tuple(getattr(module, "GRAFTS", ()))
    if not set(grafts) <= set(libraries):
        raise MisusedError(f"{file}: GRAFTS is {grafts}; expected some of LIBRARIES, {libraries}")
    return Project(file, module.PACKAGE, module.run_kernels, libraries, grafts)


# --------------------------------------------------------------------------------- the files


def read_wheel(path: Path) -> Wheel:
    """Read the RECORD inside the wheel."""
    if not path.is_file():
        raise MisusedError(f"{path} is no file; pass the wheel that is installed here")
    try:
        with zipfile.ZipFile(str(path)) as archive:
            names = archive.namelist()
            record = next(name for name in names if re.fullmatch(r"[^/]+\.dist-info/RECORD", name))
            rows = list(csv.reader(archive.read(record).decode("utf-8").splitlines()))
    except (zipfile.BadZipFile, StopIteration):
        expected = "a zip archive with a RECORD"
        fault = Fault(
            "not-a-wheel",
            str(path),
            found="something else",
            expected=expected,
            remedy="pass a wheel",
        )
        raise FaultyError([fault]) from None
    return Wheel(record.split("/")[0], [Member(row[0], to_hex(row[1])) for row in rows if row[1]])


def to_hex(recorded: str) -> str:
    """Turn RECORD's ``sha256=<base64>`` into hexadecimal digits."""
    digest = recorded.partition("=")[2]
    return base64.urlsafe_b64decode(digest + "=" * (-len(digest) % 4)).hex()


def find_site(dist_info: str) -> Path | None:
    """Return the directory on the import path that holds the installed distribution."""
    for entry in sys.path:
        if (Path(entry) / dist_info / "RECORD").is_file():
            return Path(entry).resolve()
    return None


def other_versions(package: str) -> list[str]:
    """Return the other distributions of the package that are installed."""
    folders = (Path(entry).glob(f"{package}-*.dist-info") for entry in sys.path)
    return [str(found) for paths in folders for found in paths]


def installed_paths(site: Path, dist_info: str) -> dict[str, Path]:
    """Return what the installed RECORD lists: POSIX path from the site directory -> file."""
    text = (site / dist_info / "RECORD").read_text(encoding="utf-8")
    return {row[0]: site / row[0] for row in csv.reader(text.splitlines()) if row}


def installed_path(member: str, site: Path, recorded: dict[str, Path]) -> Path:
    """Return where an installer has put a member of the wheel."""
    top, _, rest = member.partition("/")
    if not top.endswith(".data"):
        return site / member
    inner = rest.partition("/")[2]
    # The row of another scheme leads out of site-packages and ends like the member.
    for row, path in recorded.items():
        if PurePosixPath(row).parts[:1] == ("..",) and row.endswith("/" + inner) and path.is_file():
            return path
    # `pip --target` keeps the data scheme beside the package, where its RECORD does not say.
    return site / inner


def check_files(wheel: Wheel, site: Path) -> tuple[dict[Path, str], list[Fault]]:
    """Compare every installed file with the wheel's RECORD; return those that are equal."""
    recorded = installed_paths(site, wheel.dist_info)
    good: dict[Path, str] = {}
    faults = []
    for member in wheel.members:
        path = installed_path(member.name, site, recorded)
        if not path.is_file():
            faults.append(
                Fault(
                    "file-missing",
                    member.name,
                    found="no file",
                    expected=str(path),
                    remedy=REINSTALL,
                )
            )
        elif sha256(path) != member.sha256:
            found, expected = f"sha256 {sha256(path)}", f"sha256 {member.sha256}"
            faults.append(
                Fault("file-differs", str(path), found=found, expected=expected, remedy=REINSTALL)
            )
        else:
            good[path.resolve()] = member.sha256
    return good, faults


def check_origin(package: str, site: Path) -> list[Fault]:
    """Refuse another package of the same name that hides the installed one."""
    spec = importlib.util.find_spec(package)
    found = Path(spec.origin).resolve() if spec and spec.origin else None
    # A package, or a module that is a single file; either may be compiled.
    suffixes = importlib.machinery.all_suffixes()
    expected = [site / package / f"__init__{suffix}" for suffix in suffixes]
    if found in [*expected, *(site / f"{package}{suffix}" for suffix in suffixes)]:
        return []
    remedy = "run this in another folder, and remove this folder from PYTHONPATH"
    return [
        Fault(
            "package-shadowed", package, found=str(found), expected=str(expected[0]), remedy=remedy
        )
    ]


# ------------------------------------------------------------------------------- the kernels


def import_package(package: str) -> tuple[Any, list[Fault]]:
    """Import the package; any exception is a fault of the wheel."""
    try:
        return importlib.import_module(package), []
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
        return None, [
            Fault(
                "import-fails",
                package,
                found=found,
                expected="import succeeds",
                remedy="rebuild the wheel",
            )
        ]


def check_result(project: Project, result: Result) -> None:
    """Refuse what `run_kernels` returned if it is not of the agreed form.

    Raises
    ------
    MisusedError
        A key is missing, or of another type.
    """
    try:
        device, kernels = result["device"], result["kernels"]
        right = isinstance(device["id"], str) and all(
            isinstance(kernel["name"], str)
            and isinstance(kernel["limit"], (int, float))
            and (kernel["max_error"] is None or isinstance(kernel["max_error"], (int, float)))
            for kernel in kernels
        )
    except (TypeError, LookupError):
        right = False
    if not right:
        raise MisusedError(
            f"run_kernels of {project.file} returned {result!r}; expected a mapping with "
            "device (with id) and kernels (each with name, max_error and limit)"
        )


def check_kernels(project: Project, result: Result) -> Iterator[Fault]:
    """Yield a fault for each kernel that is further from its reference than it may be."""
    device = result["device"]["id"]
    if not result["kernels"]:
        expected = "at least one kernel that ran"
        remedy = f"have run_kernels of {project.file.name} run some"
        yield Fault(
            "no-kernels-run", project.package, found="none", expected=expected, remedy=remedy
        )
    for kernel in result["kernels"]:
        error, limit = kernel["max_error"], kernel["limit"]
        # A nan is neither more nor less than anything, and an error is no less than nothing.
        if error is None or not 0 <= error <= limit:
            told = "no number" if error is None else f"relative error {error:.2g}"
            found = kernel.get("found") or told
            expected = f"at most {limit:g} from the reference, on {device}"
            remedy = "report it to the project, with this output"
            yield Fault(
                "kernel-wrong", kernel["name"], found=found, expected=expected, remedy=remedy
            )


def as_reported(result: Result) -> Result:
    """Return the result as the report has it; JSON has neither infinity nor nan."""
    kernels = []
    for kernel in result["kernels"]:
        error = kernel["max_error"]
        number = error is not None and abs(error) < float("inf")
        shown = {key: value for key, value in kernel.items() if key not in ("limit", "found")}
        kernels.append({**shown, "max_error": error if number else None})
    return {**result, "kernels": kernels}


# ----------------------------------------------------------------------------- the libraries


def mapped_libraries(stems: tuple[str, ...]) -> dict[str, list[Path]]:
    """Return the files of each library that this process has mapped."""
    mapped: dict[str, list[Path]] = {stem: [] for stem in stems}
    if not stems:
        return mapped
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    paths = {line.split(None, 5)[5] for line in lines if len(line.split(None, 5)) == 6}
    for path in sorted(paths):
        # A graft's name has a hash after the stem: libcudart-1a2b3c4d.so.12.
        match = re.match(rf"({'|'.join(map(re.escape, stems))})[-.]", PurePosixPath(path).name)
        if match:
            mapped[match.group(1)].append(Path(path))
    return mapped


def check_mapped(
    mapped: dict[str, list[Path]], good: dict[Path, str], from_elsewhere: tuple[str, ...] = ()
) -> Iterator[Fault]:
    """Yield a fault for each library that is absent, foreign, or there twice.

    Parameters
    ----------
    mapped
        The files of each library.
    good
        The files of the wheel.
    from_elsewhere
        The libraries that a wheel which was built here and not repaired takes from this machine.
    """
    for name, paths in mapped.items():
        expected = f"one {name}, from the wheel"
        if not paths:
            yield Fault(
                "library-not-mapped",
                name,
                found="none",
                expected=expected,
                remedy="repair the wheel",
            )
        for path in paths:
            if name not in from_elsewhere and path.resolve() not in good:
                remedy = "repair the wheel, and look at LD_LIBRARY_PATH and LD_PRELOAD"
                yield Fault(
                    "library-not-from-wheel",
                    name,
                    found=str(path),
                    expected=expected,
                    remedy=remedy,
                )
        if len(paths) > 1:
            found = ", ".join(map(str, paths))
            yield Fault(
                "library-twice",
                name,
                found=found,
                expected=expected,
                remedy="repair the wheel, so that one file has this SONAME",
            )


# -------------------------------------------------------------------------------- the command


def examine(
    project: Project, wheel: Wheel, device: str, built_here: bool = False
) -> tuple[list[Fault], Result]:
    """Run all checks; those that need what has failed are left out."""
    site = find_site(wheel.dist_info)
    if site is None:
        expected = f"{wheel.dist_info} on the import path of {sys.executable}"
        found = ", ".join(other_versions(project.package)) or "none"
        return [
            Fault(
                "not-installed", project.package, found=found, expected=expected, remedy=REINSTALL
            )
        ], {}
    good, faults = check_files(wheel, site)
    faults += check_origin(project.package, site)
    package, failures = import_package(project.package) if not faults else (None, [])
    if package is None:
        return faults + failures, {}
    result = project.run_kernels(package, device)
    check_result(project, result)
    ran_on = result["device"]["id"]
    if device not in ("auto", ran_on.partition(":")[0]):
        raise LackingError(
            f"the kernels were to run on {device}, and ran on {ran_on}; without such a device, "
            f"run_kernels of {project.file} must raise wheelkit.target.report.LackingError"
        )
    mapped = mapped_libraries(project.libraries)
    extra = {
        **as_reported(result),
        "python": platform.python_version(),
        "mapped": [str(path) for paths in mapped.values() for path in paths],
    }
    wrong = list(check_kernels(project, result))
    return [*wrong, *check_mapped(mapped, good, project.grafts if built_here else ())], extra


def summary(extra: Result) -> str:
    """Return the line that says what ran where, and how well."""
    errors: dict[str, float] = {}
    for kernel in extra["kernels"]:
        dtype = kernel.get("dtype", "")
        errors[dtype] = max(errors.get(dtype, 0.0), kernel["max_error"])
    listed = ", ".join(f"{error:.0e} {dtype}".strip() for dtype, error in sorted(errors.items()))
    return f"{extra['device']['id']} ok ({len(extra['kernels'])} kernels, max error {listed})"


def parser_of(prog: str) -> argparse.ArgumentParser:
    """Return the reader of the options that every form of the command has."""
    parser = argparse.ArgumentParser(prog=prog, description=__doc__.splitlines()[0])
    parser.add_argument(
        "--wheel", required=True, type=Path, help="the wheel that is installed in this environment"
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where the kernels run; cuda fails without a GPU (default: %(default)s)",
    )
    parser.add_argument(
        "--built-here",
        action="store_true",
        help="WHEEL was built on this machine, and not repaired",
    )
    parser.add_argument("--report", metavar="FILE", type=Path, help="write a JSON report")
    return parser


def parser_with_kernels() -> argparse.ArgumentParser:
    """Return the reader of the options of ``wheelkit smoke``, but for the interpreter."""
    parser = parser_of("wheelkit smoke")
    parser.add_argument(
        "--kernels",
        required=True,
        metavar="FILE",
        type=Path,
        help="the project's file with PACKAGE and run_kernels(package, device)",
    )
    return parser


def main(arguments: list[str]) -> int:
    """Run the smoke test of a project; the verdict is the last line."""
    asked = parser_with_kernels().parse_args(arguments)
    return run_smoke_test(asked.kernels, asked)


def run_smoke_test(kernels: Path, asked: argparse.Namespace) -> int:
    """Run the smoke test with the file of a project; return the exit status."""
    prepare_report(asked.report, asked.wheel)
    try:
        wheel = read_wheel(asked.wheel)
        faults, extra = examine(read_project(kernels), wheel, asked.device, asked.built_here)
    except FaultyError as error:
        faults, extra = list(error.faults), {}
    outcome = Outcome(asked.wheel, tuple(faults))
    status = conclude(TOOL, [outcome], None)
    if asked.report:
        content = {**outcome.as_json(TOOL), **extra}
        write_whole(asked.report, json.dumps(content, indent=2))
    verdict = summary(extra) if status == Status.DONE else f"FAILED ({len(faults)} faults)"
    say(f"smoke test: {verdict}")
    return status
