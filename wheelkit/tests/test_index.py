"""What a package index has of a version."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import make_server

import pytest
from wheelkit.release import index, loopback_index
from wheelkit.target.report import LackingError, sha256

OURS = {"tiny-1.0.tar.gz": "a" * 64}


def test_the_files_of_a_version_are_listed_with_their_hashes(tmp_path: Path) -> None:
    names = ("tiny-1.0.tar.gz", "Tiny-1.0.0-py3-none-any.whl", "tiny-1.0.1.tar.gz")
    for name in names:
        (tmp_path / name).write_text(name)
    with loopback_index.serving(tmp_path) as address:
        listed = index.published(f"{address}/simple/", "Tiny", "1.0")
        assert index.published(f"{address}/simple/", "other", "1.0") == {}
    assert listed == {name: sha256(tmp_path / name) for name in names[:2]}


def test_an_index_that_does_not_answer_lacks() -> None:
    with pytest.raises(LackingError, match="cannot be reached"):
        index.published("http://127.0.0.1:9/simple/", "tiny", "1.0")


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ({}, []),
        ({"tiny-1.0.tar.gz": "a" * 64}, []),
        ({"tiny-1.0.tar.gz": "b" * 64}, ["version-published"]),
        ({"tiny-1.0.tar.gz": None}, ["index-without-hash"]),
        ({"tiny-1.0.zip": "a" * 64}, ["version-published"]),
    ],
)
def test_conflicts(listed: dict[str, str | None], expected: list[str]) -> None:
    assert [fault.id for fault in index.conflicts(listed, OURS)] == expected


JSON = "application/vnd.pypi.simple.v1+json"
HTML = "text/html"
EMPTY = '{"meta": {"api-version": "%s"}, "name": "%s", "files": []}'
PAGE = "<!DOCTYPE html><html><head>%s</head><body>%s</body></html>"
VERSION = '<meta name="pypi:repository-version" content="%s">'
LINK = '<a href="/f/tiny-1.0.tar.gz#sha256=%s">tiny-1.0.tar.gz</a>' % ("a" * 64)


@contextlib.contextmanager
def answering(kind: str, body: str) -> Iterator[str]:
    """An index that gives one answer to everything; yield its address."""

    def answer(_: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", kind)])
        return [body.encode()]

    handler = loopback_index.Handler
    with make_server(loopback_index.HOST, 0, answer, handler_class=handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{loopback_index.HOST}:{server.server_port}/simple/"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (JSON, EMPTY % ("1.0", "tiny"), {}),
        (HTML, PAGE % (VERSION % "1.0", ""), {}),
        (HTML, PAGE % (VERSION % "1.0", LINK), OURS),
        (HTML, PAGE % ("", LINK), OURS),
    ],
)
def test_the_page_of_a_project_is_read(kind: str, body: str, expected: dict[str, str]) -> None:
    with answering(kind, body) as address:
        assert index.published(address, "tiny", "1.0") == expected


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (JSON, "{}"),
        (JSON, "[]"),
        (JSON, ""),
        (JSON, "{"),
        (JSON, "null"),
        (JSON, "[" * 100_000),
        (JSON, EMPTY % ("9.0", "tiny")),
        (JSON, EMPTY % ("new", "tiny")),
        (JSON, EMPTY % ("1.0", "other")),
        (JSON, '{"meta": {"api-version": "1.0"}, "name": "tiny"}'),
        (HTML, ""),
        (HTML, PAGE % ("", "")),
        (HTML, PAGE % ("<title>Sign in</title>", '<a href="/login">Sign in</a>')),
        (HTML, PAGE % ("", '<a href="/f/other-1.0.tar.gz">other-1.0.tar.gz</a>')),
        (HTML, PAGE % (VERSION % "9.0", LINK)),
        (HTML, PAGE % (VERSION % "new", LINK)),
        ("text/plain", "tiny"),
        ("image/png", "tiny"),
    ],
)
def test_another_answer_is_not_taken_for_an_empty_index(kind: str, body: str) -> None:
    told = r"answers with something else|cannot be reached"
    with answering(kind, body) as address, pytest.raises(LackingError, match=told):
        index.published(address, "tiny", "1.0")
