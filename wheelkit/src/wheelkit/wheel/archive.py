"""Wheels as archives: unpacking one safely, writing one reproducibly."""

from __future__ import annotations

import base64
import contextlib
import csv
import errno
import hashlib
import os
import shutil
import stat
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from wheelkit.base.remedies import REBUILD
from wheelkit.target.report import Fault, FaultyError, MisusedError
from wheelkit.wheel import zip_writer
from wheelkit.wheel.layouts import SCHEMES
from wheelkit.wheel.zip_writer import DateTime

# Signatures of RECORD itself; they cannot be listed in it.
SIGNATURES = ("RECORD.jws", "RECORD.p7s")

# NAME_MAX of every common Linux file system, in bytes.
LONGEST_NAME = 255

# The dates a zip archive can hold, in years.
ZIP_YEARS = range(1980, 2108)


@dataclass(frozen=True)
class UnpackedArchive:
    """The archive of a wheel, unpacked into `root`; its members are known to be safe."""

    path: Path
    root: Path
    members: tuple[str, ...]
    dist_info: str
    latest: DateTime

    def file(self, member: str) -> Path:
        """Return the unpacked file of a member."""
        return self.root / member

    def metadata(self, name: str) -> Path:
        """Return the unpacked file `name` of the .dist-info directory."""
        return self.root / self.dist_info / name


# ----------------------------------------------------------------------------------- opening


def unpack(path: Path, folder: Path) -> UnpackedArchive:
    """Unpack the wheel at `path` into the empty `folder`.

    Raises
    ------
    FaultyError
        It cannot be unpacked exactly as it is: no zip archive, unsafe, duplicate or special
        members, a failing checksum, no .dist-info.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            _refuse(_surplus_bytes(path, archive))
            _refuse(_member_faults(infos))
            _refuse(_extract(archive, infos, folder))
    except (zipfile.BadZipFile, EOFError) as error:
        fault = Fault(
            "not-a-zip", path.name, found=str(error), expected="a zip archive", remedy=REBUILD
        )
        raise FaultyError([fault]) from error
    members = tuple(sorted(info.filename for info in infos if not _is_folder(info)))
    _refuse(_structure_faults(path, members))
    # RECORD's own name marks the one .dist-info directory of the archive.
    dist_info = next(m.partition("/")[0] for m in members if _is_record(m))
    return UnpackedArchive(
        path, folder, members, dist_info, max(_date(info.date_time) for info in infos)
    )


def _refuse(faults: Iterable[Fault]) -> None:
    if found := tuple(faults):
        raise FaultyError(found)


def _surplus_bytes(path: Path, archive: zipfile.ZipFile) -> Iterator[Fault]:
    end = 22 + len(archive.comment)
    with path.open("rb") as stream:
        head = stream.read(4)
        stream.seek(-end, os.SEEK_END)
        tail = stream.read(4)
    if head != b"PK\x03\x04" or tail != b"PK\x05\x06":
        where = "after" if head == b"PK\x03\x04" else "before"
        yield Fault(
            "surplus-bytes",
            path.name,
            found=f"bytes {where} the zip archive",
            expected="none",
            remedy=REBUILD,
        )


def _member_faults(infos: list[zipfile.ZipInfo]) -> Iterator[Fault]:
    counts = Counter(info.filename.rstrip("/") for info in infos)
    files = {info.filename for info in infos if not _is_folder(info)}
    for name in counts:
        if not is_safe(name):
            expected = "a relative path below the root of the archive, without . and .."
            yield Fault(
                "unsafe-name",
                name,
                found="a path that may leave the archive",
                expected=expected,
                remedy=REBUILD,
            )
    for name, count in counts.items():
        if count > 1:
            yield Fault(
                "duplicate-name", name, found=f"{count} members", expected="one", remedy=REBUILD
            )
    for name in counts:
        for parent in _parents(name):
            if parent in files:
                yield Fault(
                    "duplicate-name",
                    parent,
                    found="a file and a directory",
                    expected="one",
                    remedy=REBUILD,
                )
    for info in infos:
        yield from _mode_fault(info)


def _is_folder(info: zipfile.ZipInfo) -> bool:
    # ZipInfo.is_dir fails on an empty name, before Python 3.12.
    return info.filename.endswith("/")


def _parents(name: str) -> Iterator[str]:
    parts = name.split("/")
    return ("/".join(parts[:n]) for n in range(1, len(parts)))


def _mode_fault(info: zipfile.ZipInfo) -> Iterator[Fault]:
    mode = info.external_attr >> 16
    plain = stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR)
    if not plain or mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX):
        expected = "a regular file without special bits: installers keep nothing else"
        yield Fault(
            "special-member",
            info.filename,
            found=f"mode {mode:o}",
            expected=expected,
            remedy=REBUILD,
        )


def is_safe(name: str) -> bool:
    """Whether an archive name stays below the root, has one spelling only, and can be a file."""
    parts = name.split("/")
    short = all(len(part.encode()) <= LONGEST_NAME for part in parts)
    return short and not ({"", ".", ".."} & set(parts)) and not (set("\\\0\r\n") & set(name))


def _extract(
    archive: zipfile.ZipFile, infos: list[zipfile.ZipInfo], folder: Path
) -> Iterator[Fault]:
    for info in infos:
        if _is_folder(info):
            continue
        target = folder / info.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with archive.open(info) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
        except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError) as error:
            # RuntimeError: an encrypted member, or (NotImplementedError) an unknown compression.
            # OSError: EINVAL is a damaged offset; any other is this machine's doing.
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            expected = "readable data with the right checksum"
            yield Fault(
                "unreadable-member",
                info.filename,
                found=str(error),
                expected=expected,
                remedy=REBUILD,
            )
        else:
            target.chmod(0o755 if info.external_attr >> 16 & stat.S_IXUSR else 0o644)


def _is_record(member: str) -> bool:
    top, _, rest = member.partition("/")
    return top.endswith(".dist-info") and rest == "RECORD"


def _structure_faults(path: Path, members: tuple[str, ...]) -> Iterator[Fault]:
    tops = sorted({m.partition("/")[0] for m in members if ".dist-info/" in m})
    infos = [top for top in tops if top.endswith(".dist-info")]
    if len(infos) != 1:
        found = ", ".join(infos) or "none"
        yield Fault(
            "dist-info", path.name, found=found, expected="one .dist-info directory", remedy=REBUILD
        )
    for info in infos:
        for name in ("METADATA", "WHEEL", "RECORD"):
            if f"{info}/{name}" not in members:
                yield Fault(
                    "dist-info",
                    f"{info}/{name}",
                    found="no such file",
                    expected="the file",
                    remedy=REBUILD,
                )
    for member in members:
        top, *rest = member.split("/")
        if top.endswith(".data") and (len(rest) < 2 or rest[0] not in SCHEMES):
            expected = f"a file in one of {', '.join(SCHEMES)}"
            yield Fault(
                "unknown-scheme",
                member,
                found="no install scheme",
                expected=expected,
                remedy=REBUILD,
            )


def _date(date_time: DateTime) -> DateTime:
    return max(date_time, (ZIP_YEARS[0], 1, 1, 0, 0, 0))


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    """Return the hash of a file in RECORD's form, ``sha256=`` and unpadded URL-safe base64."""
    digest = hashlib.new(algorithm)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    encoded = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode("ascii")
    return f"{algorithm}={encoded}"


