"""README is shown in the repository and on the package index; its links must work in both."""

from __future__ import annotations

import email
import email.message
import email.policy
import re
import zipfile
from pathlib import Path

import pytest

# The target of a link or a picture in Markdown, which is between the round brackets.
TARGET = re.compile(r"\]\(([^)\s]+)")
RAW = "https://raw.githubusercontent.com/"
GITHUB = "https://github.com/"


def file_of(target: str, source: str) -> str | None:
    """Return the file of the repository that an address shows; None for other addresses."""
    pages = f"{source}/blob/main/"
    pictures = f"{RAW}{source[len(GITHUB) :]}/main/"
    for prefix in (pages, pictures):
        if target.startswith(prefix):
            return target[len(prefix) :].partition("#")[0]
    return None


def faults(text: str, source: str, project: Path) -> list[str]:
    """Return a message for each target that the package index cannot resolve."""
    wrong = []
    for target in TARGET.findall(text):
        name = file_of(target, source)
        if name is not None:
            wrong += [] if (project / name).is_file() else [f"{target}: no such file"]
        elif target.startswith("#"):
            anchors = [heading(line) for line in text.splitlines() if line.startswith("#")]
            wrong += [] if target[1:] in anchors else [f"{target}: no such heading"]
        elif not target.startswith("https://"):
            wrong.append(f"{target}: not an address; the package index cannot resolve it")
    return wrong


def heading(line: str) -> str:
    """Return the anchor that GitHub and the index give a heading."""
    return re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> email.message.EmailMessage:
    """The metadata of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        text = archive.read(name).decode("utf-8")
    message = email.message_from_string(text, policy=email.policy.default)
    assert isinstance(message, email.message.EmailMessage)
    return message


@pytest.fixture(scope="module")
def source(metadata: email.message.EmailMessage) -> str:
    """The address of the repository in the metadata of the wheel."""
    urls = dict(value.split(", ", 1) for value in metadata.get_all("Project-URL", []))
    assert {"Source", "Documentation", "Changelog", "Issues"} <= set(urls)
    return str(urls["Source"])


def test_long_description_is_readme(
    metadata: email.message.EmailMessage, project_root: Path
) -> None:
    assert metadata["Description-Content-Type"] == "text/markdown"
    described = metadata.get_payload(decode=False)
    assert str(described).strip() == (project_root / "README.md").read_text("utf-8").strip()


def test_pictures_and_links_resolve_on_the_index(source: str, project_root: Path) -> None:
    text = (project_root / "README.md").read_text(encoding="utf-8")
    assert faults(text, source, project_root) == []
    assert len(TARGET.findall(text)) > 3


def test_addresses_are_those_of_the_metadata(source: str, project_root: Path) -> None:
    text = (project_root / "README.md").read_text(encoding="utf-8")
    assert f"$ git clone {source}\n" in text
    assert f'"cyfes @ git+{source}"' in text


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        ("docs/readme.png", True),
        ("{source}/blob/main/README.md#make-a-wheel", False),
        ("{source}/blob/main/GONE.md", True),
        ("https://raw.githubusercontent.com/cyfes/cyfes/main/docs/gone.png", True),
        ("https://example.org/elsewhere", False),
        ("#use-it", False),
        ("#no-such-heading", True),
    ],
)
def test_targets_that_do_not_resolve_are_found(
    target: str, wrong: bool, project_root: Path
) -> None:
    source = f"{GITHUB}cyfes/cyfes"
    text = f"# Use it\n[text]({target.format(source=source)})\n"
    assert bool(faults(text, source, project_root)) is wrong
