"""Column files: compressions, patterns, lines out of the ordinary, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from cyfes.errors import HillsFileError, InputError, MissingDependencyError
from cyfes.io import column_files
from cyfes.io.column_files import ColumnFile, Selection, column_blocks
from cyfes.io.paths import expanded
from cyfes.io.plumed_header import Header

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Extra = Callable[[str], Any]

HEADER = "#! FIELDS time a b\n#! SET min_a -pi\n"
ROWS = "0 1 2\n1 3 4\n2 5 6\n"


def _select(header: Header) -> Selection:
    if "a" not in header.fields:
        raise HillsFileError("found no a")
    return Selection(("b", "a", "clock"), frozenset({"b"}), {"clock": -1.0})


def _read(path: Path) -> list[list[float]]:
    tables = list(ColumnFile(path, _select).tables())
    rows: list[list[float]] = np.concatenate(tables).tolist()
    return rows


EXPECTED = [[2.0, 1.0, -1.0], [4.0, 3.0, -1.0], [6.0, 5.0, -1.0]]


def _compressed(kind: str, data: bytes, extra: Extra) -> bytes:
    if kind == "zstd":
        made: bytes = extra("zstandard").ZstdCompressor(write_checksum=True).compress(data)
        return made
    if kind == "gzip":
        return gzip.compress(data)
    return lzma.compress(data) if kind == "xz" else data


@pytest.mark.parametrize("kind", ["plain", "gzip", "xz", "zstd"])
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("repeats", [1, 4000])
def test_a_compression_is_known_by_its_content(
    kind: str, parts: int, repeats: int, tmp_path: Path, extra: Extra
) -> None:
    path = tmp_path / "COLVAR"
    data = (HEADER + ROWS * repeats).encode()
    cuts = [data] if parts == 1 else [data[:50], data[50:]]
    path.write_bytes(b"".join(_compressed(kind, cut, extra) for cut in cuts))
    assert _read(path) == EXPECTED * repeats


@pytest.mark.parametrize("kind", ["gzip", "xz", "zstd"])
def test_damaged_compressed_data_is_refused(kind: str, tmp_path: Path, extra: Extra) -> None:
    path = tmp_path / "COLVAR"
    rng = np.random.default_rng(1)
    rows = "".join(f"{i} {x} 1\n" for i, x in enumerate(rng.normal(size=3000)))
    data = bytearray(_compressed(kind, (HEADER + rows).encode(), extra))
    data[len(data) // 2] ^= 0xFF
    data[len(data) // 2 + 1] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(HillsFileError, match=f"found damaged or incomplete {kind} data"):
        _read(path)


def test_zstandard_data_without_its_package_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "COLVAR"
    # The beginning of every file of Zstandard (RFC 8878).
    path.write_bytes(bytes.fromhex("28b52ffd") + b"0" * 40)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingDependencyError, match=r"pip install cyfes\[zstd\]"):
        _read(path)


@pytest.mark.parametrize(
    "rows",
    [
        "0 1 2\n1 3*pi/pi 4\n2 5 6\n",
        "0 1 2 # note\n# line\n\n1 3 4 #! no header\n2 5 6\n",
        "word 1 2\n??? 3 4\n2 5 6\n",
        "0 1 2\n#! SET max_a pi\n1 3 4\n#! FIELDS b a\n6 5\n",
        "0 1 2\n#! FIELDS a x b\n3 z 4\n#! FIELDS a b clock\n5 6 -1\n",
    ],
    ids=["pi", "comments", "words in a column unread", "headers between", "other columns"],
)
def test_lines_out_of_the_ordinary_are_read(rows: str, tmp_path: Path) -> None:
    rows = rows.replace("3*pi/pi", "3")
    path = tmp_path / "COLVAR"
    path.write_text(HEADER + rows)
    assert _read(path) == EXPECTED


def test_multiples_of_pi_are_read_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "COLVAR"
    path.write_text(HEADER + "0 -pi 2\n" + ROWS + "1 pi/2 2*pi\n")
    rows = _read(path)
    assert rows[0] == [2.0, -np.pi, -1.0]
    assert rows[1:4] == EXPECTED
    assert rows[4] == [2.0 * np.pi, np.pi / 2.0, -1.0]


def test_pieces_grow_again_after_a_line_out_of_the_ordinary(tmp_path: Path) -> None:
    path = tmp_path / "COLVAR"
    path.write_text(HEADER + "0 pi 2\n" + ROWS * 40_000)
    sizes = [len(table) for table in ColumnFile(path, _select).tables()]
    assert sum(sizes) == 1 + 3 * 40_000
    # 720 kB: 4, 16, 64 and 256 kB, and the rest; pieces that stay small would be 180.
    assert len(sizes) < 10


@pytest.mark.parametrize("count", [1, 4095, 4096, 4097, 10_000])
def test_every_row_is_written(count: int) -> None:
    times = np.arange(float(count))
    text = "".join(column_blocks("#! FIELDS time a\n", [times, times / 8]))
    header, *rows = text.splitlines()
    assert header == "#! FIELDS time a"
    assert [float(row.split()[1]) for row in rows] == [n / 8 for n in range(count)]


def test_many_lines_with_literals_take_no_longer_than_as_many_rows(tmp_path: Path) -> None:
    # Each ends a piece of the parser's; pieces that stayed long would be parsed 20,000 times.
    path = tmp_path / "COLVAR"
    path.write_text(HEADER + "0 pi 2\n" * 20_000)
    assert _read(path) == [[2.0, np.pi, -1.0]] * 20_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x7fELF\x02\x01\x01\x00\n\x00\x01", ":1: found no '#! FIELDS"),
        (b"\x00" * (3 << 20), ":1: found no line end within 1048576 bytes, expected a text file"),
        (b"0 1 2\n", ":1: found no '#! FIELDS time"),
        (b"#! SET a 1\n0 1 2\n", ":2: found no '#! FIELDS time"),
        (b"#! FIELDS time b\n0 1\n", ":1: found no a"),
        (b"#! FIELDS a b\n1 2\n1 2 3\n1 2\n", ":3: found 3 columns, expected 2 (a b)"),
        (b"#! FIELDS a b\n1 2\n\n1 x\n", ":4: column b: found 'x', expected a number"),
        (b"#! FIELDS a b\n1 2\n# c\n1 0\n", ":4: column b: found 0, expected a number above"),
        (b"#! FIELDS a b\n1 2\n1e999 2\n", ":3: column a: found '1e999', expected a finite"),
        (b"#! FIELDS a b\n1 \xff\xfe\n1 2\n", ":2: column b: found"),
    ],
)
def test_what_is_no_column_file_is_refused_with_its_line(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "COLVAR"
    path.write_bytes(content)
    with pytest.raises(HillsFileError) as caught:
        _read(path)
    assert str(caught.value).startswith(f"{path}{message}")


def test_bzip2_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "COLVAR"
    path.write_bytes(bz2.compress((HEADER + ROWS).encode()))
    with pytest.raises(HillsFileError):
        _read(path)


def test_blocks_of_any_size_give_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "COLVAR"
    path.write_text(HEADER + ROWS * 30 + HEADER + ROWS * 30)
    for size in (1, 7, 64, 1000):
        monkeypatch.setattr(column_files, "_BLOCK", size)
        assert _read(path) == EXPECTED * 60


def test_patterns_stand_for_files_in_the_order_of_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("H.10", "H.2", "H.1", "other", "odd[1]", "odd1"):
        (tmp_path / name).write_text("")
    assert list(map(str, expanded(["H.*", "other"]))) == ["H.1", "H.2", "H.10", "other"]
    assert list(map(str, expanded(["odd[1]"]))) == ["odd[1]"]
    with pytest.raises(InputError, match=r"G\.\*: found no file that matches"):
        expanded(["G.*"])
    with pytest.raises(InputError, match=r"H\.2: found this file named twice"):
        expanded(["H.*", "H.2"])
