"""Random wheels: a repair ends with a verdict, and writes nowhere but to its destination."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_wheels import MANYLINUX, digest, entry, library, wheel_metadata
from wheelkit.cli import repair as repair_wheel
from wheelkit.target import report

# So many are run each time; FUZZ_CASES=10000, with other cases in every run, takes ten minutes.
CASES = int(os.environ.get("FUZZ_CASES", "500"))

DATA = "tiny-1.0.data/data/tiny"
INFO = "tiny-1.0.dist-info"
GRAFT = "libg-01234567.so.1"
FILES = {
    "tiny/__init__.py": b"",
    f"{DATA}/libtiny.so": library("libtiny.so", GRAFT, rpath="$ORIGIN/../../../tiny.libs"),
    f"tiny.libs/{GRAFT}": library(GRAFT),
    f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
    f"{INFO}/WHEEL": wheel_metadata(MANYLINUX),
}
LIBRARIES = [name for name in FILES if ".so" in name]

VERDICTS = (report.Status.DONE, report.Status.FAULTY)


@dataclass
class Draft:
    """A wheel before it is written: `members` and `rows` need not agree."""

    members: list[tuple[zipfile.ZipInfo, bytes]] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    tail: bytes = b""

    def write(self, path: Path) -> None:
        record = "".join(f"{row}\n" for row in self.rows).encode(errors="surrogateescape")
        with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
            warnings.simplefilter("ignore")  # Duplicate names are wanted.
            for info, data in [*self.members, (entry(f"{INFO}/RECORD"), record)]:
                archive.writestr(info, data)
        path.write_bytes(path.read_bytes() + self.tail)


PARTS = st.sampled_from(
    ["tiny", "..", ".", "", "tiny.libs", "tiny-1.0.data", "data", "platlib", "x.dist-info", "a\\b",
     "RECORD", "WHEEL", "ELF,1", "\u00fc", "\n", '"', "C:", "libtiny.so", GRAFT, "purelib", "evil"]
)  # fmt: skip
NAMES = st.one_of(
    st.lists(PARTS, min_size=1, max_size=5).map("/".join),
    st.text(min_size=1, max_size=12),
    st.sampled_from([*FILES, f"{INFO}/RECORD", f"{INFO}/RECORD.jws"]),
)
MODES = st.sampled_from([0o100644, 0o100755, 0o120777, 0o104755, 0o040755, 0, 0o100000])
ROWS = st.one_of(
    st.text(max_size=20),
    st.tuples(NAMES, st.sampled_from(["", "sha256=AAAA", "md5=x"]), st.sampled_from(["", "1", "x"]))
    .map(",".join),
)  # fmt: skip
# Of an ELF file: its header, the program headers, the dynamic section, anything.
PLACES = st.one_of(st.integers(0, 63), st.integers(64, 900), st.integers(0, 1 << 14))
PATCHES = st.lists(st.tuples(PLACES, st.binary(min_size=1, max_size=8)), min_size=1, max_size=3)


@st.composite
def drafts(draw: st.DrawFn) -> Draft:
    """A right wheel, in which up to three things were made wrong."""
    files = dict(FILES)
    draft = Draft()
    kinds = draw(st.lists(st.sampled_from("nnrrdeeeet"), max_size=3))
    for _ in range(kinds.count("e")):
        name = draw(st.sampled_from(LIBRARIES))
        files[name] = patched(files[name], draw(PATCHES))
    draft.rows = [f"{name},{digest(data)},{len(data)}" for name, data in files.items()]
    draft.rows.append(f"{INFO}/RECORD,,")
    draft.members = [(entry(name), data) for name, data in files.items()]
    for kind in kinds:
        if kind == "n":
            name, mode = draw(NAMES), draw(MODES)
            info = entry("x", mode)
            info.filename = name
            draft.members.append((info, draw(st.binary(max_size=8))))
        elif kind == "r":
            draft.rows.insert(draw(st.integers(0, len(draft.rows))), draw(ROWS))
        elif kind == "d":
            del draft.rows[draw(st.integers(0, len(draft.rows) - 1))]
        elif kind == "t":
            draft.tail = draw(st.binary(max_size=30))
    return draft


def patched(data: bytes, patches: list[tuple[int, bytes]]) -> bytes:
    changed = bytearray(data)
    for place, patch in patches:
        at = place % len(changed)
        changed[at : at + len(patch)] = patch[: len(changed) - at]
    return bytes(changed)


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with room for members that climb: what they could overwrite lies around them."""
    folder = tmp_path_factory.mktemp("arena")
    work = folder / "a" / "b" / "work"
    work.mkdir(parents=True)
    for place in (work, work.parent, folder):
        (place / "evil").write_bytes(b"untouched")
    with pytest.MonkeyPatch.context() as patch:
        (work / "tmp").mkdir()
        patch.setenv("TMPDIR", str(work / "tmp"))
        patch.setattr("tempfile.tempdir", str(work / "tmp"))
        for name in ("SOURCE_DATE_EPOCH", "AUDITWHEEL_PLAT", "LD_LIBRARY_PATH"):
            patch.delenv(name, raising=False)
        yield work


def snapshot(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return every file and folder with what tells that it was written to."""
    found = {path: path.lstat() for path in folder.rglob("*")}
    return {path: (status.st_size, status.st_mode) for path, status in found.items()}


@settings(
    max_examples=CASES,
    deadline=None,
    # The same cases every time, so that a failure is a change's doing.
    derandomize="FUZZ_CASES" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(draft=drafts(), strategy=st.sampled_from(["colocate", "rpath"]))
def test_any_archive_gets_a_verdict(arena: Path, draft: Draft, strategy: str) -> None:
    path, out = arena / f"tiny-1.0-{MANYLINUX}.whl", arena / "out"
    draft.write(path)
    before = snapshot(arena.parents[1])
    arguments = [str(path), str(out), "--strategy", strategy]
    status = report.run(lambda: repair_wheel.main(arguments))
    assert status in VERDICTS
    made = sorted(out.iterdir()) if out.exists() else []
    assert len(made) == (status == report.Status.DONE)
    for file in made:
        file.unlink()
    if out.exists():
        out.rmdir()
    assert snapshot(arena.parents[1]) == before
