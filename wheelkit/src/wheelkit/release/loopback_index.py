"""A package index on this machine alone, which ends when its standard input is closed.

Its upload and simple API are those that pip and twine know. It takes each file name once, as the
real index does, and asks for no password. When the program that started it ends, in whatever way,
its end of the pipe closes, and the server ends too.
"""

from __future__ import annotations

import contextlib
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from wheelkit.target.report import LackingError, say

HOST = "127.0.0.1"
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """One thread a request: pip keeps a connection open while it opens another."""

    daemon_threads = True


class Handler(WSGIRequestHandler):
    """Writes no line a request."""

    def log_message(self, *arguments: object) -> None:
        """Stay silent."""


def application(packages: Path) -> Application:
    """Return the index as a WSGI application."""
    import pypiserver  # type: ignore[import-untyped]

    app: Application = pypiserver.app(
        roots=[packages],
        # pypiserver reads "." as: there is no file of passwords. No action needs one.
        password_file=".",  # noqa: S106
        authenticate=[],
        hash_algo="sha256",
        # A project that is not here is nowhere: no redirect to another index.
        disable_fallback=True,
        backend_arg="simple-dir",
    )
    return app


def stalling(app: Application, uploads: int) -> Application:
    """Return an index that hangs after so many uploads, to rehearse an interrupted release."""
    taken = threading.Semaphore(uploads)

    def limited(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST" and not taken.acquire(blocking=False):
            time.sleep(3600)
        return app(environ, start_response)

    return limited


@contextlib.contextmanager
def serving(packages: Path, stall_after: int | None = None) -> Iterator[str]:
    """Run ``wheelkit index`` for the time of the context; yield the address of the index."""
    command = [sys.executable, "-m", "wheelkit", "index", str(packages)]
    command += [] if stall_after is None else ["--stall-after", str(stall_after)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().strip() if server.stdout else ""
        if not address:
            raise LackingError(f"the index on loopback did not start (status {server.wait()})")
        yield address
    finally:
        server.communicate()


def serve(packages: Path, stall_after: int | None = None) -> None:
    """Serve the folder `packages` until standard input is closed; print the address first."""
    packages.mkdir(parents=True, exist_ok=True)
    app = application(packages.resolve())
    if stall_after is not None:
        app = stalling(app, stall_after)
    with make_server(HOST, 0, app, server_class=Server, handler_class=Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        say(f"http://{HOST}:{server.server_port}")
        sys.stdin.read()
        server.shutdown()
