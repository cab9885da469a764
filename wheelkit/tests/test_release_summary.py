"""The summary of a release says what was proven and what was not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import releases
from wheelkit.cli import summary as summarize_release
from wheelkit.target.report import Status, run


@pytest.fixture
def release(tmp_path: Path) -> releases.Release:
    return releases.make(tmp_path / "release", pythons=("3.10",))


def summarize(release: releases.Release, places: str = f'["{releases.GPU}"]') -> int:
    words = [str(release.dist), "--seal", release.seal, "--reports", str(release.reports)]
    return run(lambda: summarize_release.main([*words, "--places", places]))


def rows(text: str) -> dict[str, list[str]]:
    lines = [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`").rpartition(".")[2]: cells[1:] for cells in lines}


def test_each_file_has_a_row(
    release: releases.Release, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = release.root / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    assert summarize(release) == Status.DONE
    text = capsys.readouterr().out
    assert path.read_text() == text
    sha256, verified, cpu, gpu = rows(text)["whl"]
    assert len(sha256.strip("`")) == 64
    assert (verified, cpu) == ("✅", "debian ✅")
    assert gpu == "gpu-h100 (1 kernels on H100, driver None) ✅"
    assert "No GPU runner" not in text


def test_what_is_red_or_lacking_is_shown(
    release: releases.Release, capsys: pytest.CaptureFixture[str]
) -> None:
    release.change_report("verify", lambda c: c.update(ok=False))
    release.change_report("cuda", lambda _: None).write_text("{")
    assert summarize(release) == Status.DONE
    text = capsys.readouterr().out
    assert rows(text)["whl"][1:] == ["❌", "debian ✅", ""]
    assert "JSONDecodeError" in text


@pytest.mark.parametrize("places", ["", "[]"])
def test_a_push_without_a_gpu_runner_says_so(
    release: releases.Release, capsys: pytest.CaptureFixture[str], places: str
) -> None:
    assert summarize(release, places) == Status.DONE
    assert "No GPU runner is named" in capsys.readouterr().out


def test_other_bytes_have_no_summary(release: releases.Release) -> None:
    with release.wheel("3.10").open("ab") as stream:
        stream.write(b"\0")
    assert summarize(release) == Status.FAULTY


def test_the_report_of_other_bytes_is_not_shown_as_ours(
    release: releases.Release, capsys: pytest.CaptureFixture[str]
) -> None:
    path = release.change_report("cuda", lambda c: c["wheel"].update(sha256="0" * 64))
    assert json.loads(path.read_text())["ok"]
    assert summarize(release) == Status.DONE
    assert rows(capsys.readouterr().out)["whl"][-1] == ""
