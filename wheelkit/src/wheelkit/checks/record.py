"""RECORD lists every member of the wheel, with its hash and size."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator

from wheelkit.base.remedies import REBUILD
from wheelkit.target.report import Fault
from wheelkit.wheel.archive import SIGNATURES, UnpackedArchive, file_hash, is_safe
from wheelkit.wheel.reading import Wheel

TITLE = "RECORD"
IDS = (
    *("record-malformed", "record-unsafe-path", "record-extra", "record-duplicate"),
    *("record-missing", "record-hash", "record-size"),
)

# What the binary distribution format accepts: sha256 or better.
HASHES = ("sha256", "sha384", "sha512")


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Find every way in which RECORD and the members of the wheel disagree."""
    return archive_faults(wheel.archive)


def archive_faults(archive: UnpackedArchive) -> Iterator[Fault]:
    """Find the same, of an archive that was not read further."""
    record = f"{archive.dist_info}/RECORD"
    try:
        text = archive.metadata("RECORD").read_bytes().decode("utf-8")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        yield Fault(
            "record-malformed",
            record,
            found=str(error),
            expected="UTF-8 text, comma separated",
            remedy=REBUILD,
        )
        return
    names = Counter(row[0] for row in rows if row)
    yield from _row_name_faults(archive, names)
    for row in rows:
        if len(row) != 3:
            yield Fault(
                "record-malformed",
                record,
                found=repr(row),
                expected="path, hash, size",
                remedy=REBUILD,
            )
        elif row[0] in archive.members and row[0] != record:
            yield from _row_faults(archive, *row)


def _row_name_faults(archive: UnpackedArchive, names: Counter[str]) -> Iterator[Fault]:
    unlisted = {f"{archive.dist_info}/{signature}" for signature in SIGNATURES}
    for name, count in names.items():
        if not is_safe(name):
            expected = "a path below the root of the archive"
            yield Fault(
                "record-unsafe-path",
                name,
                found="a path outside the wheel",
                expected=expected,
                remedy=REBUILD,
            )
        elif name not in archive.members:
            yield Fault(
                "record-extra",
                name,
                found="a row without a file",
                expected="a row per file",
                remedy=REBUILD,
            )
        if count > 1:
            yield Fault(
                "record-duplicate", name, found=f"{count} rows", expected="one", remedy=REBUILD
            )
    for name in sorted(set(archive.members) - set(names) - unlisted):
        yield Fault(
            "record-missing",
            name,
            found="a file without a row",
            expected="a row per file",
            remedy=REBUILD,
        )


def _row_faults(archive: UnpackedArchive, name: str, digest: str, size: str) -> Iterator[Fault]:
    path = archive.file(name)
    algorithm = digest.partition("=")[0]
    if algorithm not in HASHES:
        found = digest or "no hash"
        yield Fault(
            "record-hash", name, found=found, expected=f"one of {', '.join(HASHES)}", remedy=REBUILD
        )
    elif digest != (actual := file_hash(path, algorithm)):
        yield Fault(
            "record-hash",
            name,
            found=f"{digest} in RECORD",
            expected=f"{actual}, as the file",
            remedy=REBUILD,
        )
    if size and size != str(path.stat().st_size):
        expected = f"{path.stat().st_size}, as the file"
        yield Fault(
            "record-size", name, found=f"{size} in RECORD", expected=expected, remedy=REBUILD
        )
