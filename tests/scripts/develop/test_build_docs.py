"""The build of the documentation: the commands that it runs, and its exit status."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from develop import build_docs
from shared.ledger import BUILD
from wheelkit.target.report import Status, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], list[list[str]]]:
    """A function that lets the command with a given word fail, and returns the commands run."""

    def arrange(failing: str | None) -> list[list[str]]:
        seen: list[list[str]] = []

        def fake_run(
            command: list[Any], cwd: Path | None = None, **_: Any
        ) -> subprocess.CompletedProcess[str]:
            words = list(map(str, command))
            # In the root of the project, Python would import the sources instead of the wheel.
            assert "sphinx" not in words or cwd == BUILD
            seen.append(words)
            return subprocess.CompletedProcess(words, int(failing in words))

        # The picture has separate tests.
        monkeypatch.setattr(build_docs, "update_picture", lambda *_: False)
        monkeypatch.setattr(build_docs, "wheel_for", lambda _: SimpleNamespace(wheel="a.whl"))
        monkeypatch.setattr(subprocess, "run", fake_run)
        monkeypatch.setattr(sys, "argv", ["build_docs.py", "-q"])
        return seen

    return arrange


def test_the_wheel_is_installed_and_warnings_of_sphinx_are_errors(
    commands: Callable[[str | None], list[list[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    seen = commands(None)
    assert run(build_docs.main) == Status.DONE
    pip, sphinx = seen
    assert pip[1:4] == ["-m", "pip", "install"]
    assert pip[-1] == "a.whl"
    assert sphinx[1:6] == ["-m", "sphinx", "-W", "--keep-going", "-q"]
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "install a.whl"
    assert said[-1].endswith("build/docs/index.html")


@pytest.mark.parametrize(
    ("failing", "status"), [("pip", Status.LACKING), ("sphinx", Status.FAULTY)]
)
def test_failures(
    commands: Callable[[str | None], list[list[str]]], failing: str, status: Status
) -> None:
    seen = commands(failing)
    assert run(build_docs.main) == status
    assert len(seen) == (1 if failing == "pip" else 2)


@pytest.mark.parametrize(
    ("links", "shown", "status"),
    [
        ([], [], Status.DONE),
        (["a.html: b.html: no such file"], [], Status.FAULTY),
        ([], ["a.html, 390 pixels: no picture x.png"], Status.FAULTY),
    ],
)
def test_faults_of_the_built_pages_are_printed(
    links: list[str],
    shown: list[str],
    status: Status,
    commands: Callable[[str | None], list[list[str]]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commands(None)
    monkeypatch.setattr(sys, "argv", ["build_docs.py", "--look"])
    monkeypatch.setattr(build_docs, "find_browser", lambda: "chromium")
    monkeypatch.setattr(build_docs, "broken_links", lambda _: list(links))
    monkeypatch.setattr(build_docs, "look", lambda *_: list(shown))
    assert run(build_docs.main) == status
    assert capsys.readouterr().out.splitlines()[2:-1] == [*links, *shown]


def test_look_needs_a_browser(
    commands: Callable[[str | None], list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = commands(None)
    monkeypatch.setattr(sys, "argv", ["build_docs.py", "--look"])
    monkeypatch.setattr(build_docs, "find_browser", lambda: None)
    assert run(build_docs.main) == Status.LACKING
    assert seen == []


@pytest.fixture
def picture(tmp_path: Path, extra: Callable[[str], Any]) -> Callable[..., Path]:
    """A function that writes a picture of a black square on white, moved by `shift` pixels."""
    image = extra("matplotlib.image")

    def write(name: str, shift: int = 0, height: int = 60) -> Path:
        pixels = np.ones((height, 100, 3))
        pixels[20:40, 30 + shift : 60 + shift] = 0.0
        image.imsave(tmp_path / name, pixels)
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("other", "replaced"),
    [({}, False), ({"shift": 10}, True), ({"height": 70}, True)],
    ids=["same", "moved", "another size"],
)
def test_a_picture_that_differs_is_replaced(
    picture: Callable[..., Path], other: dict[str, int], replaced: bool
) -> None:
    made, shown = picture("made.png"), picture("shown.png", **other)
    before = shown.read_bytes()
    assert build_docs.update_picture(made, shown) is replaced
    assert shown.read_bytes() == (made.read_bytes() if replaced else before)


def test_a_missing_picture_is_copied(picture: Callable[..., Path]) -> None:
    made = picture("made.png")
    shown = made.with_name("shown.png")
    assert build_docs.update_picture(made, shown)
    assert build_docs.difference(made, shown) == 0.0
