"""The documentation: every code block runs, and every file that a page shows exists."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pages
import pytest
from develop import build_docs

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES = sorted(page for page in DOCS.rglob("*.md") if "run" not in page.parts)

# The code of these pages, or of a page whose picture they show, runs for ten seconds.
LONG = ("converged", "gallery", "index")

# The folders of run/ that no page writes: conf.py makes them.
MADE = ("drawings", "tables")

# What docs/converged.md states about the accuracy of its barrier, in kJ/mol.
LARGEST_ERROR, FARTHEST_FROM_TRUTH = 0.8, 1.25


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that runs the code of a page, once only, and returns its folder."""
    root = tmp_path_factory.mktemp("docs")

    def run(name: str) -> Path:
        folder = root / name
        if not folder.is_dir():
            (page,) = (page for page in PAGES if page.stem == name)
            need = pages.needed_by(page)
            pages.run_page(page, folder, run(need) if need else None)
        return folder

    return run


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] if page.stem in LONG else []) for page in PAGES],
    ids=lambda page: page.stem,
)
def test_every_code_block_runs(
    page: Path, folder_of: Callable[[str], Path], extra: Callable[[str], Any]
) -> None:
    extra("matplotlib")
    folder_of(page.stem)
    # Links go to run/NAME/FILE, beside the page or above it; another test looks at those of MADE.
    for name, file in re.findall(r"run/([\w-]+)/([\w.]+)", page.read_text(encoding="utf-8")):
        if name in MADE:
            continue
        assert (folder_of(name) / file).is_file(), (
            f"{page.name} shows {file}, which no block writes"
        )


@pytest.mark.gpu
@pytest.mark.slow
def test_code_for_the_gpu_runs_there(extra: Callable[[str], Any]) -> None:
    # CuPy and PyTorch are as large as all other packages together, so no requirements list them.
    for name in ("cupy", "torch"):
        extra(name)
    blocks = pages.blocks_of(DOCS / "device_arrays.md", (pages.GPU_CODE,))
    assert len(blocks) == 3
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block.body, names)  # noqa: S102 - the page's own code
    assert names["fes"].values.device.id == names["samples"].device.id
    assert names["values"].is_cuda


def test_tutorial_finds_the_true_difference(
    folder_of: Callable[[str], Path], extra: Callable[[str], Any]
) -> None:
    extra("matplotlib")
    tutorial = folder_of("tutorial")
    said = (tutorial / "8.txt").read_text(encoding="utf-8")
    true, found, error = numbers_in(said)
    assert abs(found - true) < 3.0 * error < 3.0
    assert (tutorial / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_the_difference_of_the_tutorial_levels_off(
    folder_of: Callable[[str], Path], extra: Callable[[str], Any]
) -> None:
    extra("matplotlib")
    table = (folder_of("tutorial") / "6.txt").read_text(encoding="utf-8").rpartition("difference\n")
    differences = [float(row.split()[-1]) for row in table[2].splitlines()]
    assert len(differences) == 10
    # The page says: in the last five rows, by a few tenths of a kJ/mol.
    assert max(differences[-5:]) - min(differences[-5:]) < 0.5
    assert differences[0] - differences[-1] > 1.0


def numbers_in(said: str) -> tuple[float, ...]:
    """Return the true number, the number found, and its error, from the output of a page."""
    numbers = re.fullmatch(r"true ([\d.]+), found ([\d.]+) ± ([\d.]+) kJ/mol\n", said)
    assert numbers, f"found {said!r}, expected the true number, the one found, and its error"
    return tuple(map(float, numbers.groups()))


# The surface of docs/converged.md, repeated here: position, height, sharpness, correlation.
WELLS = (
    (-1.4, 1.2, -38.0, 1.0, 0.0),
    (-1.5, -1.5, -22.0, 1.5, -0.9),
    (1.2, -0.9, -34.0, 1.2, 0.4),
    (-0.3, 0.1, 16.0, 1.5, 0.0),
)


def energy_and_slopes(place: Any) -> tuple[float, list[float]]:
    """Return the energy of that surface at a point, and its derivatives."""
    energy, slopes = 0.0, [0.0, 0.0]
    for phi, psi, height, sharpness, correlation in WELLS:
        x, y = place[0] - phi, place[1] - psi
        cosines = math.cos(x) + math.cos(y) - 2.0
        term = height * math.exp(sharpness * cosines + correlation * math.sin(x) * math.sin(y))
        energy += term
        slopes[0] += term * (correlation * math.cos(x) * math.sin(y) - sharpness * math.sin(x))
        slopes[1] += term * (correlation * math.sin(x) * math.cos(y) - sharpness * math.sin(y))
    return energy, slopes


def known_barrier(extra: Callable[[str], Any]) -> float:
    """Return the energy of the pass between B and C minus that of A, where the slopes are zero."""
    optimize = extra("scipy.optimize")
    places = [
        optimize.root(lambda place: energy_and_slopes(place)[1], near, tol=1e-10)
        for near in ((-1.4, 1.2), (0.0, -1.7))
    ]
    assert all(place.success for place in places)
    lowest, highest = (energy_and_slopes(place.x)[0] for place in places)
    return highest - lowest


def faults_of(said: str, known: float) -> list[str]:
    """Return the faults of the barrier that the page of the converged surface prints."""
    true, found, error = numbers_in(said)
    checks = {
        f"the page's true barrier is {true}, expected {known:.2f}": abs(true - known) < 0.02,
        f"the error is {error}, expected less than {LARGEST_ERROR}": 0 < error < LARGEST_ERROR,
        f"the barrier is {found}, expected {known:.2f}": abs(found - known) < FARTHEST_FROM_TRUTH,
    }
    return [fault for fault, passed in checks.items() if not passed]


@pytest.mark.slow
def test_the_barrier_on_the_picture_is_that_of_the_known_surface(
    folder_of: Callable[[str], Path], extra: Callable[[str], Any]
) -> None:
    extra("matplotlib")
    said = (folder_of("converged") / "3.txt").read_text(encoding="utf-8")
    assert faults_of(said, known_barrier(extra)) == []
    promise = re.sub(r"\s+", " ", (DOCS / "converged.md").read_text(encoding="utf-8"))
    assert f"an error below {LARGEST_ERROR} kJ/mol" in promise
    assert f"a barrier within {FARTHEST_FROM_TRUTH} kJ/mol" in promise


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("true 15.00, found 16.70 ± 0.39 kJ/mol\n", "the page's true barrier is 15.0"),
        # The result of a run with a fifth of the steps.
        ("true 16.63, found 19.00 ± 0.37 kJ/mol\n", "the barrier is 19.0"),
        ("true 16.63, found 16.70 ± 0.95 kJ/mol\n", "the error is 0.95"),
        ("true 16.63, found 16.70 ± 0.00 kJ/mol\n", "the error is 0.0"),
    ],
)
def test_a_wrong_barrier_is_noticed(said: str, fault: str) -> None:
    (found,) = faults_of(said, 16.63)
    assert found.startswith(fault)


