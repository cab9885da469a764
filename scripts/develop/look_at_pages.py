"""Look at built pages: follow their links to each other, and open each one in a browser.

No page may be wider than the screen, lack a picture, load anything from another machine, or print
an error. The search must find a word. Prints one line for each fault.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

# A desktop and a phone, in pixels; each with the colours that most people have there.
SCREENS = ((1280, "light"), (390, "dark"))
# A word that the search must find, and a page on which it is.
WORD, PAGE_OF_WORD = "rpath", "pipeline/story.html"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember what a tag links to, and its own anchor."""
        for name, value in attrs:
            if name in ("href", "src") and value and tag != "base":
                self.links.append(value)
            elif name == "id" and value:
                self.anchors.add(value)


def pages_of(folder: Path) -> list[Path]:
    """Return the pages of a folder."""
    return sorted(path for path in folder.rglob("*.html") if "_static" not in path.parts)


def broken_links(folder: Path) -> list[str]:
    """Return a message for each link to a file or to an anchor that is not there."""
    known = {path.resolve(): Page(path) for path in pages_of(folder)}
    faults = []
    for path, page in known.items():
        for link in page.links:
            address = urlsplit(link)
            if address.scheme or address.netloc:
                continue
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            where = f"{path.relative_to(folder.resolve())}: {link}"
            if not target.exists():
                faults.append(f"{where}: no such file")
                continue
            # An empty fragment, and #top, are the top of a page.
            anchors = known[target].anchors | {"", "top"} if target in known else None
            if anchors is not None and unquote(address.fragment) not in anchors:
                faults.append(f"{where}: no such anchor")
    return faults


def find_browser() -> str | None:
    """Return the path of a Chromium of this machine; None if there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def look(folder: Path, browser: str) -> list[str]:
    """Open every page in a browser; return a message for each fault."""
    from playwright.sync_api import sync_playwright

    handler = functools.partial(Handler, directory=str(folder))
    # Port 0 is any free port of this machine.
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            with sync_playwright() as playwright:
                # Chromium's own sandbox does not work for root, as in containers.
                options = ["--no-sandbox"] if os.geteuid() == 0 else []
                opened = playwright.chromium.launch(executable_path=browser, args=options)
                faults = [
                    fault
                    for width, scheme in SCREENS
                    for fault in _faults(opened, address, folder, width, scheme)
                ]
                opened.close()
        finally:
            server.shutdown()
    return faults


def _faults(browser: Any, address: str, folder: Path, width: int, scheme: str) -> Iterator[str]:
    """Yield a message for each fault on a screen of this width."""
    screen = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, service_workers="block"
    )
    tab = screen.new_page()
    elsewhere: list[str] = []
    errors: list[str] = []
    tab.on("request", lambda sent: elsewhere.append(sent.url))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    for path in pages_of(folder):
        name = path.relative_to(folder).as_posix()
        elsewhere.clear()
        errors.clear()
        tab.goto(f"{address}/{name}", wait_until="load")
        found = tab.evaluate(
            "() => ({wide: document.documentElement.scrollWidth, pictures: [...document.images]"
            ".filter(i => !i.naturalWidth).map(i => i.getAttribute('src'))})"
        )
        where = f"{name}, {width} pixels"
        if found["wide"] > width:
            yield f"{where}: the page is {found['wide']} pixels wide"
        yield from (f"{where}: no picture {source}" for source in found["pictures"])
        yield from (f"{where}: {error}" for error in errors)
        outside = {url for url in elsewhere if not url.startswith((address, "data:", "blob:"))}
        yield from (f"{where}: loads {url}" for url in sorted(outside))
    if (folder / "search.html").is_file():
        tab.goto(f"{address}/search.html?q={WORD}")
        try:
            tab.wait_for_selector("#search-results li a", timeout=10_000)
            # The list is filled one result after the other.
            tab.wait_for_selector(f"#search-results a[href*='{PAGE_OF_WORD}']", timeout=10_000)
        except Exception as error:
            yield f"the search, {width} pixels: {WORD!r} does not find {PAGE_OF_WORD}: {error}"
    screen.close()


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the built pages")
    folder = parser.parse_args().folder
    browser = find_browser()
    if browser is None:
        print(f"found no browser, expected one of {', '.join(BROWSERS)}", file=sys.stderr)
        return 3
    faults = [*broken_links(folder), *look(folder, browser)]
    print("\n".join(faults) if faults else f"looked at {len(pages_of(folder))} pages: no fault")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
