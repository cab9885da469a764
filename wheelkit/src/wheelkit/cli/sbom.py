"""Write a list of what a wheel consists of into the wheel (a bill of materials, SBOM).

The list has the grafts with their hashes and licences, the CUDA toolkit, the container image or
operating system, and the compilers that the libraries name. The licence texts that graft-licenses
in [tool.wheelkit] declares are written into the wheel, too. Run this on a repaired wheel, before
you verify it. The wheel is replaced by the new one, whose RECORD lists the new files. Two runs give
the same bytes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from wheelkit.target.report import Fault, FaultyError, MisusedError, Status

if TYPE_CHECKING:
    from wheelkit.wheel.reading import Wheel

OS_RELEASE = Path("/etc/os-release")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit sbom", description=__doc__)
    add = parser.add_argument
    add("wheel", metavar="WHEEL", type=Path, help="a repaired wheel, which is replaced")
    add(
        "--cuda-home",
        metavar="DIR",
        type=Path,
        default=os.environ.get("CUDA_HOME") or None,
        help="the CUDA toolkit that it was built with (default: $CUDA_HOME)",
    )
    add(
        "--image",
        metavar="REF",
        default=os.environ.get("WHEELKIT_IMAGE") or None,
        help="the container image that it was built in, by digest (default: $WHEELKIT_IMAGE)",
    )
    add(
        "--settings",
        metavar="FILE",
        type=Path,
        help="the TOML file with [tool.wheelkit]: graft-licenses (default: ./pyproject.toml, for a "
        "wheel of the project that it describes)",
    )
    return parser.parse_args(arguments)


def system() -> str | None:
    """Return the name of this operating system."""
    if not OS_RELEASE.is_file():
        return None
    for line in OS_RELEASE.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip('"')
    return None


def signed(given: Wheel) -> Iterator[Fault]:
    """Find a signature of RECORD, which a new member makes invalid."""
    from wheelkit.wheel import archive

    for name in archive.SIGNATURES:
        if given.archive.metadata(name).is_file():
            remedy = "sign the wheel after this command"
            yield Fault(
                "signed-record", name, found="a signature of RECORD", expected="none", remedy=remedy
            )


def write(
    wheel: Path, cuda_home: Path | None, image: str | None, settings_file: Path | None
) -> None:
    """Add the document, and the licences of the grafts, to the wheel.

    Raises
    ------
    FaultyError
        It is no wheel that can be opened, or it is signed.
    MisusedError
        The settings have a fault, or the text of a licence is not where they say.
    """
    import json

    from wheelkit.checks import record
    from wheelkit.checks.sbom import NAME
    from wheelkit.repair import licenses, sbom
    from wheelkit.wheel import archive, reading, settings

    version, parts = sbom.toolkit(cuda_home) if cuda_home else (None, {})
    environment = sbom.BuildEnvironment(version, parts, image, system())
    with tempfile.TemporaryDirectory(prefix=".wheelkit-sbom-", dir=wheel.parent) as folder:
        given = reading.read_wheel(wheel, Path(folder) / "wheel")
        reading.refuse([*record.faults(given), *given.unreadable, *signed(given)])
        project = settings_file.parent if settings_file else Path.cwd()
        if settings_file:
            declared = settings.from_file(settings_file)
        else:
            declared = settings.of_project(project, given.identity.name)
        licensed = licenses.of_grafts(given, declared)
        licenses.place(given, licensed, project, cuda_home)
        path = given.archive.metadata(NAME)
        path.parent.mkdir(exist_ok=True)
        document = sbom.document(given, environment, licensed)
        text = json.dumps(document, indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")
        # The members keep the date that the repair gave them.
        result = Path(folder) / wheel.name
        archive.pack(given.archive.root, result, given.archive.latest)
        result.replace(wheel)


def main(arguments: list[str] | None = None) -> int:
    """Write it; the wheel's path is the last line."""
    asked = parse(arguments)
    if not asked.wheel.is_file():
        raise MisusedError(f"no such file: {asked.wheel}")
    try:
        write(asked.wheel, asked.cuda_home, asked.image, asked.settings)
    except FaultyError as error:
        print(error, file=sys.stderr)
        return Status.FAULTY
    print(asked.wheel)
    return Status.DONE
