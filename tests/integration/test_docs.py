"""The documentation: every code block runs, and what a page shows is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pages
import pytest

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES = sorted(page for page in DOCS.rglob("*.md") if "run" not in page.parts)


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the tutorial has run; other pages go on with its files."""
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("docs") / "tutorial"
    pages.run_page(DOCS / "tutorial.md", folder)
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_code_block_runs(
    page: Path, tutorial: Path, tmp_path: Path, extra: Callable[[str], Any]
) -> None:
    extra("matplotlib")
    folder = tutorial
    if page.stem != "tutorial":
        folder = tmp_path / page.stem
        pages.run_page(page, folder, tutorial if pages.needed_by(page) else None)
    # Links go to run/NAME/FILE, beside the page or above it.
    for name, file in re.findall(r"run/(\w+)/([\w.]+)", page.read_text(encoding="utf-8")):
        where = folder if name == page.stem else tutorial
        assert name in (page.stem, "tutorial")
        assert (where / file).is_file(), f"{page.name} shows {file}, which no block writes"


@pytest.mark.gpu
@pytest.mark.slow
def test_code_for_the_gpu_runs_there(extra: Callable[[str], Any]) -> None:
    # CuPy and PyTorch are as large as all other packages together; no other test has them.
    for name in ("cupy", "torch"):
        extra(name)
    blocks = pages.blocks_of(DOCS / "device_arrays.md", (pages.GPU_CODE,))
    assert len(blocks) == 3
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block.body, names)  # noqa: S102 - the page's own code
    assert names["fes"].values.device.id == names["samples"].device.id
    assert names["values"].is_cuda


def test_tutorial_finds_what_is_true(tutorial: Path) -> None:
    said = (tutorial / "8.txt").read_text(encoding="utf-8")
    numbers = re.fullmatch(r"true ([\d.]+), found ([\d.]+) ± ([\d.]+) kJ/mol\n", said)
    assert numbers
    true, found, error = map(float, numbers.groups())
    assert abs(found - true) < 3.0 * error < 3.0
    assert (tutorial / "figure.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```python\nx = 1 / 0\n```\n", "p.md:2: ZeroDivisionError"),
        ("\n\n```console\n$ cyfes sum-hills --hills none\n```\n", "p.md:4: exit status 1"),
        ("```console\n$ rm -r x\n```\n", "p.md:2: found '\\$ rm -r x', expected a command"),
        ("```console\noutput\n```\n", "p.md:2: found 'output', expected commands"),
        ("```fortran\nEND\n```\n", "p.md:2: found the language 'fortran'"),
    ],
)
def test_a_block_that_fails_is_named(text: str, message: str, tmp_path: Path) -> None:
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
    # The forms of CyFES 4.5 differ by suffix and prefix alone; errors are listed as a module.
    named = set(re.findall(r"cyfes\.(\w+)$", text, re.MULTILINE))
    left_out = {
        name
        for name in cyfes.__all__
        if name not in named
        and not re.search(r"PathFES|FastBias|Error$|Warning$|^__version__$|^Device$", name)
    }
    assert not left_out
