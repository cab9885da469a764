"""What a release of a project consists of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from wheelkit.base.cpythons import CPYTHONS
from wheelkit.cli import plan
from wheelkit.containers import configuration
from wheelkit.target.report import MisusedError, Status, run

PROJECT = Path(__file__).resolve().parents[2]
# cp313t is not among them: cibuildwheel 2.23 would build it, but is for 3.7 and 3.8 only here.
EVERY = [*CPYTHONS[:-1], "3.14t", CPYTHONS[-1], "3.15t"]


def project(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


def supporting(wanted: str, table: str = "") -> str:
    return f'[project]\nrequires-python = "{wanted}"\n[tool.cibuildwheel]\n{table}\n'


@pytest.fixture(autouse=True)
def _no_choice_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CIBW_BUILD", "CIBW_SKIP", "CIBW_INHERIT", "CIBW_PROJECT_REQUIRES_PYTHON"):
        monkeypatch.delenv(name, raising=False)


def test_the_plan_is_printed_and_set_as_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project(tmp_path, supporting(">=3.8,<3.11", 'skip = "cp39-*"')))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
    assert plan.main(["--gpu-runners", '["gpu-h100", "aarch64:GH200"]']) == Status.DONE
    gpus = [
        {"slot": "1", "runner": "gpu-h100", "architecture": "x86_64"},
        {"slot": "2", "runner": "GH200", "architecture": "aarch64"},
    ]
    architectures = [{"name": "x86_64", "runner": "ubuntu-latest"}]
    assert json.loads(capsys.readouterr().out) == {
        "pythons": ["3.8", "3.10"],
        "cibuildwheel-2": "cp38-manylinux_x86_64",
        "cibuildwheel-4": "cp310-manylinux_x86_64",
        "architectures": architectures,
        "gpus": gpus,
    }
    assert (tmp_path / "outputs").read_text().splitlines() == [
        'pythons=["3.8", "3.10"]',
        "cibuildwheel-2=cp38-manylinux_x86_64",
        "cibuildwheel-4=cp310-manylinux_x86_64",
        f"architectures={json.dumps(architectures)}",
        f"gpus={json.dumps(gpus)}",
    ]


BOTH = '[tool.wheelkit]\narchitectures = ["x86_64", "aarch64"]\n'


def test_a_release_may_have_wheels_for_two_architectures(tmp_path: Path) -> None:
    found = plan.plan(project(tmp_path, supporting(">=3.8,<3.10") + BOTH), "3.7", "")
    assert found == {
        "pythons": ["3.8", "3.9"],
        "cibuildwheel-2": "cp38-manylinux_x86_64 cp38-manylinux_aarch64",
        "cibuildwheel-4": "cp39-manylinux_x86_64 cp39-manylinux_aarch64",
        "architectures": [
            {"name": "x86_64", "runner": "ubuntu-latest"},
            {"name": "aarch64", "runner": "ubuntu-24.04-arm"},
        ],
        "gpus": [],
    }


def test_who_calls_may_leave_an_architecture_out(tmp_path: Path) -> None:
    folder = project(tmp_path, supporting(">=3.8,<3.10") + BOTH)
    read = configuration.read(folder, {"CIBW_SKIP": "*-manylinux_aarch64"})
    assert (read.architectures(), read.pythons()) == (["x86_64"], ["3.8", "3.9"])
    read = configuration.read(folder, {"CIBW_BUILD": "cp39-manylinux_aarch64"})
    assert (read.architectures(), read.pythons()) == (["aarch64"], ["3.9"])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('build = "cp3*-manylinux_x86_64"', "no wheel for aarch64, which architectures of"),
        ('skip = "cp38-manylinux_aarch64"', "x86_64: 3.8, 3.9; aarch64: 3.9"),
        ('build = "cp3*-manylinux_ppc64le"', "selects none"),
    ],
)
def test_an_architecture_with_other_wheels_is_refused(
    tmp_path: Path, table: str, message: str
) -> None:
    folder = project(tmp_path, supporting(">=3.8,<3.10", table) + BOTH)
    with pytest.raises(MisusedError, match=message):
        configuration.read(folder, {}).pythons()


def test_a_cibuildwheel_without_wheels_has_an_empty_selection(tmp_path: Path) -> None:
    found = plan.plan(project(tmp_path, supporting(">=3.7")), "3.14", "")
    assert found == {
        "pythons": ["3.14", "3.14t", "3.15", "3.15t"],
        "cibuildwheel-2": "",
        "cibuildwheel-4": (
            "cp314-manylinux_x86_64 cp314t-manylinux_x86_64 "
            "cp315-manylinux_x86_64 cp315t-manylinux_x86_64"
        ),
        "architectures": [{"name": "x86_64", "runner": "ubuntu-latest"}],
        "gpus": [],
    }


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        (supporting(">=3.7"), {}, EVERY),
        (supporting(">=3.9,<3.12"), {}, ["3.9", "3.10", "3.11"]),
        (supporting("==3.10.*"), {}, ["3.10"]),
        (supporting(">=3.7", 'build = "cp3{8,10}-*"'), {}, ["3.8", "3.10"]),
        (supporting(">=3.7", 'build = ["cp38-*", "cp315*"]'), {}, ["3.8", "3.15", "3.15t"]),
        (supporting(">=3.7", 'skip = "cp3??t-* cp3?-*"'), {}, list(CPYTHONS[3:])),
        # The table of Linux goes before the general one, the environment before both.
        (
            supporting(">=3.13", 'build = "cp31*"\n[tool.cibuildwheel.linux]\nbuild = "cp314-*"'),
            {},
            ["3.14"],
        ),
        (supporting(">=3.7", 'build = "cp31*"'), {"CIBW_BUILD": "cp38-*"}, ["3.8"]),
        (supporting(">=3.14", 'skip = "cp314*"'), {"CIBW_SKIP": ""}, EVERY[-4:]),
        (supporting(">=3.14", 'build = "cp314-*"'), {"CIBW_BUILD": ""}, EVERY[-4:]),
        (supporting(">=3.7"), {"CIBW_PROJECT_REQUIRES_PYTHON": "==3.9.*"}, ["3.9"]),
    ],
)
def test_the_configuration_of_cibuildwheel_decides(
    tmp_path: Path, text: str, environment: dict[str, str], expected: list[str]
) -> None:
    assert configuration.read(project(tmp_path, text), environment).pythons() == expected


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("", {}, "requires-python"),
        ("[project]\n", {}, "requires-python"),
        ("project = 1\n", {}, "requires-python"),
        ('[project]\nrequires-python = "about 3"\n', {}, "requires-python"),
        ('[project]\nrequires-python = ["3.9"]\n', {}, "requires-python"),
        (supporting(">=4"), {}, "leave none"),
        (supporting(">=3.7", 'skip = "*"'), {}, "leave none"),
        (supporting(">=3.7", "build = 3"), {}, "expected selectors"),
        (supporting(">=3.7", "skip = [3]"), {}, "expected selectors"),
        # The wheels of PyPy and of musl are no part of a release; nor are those that neither of the
        # cibuildwheels builds.
        (supporting(">=3.7", 'build = "cp39-* pp39-*"'), {}, r"'pp39-\*' selects none"),
        (supporting(">=3.7", 'build = "*-musllinux_x86_64"'), {}, "selects none"),
        (supporting(">=3.7", 'build = "cp313t-*"'), {}, "selects none"),
        (supporting(">=3.7"), {"CIBW_BUILD": "cp36-*"}, r"CIBW_BUILD: 'cp36-\*' selects none"),
        (
            supporting(">=3.7", '[tool.cibuildwheel.linux]\ninherit.skip = "append"'),
            {},
            "inherit.skip",
        ),
        (supporting(">=3.7"), {"CIBW_SKIP": "", "CIBW_INHERIT": "skip=append"}, "CIBW_INHERIT"),
        (supporting(">=3.7", "linux = 1"), {}, "expected a table"),
        ("[project]\nrequires-python = '>=3.7'\n[tool]\ncibuildwheel = 1", {}, "expected a table"),
    ],
)
def test_a_project_that_does_not_say_is_wrong_usage(
    tmp_path: Path, text: str, environment: dict[str, str], message: str
) -> None:
    with pytest.raises(MisusedError, match=message):
        configuration.read(project(tmp_path, text), environment).pythons()


def test_no_project_and_no_version_are_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(lambda: plan.main([])) == Status.MISUSED
    assert run(lambda: plan.main(["--since", "ten"])) == Status.MISUSED
    project(tmp_path, supporting("==3.9.*"))
    assert run(lambda: plan.main([])) == Status.DONE
    assert run(lambda: plan.main(["--since", "3.10"])) == Status.MISUSED


@pytest.mark.parametrize("text", ["", " ", "[]"])
def test_there_may_be_no_gpu_runner(text: str) -> None:
    assert plan.slots(text) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpu-h100", "no JSON"),
        ('"gpu-h100"', "no JSON list"),
        ("[1]", "no JSON list"),
        ('{"gpu": "h100"}', "no JSON list"),
        ('[""]', "artifact"),
        ('["gpu h100"]', "artifact"),
        ('["gpu/h100"]', "artifact"),
        ('["gpu\\\\h100"]', "artifact"),
        ('["gpu\\n"]', "artifact"),
        ('["gpu:h100"]', "artifact"),
        ('["aarch64:"]', "artifact"),
        ('["a", "a"]', "twice"),
        ('["a", "aarch64:a"]', "twice"),
        ('["gpu", "GPU"]', "twice"),
        ('["a", "b", "c", "d", "e"]', "5 runners.*4 slots"),
    ],
)
def test_runners_that_cannot_have_a_slot_are_refused(text: str, message: str) -> None:
    with pytest.raises(MisusedError, match=message):
        plan.slots(text)


def test_four_runners_have_a_slot_each() -> None:
    assert [slot["slot"] for slot in plan.slots('["a", "b", "c", "d"]')] == ["1", "2", "3", "4"]
