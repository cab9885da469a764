"""The section of a version in a changelog, and nothing that only looks like one."""

from __future__ import annotations

import pytest
from wheelkit.release import changelog
from wheelkit.target.report import FaultyError

HEADING = "## [1.0] - 2026-01-31"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"# Changelog\n\n{HEADING}\n\n- All.\n", "- All."),
        (f"{HEADING}\n\n- All.\n\n## [0.9] - 2025-01-01\n\n- Old.\n", "- All."),
        (f"{HEADING}\n\n- All.\n\n# Older series\n\n- Old.\n", "- All."),
        (f"{HEADING}\n\n### Added\n\n- All.\n", "### Added\n\n- All."),
        (f"{HEADING}\r\n\r\n- All.\r\n", "- All."),
        (
            f"{HEADING}\n\n- A line\u2028separator.\n\n- All.\n",
            "- A line\u2028separator.\n\n- All.",
        ),
        (f"{HEADING}\n\n```\n## [0.9] - 2025-01-01\n```\n", "```\n## [0.9] - 2025-01-01\n```"),
        # An indented line is a block of code.
        (f"{HEADING}\n\n### Added\n\n    pip install x\n", "### Added\n\n    pip install x"),
        (f"<!--\n{HEADING}\n-->\n\n{HEADING}\n\n- All.\n", "- All."),
        (f"{HEADING}\n\n- All.\n\n[1.0]: https://example.org\n", None),
    ],
)
def test_the_section_of_a_version(text: str, expected: str | None) -> None:
    expected = "- All.\n\n[1.0]: https://example.org" if expected is None else expected
    assert changelog.section(text, "1.0") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "## [1.1] - 2026-01-31\n\n- All.\n",
        f"<!--\n{HEADING}\n\n- All.\n-->\n",
        f"<!--\n\n{HEADING}\n\n- All.\n",
        f"```\n{HEADING}\n\n- All.\n```\n",
        f"~~~markdown\n{HEADING}\n\n- All.\n~~~\n",
        f"Text:\n\n    {HEADING}\n\n    - All.\n",
        f"> {HEADING}\n>\n> - All.\n",
        f"- {HEADING}\n\n  - All.\n",
        f"<pre>\n{HEADING}\n\n- All.\n</pre>\n",
        f"#{HEADING}\n\n- All.\n",
        "# [1.0] - 2026-01-31\n\n- All.\n",
        f"{HEADING}\n\n- All.\n\n{HEADING}\n\n- All again.\n",
        f"{HEADING}\n",
        f"{HEADING}\n\n### Added\n",
        f"{HEADING}\n\n<!-- nothing yet -->\n",
        f"{HEADING}\n\n[1.0]: https://example.org\n",
        "## [1.0]\n\n- All.\n",
        "## [1.0] - 2026-02-30\n\n- All.\n",
        "## 1.0 - 2026-01-31\n\n- All.\n",
    ],
)
def test_what_is_no_section_is_a_fault(text: str) -> None:
    with pytest.raises(FaultyError) as caught:
        changelog.section(text, "1.0")
    assert [fault.id for fault in caught.value.faults] == ["changelog"]
