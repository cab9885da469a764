"""What a project declares: the table, its faults, whose wheels it is for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from wheelkit.target.report import MisusedError
from wheelkit.wheel import settings
from wheelkit.wheel.settings import Acceptance, Settings

TABLE = """
[project]
name = "Tiny.Wheel"

[tool.wheelkit]
grafts = ["libcudart"]
sass = [80, 90]
ptx = []
max-size = 1000
exclude = ["libfar.so.*"]
layouts = ["venv", "pip --target"]

[[tool.wheelkit.accept]]
id = "rpath-absolute"
file = "tiny/lib/*"
reason = "a plugin of the build machine"

[tool.check-wheel-contents]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "pyproject.toml"
    path.write_text(text)
    return path


def test_every_key_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, TABLE)
    assert settings.from_file(path) == Settings(
        grafts=("libcudart",),
        sass=(80, 90),
        ptx=(),
        max_size=1000,
        exclude=("libfar.so.*",),
        layouts=("venv", "pip --target"),
        accept=(Acceptance("rpath-absolute", "a plugin of the build machine", "tiny/lib/*"),),
        check_wheel_contents=path,
        source=str(path),
    )


def test_the_table_of_a_project_is_for_its_own_wheels(tmp_path: Path) -> None:
    assert settings.of_project(tmp_path, "tiny-wheel") == Settings()
    write(tmp_path, TABLE)
    assert settings.of_project(tmp_path, "tiny-wheel").sass == (80, 90)
    assert settings.of_project(tmp_path, "another") == Settings()
    write(tmp_path, '[project]\nname = "tiny-wheel"\n')
    assert settings.of_project(tmp_path, "tiny-wheel") == Settings()


def test_an_option_takes_the_place_of_a_key(tmp_path: Path) -> None:
    declared = settings.from_file(write(tmp_path, TABLE))
    changed = settings.overridden(declared, {"sass": (), "ptx": None, "max_size": 5})
    assert (changed.sass, changed.ptx, changed.max_size) == ((), (), 5)
    assert changed.grafts == ("libcudart",)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("gratfs = []", "gratfs is no known key; did you mean grafts?"),
        ("colour = 1", "colour is no known key; expected one of accept, build-paths"),
        ('sass = "90"', "sass is '90'; expected a list of whole numbers"),
        ('sass = ["sm_90"]', "expected a list of whole numbers"),
        ("sass = [true]", "expected a list of whole numbers"),
        ("grafts = [1]", "expected a list of strings"),
        ('max-size = "4 MB"', "expected a positive whole number"),
        ("max-size = true", "expected a positive whole number"),
        ("max-size = 0", "expected a positive whole number"),
        ('layouts = ["vnev"]', "no layout 'vnev'; expected some of venv"),
        ('accept = "some-id"', "expected a list of tables"),
        ('accept = [{ id = "some-id" }]', "expected a list of tables"),
        ('accept = [{ id = "some-id", reason = "" }]', "expected a list of tables"),
        ('accept = [{ id = "some-id", reason = "x", files = "*" }]', "expected a list of tables"),
        ("sass = [", "cannot be read"),
    ],
)
def test_a_faulty_table_is_refused_by_name(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(MisusedError, match=re.escape(message)):
        settings.from_file(write(tmp_path, f"[tool.wheelkit]\n{line}\n"))


@pytest.mark.parametrize("text", ["", "[tool]\nwheelkit = 1\n", "[tool.other]\n"])
def test_a_file_that_was_asked_for_must_have_the_table(tmp_path: Path, text: str) -> None:
    with pytest.raises(MisusedError, match="has no table"):
        settings.from_file(write(tmp_path, text))
    with pytest.raises(MisusedError, match="cannot be read"):
        settings.from_file(tmp_path / "none.toml")


def test_an_unknown_layout_of_an_option_is_refused() -> None:
    with pytest.raises(MisusedError, match="--for-layouts: no layout 'vnev'"):
        settings.overridden(Settings(), {"layouts": ("vnev",)})
