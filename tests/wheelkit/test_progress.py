"""A log is told what is being done only after a while of silence."""

from __future__ import annotations

import pytest
from wheelkit import progress


@pytest.mark.parametrize(
    ("silence", "said"), [(3600.0, ""), (-1.0, "tiny.whl: 20% rpaths\ntiny.whl: 30% tags\n")]
)
def test_log_gets_a_line_after_a_silence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], silence: float, said: str
) -> None:
    monkeypatch.setattr(progress, "SILENCE", silence)
    with progress.line():
        progress.show("tiny.whl: 20% rpaths")
        progress.show("tiny.whl: 30% tags")
    assert capsys.readouterr().err == said
