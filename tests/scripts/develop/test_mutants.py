"""The mutation session tells what a test notices from what none does."""

from __future__ import annotations

import datetime
import subprocess
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("coverage", reason="no optional packages for this CPython: coverage")
from develop import mutants
from develop.mutation import operators
from develop.mutation.operators import Mutant
from wheelkit.target.report import FaultyError, MisusedError

# `is_small` has a test at the boundary and `total` one that cannot see the second addend; none
# runs `unused`.
SOURCE = """
LIMIT = 3


def is_small(number: int) -> bool:
    return number < LIMIT


def total(first: int, second: int) -> int:
    if first < 0:
        raise ValueError(first)
    return first + second * 0


def unused() -> int:
    return 7
"""
TESTS = """
import subprocess
import sys

import pytest
from wheelkit import sums


def test_is_small():
    assert sums.is_small(2)
    assert not sums.is_small(3)


@pytest.mark.parametrize("name", [""])
def test_total(name):
    assert sums.total(2, 3) == 2


def test_total_in_a_program():
    code = "from wheelkit import sums; sums.total(-1, 0)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 1


def test_fails_always():
    assert sums.total(1, 1) == 5
"""
MODULE = "wheelkit/src/wheelkit/sums.py"


def changes(source: str) -> list[str]:
    return [str(mutant) for mutant in operators.mutants(textwrap.dedent(source).encode())]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a == b", ["comparison: a == b → a != b"]),
        ("x = a <= b", ["boundary: a <= b → a < b", "comparison: a <= b → a > b"]),
        ("x = a not in b", ["comparison: a not in b → a in b"]),
        ("x = 1 if not a else b", ["constant: 1 → (2)", "comparison: not a → (a)"]),
        ("x = True", ["constant: True → False"]),
        ("x = 'name'", ["constant: 'name' → 'nameX'"]),
        ("x = 'words for people'", []),
        ("x = y(help='word', prefix='word-')", []),
        ("print(x)", ["dropped statement: print(x) → pass"]),
        ("x.y = z", ["dropped statement: x.y = z → pass"]),
        ("x = y", []),
        ("x = [a, b]", ["dropped list element: … a … → [b]", "dropped list element: … b … → [a]"]),
        ("x = {a: b}", ["dropped list element: … a: b … → {}"]),
        ("x = y[a, b]", []),
        ("x = f(a, b)", ["swapped argument: f(a, b) → f(b, a)"]),
        ("x = f(a, 'words for people', f'{b}')", []),
        ("x = any(a)", ["any/all: any(a) → all(a)"]),
        ("x: Literal['a'] = y", []),
    ],
)
def test_operators(source: str, expected: list[str]) -> None:
    assert changes(source) == [f"1: {text}" for text in expected]


def test_and_or_keeps_the_grouping() -> None:
    assert changes("x = a and b or c") == [
        "1: and/or: a and b or c → ((a and b) and (c))",
        "1: and/or: a and b → ((a) or (b))",
        "1: comparison: a → (not a)",
        "1: comparison: b → (not b)",
        "1: comparison: c → (not c)",
    ]


def test_operators_of_functions() -> None:
    source = """
    def f(a) -> bool:
        a = a.b
        if a:
            raise E
        with c:
            try:
                d()
            finally:
                e()
        return a
    """
    assert changes(source) == [
        "3: dropped statement: a = a.b → pass",
        "3: early return: def f → return False;",
        "3: early return: def f → return True;",
        "4: comparison: a → (not a)",
        "5: removed raise: raise E → pass",
        "6: removed clean-up: c → __import__('contextlib').nullcontext((c).__enter__())",
        "8: dropped statement: d() → pass",
        "10: removed clean-up: e() → pass",
        "11: early return: return a → return False",
        "11: early return: return a → return True",
    ]


def test_a_status_is_not_changed_to_the_number_that_it_is() -> None:
    source = "def f() -> int:\n    if a:\n        return Status.DONE\n    return Status.FAULTY\n"
    assert [one for one in changes(source) if ": early return: return" in one] == [
        "4: early return: return Status.FAULTY → return 0"
    ]


def test_what_mypy_checks_is_not_changed() -> None:
    source = "@dataclass(frozen=True, order=True)\nclass A: ...\n"
    assert changes(source) == ["1: constant: True → False"]


