"""The bill of materials names the wheel as it is, and every graft of every run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from wheelkit.repair import auditwheel_sbom
from wheelkit.target.report import FaultyError

NAME = "tiny-1.0+cu12-py3-none-manylinux_2_17_x86_64.whl"


def document(file_name: str, *libraries: str) -> dict[str, Any]:
    """Return what auditwheel writes."""
    wheel = f"pkg:pypi/tiny@1.0?file_name={file_name}"
    component = {"type": "library", "bom-ref": wheel, "name": "tiny", "purl": wheel}
    others = [{"type": "library", "bom-ref": name, "name": name} for name in libraries]
    return {
        "metadata": {"component": component},
        "components": [component, *others],
        "dependencies": [{"ref": wheel, "dependsOn": list(libraries)}]
        + [{"ref": name} for name in libraries],
    }


def settled(tmp_path: Path, now: object, earlier: bytes | None = None) -> Any:
    path = tmp_path / "auditwheel.cdx.json"
    path.write_text(json.dumps(now))
    auditwheel_sbom.settle(path, earlier, NAME)
    return json.loads(path.read_text())


def test_the_file_name_is_that_of_the_repaired_wheel(tmp_path: Path) -> None:
    found = settled(tmp_path, document("tiny-1.0-linux.whl", "gomp"))
    assert found == document(NAME.replace("+", "%2B"), "gomp")


def test_what_an_earlier_run_listed_is_kept(tmp_path: Path) -> None:
    earlier = json.dumps(document("old.whl", "gomp", "cudart")).encode()
    found = settled(tmp_path, document("new.whl", "gomp", "blas"), earlier)
    assert found == document(NAME.replace("+", "%2B"), "gomp", "blas", "cudart")


def test_a_true_document_keeps_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "auditwheel.cdx.json"
    path.write_text(json.dumps(document(NAME.replace("+", "%2B"), "gomp"), indent=3))
    before = path.read_bytes()
    auditwheel_sbom.settle(path, before, NAME)
    assert path.read_bytes() == before


def test_nothing_is_written_where_there_is_none(tmp_path: Path) -> None:
    auditwheel_sbom.settle(tmp_path / "none.json", None, NAME)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [[], {}, {"metadata": {"component": None}}, "text", None])
def test_another_document_is_a_fault(tmp_path: Path, content: object) -> None:
    with pytest.raises(FaultyError) as caught:
        settled(tmp_path, content)
    assert [fault.id for fault in caught.value.faults] == ["sbom-malformed"]


def test_no_json_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "auditwheel.cdx.json"
    path.write_bytes(b"\xff{")
    with pytest.raises(FaultyError, match="sbom-malformed"):
        auditwheel_sbom.settle(path, None, NAME)
