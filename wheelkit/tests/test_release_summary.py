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
    words = [str(release.dist), "--seal", release.seal, *release.words(), "--places", places]
    return run(lambda: summarize_release.main(words))


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
    assert gpu == "gpu-h100 (3 kernels on H100, driver None) ✅"
    assert "No GPU runner" not in text


def test_what_is_red_or_lacking_is_shown(
    release: releases.Release, capsys: pytest.CaptureFixture[str]
) -> None:
    release.change_report("verify", lambda c: c.update(ok=False, faults=[{"id": "rpath-form"}]))
    red = {"ok": False, "faults": [{"id": "not-installed"}], "device": None}
    release.change_report("cuda", lambda c: c.update(red))
    release.seals["gpu-2"] = ""
    assert summarize(release) == Status.DONE
    text = capsys.readouterr().out
    assert rows(text)["whl"][1:] == ["❌", "debian ✅", ""]
    assert "❌ verify_wheel of tiny-1.0-cp310-cp310-manylinux_2_17_x86_64.whl: rpath-form" in text
    assert "❌ smoke_test of tiny-1.0-cp310-cp310-manylinux_2_17_x86_64.whl: not-installed" in text
    assert f"No reports in `{release.reports / 'gpu-2'}`" in text


def test_reports_of_another_seal_are_an_error_and_are_not_shown(
    release: releases.Release, capsys: pytest.CaptureFixture[str]
) -> None:
    path = release.path_of("cuda")
    path.write_text(path.read_text().replace("H100", "B200"))
    assert summarize(release) == Status.FAULTY
    text = capsys.readouterr().out
    assert f"❌ {path.name}: sha256 " in text
    assert rows(text)["whl"][-1] == ""


def test_reports_that_no_job_made_are_an_error(
    release: releases.Release, capsys: pytest.CaptureFixture[str]
) -> None:
    release.seals["gpu"] = ""
    assert summarize(release) == Status.FAULTY
    assert "❌ gpu: no seal" in capsys.readouterr().out


def test_an_unreadable_report_is_an_error(
    release: releases.Release, capsys: pytest.CaptureFixture[str]
) -> None:
    release.path_of("cuda").write_text("{")
    release.seal_reports()
    assert summarize(release) == Status.FAULTY
    assert "JSONDecodeError" in capsys.readouterr().out


def test_text_of_a_report_is_no_command(
    release: releases.Release, capfd: pytest.CaptureFixture[str]
) -> None:
    hostile = "x\n::add-mask::secret\n##[error]no\x1b[2J"
    release.change_report("verify", lambda c: c.update(ok=False, faults=[{"id": hostile}]))
    release.change_report("cuda", lambda c: c.update(place=hostile, driver=hostile))
    assert summarize(release) == Status.DONE
    for line in capfd.readouterr().out.splitlines():
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
        assert line.isprintable()


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