def test_a_changed_source_keeps_its_lines() -> None:
    source = b'def f(a):\n    """Words."""\n    if a:\n        return 1\n    return 2\n'
    for mutant in operators.mutants(source):
        assert mutant.apply(source).count(b"\n") == 5
        compile(mutant.apply(source), "f", "exec")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "tree"
    files = {
        MODULE: SOURCE,
        "wheelkit/src/wheelkit/__init__.py": "",
        "wheelkit/tests/test_sums.py": TESTS,
        "pyproject.toml": "[tool.pytest.ini_options]\naddopts = ['--import-mode=importlib']\n",
        "equivalent.toml": "",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subprocess.run(["git", "init", "--quiet", root], check=True)
    monkeypatch.setattr(mutants, "PROJECT", root)
    monkeypatch.setattr(mutants, "BUILD", tmp_path / "build")
    monkeypatch.setattr(mutants, "EQUIVALENT", root / "equivalent.toml")
    return root


def session(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["mutants", *arguments])
    return mutants.main()


def test_survivors_are_listed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert session(monkeypatch, MODULE, "-j1") == 1
    lines = capsys.readouterr().out.splitlines()
    assert {line for line in lines if line.startswith(f"{MODULE}:")} == {
        f"{MODULE}:10: boundary: first < 0 → first <= 0",
        f"{MODULE}:10: constant: 0 → (1)",
        f"{MODULE}:16: constant: 7 → (8)",
        f"{MODULE}:16: early return: return 7 → return 0",
    }
    # The files of the sources are as they were, and the copies are gone.
    assert (project / MODULE).read_text() == SOURCE
    assert [path.name for path in (project.parent / "build" / "mutants").iterdir()] == ["contexts"]
    # What was recorded once is not recorded again.
    assert session(monkeypatch, MODULE, "-j1", "--lines", "5-6") == 0
    output = capsys.readouterr().out
    assert "record which lines" not in output
    assert "0 survived: 100.0% noticed" in output


def test_what_is_made_of_a_constant_depends_on_it(project: Path) -> None:
    text = "A = 1\nB = [A]\nC: int = 2\nD, E = len(B), C\n\ndef f() -> None:\n    F = A\n"
    (project / MODULE).write_text(text)
    assert mutants.depending(MODULE, ["A"]) == {"A", "B", "D", "E"}
    assert mutants.depending(MODULE, ["C"]) == {"C", "D", "E"}
    assert mutants.depending(MODULE, []) == set()


def test_a_default_or_a_parameter_of_a_test_is_used_where_the_function_runs(
    project: Path,
) -> None:
    text = "@mark(A)\n@other\ndef f():\n    one\n    two\n\ndef g(\n    b=A_B, c=A\n):\n    three\n"
    (project / MODULE).write_text(f"{text}A = 1\n")
    assert mutants.lines_with("A", MODULE) == {1, 4, 5, 8, 10, 11}
    assert mutants.lines_with("A_B", MODULE) == {8, 10}
    assert mutants.lines_with("one", MODULE) == {4}
    assert mutants.lines_with("A", "absent.py") == set()


def exemption(**changes: str) -> str:
    entry = {"module": MODULE, "line": "return 7", "mutation": "constant: 7 → (8)", "reason": "r"}
    return "[[equivalent]]\n" + "".join(
        f'{key} = "{value}"\n' for key, value in {**entry, **changes}.items()
    )


@pytest.fixture
def sources(project: Path) -> dict[str, list[Mutant]]:
    return {MODULE: 20 * operators.mutants((project / MODULE).read_bytes())[-1:]}


def test_an_exemption(project: Path) -> None:
    sources = {MODULE: operators.mutants((project / MODULE).read_bytes())}
    (project / "equivalent.toml").write_text(exemption())
    (exempt,) = mutants.exemptions(
        project / "equivalent.toml", {**sources, MODULE: 2 * sources[MODULE]}
    )
    assert exempt[1].described() == "constant: 7 → (8)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (exemption(line="return 8"), "an exemption of a mutant that exists"),
        (exemption(mutation="constant: 7 → (9)"), "an exemption of a mutant that exists"),
        (exemption(module="wheelkit/src/wheelkit/none.py"), "a source that exists"),
        (exemption(reason=" "), "line, module, mutation, reason, none empty"),
        (exemption(why="r"), "line, module, mutation, reason, none empty"),
        (exemption(), "5% at the most"),
    ],
)
def test_wrong_exemptions(project: Path, text: str, expected: str) -> None:
    found = operators.mutants((project / MODULE).read_bytes())
    (project / "equivalent.toml").write_text(text)
    with pytest.raises(FaultyError) as caught:
        mutants.exemptions(project / "equivalent.toml", {MODULE: found})
    assert [fault.expected for fault in caught.value.faults] == [expected]


def test_the_module_of_the_day() -> None:
    days = [datetime.date(2026, 1, 1) + datetime.timedelta(n) for n in range(60)]
    modules = [mutants.modules_of_today(day) for day in days]
    assert all(len(module) == 1 for module in modules)
    everything = {module for (module,) in modules}
    assert {"wheelkit/src/wheelkit/repair", "scripts/release", "cyfes/sums"} <= everything


@pytest.mark.parametrize(
    "arguments", [[], ["--today", MODULE], ["README.md"], ["wheelkit/none.py"]]
)
def test_wrong_usage(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    with pytest.raises(MisusedError):
        session(monkeypatch, *arguments)
