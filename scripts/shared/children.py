"""Processes that a script starts, which do not outlive it and may clean up after themselves."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# The seconds that a process has to clean up before it is killed.
PATIENCE = 60.0
# From <sys/prctl.h>.
PR_SET_PDEATHSIG = 1

Command = Sequence[str | Path]


def end_with_parent() -> None:
    """Ask Linux to send this process SIGTERM when its parent ends, even if that is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.contextmanager
def started(command: Command, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a process, and end it if the block is left by an exception.

    The process is in a session of its own, so that Ctrl-C reaches this script only, which then asks
    the process to end and waits until it has cleaned up. `subprocess.run` would kill it instead.
    """
    process = subprocess.Popen(
        command,
        text=True,
        errors="replace",
        start_new_session=True,
        # The scripts have no threads, which could make this unsafe.
        preexec_fn=end_with_parent,  # noqa: PLW1509
        **options,
    )
    try:
        yield process
        process.communicate()
    except BaseException:
        stop(process)
        raise


def stop(process: subprocess.Popen[str]) -> None:
    """Ask a process and those that it has started to end; kill them if they do not."""
    end = time.monotonic() + PATIENCE
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=PATIENCE)
        # The process may end before those that it has started, which still clean up.
        while time.monotonic() < end:
            os.killpg(process.pid, 0)
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def run(command: Command, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a process to its end; return what it printed."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started(command, **pipes, **options) as process:
        output, errors = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, output, errors)