# ----------------------------------------------------------------------------------- writing


def build_date(latest: DateTime) -> DateTime:
    """Return the date for every member: SOURCE_DATE_EPOCH if set, else `latest`.

    Raises
    ------
    MisusedError
        SOURCE_DATE_EPOCH is not a number of seconds between 1980 and 2107.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        return latest
    # gmtime: the same date in every time zone.
    try:
        moment = time.gmtime(int(epoch))
    except (ValueError, OverflowError, OSError):
        moment = None
    if moment is None or moment.tm_year not in ZIP_YEARS:
        raise MisusedError(
            f"SOURCE_DATE_EPOCH is {epoch!r}; expected seconds since 1970, from 1980 to 2107"
        )
    return moment[:6]


def pack(root: Path, archive: Path, date: DateTime, level: int | None = None) -> None:
    """Write the files below `root` as a wheel, with a new RECORD.

    The bytes depend on names, contents, executable bits, `date` and the level of compression alone.
    """
    dist_info = next(root.glob("*.dist-info")).name
    names = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    # Installers that stream read .dist-info last and RECORD after everything it lists.
    names.sort(key=lambda name: (name.startswith(f"{dist_info}/"), _is_record(name), name))
    _write_record(root, f"{dist_info}/RECORD", names)
    zip_writer.write(archive, root, names, date, zip_writer.LEVEL if level is None else level)


def _write_record(root: Path, record: str, names: list[str]) -> None:
    with (root / record).open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        for name in names:
            if name != record:
                rows.writerow((name, file_hash(root / name), (root / name).stat().st_size))
        rows.writerow((record, "", ""))


def publish(archive: Path, destination: Path) -> None:
    """Put a finished archive at `destination`, whole or not at all.

    Raises
    ------
    FaultyError
        `destination` exists with other content; it is left as it is.
    """
    made = [folder for folder in destination.parents if not folder.exists()]
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with _unnamed(destination.parent) as (copy, path):
            with archive.open("rb") as source:
                shutil.copyfileobj(source, copy)
            copy.flush()
            os.fchmod(copy.fileno(), 0o644)
            os.fsync(copy.fileno())
            # Unlike a rename, a link never replaces what another process has put there meanwhile;
            # a directory is given so that Python asks for the link to be followed.
            os.link(path, destination, src_dir_fd=copy.fileno(), follow_symlinks=True)
    except FileExistsError:
        if file_hash(destination) != file_hash(archive):
            remedy = "delete it, or name another destination folder"
            found = "a file with other content"
            fault = Fault(
                "destination-exists", str(destination), found=found, expected="none", remedy=remedy
            )
            raise FaultyError([fault]) from None
    except BaseException:
        for folder in made:
            # Another process may use it by now.
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


@contextlib.contextmanager
def _unnamed(folder: Path) -> Iterator[tuple[BinaryIO, str]]:
    """Open a new file in `folder` that has no name, so that nothing can leave it behind.

    Where the file system has no such files, it has a name that says what made it. Yields the
    file and a path to it.
    """
    try:
        handle = os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600)
    except OSError as error:
        # EISDIR: a kernel that does not know the flag.
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
            raise
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".repair_wheel-") as named:
            yield cast(BinaryIO, named), named.name
    else:
        with os.fdopen(handle, "wb") as unnamed:
            yield unnamed, f"/proc/self/fd/{handle}"