@pytest.mark.slow
def test_the_picture_of_the_readme_is_that_of_the_page(
    folder_of: Callable[[str], Path], extra: Callable[[str], Any]
) -> None:
    extra("matplotlib")
    shown, made = DOCS / "readme.png", folder_of("converged") / "readme.png"
    assert build_docs.difference(shown, made) <= build_docs.LARGEST_DIFFERENCE, (
        "docs/readme.png is not what docs/converged.md makes; run nox -s docs, which replaces it"
    )
    assert shown.stat().st_size < 150_000


def test_each_page_and_block_is_shown_with_its_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "SILENCE", 0.05)
    (tmp_path / "first.md").write_text("```python\nimport time\ntime.sleep(0.3)\n```\n")
    (tmp_path / "last.md").write_text("---\nneeds: first\n---\n```python\nx = 1\n```\n")
    said: list[str] = []
    pages.run_all(tmp_path, tmp_path / "run", said.append)
    assert said[0] == "running the code of first.md, page 1 of 2"
    while_running, done = said[1:-3], said[-3]
    assert len(while_running) >= 2
    assert set(while_running) == {"first.md:2: block 1 of 1 has been running for 0 s"}
    assert re.fullmatch(r"first\.md:2: block 1 of 1: 0\.\d s", done)
    assert said[-2] == "running the code of last.md, page 2 of 2"
    assert re.fullmatch(r"last\.md:5: block 1 of 1: 0\.0 s", said[-1])
    # Twice this time is at most ten seconds, after which a log must get a new line.
    monkeypatch.undo()
    assert pages.SILENCE <= 5.0


def test_a_block_that_fails_does_not_count_as_done(tmp_path: Path) -> None:
    page = tmp_path / "p.md"
    page.write_text("```python\nx = 1 / 0\n```\n", encoding="utf-8")
    said: list[str] = []
    with pytest.raises(pages.PageError):
        pages.run_page(page, tmp_path / "run", say=said.append)
    assert said == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```python\nx = 1 / 0\n```\n", "p.md:2: ZeroDivisionError"),
        ("\n\n```console\n$ cyfes sum-hills --hills none\n```\n", "p.md:4: exit status 1"),
        ("```console\n$ rm -r x\n```\n", "p.md:2: found '\\$ rm -r x', expected a command"),
        ("```console\noutput\n```\n", "p.md:2: found 'output', expected commands"),
        ("```fortran\nEND\n```\n", "p.md:2: found the language 'fortran'"),
        ("```{code-block} r\nx\n```\n", "p.md:2: found the language '{code-block} r'"),
    ],
)
def test_error_names_the_block_that_fails(text: str, message: str, tmp_path: Path) -> None:
    page = tmp_path / "p.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(pages.PageError, match=message):
        pages.run_page(page, tmp_path / "run")


def test_blocks_share_names_and_keep_what_they_print(tmp_path: Path) -> None:
    page = tmp_path / "p.md"
    page.write_text(
        "```python\nx = 2\n```\n```text\n$ not run\n```\n```python\nprint(x + 1)\n```\n"
        "```console\n$ cyfes \\\n    --version\n$ pip install nothing-of-this-name\n```\n"
    )
    pages.run_page(page, tmp_path / "run")
    assert (tmp_path / "run" / "2.txt").read_text() == "3\n"
    assert (tmp_path / "run" / "3.txt").read_text().startswith("cyfes ")


def test_every_public_name_is_in_the_reference() -> None:
    import cyfes

    text = (DOCS / "api.md").read_text(encoding="utf-8")
    # The variants of CyFES 4.5 differ only by suffix and prefix; errors are documented as a module.
    named = set(re.findall(r"cyfes\.(\w+)$", text, re.MULTILINE))
    left_out = {
        name
        for name in cyfes.__all__
        if name not in named
        and not re.search(r"PathFES|FastBias|Error$|Warning$|^__version__$|^Device$", name)
    }
    assert not left_out
