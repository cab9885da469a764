"""Putting the licences of the grafts into a wheel.

The texts go into the folder ``licenses`` of the .dist-info directory (PEP 639), below the name of
each library. METADATA lists them where its version has a field for that.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from wheelkit.target.report import MisusedError
from wheelkit.wheel import grafts
from wheelkit.wheel.identity import headers
from wheelkit.wheel.reading import Wheel
from wheelkit.wheel.settings import GRAFT_LICENSES, GraftLicense, Settings

CUDA_HOME = "$CUDA_HOME/"
# The first version of METADATA whose License-File names files in that folder.
SINCE = (2, 4)
FIELD = b"License-File: "


def of_grafts(wheel: Wheel, settings: Settings) -> dict[str, GraftLicense]:
    """Return the declared licence of each graft of the wheel that has one, by its stem."""
    stems = sorted({grafts.stem(member) for member in wheel.elves if grafts.is_graft(member)})
    known = {stem: settings.license_of(stem) for stem in stems}
    return {stem: declared for stem, declared in known.items() if declared is not None}


def place(
    wheel: Wheel, licenses: Mapping[str, GraftLicense], project: Path, cuda_home: Path | None
) -> None:
    """Copy the texts of the licences into an unpacked wheel, in place of earlier ones.

    Parameters
    ----------
    wheel
        The unpacked wheel.
    licenses
        The licence of each graft, by its stem.
    project
        The folder below which the project's own files are.
    cuda_home
        The folder of the CUDA toolkit, if there is one.

    Raises
    ------
    MisusedError
        A file is not there.
    """
    sources = {
        f"{stem}/{name}": _source(declared, file, project, cuda_home)
        for stem, declared in licenses.items()
        for name, file in zip(declared.names, declared.files, strict=True)
    }
    folder = wheel.archive.metadata(grafts.LICENSES)
    for stem in licenses:
        shutil.rmtree(folder / stem, ignore_errors=True)
    for name, source in sources.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # Without the permissions of the source, which depend on the machine.
        target.write_bytes(source.read_bytes())
    if _metadata_version(wheel) >= SINCE:
        path = wheel.archive.metadata("METADATA")
        path.write_bytes(with_license_files(path.read_bytes(), licenses, sources))


def _source(declared: GraftLicense, file: str, project: Path, cuda_home: Path | None) -> Path:
    """Return the path of a file with the text of a licence."""
    where = f"{GRAFT_LICENSES}.{declared.graft}: {file}"
    if file.startswith(CUDA_HOME):
        if cuda_home is None:
            raise MisusedError(f"{where} is in a CUDA toolkit; set CUDA_HOME, or use --cuda-home")
        path = cuda_home / file.removeprefix(CUDA_HOME)
    else:
        path = project / file
    if not path.is_file():
        raise MisusedError(
            f"{where}: there is no file {path}; expected one with the text of {declared.license}"
        )
    return path


def _metadata_version(wheel: Wheel) -> tuple[int, ...]:
    text = str(headers(wheel.archive, "METADATA").get("Metadata-Version", ""))
    return tuple(int(part) if part.isdigit() else 0 for part in text.split("."))


def with_license_files(metadata: bytes, stems: Iterable[str], names: Iterable[str]) -> bytes:
    """Return METADATA that lists these files, and no others for these grafts."""
    end = re.search(rb"\r?\n\r?\n", metadata)
    fields, rest = (metadata[: end.start()], metadata[end.start() :]) if end else (metadata, b"\n")
    own = tuple(FIELD + f"{stem}/".encode() for stem in stems)
    lines = [line for line in fields.rstrip(b"\n").split(b"\n") if not line.startswith(own)]
    lines += [FIELD + name.encode() for name in sorted(names)]
    return b"\n".join(lines) + rest
