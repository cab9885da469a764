"""The index on loopback: it takes a file once, is seen by nobody else, and ends with its user."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from wheelkit.release import loopback_index

USER = """
import pathlib, sys, time
from wheelkit.release import loopback_index
with loopback_index.serving(pathlib.Path(sys.argv[1])) as address:
    print(address, flush=True)
    time.sleep(600)
"""


def listens(address: str) -> bool:
    parts = urlsplit(address)
    with socket.socket() as client:
        return client.connect_ex((str(parts.hostname), parts.port or 0)) == 0


def upload(address: str, content: bytes) -> int:
    form = {":action": "file_upload", "name": "tiny", "version": "1.0"}
    files = {"content": ("tiny-1.0.tar.gz", content)}
    return requests.post(address, data=form, files=files, timeout=60).status_code


def test_a_file_is_taken_once(tmp_path: Path) -> None:
    with loopback_index.serving(tmp_path) as address:
        assert upload(address, b"first") == 200
        assert upload(address, b"second") == 409
    assert (tmp_path / "tiny-1.0.tar.gz").read_bytes() == b"first"


def test_it_listens_on_loopback_and_ends_with_its_context(tmp_path: Path) -> None:
    with loopback_index.serving(tmp_path) as address:
        assert urlsplit(address).hostname == "127.0.0.1"
        assert listens(address)
    assert not listens(address)


def test_it_ends_when_its_user_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", USER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as user:
        address = user.stdout.readline().strip() if user.stdout else ""
        assert listens(address)
        user.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while listens(address) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not listens(address)


def test_it_stalls_when_asked_to(tmp_path: Path) -> None:
    with loopback_index.serving(tmp_path, stall_after=0) as address:
        form = {"content": ("tiny-1.0.tar.gz", b"never")}
        with pytest.raises(requests.ReadTimeout):
            requests.post(address, files=form, timeout=1)
    assert list(tmp_path.iterdir()) == []
