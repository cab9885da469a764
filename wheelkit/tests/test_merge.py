"""The folders of several build jobs become one, and each is bound to the seal of its job."""

from __future__ import annotations

from pathlib import Path

import pytest
import releases
from wheelkit.cli import merge, seal
from wheelkit.release.seal import write
from wheelkit.target.report import Status, run, sha256


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, str]:
    """The folders of two jobs that build wheels, and one that builds the sources."""
    folders = {}
    for name, python in (("built-3.10", "3.10"), ("built-3.13", "3.13")):
        release = releases.Release(tmp_path)
        releases.add_wheel(release, python).rename(make(tmp_path / name) / f"a-{python}.whl")
        folders[str(tmp_path / name)] = write(tmp_path / name)[0]
    releases.sdist(make(tmp_path / "built-sdist") / "tiny-1.0.tar.gz", "tiny")
    folders[str(tmp_path / "built-sdist")] = write(tmp_path / "built-sdist")[0]
    return folders


FAULT = "fault {}: {}"


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def merged(out: Path, parts: dict[str, str]) -> int:
    words = [word for name, digest in parts.items() for word in ("--part", f"{name}={digest}")]
    return run(lambda: merge.main([str(out), *words]))


def test_all_files_are_merged_and_sealed(
    tmp_path: Path,
    parts: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
    assert merged(tmp_path / "out", parts) == Status.DONE
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"SHA256SUMS", "a-3.10.whl", "a-3.13.whl", "tiny-1.0.tar.gz"}
    digest = sha256(tmp_path / "out" / "SHA256SUMS")
    assert capsys.readouterr().out.splitlines()[-1] == digest
    assert (tmp_path / "outputs").read_text() == f"seal={digest}\n"
    # Sealed as one folder of distributions is.
    assert run(lambda: seal.main([str(tmp_path / "out")])) == Status.DONE
    assert capsys.readouterr().out.splitlines()[-1] == digest


def test_one_jobs_wheel_replaced_by_another_is_refused(
    tmp_path: Path, parts: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """What the artifact of a job holds was written by another job after its seal."""
    (tmp_path / "built-3.13" / "a-3.13.whl").write_bytes(b"another's")
    assert merged(tmp_path / "out", parts) == Status.FAULTY
    assert "fault hash-differs: a-3.13.whl" in capsys.readouterr().err
    releases.seal_by_hand(tmp_path / "built-3.13")
    assert merged(tmp_path / "out", parts) == Status.FAULTY
    assert "fault seal-broken" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_one_file_of_two_jobs_is_refused(
    tmp_path: Path, parts: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "built-3.13" / "a-3.10.whl").write_bytes(b"another's")
    parts[str(tmp_path / "built-3.13")] = write(tmp_path / "built-3.13")[0]
    assert merged(tmp_path / "out", parts) == Status.FAULTY
    assert FAULT.format("file-twice", "a-3.10.whl") in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("digest", "told"), [("", "''"), ("abc", "'abc'")])
def test_a_part_without_a_seal_is_refused(
    tmp_path: Path,
    parts: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    digest: str,
    told: str,
) -> None:
    parts[str(tmp_path / "built-3.13")] = digest
    assert merged(tmp_path / "out", parts) == Status.MISUSED
    message = capsys.readouterr().err
    assert f"built-3.13 is {told}, which is no sha256" in message


def test_a_part_that_is_absent_is_refused(tmp_path: Path, parts: dict[str, str]) -> None:
    assert merged(tmp_path / "out", {**parts, "nowhere": "0" * 64}) == Status.MISUSED


def test_a_part_with_reports_is_refused(
    tmp_path: Path, parts: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "built-3.13" / "x.json").write_text("{}")
    parts[str(tmp_path / "built-3.13")] = releases.seal_by_hand(tmp_path / "built-3.13")
    assert merged(tmp_path / "out", parts) == Status.FAULTY
    assert "fault not-a-distribution: x.json" in capsys.readouterr().err


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path, parts: dict[str, str]) -> None:
    out = make(tmp_path / "out")
    assert merged(out, parts) == Status.DONE
    before = {path.name: sha256(path) for path in out.iterdir()}
    assert merged(out, parts) == Status.MISUSED
    assert {path.name: sha256(path) for path in out.iterdir()} == before


@pytest.mark.parametrize("word", ["built", "=0", "0"])
def test_a_part_is_a_folder_and_a_seal(tmp_path: Path, word: str) -> None:
    with pytest.raises(SystemExit) as end:
        merge.main([str(tmp_path / "out"), "--part", word])
    assert end.value.code == Status.MISUSED
