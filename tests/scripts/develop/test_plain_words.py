"""The linter of words: it finds long sentences and unclear words, and leaves out what is code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from develop import plain_words

LONG = " ".join(["word"] * (plain_words.MOST_WORDS + 1))
# The largest number of words that is allowed.
SHORT = " ".join(["word"] * plain_words.MOST_WORDS)


def found(folder: Path, name: str, text: str) -> list[tuple[int, str]]:
    path = folder / name
    path.write_text(text)
    return [(line, message.partition(":")[0]) for line, message in plain_words.findings(path)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"# Title\n\n{LONG}.\n", [(3, "a sentence of 41 words, expected 40")]),
        (f"- one\n- {LONG}\n", [(2, "a sentence of 41 words, expected 40")]),
        ("The hills are\nlaid anew.\n", [(1, "'laid'"), (1, "'anew'")]),
        ("Likewise, it works.\n", [(1, "'Likewise'")]),
        (f"{SHORT}.\n\n{SHORT}; {SHORT}: {SHORT}.\n", []),
        (f"```python\n# {LONG}, laid anew\n```\n\n| {LONG} |\n|---|\n$ {LONG}\n", []),
        (f'`{LONG}` and "{LONG}" and [laid out](anew.md) inlaid relaid.\n', [(1, "'laid'")]),
        (f":::{{note}}\n{LONG}.\n:::\n", [(2, "a sentence of 41 words, expected 40")]),
    ],
)
def test_pages(text: str, expected: list[tuple[int, str]], tmp_path: Path) -> None:
    told = [
        (line, message.partition(", expected a plainer")[0])
        for line, message in found(tmp_path, "page.md", text)
    ]
    assert told == expected


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (f'def f():\n    """{LONG}."""\n', 1),
        (f'raise ValueError(f"{LONG} {{1}}")\n', 1),
        ('print("the hills that were laid")\n', 1),
        (f"x = 1  # {LONG}, laid anew\n", 0),
        (f'def f():\n    """Do.\n\n    >>> {LONG}\n    """\n', 0),
    ],
)
def test_sources(text: str, count: int, tmp_path: Path) -> None:
    assert len(found(tmp_path, "module.py", text)) == count


def test_the_status_says_whether_something_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.md", tmp_path / "bad.md"
    good.write_text("It works.\n")
    bad.write_text("One.\n\nIt works anew.\n")
    monkeypatch.setattr(sys, "argv", ["plain_words.py", str(good)])
    assert plain_words.main() == 0
    monkeypatch.setattr(sys, "argv", ["plain_words.py", str(good), str(bad)])
    assert plain_words.main() == 1
    told = "'anew', expected a plainer word, such as again"
    assert capsys.readouterr().out == f"{bad}:3: {told}\n"
