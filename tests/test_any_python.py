"""Errors become exit statuses."""

from __future__ import annotations

import errno

import pytest
from any_python import run
from wheelkit.report import LackingError, MisusedError, Status


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (MisusedError("name another place"), Status.MISUSED, "error: name another place\n"),
        (LackingError("no pip"), Status.LACKING, "error: no pip\n"),
        (OSError(errno.ENOSPC, "no space left"), Status.LACKING, "no space left\n"),
        (OSError(errno.ENOENT, "x"), Status.INTERNAL, "error: internal error"),
        (KeyError("x"), Status.INTERNAL, "error: internal error; please report the traceback"),
    ],
)
def test_error_becomes_its_status(
    error: Exception, status: Status, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> int:
        raise error

    assert run(main) == status
    shown = capsys.readouterr().err
    assert message in shown
    assert ("Traceback" in shown) == (status == Status.INTERNAL)


def test_status_of_main_is_kept() -> None:
    assert run(lambda: Status.FAULTY) == Status.FAULTY
