"""The ledger of wheelhouse/ returns no wheel that is out of date, changed or missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from shared import ledger
from shared.ledger import LocalWheel


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project in place of the real one, with a few source files."""
    monkeypatch.setattr(ledger, "PROJECT", tmp_path)
    monkeypatch.setattr(ledger, "WHEELHOUSE", tmp_path / "wheelhouse")
    monkeypatch.setattr(ledger, "LEDGER", tmp_path / "build" / "wheelhouse.json")
    (tmp_path / "build").mkdir()
    (tmp_path / "cyfes" / "kernels").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[project]")
    (tmp_path / "cyfes" / "kernels" / "sum.cpp").write_text("int x;")
    return tmp_path


def product(project: Path, python: str) -> LocalWheel:
    """Return a wheel that has passed all stages, not yet in the wheelhouse."""
    unrepaired, wheel = (project / "build" / f"{stem}-{python}.whl" for stem in ("raw", "fixed"))
    unrepaired.write_text(f"raw {python}")
    wheel.write_text(f"fixed {python}")
    return LocalWheel(python, str(unrepaired), str(wheel), "ok", "cpu ok")


def names(project: Path) -> set[str]:
    """Return the names of the files in wheelhouse/."""
    return {path.name for path in (project / "wheelhouse").iterdir()}


def test_ledger_returns_the_wheels_that_were_recorded(project: Path) -> None:
    ledger.replace_wheels({"3.7": product(project, "3.7")}, "state")
    (found,) = ledger.read("state").values()
    assert found.wheel == str(project / "wheelhouse" / "fixed-3.7.whl")
    assert Path(found.wheel).read_text() == "fixed 3.7"
    assert (found.verified, found.smoke) == ("ok", "cpu ok")


def test_only_other_wheels_are_removed(project: Path) -> None:
    (project / "wheelhouse").mkdir()
    (project / "wheelhouse" / "stale.whl").write_text("")
    (project / "wheelhouse" / "notes.txt").write_text("")
    assert ledger.replace_wheels({"3.7": product(project, "3.7")}, "state") == ["stale.whl"]
    assert names(project) == {"fixed-3.7.whl", "notes.txt"}


def test_kept_wheel_stays_beside_a_new_one(project: Path) -> None:
    ledger.replace_wheels({"3.7": product(project, "3.7")}, "state")
    kept = ledger.read("state")
    ledger.replace_wheels({**kept, "3.8": product(project, "3.8")}, "state")
    assert names(project) == {"fixed-3.7.whl", "fixed-3.8.whl"}
    assert list(ledger.read("state")) == ["3.7", "3.8"]


def test_no_ledger_means_no_wheels(project: Path) -> None:
    assert ledger.read("state") == {}
    assert list(project.glob("wheelhouse")) == []


def test_wheels_of_other_sources_are_not_returned(project: Path) -> None:
    ledger.replace_wheels({"3.7": product(project, "3.7")}, "state")
    assert ledger.read("other state") == {}


@pytest.mark.parametrize("which", ["wheel", "unrepaired"])
@pytest.mark.parametrize("lost", [True, False])
def test_changed_or_missing_wheel_is_not_returned(project: Path, which: str, lost: bool) -> None:
    products = {version: product(project, version) for version in ("3.7", "3.8")}
    ledger.replace_wheels(products, "state")
    changed = Path(getattr(products["3.7"], which))
    if lost:
        changed.unlink()
    else:
        changed.write_text("changed")
    assert list(ledger.read("state")) == ["3.8"]


def test_no_ledger_is_left_when_a_copy_fails(project: Path) -> None:
    ledger.replace_wheels({"3.7": product(project, "3.7")}, "state")
    lost = product(project, "3.8")
    Path(lost.wheel).unlink()
    with pytest.raises(FileNotFoundError):
        ledger.replace_wheels({"3.8": lost}, "state")
    assert ledger.read("state") == {}


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ("cyfes/kernels/sum.cpp", True),
        ("cyfes/kernels/new.cpp", True),
        ("pyproject.toml", True),
        ("cyfes/__pycache__/grid.cpython-37.pyc", False),
        ("cyfes/wrapper.cpython-37m-x86_64-linux-gnu.so", False),
        ("tests/test_it.py", False),
    ],
)
def test_state_depends_on_the_sources_only(project: Path, changed: str, counts: bool) -> None:
    before = ledger.source_state()
    path = project / changed
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("changed")
    assert (ledger.source_state() != before) == counts


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("variable", "counts"), [("CXXFLAGS", True), ("SKBUILD_CMAKE_DEFINE", True), ("EDITOR", False)]
)
def test_state_depends_on_the_settings_of_a_build(
    variable: str, counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable, raising=False)
    before = ledger.source_state()
    monkeypatch.setenv(variable, "changed")
    assert (ledger.source_state() != before) == counts
