"""What the zip writer writes is read back by Python's zipfile, an implementation of its own."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wheelkit.wheel import zip_writer

DATE = (2024, 2, 29, 13, 37, 58)

# Names as wheels have them; the writer itself does not judge them.
NAMES = st.text("abcXYZ019._- \u00fc\u0416\u4e2d", min_size=1, max_size=20).filter(
    lambda name: name.strip(". ") != ""
)


def written(folder: Path, files: dict[str, bytes]) -> zipfile.ZipFile:
    root, archive = folder / "root", folder / "archive.zip"
    root.mkdir(exist_ok=True)
    for name, data in files.items():
        (root / name).write_bytes(data)
    zip_writer.write(archive, root, files, DATE)
    return zipfile.ZipFile(archive)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(NAMES, st.binary(max_size=5000) | st.just(b"x" * 100_000), max_size=5))
def test_any_files_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    with written(tmp_path_factory.mktemp("zip"), files) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files
        assert [info.filename for info in archive.infolist()] == list(files)


def test_headers_say_what_installers_go_by(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "run").write_bytes(b"")
    (tmp_path / "root" / "run").chmod(0o711)
    with written(tmp_path, {"run": b"#!", "read": b"text", "none": b""}) as archive:
        infos = {info.filename: info for info in archive.infolist()}
    assert infos["run"].external_attr >> 16 == 0o100755
    assert infos["read"].external_attr >> 16 == 0o100644
    assert {info.date_time for info in infos.values()} == {DATE}
    assert {info.create_system for info in infos.values()} == {3}
    assert {info.extract_version for info in infos.values()} == {20}
    assert {info.compress_type for info in infos.values()} == {zipfile.ZIP_DEFLATED}
    assert [infos[name].file_size for name in ("run", "read", "none")] == [2, 4, 0]


def test_local_headers_agree_with_the_directory(tmp_path: Path) -> None:
    # Installers that stream read the local headers alone.
    with written(tmp_path, {"\u00fc": b"x" * 1000, "b": b"y"}) as archive:
        data = Path(str(archive.filename)).read_bytes()
        for info in archive.infolist():
            fields = zip_writer.LOCAL.unpack_from(data, info.header_offset)
            expected = (b"PK\3\4", 20, info.flag_bits, info.compress_type)
            assert fields[:4] == expected
            assert fields[6:9] == (info.CRC, info.compress_size, info.file_size)
            start = info.header_offset + zip_writer.LOCAL.size
            assert data[start : start + fields[9]] == info.filename.encode()


def test_the_bytes_do_not_depend_on_the_files_dates(tmp_path: Path) -> None:
    with written(tmp_path, {"a": b"1"}) as archive:
        first = Path(str(archive.filename)).read_bytes()
    os.utime(tmp_path / "root" / "a", (0, 0))
    zip_writer.write(tmp_path / "again.zip", tmp_path / "root", ["a"], DATE)
    assert (tmp_path / "again.zip").read_bytes() == first


def test_a_large_member_is_compressed_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"random": os.urandom(100_000), "text": b"text " * 50_000, "small": b"x" * 99}
    with written(tmp_path, files) as archive:
        plain = {info.filename: info.CRC for info in archive.infolist()}
    monkeypatch.setattr(zip_writer, "STREAMED", 100)
    monkeypatch.setattr(zip_writer, "PIECE", 1 << 12)
    with written(tmp_path, files) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files
        infos = archive.infolist()
        assert {info.filename: info.CRC for info in infos} == plain
        assert {info.extract_version for info in infos} == {20}
        data = Path(str(archive.filename)).read_bytes()
    for info in infos:
        fields = zip_writer.LOCAL.unpack_from(data, info.header_offset)
        assert fields[6:9] == (info.CRC, info.compress_size, info.file_size)


@pytest.mark.slow
def test_a_member_of_more_than_four_gigabytes_is_read_back(tmp_path: Path) -> None:
    root, archive = tmp_path / "root", tmp_path / "archive.zip"
    root.mkdir()
    size = zip_writer.LIMIT_32 + 10
    with (root / "large").open("wb") as large:
        large.truncate(size)
    (root / "small").write_bytes(b"after it")
    zip_writer.write(archive, root, ["large", "small"], DATE)
    with zipfile.ZipFile(archive) as opened:
        assert opened.getinfo("large").file_size == size
        assert opened.testzip() is None
        assert opened.read("small") == b"after it"


@pytest.mark.slow
def test_more_members_than_sixteen_bits_count_are_read_back(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").write_bytes(b"a")
    count = zip_writer.LIMIT_16 + 1
    zip_writer.write(tmp_path / "many.zip", tmp_path / "root", ["a"] * count, DATE)
    with zipfile.ZipFile(tmp_path / "many.zip") as opened:
        assert len(opened.infolist()) == count
