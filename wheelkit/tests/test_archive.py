"""Opening wheels safely, checking RECORD, writing archives reproducibly."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import string
import struct
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from tiny_wheels import DATE, Row, entry, members, wheel
from wheelkit.base.remedies import REBUILD
from wheelkit.checks import record as record_check
from wheelkit.target.report import FaultyError, MisusedError
from wheelkit.wheel import archive

FILES = {"tiny/__init__.py": b"", "tiny/data.txt": b"text\n"}
INFO = "tiny-1.0.dist-info"


def ids_of_opening(path: Path, folder: Path) -> list[str]:
    with pytest.raises(FaultyError) as caught:
        archive.unpack(path, folder)
    return [fault.id for fault in caught.value.faults]


def test_a_right_wheel_is_unpacked_as_it_is(tmp_path: Path) -> None:
    opened = archive.unpack(wheel(tmp_path, FILES), tmp_path / "out")
    metadata = {f"{INFO}/{name}" for name in ("METADATA", "WHEEL", "RECORD")}
    assert set(opened.members) == {*FILES, *metadata}
    assert opened.file("tiny/data.txt").read_bytes() == b"text\n"
    assert opened.dist_info == INFO
    assert opened.latest == DATE
    assert list(record_check.archive_faults(opened)) == []


UNSAFE = ["", "../evil", "/evil", "a/../../evil", "a//b", "./a", "a\\b", "a\nb", "a" * 256]


@pytest.mark.parametrize("name", UNSAFE)
def test_a_member_that_may_leave_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    member = entry("x")
    member.filename = name
    path = wheel(tmp_path, FILES, unlisted=[(member, b"")])
    assert ids_of_opening(path, tmp_path / "out") == ["unsafe-name"]
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        # What a file system takes is counted in bytes, for each part.
        ("a" * 255, True),
        ("\u00e4" * 127 + "a", True),
        ("\u00e4" * 128, False),
        ("a" * 200 + "/" + "b" * 200, True),
        ("a/" + "b" * 256, False),
        ("a" * 256 + "/b", False),
        # A name with one of these is another one to some programs.
        ("a\rb", False),
        ("a\0b", False),
        ("a\nb", False),
        ("a\\b", False),
        ("a/..b/.c/d..", True),
        (string.ascii_letters + string.digits + "._-+!@ ,;()[]{}#$%&'=~", True),
        ("a/.", False),
        ("a/", False),
    ],
)
def test_what_a_file_may_be_called(name: str, safe: bool) -> None:
    assert archive.is_safe(name) is safe


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = wheel(tmp_path, FILES, unlisted=[(entry("tiny/data.txt"), b"other")])
    assert ids_of_opening(path, tmp_path / "out") == ["duplicate-name"]


def test_a_file_that_is_a_directory_too_is_refused(tmp_path: Path) -> None:
    path = wheel(tmp_path, FILES, unlisted=[(entry("tiny/data.txt/more"), b"")])
    assert ids_of_opening(path, tmp_path / "out") == ["duplicate-name"]


@pytest.mark.parametrize("mode", [0o120777, 0o104755, 0o102755, 0o010644], ids=oct)
def test_links_pipes_and_setuid_members_are_refused(tmp_path: Path, mode: int) -> None:
    path = wheel(tmp_path, FILES, unlisted=[(entry("tiny/link", mode), b"/etc/passwd")])
    assert ids_of_opening(path, tmp_path / "out") == ["special-member"]


def test_no_zip_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny-1.0-py3-none-any.whl"
    path.write_bytes(b"no zip")
    assert ids_of_opening(path, tmp_path / "out") == ["not-a-zip"]


@pytest.mark.parametrize(("before", "after"), [(b"#!x\n", b""), (b"", b"trailing")])
def test_bytes_around_the_archive_are_refused(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = wheel(tmp_path, FILES)
    path.write_bytes(before + path.read_bytes() + after)
    with pytest.raises(FaultyError) as caught:
        archive.unpack(path, tmp_path / "out")
    (fault,) = caught.value.faults
    assert (fault.id, fault.file) == ("surplus-bytes", path.name)
    assert fault.found == f"bytes {'before' if before else 'after'} the zip archive"


def test_a_comment_is_part_of_the_archive(tmp_path: Path) -> None:
    path = wheel(tmp_path, FILES)
    with zipfile.ZipFile(path, "a") as changed:
        changed.comment = b"words"
    assert archive.unpack(path, tmp_path / "out").members


def test_folders_are_no_members(tmp_path: Path) -> None:
    folders = [(entry(name, 0o040755), b"") for name in ("tiny/", "tiny/sub/")]
    opened = archive.unpack(wheel(tmp_path, FILES, unlisted=folders), tmp_path / "out")
    assert not any(member.endswith("/") for member in opened.members)
    assert (tmp_path / "out" / "tiny" / "data.txt").is_file()


def test_only_the_executable_bit_of_a_member_is_kept(tmp_path: Path) -> None:
    modes = {"a": 0o100644, "b": 0o100666, "c": 0o100755, "d": 0o100744, "e": 0o100711, "f": 0}
    more = [(entry(f"tiny/{name}", mode), b"") for name, mode in modes.items()]
    opened = archive.unpack(wheel(tmp_path, FILES, unlisted=more), tmp_path / "out")
    found = {name: opened.file(f"tiny/{name}").stat().st_mode & 0o777 for name in modes}
    assert found == {**dict.fromkeys("abf", 0o644), **dict.fromkeys("cde", 0o755)}


@pytest.mark.parametrize("mode", [0o100644, 0o040755, 0, 0o644])
def test_a_plain_mode_is_right(tmp_path: Path, mode: int) -> None:
    path = wheel(tmp_path, FILES, unlisted=[(entry("tiny/more", mode), b"")])
    assert "tiny/more" in archive.unpack(path, tmp_path / "out").members


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_is_wrong_with_a_member_is_said(tmp_path: Path) -> None:
    more = [entry("tiny/data.txt"), entry("tiny/data.txt/more"), entry("tiny/link", 0o120777)]
    path = wheel(tmp_path, FILES, unlisted=[(one, b"") for one in more])
    with pytest.raises(FaultyError) as caught:
        archive.unpack(path, tmp_path / "out")
    regular = "a regular file without special bits: installers keep nothing else"
    assert [(f.id, f.file, f.found, f.expected, f.remedy) for f in caught.value.faults] == [
        ("duplicate-name", "tiny/data.txt", "2 members", "one", REBUILD),
        ("duplicate-name", "tiny/data.txt", "a file and a directory", "one", REBUILD),
        ("special-member", "tiny/link", "mode 120777", regular, REBUILD),
    ]


def test_a_member_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    path = wheel(tmp_path, FILES)
    with zipfile.ZipFile(path) as opened:
        crc = opened.getinfo("tiny/data.txt").CRC
    wrong = struct.pack("<L", crc ^ 1)
    path.write_bytes(path.read_bytes().replace(struct.pack("<L", crc), wrong))
    assert ids_of_opening(path, tmp_path / "out") == ["unreadable-member"]


def test_a_member_before_the_beginning_of_the_archive_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = wheel(tmp_path, FILES)

    def seek_before_the_beginning(*_: object, **__: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(zipfile.ZipFile, "open", seek_before_the_beginning)
    assert set(ids_of_opening(path, tmp_path / "out")) == {"unreadable-member"}
    monkeypatch.setattr(zipfile.ZipFile, "open", _full_disk)
    with pytest.raises(OSError, match="No space left"):
        ids_of_opening(path, tmp_path / "out2")


def _full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = wheel(tmp_path, FILES)
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    assert ids_of_opening(path, tmp_path / "out") == ["unreadable-member"]


@pytest.mark.parametrize("missing", ["METADATA", "WHEEL"])
def test_a_missing_metadata_file_is_refused(tmp_path: Path, missing: str) -> None:
    path = wheel(tmp_path / "in", FILES)
    with zipfile.ZipFile(tmp_path / path.name, "w") as less:
        for name, data in members(path).items():
            if name != f"{INFO}/{missing}":
                less.writestr(name, data)
    assert ids_of_opening(tmp_path / path.name, tmp_path / "out") == ["dist-info"]


def test_no_dist_info_and_two_of_them_are_refused(tmp_path: Path) -> None:
    two = wheel(tmp_path, {**FILES, "other-1.dist-info/x": b""})
    assert "dist-info" in ids_of_opening(two, tmp_path / "two")
    none = tmp_path / "none-1.0-py3-none-any.whl"
    with zipfile.ZipFile(none, "w") as empty:
        empty.writestr("tiny.py", b"")
    assert ids_of_opening(none, tmp_path / "none") == ["dist-info"]


@pytest.mark.parametrize("member", ["tiny-1.0.data/stuff/x", "tiny-1.0.data/x", "x.data/data"])
def test_a_member_without_an_install_scheme_is_refused(tmp_path: Path, member: str) -> None:
    path = wheel(tmp_path, {**FILES, member: b""})
    assert ids_of_opening(path, tmp_path / "out") == ["unknown-scheme"]


def replace(old: str, new: str) -> Callable[[list[Row]], Iterable[Row]]:
    return lambda rows: [tuple(field.replace(old, new) for field in row) for row in rows]


RECORDS: list[tuple[str, Callable[[list[Row]], Iterable[Row]]]] = [
    ("record-missing", lambda rows: rows[1:]),
    ("record-missing", lambda rows: rows[:-1]),
    ("record-extra", lambda rows: [*rows, ("tiny/gone.py", "", "")]),
    ("record-duplicate", lambda rows: [*rows, rows[0]]),
    ("record-unsafe-path", lambda rows: [*rows, ("/etc/passwd", "", "")]),
    ("record-unsafe-path", lambda rows: [*rows, ("../up", "", "")]),
    ("record-malformed", lambda rows: [*rows[:-1], (f"{INFO}/RECORD",)]),
    ("record-hash", lambda rows: [(rows[0][0], "sha256=AAAA", "0"), *rows[1:]]),
    ("record-hash", lambda rows: [(rows[0][0], "md5=1B2M2Y8AsgTpgAmY7PhCfg", "0"), *rows[1:]]),
    ("record-hash", lambda rows: [(rows[0][0], "", ""), *rows[1:]]),
    # The right hash of nothing, by a function that is not good enough.
    (
        "record-hash",
        lambda rows: [(rows[0][0], "sha1=2jmj7l5rSw0yVb_vlWAYkK_YBwk", "0"), *rows[1:]],
    ),
    ("record-size", lambda rows: [(*rows[0][:2], "1"), *rows[1:]]),
]


@pytest.mark.parametrize(("expected", "record"), RECORDS)
def test_record_is_held_against_the_members(
    tmp_path: Path, expected: str, record: Callable[[list[Row]], Iterable[Row]]
) -> None:
    opened = archive.unpack(wheel(tmp_path, FILES, record=record), tmp_path / "out")
    assert [fault.id for fault in record_check.archive_faults(opened)] == [expected]


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_a_better_hash_is_taken_and_compared(tmp_path: Path, algorithm: str) -> None:
    def record(data: bytes) -> Callable[[list[Row]], Iterable[Row]]:
        digest = base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).rstrip(b"=")
        row = ("tiny/data.txt", f"{algorithm}={digest.decode()}", "5")
        return lambda rows: [row if row[0] == given[0] else given for given in rows]

    for data, expected in ((b"text\n", []), (b"other", ["record-hash"])):
        path = wheel(tmp_path / data.decode().strip(), FILES, record=record(data))
        opened = archive.unpack(path, path.parent / "out")
        assert [fault.id for fault in record_check.archive_faults(opened)] == expected


@pytest.mark.parametrize("text", [b"\xff\xfe,,\n", b'"open,,\n'])
def test_a_record_that_is_no_table_is_a_fault(tmp_path: Path, text: bytes) -> None:
    opened = archive.unpack(wheel(tmp_path, FILES, metadata={"RECORD": text}), tmp_path / "o")
    assert [fault.id for fault in record_check.archive_faults(opened)] == ["record-malformed"]


def test_a_signature_need_not_be_listed(tmp_path: Path) -> None:
    path = wheel(tmp_path, FILES, unlisted=[(entry(f"{INFO}/RECORD.p7s"), b"")])
    assert list(record_check.archive_faults(archive.unpack(path, tmp_path / "out"))) == []


def test_a_packed_tree_is_read_back_with_a_right_record(tmp_path: Path) -> None:
    odd = {"tiny/a,b.txt": b"comma", "tiny/\u00fc \u0416.txt": b"utf-8"}
    opened = archive.unpack(wheel(tmp_path / "in", FILES), tmp_path / "first")
    for name, data in odd.items():
        opened.file(name).write_bytes(data)
    opened.file("tiny/data.txt").chmod(0o700)
    target = tmp_path / "tiny-1.0-py3-none-any.whl"
    archive.pack(opened.root, target, DATE)
    again = archive.unpack(target, tmp_path / "second")
    assert list(record_check.archive_faults(again)) == []
    assert set(again.members) == {*opened.members, *odd}
    with zipfile.ZipFile(target) as packed:
        infos = packed.infolist()
    assert infos[-1].filename == f"{INFO}/RECORD"
    modes = {info.filename: info.external_attr >> 16 for info in infos}
    assert modes.pop("tiny/data.txt") == 0o100755
    assert set(modes.values()) == {0o100644}
    assert {info.date_time for info in infos} == {DATE}


def test_the_date_comes_from_the_environment_or_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert archive.build_date(DATE) == DATE
    # The first and the last second that an archive can hold, as date(1) has them.
    for epoch, date in (
        ("1000000000", (2001, 9, 9, 1, 46, 40)),
        ("315532800", (1980, 1, 1, 0, 0, 0)),
        ("4354819199", (2107, 12, 31, 23, 59, 59)),
    ):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
        assert archive.build_date(DATE) == date
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    assert archive.build_date(DATE) == DATE


@pytest.mark.parametrize(
    "epoch", ["315532799", "4354819200", "soon", "0", "-1", "99999999999", "9" * 40]
)
def test_a_date_that_no_archive_can_hold_is_refused(
    monkeypatch: pytest.MonkeyPatch, epoch: str
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    with pytest.raises(MisusedError, match="SOURCE_DATE_EPOCH"):
        archive.build_date(DATE)


def test_publishing_never_replaces_other_content(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "dest" / "x.whl"
    source.write_bytes(b"new")
    archive.publish(source, target)
    archive.publish(source, target)
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o644
    source.write_bytes(b"newer")
    with pytest.raises(FaultyError) as caught:
        archive.publish(source, target)
    assert [fault.id for fault in caught.value.faults] == ["destination-exists"]
    assert target.read_bytes() == b"new"


def test_what_appears_is_whole_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "source", tmp_path / "dest" / "x.whl"
    source.write_bytes(b"new")
    link, seen = os.link, []

    def watched(path: str, *rest: Path, **options: Any) -> None:
        seen.append(Path(path).read_bytes())
        link(path, *rest, **options)

    monkeypatch.setattr(os, "link", watched)
    archive.publish(source, target)
    assert seen == [b"new"]


def test_a_failing_copy_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "source", tmp_path / "dest" / "x.whl"
    source.write_bytes(b"new")

    def full_disk(_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="space"):
        archive.publish(source, target)
    assert list(tmp_path.iterdir()) == [source]


def test_a_file_system_without_unnamed_files_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def older(path: str, flags: int, mode: int = 0o777, **more: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return real(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", older)
    source, target = tmp_path / "source", tmp_path / "dest" / "x.whl"
    source.write_bytes(b"new")
    archive.publish(source, target)
    assert list(target.parent.iterdir()) == [target]
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o644


def test_a_folder_that_cannot_be_written_to_is_the_machines_doing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(PermissionError):
        archive.publish(tmp_path, tmp_path / "dest" / "x.whl")
    assert list(tmp_path.iterdir()) == []


def test_what_appears_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source", tmp_path / "x.whl"
    source.write_bytes(b"new")
    monkeypatch.setattr(os, "fsync", lambda _: target.write_bytes(b"of another process"))
    with pytest.raises(FaultyError, match="destination-exists"):
        archive.publish(source, target)
    assert target.read_bytes() == b"of another process"
