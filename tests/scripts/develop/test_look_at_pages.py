"""What is wrong with built pages is found: broken links, and what a browser shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from develop import look_at_pages

PROJECT = Path(__file__).resolve().parents[3]


def site(folder: Path, body: str) -> Path:
    """Write a page with this body, and another one that it may link to."""
    head = "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    (folder / "index.html").write_text(f"{head}<h1 id='here'>Page</h1>{body}", encoding="utf-8")
    (folder / "other.html").write_text(f"{head}<h2 id='a-b'>Other</h2>", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("other.html", None),
        ("other.html#a-b", None),
        ("#here", None),
        ("#", None),
        ("https://example.org/", None),
        ("mailto:somebody@example.org", None),
        ("gone.html", "index.html: gone.html: no such file"),
        ("other.html#gone", "index.html: other.html#gone: no such anchor"),
        ("#gone", "index.html: #gone: no such anchor"),
    ],
)
def test_links_that_lead_nowhere_are_found(link: str, fault: str | None, tmp_path: Path) -> None:
    site(tmp_path, f"<a href='{link}'>link</a>")
    assert look_at_pages.broken_links(tmp_path) == ([fault] if fault else [])


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages of requirements/docs.txt."""
    if look_at_pages.find_browser() is None:
        pytest.skip("no Chromium on this machine")
    folder = tmp_path_factory.mktemp("packages")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    install += ["--only-binary=:all:", "--target", str(folder)]
    requirements = PROJECT / "requirements" / "docs.txt"
    subprocess.run([*install, "--requirement", str(requirements)], check=True)
    return folder


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ("<p>fine</p>", []),
        (
            "<div style='width: 700px'>wide</div>",
            ["index.html, 390 pixels: the page is 708 pixels wide"],
        ),
        (
            "<img src='gone.png'>",
            [
                "index.html: gone.png: no such file",
                "index.html, 1280 pixels: no picture gone.png",
                "index.html, 390 pixels: no picture gone.png",
            ],
        ),
        (
            "<script src='https://cdn.invalid/x.js'></script>",
            [
                "index.html, 1280 pixels: loads https://cdn.invalid/x.js",
                "index.html, 390 pixels: loads https://cdn.invalid/x.js",
            ],
        ),
    ],
)
def test_what_a_browser_shows_is_checked(
    body: str, faults: list[str], packages: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    script = look_at_pages.__file__
    done = subprocess.run(
        [sys.executable, script, site(tmp_path, body)],
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    expected = faults or ["looked at 2 pages: no fault"]
    assert (done.returncode, done.stdout.splitlines()) == (int(bool(faults)), expected)
