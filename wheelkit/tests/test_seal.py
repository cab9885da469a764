"""The seal stands for every byte of a folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from wheelkit.cli import seal as command
from wheelkit.release import seal
from wheelkit.target.report import FaultyError, MisusedError, Status, run, sha256


def folder(tmp_path: Path) -> Path:
    for name in ("a-1.0.tar.gz", "a-1.0-py3-none-any.whl"):
        (tmp_path / name).write_text(name)
    return tmp_path


def ids(caught: pytest.ExceptionInfo[FaultyError]) -> list[str]:
    return [fault.id for fault in caught.value.faults]


def test_what_was_sealed_opens(tmp_path: Path) -> None:
    digest, hashes = seal.write(folder(tmp_path))
    assert seal.opened(tmp_path, digest) == hashes
    assert hashes["a-1.0.tar.gz"] == sha256(tmp_path / "a-1.0.tar.gz")


def test_the_list_is_one_that_sha256sum_reads(tmp_path: Path) -> None:
    seal.write(folder(tmp_path))
    subprocess.run(["sha256sum", "--check", "--strict", seal.LIST], check=True, cwd=tmp_path)


def test_sealing_again_gives_the_same_seal(tmp_path: Path) -> None:
    assert seal.write(folder(tmp_path)) == seal.write(tmp_path)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("notes.txt", "not-a-distribution"),
        (".hidden", "not-a-distribution"),
        ("report.json", "not-a-distribution"),
        ("a.WHL", "not-a-distribution"),
        ("folder.whl/", "not-a-file"),
        (".hidden.whl", "unsafe-file-name"),
        ("two words.whl", "unsafe-file-name"),
        ("line\nbreak.whl", "unsafe-file-name"),
        ("back\\slash.whl", "unsafe-file-name"),
        (os.fsdecode(b"\xff.whl"), "unsafe-file-name"),
    ],
)
def test_something_else_is_not_sealed(tmp_path: Path, name: str, fault: str) -> None:
    strange = folder(tmp_path) / name
    strange.mkdir() if name.endswith("/") else strange.write_text("")
    with pytest.raises(FaultyError) as caught:
        seal.write(tmp_path)
    assert ids(caught) == [fault]
    assert not (tmp_path / seal.LIST).exists()


@pytest.mark.parametrize("target", ["nowhere", "a-1.0.tar.gz"])
def test_a_link_is_neither_sealed_nor_opened(tmp_path: Path, target: str) -> None:
    digest, _ = seal.write(folder(tmp_path))
    (tmp_path / "a-1.0-py3-none-any.whl").unlink()
    (tmp_path / "a-1.0-py3-none-any.whl").symlink_to(target)
    for action in (lambda: seal.write(tmp_path), lambda: seal.opened(tmp_path, digest)):
        with pytest.raises(FaultyError) as caught:
            action()
        assert ids(caught) == ["not-a-file"]


@pytest.mark.parametrize("name", ["a.whl", "a.JSON", "notes.md"])
def test_a_folder_of_reports_holds_reports_only(tmp_path: Path, name: str) -> None:
    (tmp_path / "smoke.cpu.json").write_text("{}")
    digest, hashes = seal.write(tmp_path, seal.REPORTS)
    assert seal.opened(tmp_path, digest, seal.REPORTS) == hashes
    (tmp_path / name).write_text("")
    with pytest.raises(FaultyError) as caught:
        seal.write(tmp_path, seal.REPORTS)
    assert ids(caught) == ["not-a-report"]


def test_the_command_seals_reports_if_asked(tmp_path: Path) -> None:
    (tmp_path / "smoke.cpu.json").write_text("{}")
    assert run(lambda: command.main([str(tmp_path)])) == Status.FAULTY
    assert run(lambda: command.main([str(tmp_path), "--reports"])) == Status.DONE


def test_the_command_hands_on_the_list_and_the_seal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = tmp_path.parent / f"{tmp_path.name}-outputs"
    monkeypatch.setenv("GITHUB_OUTPUT", str(outputs))
    assert command.main([str(folder(tmp_path))]) == Status.DONE
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines == (tmp_path / seal.LIST).read_text().splitlines()
    assert len(lines) == 2
    assert last == sha256(tmp_path / seal.LIST)
    assert outputs.read_text() == f"seal={last}\n"
    assert seal.opened(tmp_path, last).keys() == {line.partition("  ")[2] for line in lines}


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ("file", "is no folder"),
        ("link", "is no folder"),
        ("broken link", "is no folder"),
        ("full folder", "holds x"),
        ("empty folder", None),
        ("nothing", None),
    ],
)
def test_only_a_free_place_is_taken(tmp_path: Path, made: str, message: str | None) -> None:
    target = tmp_path / "target"
    (tmp_path / "empty").mkdir()
    if made == "file":
        target.write_text("")
    elif made.endswith("link"):
        target.symlink_to(tmp_path / ("none" if made == "broken link" else "empty"))
    elif made.endswith("folder"):
        target.mkdir()
    if made == "full folder":
        (target / "x").write_text("")
    if message is None:
        seal.refuse_existing(target)
        return
    with pytest.raises(MisusedError, match=message):
        seal.refuse_existing(target)


def test_a_folder_appears_whole_and_where_it_should(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "target"
    with seal.whole_folder(target) as made:
        (made / "x").write_text("1")
        assert not target.exists()
    assert (target / "x").read_text() == "1"
    # Nothing else is left beside it.
    assert [path.name for path in target.parent.iterdir()] == ["target"]
    with pytest.raises(ZeroDivisionError), seal.whole_folder(tmp_path / "other") as made:
        _ = 1 / 0
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("text", ["", "dir", "=seal"])
def test_a_folder_without_its_seal_is_no_pair(text: str) -> None:
    with pytest.raises(ValueError, match="is not DIR=SEAL"):
        seal.parse_sealed(text)


def test_a_seal_is_behind_the_last_equals_sign() -> None:
    assert seal.parse_sealed("a=b=c") == seal.Sealed(Path("a=b"), "c")
    # The job that did not run has handed on none.
    assert seal.parse_sealed("a=") == seal.Sealed(Path("a"), "")


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64])
def test_what_is_no_sha256_is_no_seal(tmp_path: Path, digest: str) -> None:
    seal.write(folder(tmp_path))
    with pytest.raises(MisusedError, match="which is no sha256"):
        seal.opened(tmp_path, digest)


def test_each_difference_is_told_with_both_hashes(tmp_path: Path) -> None:
    digest, hashes = seal.write(folder(tmp_path))
    wheel, sources = "a-1.0-py3-none-any.whl", "a-1.0.tar.gz"
    (tmp_path / wheel).write_text("other")
    (tmp_path / sources).unlink()
    (tmp_path / "more.whl").write_text("")
    with pytest.raises(FaultyError) as caught:
        seal.opened(tmp_path, digest)
    found = [(fault.id, fault.file, fault.found, fault.expected) for fault in caught.value.faults]
    assert found == [
        ("file-extra", "more.whl", "a file that was not sealed", "no such file"),
        (
            *("hash-differs", wheel),
            *(f"sha256 {sha256(tmp_path / wheel)}", f"sha256 {hashes[wheel]}"),
        ),
        ("file-missing", sources, "no such file", f"sha256 {hashes[sources]}"),
    ]
    (tmp_path / seal.LIST).write_text("")
    with pytest.raises(FaultyError) as caught:
        seal.opened(tmp_path, digest)
    (fault,) = caught.value.faults
    assert (fault.id, fault.file) == ("seal-broken", seal.LIST)
    assert (fault.found, fault.expected) == (
        *(f"sha256 {sha256(tmp_path / seal.LIST)}", f"sha256 {digest}"),
    )
    (tmp_path / seal.LIST).unlink()
    with pytest.raises(FaultyError) as caught:
        seal.opened(tmp_path, digest)
    assert ids(caught) == ["seal-missing"]


def test_a_file_that_changes_while_it_is_copied_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_text("changed")
    (tmp_path / "out").mkdir()
    copied = tmp_path / "out" / "a.whl"
    seal.copy_exactly(tmp_path / "a.whl", copied, sha256(tmp_path / "a.whl"))
    assert copied.read_text() == "changed"
    with pytest.raises(FaultyError) as caught, seal.whole_folder(tmp_path / "whole") as folder:
        seal.copy_exactly(tmp_path / "a.whl", folder / "a.whl", "0" * 64)
    assert ids(caught) == ["hash-differs"]
    assert not (tmp_path / "whole").exists()


def test_nothing_is_not_sealed(tmp_path: Path) -> None:
    with pytest.raises(FaultyError) as caught:
        seal.write(tmp_path)
    assert ids(caught) == ["file-missing"]


@pytest.mark.parametrize(
    "lines",
    [
        b"%(hash)s  ../a.whl\n",
        b"%(hash)s  /a.whl\n",
        b"%(hash)s  a.whl\n%(hash)s  a.whl\n",
        b"%(hash)s  a.whl\n\n",
        b"%(hash)s  a\xff.whl\n",
        b"",
    ],
)
def test_a_list_of_another_form_is_refused(tmp_path: Path, lines: bytes) -> None:
    (tmp_path / seal.LIST).write_bytes(lines.replace(b"%(hash)s", b"0" * 64))
    with pytest.raises(FaultyError) as caught:
        seal.opened(tmp_path, sha256(tmp_path / seal.LIST))
    assert ids(caught) == ["seal-broken"]


@pytest.mark.parametrize("kind", ["folder", "broken link"])
def test_a_list_that_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    digest, _ = seal.write(folder(tmp_path))
    (tmp_path / seal.LIST).unlink()
    if kind == "folder":
        (tmp_path / seal.LIST).mkdir()
    else:
        (tmp_path / seal.LIST).symlink_to("nowhere")
    with pytest.raises(FaultyError) as caught:
        seal.opened(tmp_path, digest)
    assert ids(caught) == ["seal-missing"]


@pytest.mark.parametrize("wrong", ["", "0" * 63, "G" * 64])
def test_no_hash_is_wrong_usage(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(MisusedError, match="no sha256"):
        seal.opened(tmp_path, wrong)
