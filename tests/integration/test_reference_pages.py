"""The pages that describe parts of the code name every part, and their code can be pasted."""

from __future__ import annotations

import code
import re
from pathlib import Path
from xml.etree import ElementTree

import drawings
import pages
import pytest
import tables
from wheelkit.checks import catalogue
from wheelkit.install import trial
from wheelkit.wheel.layouts import LAYOUTS
from wheelkit.wheel.settings import KEYS, Settings

DOCS = Path(pages.__file__).parent
PAGES = sorted(page for page in DOCS.rglob("*.md") if "run" not in page.parts)


def terms(text: str) -> list[str]:
    """Return the terms of a page's definition lists."""
    return re.findall(r"^`([^`]+)`\n: ", text, re.MULTILINE)


def differences(said: list[str], known: list[str]) -> list[str]:
    """Return what a page says and the code does not know, and the other way round."""
    return [
        *(f"the page lacks {name}" for name in sorted(set(known) - set(said))),
        *(f"the page has {name}, which is unknown" for name in sorted(set(said) - set(known))),
    ]


def test_what_a_page_lacks_or_has_too_much_is_found() -> None:
    text = "`known`\n: text\n\n`gone`\n: text\n"
    assert differences(terms(text), ["known", "new"]) == [
        "the page lacks new",
        "the page has gone, which is unknown",
    ]


def test_every_check_is_described() -> None:
    text = (DOCS / "pipeline" / "checks.md").read_text(encoding="utf-8")
    checks = catalogue.checks(Settings(), None)
    ids = [*catalogue.OPENING_IDS, *(i for check in checks for i in check.ids), *trial.IDS]
    assert differences(terms(text), ids) == []
    titles = [catalogue.OPENING, *(check.title for check in checks), trial.TITLE]
    assert differences(re.findall(r"^### (.+)$", text, re.MULTILINE), titles) == []


def test_every_setting_is_described() -> None:
    text = (DOCS / "pipeline" / "settings.md").read_text(encoding="utf-8")
    assert differences(terms(text), list(KEYS)) == []


def test_every_layout_is_in_the_table() -> None:
    rows = [row.split("|")[1].strip() for row in tables.layouts().splitlines()[2:]]
    assert rows == [layout.name for layout in LAYOUTS]


def test_drawings_are_complete(tmp_path: Path) -> None:
    drawings.write_all(tmp_path)
    shown = re.findall(r"run/drawings/([\w.]+)", (DOCS / "pipeline" / "story.md").read_text())
    assert sorted(shown) == sorted(path.name for path in tmp_path.iterdir())
    for path in tmp_path.iterdir():
        drawing = ElementTree.parse(path).getroot()  # noqa: S314 - made by the lines above
        width, height = (float(n) for n in drawing.attrib["viewBox"].split()[2:])
        for text in drawing.iter("{http://www.w3.org/2000/svg}text"):
            # The widest letter of a monospaced font of this size takes 8 units.
            end = float(text.attrib["x"]) + 8 * len(text.text or "")
            assert end <= width + 8, f"{path.name}: {text.text!r} ends at {end}"
            assert 0 < float(text.attrib["y"]) < height


class Typed(code.InteractiveConsole):
    """A Python session that reads what is typed, runs nothing, and remembers its errors."""

    def __init__(self) -> None:
        super().__init__()
        self.errors = 0

    def runcode(self, code: object) -> None:
        """Run nothing."""

    def showsyntaxerror(self, *_: object, **__: object) -> None:
        """Remember that there was an error."""
        self.errors += 1


def can_be_pasted(block: str) -> bool:
    """Tell whether a Python session understands a block that is typed line by line."""
    session = Typed()
    for line in [*block.splitlines(), ""]:
        unfinished = session.push(line)
    return not session.errors and not unfinished


@pytest.mark.parametrize(
    ("block", "fine"),
    [
        ("for x in y:\n    print(x)\n\nz = 1\n", True),
        ("for x in y:\n    print(x)\nz = 1\n", False),
        ("def f():\n    x = 1\n\n    return x\n", False),
        ("f(\n    1,\n)\n", True),
        ("f(\n", False),
    ],
)
def test_a_block_that_cannot_be_pasted_is_found(block: str, *, fine: bool) -> None:
    assert can_be_pasted(block) is fine


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_blocks_can_be_pasted_into_a_session(page: Path) -> None:
    for block in pages.blocks_of(page, ("python", pages.GPU_CODE)):
        assert can_be_pasted(block.body), f"{page.name}:{block.line}: a session refuses the block"
