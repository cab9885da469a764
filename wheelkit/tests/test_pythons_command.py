"""The list of CPythons that a project supports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from wheelkit.base.cpythons import CPYTHONS
from wheelkit.cli import pythons
from wheelkit.target.report import MisusedError, Status, run


def project(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("wanted", "oldest", "expected"),
    [
        (">=3.7", None, list(CPYTHONS)),
        (">=3.9,<3.12", None, ["3.9", "3.10", "3.11"]),
        (">=3.7", "3.14", ["3.14", "3.15"]),
        ("==3.10.*", "3.7", ["3.10"]),
    ],
)
def test_requires_python_decides(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wanted: str,
    oldest: str | None,
    expected: list[str],
) -> None:
    monkeypatch.chdir(project(tmp_path, f'[project]\nrequires-python = "{wanted}"\n'))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
    options = ["--since", oldest] if oldest else []
    assert pythons.main(options) == Status.DONE
    assert json.loads(capsys.readouterr().out) == expected
    assert (tmp_path / "outputs").read_text() == f"pythons={json.dumps(expected)}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[project]\n",
        "[project",
        '[project]\nrequires-python = "about 3"\n',
        '[project]\nrequires-python = ">=4"\n',
    ],
)
def test_a_project_that_does_not_say_is_wrong_usage(tmp_path: Path, text: str) -> None:
    with pytest.raises(MisusedError, match="requires-python"):
        pythons.supported(project(tmp_path, text))


def test_no_project_and_no_version_are_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(lambda: pythons.main([])) == Status.MISUSED
    assert run(lambda: pythons.main(["--since", "ten"])) == Status.MISUSED
