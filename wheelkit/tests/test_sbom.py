"""The bill of materials of a wheel names each graft as it is, and what the wheel was built with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from tiny_wheels import core_metadata, extension, library, members, wheel
from wheelkit.checks import catalogue
from wheelkit.checks.sbom import NAME
from wheelkit.cli import sbom as write_sbom
from wheelkit.target.report import Status, run, sha256
from wheelkit.wheel.reading import read_wheel
from wheelkit.wheel.settings import Settings

RT = "libtinyrt-0badcafe.so.1"
FILES = {
    "tiny/__init__.py": b"",
    "tiny/_tiny.so": extension("_tiny", RT, rpath="$ORIGIN/../tiny.libs"),
    f"tiny.libs/{RT}": library(RT),
}
MEMBER = f"tiny-1.0.dist-info/{NAME}"
PINS = {"nvidia-cuda-runtime-cu12": {"version": "12.9.79", "sha256": "a" * 64}}
IMAGE = f"example.invalid/manylinux2014_x86_64@sha256:{'b' * 64}"


@pytest.fixture
def cuda(tmp_path: Path) -> Path:
    folder = tmp_path / "cuda"
    folder.mkdir()
    stamp = {"cuda": {"name": "CUDA toolkit", "version": "12.9.79"}, "pins": PINS}
    (folder / "version.json").write_text(json.dumps(stamp))
    return folder


def written(path: Path, *options: str | Path) -> Any:
    assert run(lambda: write_sbom.main([str(path), *map(str, options)])) == Status.DONE
    return json.loads(members(path)[MEMBER])


def component(document: Any, name: str) -> Any:
    (found,) = (item for item in document["components"] if item["name"] == name)
    return found


def faults(path: Path, folder: Path) -> list[str]:
    given = read_wheel(path, folder)
    checks = [
        c for c in catalogue.checks(Settings(), None) if c.title in ("bill of materials", "RECORD")
    ]
    assert len(checks) == 2
    return [fault.id for check in checks for fault in check.faults(given)]


def test_each_graft_is_listed_with_the_hash_of_the_file_in_the_wheel(
    tmp_path: Path, cuda: Path
) -> None:
    path = wheel(tmp_path / "w", FILES)
    document = written(path, "--cuda-home", cuda, "--image", IMAGE)
    (tmp_path / RT).write_bytes(members(path)[f"tiny.libs/{RT}"])
    graft = component(document, "libtinyrt")
    assert graft["hashes"] == [{"alg": "SHA-256", "content": sha256(tmp_path / RT)}]
    assert graft["evidence"]["occurrences"] == [{"location": f"tiny.libs/{RT}"}]
    assert document["metadata"]["component"]["purl"] == "pkg:pypi/tiny@1.0"


def test_toolkit_image_and_compiler_are_named(tmp_path: Path, cuda: Path) -> None:
    document = written(wheel(tmp_path / "w", FILES), "--cuda-home", cuda, "--image", IMAGE)
    assert component(document, "CUDA toolkit")["version"] == "12.9.79"
    runtime = component(document, "nvidia-cuda-runtime-cu12")
    assert runtime["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    image = component(document, "example.invalid/manylinux2014_x86_64")
    assert image["version"] == f"sha256:{'b' * 64}"
    outside = [c for c in document["components"] if c["name"].startswith(("GCC", "clang"))]
    assert outside
    assert all(c["scope"] == "excluded" for c in [runtime, image, *outside])


def test_without_a_container_the_system_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.delenv("WHEELKIT_IMAGE", raising=False)
    (tmp_path / "os-release").write_text('ID=tiny\nPRETTY_NAME="Tiny Linux 1"\n')
    monkeypatch.setattr(write_sbom, "OS_RELEASE", tmp_path / "os-release")
    document = written(wheel(tmp_path / "w", FILES))
    assert component(document, "Tiny Linux 1")["type"] == "operating-system"
    assert "CUDA toolkit" not in [item["name"] for item in document["components"]]


def test_the_document_is_valid_cyclonedx(tmp_path: Path, cuda: Path) -> None:
    path = wheel(tmp_path / "w", FILES)
    document = written(path, "--cuda-home", cuda, "--image", IMAGE)
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(document)) is None
    broken = {**document, "components": [{"type": "library"}]}
    assert validator.validate_str(json.dumps(broken)) is not None


def test_record_stays_right_and_the_bytes_are_the_same_each_time(
    tmp_path: Path, cuda: Path
) -> None:
    first, second = (wheel(tmp_path / name, FILES) for name in ("a", "b"))
    written(first, "--cuda-home", cuda)
    written(second, "--cuda-home", cuda)
    written(second, "--cuda-home", cuda)
    assert sha256(first) == sha256(second)
    assert faults(first, tmp_path / "opened") == []
    assert {name: members(first)[name] for name in FILES} == FILES


def spoil(document: Any, folder: Path) -> Path:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return wheel(folder, {**FILES, MEMBER: text})


def test_a_bill_that_is_not_true_is_found(tmp_path: Path, cuda: Path) -> None:
    path = wheel(tmp_path / "w", FILES)
    document = written(path, "--cuda-home", cuda)
    right = spoil(document, tmp_path / "right")
    assert faults(right, tmp_path / "1") == []
    component(document, "libtinyrt")["hashes"][0]["content"] = "0" * 64
    assert faults(spoil(document, tmp_path / "x"), tmp_path / "2") == ["sbom-untrue"]
    document["components"] = []
    assert faults(spoil(document, tmp_path / "y"), tmp_path / "3") == ["sbom-untrue"]
    assert faults(spoil(b"{", tmp_path / "z"), tmp_path / "4") == ["sbom-unreadable"]


def test_a_signed_wheel_is_left_as_it_is(tmp_path: Path) -> None:
    path = wheel(tmp_path / "w", FILES, metadata={"RECORD.jws": b"{}"})
    before = path.read_bytes()
    assert run(lambda: write_sbom.main([str(path)])) == Status.FAULTY
    assert path.read_bytes() == before


def test_a_damaged_wheel_is_left_as_it_is(tmp_path: Path) -> None:
    path = wheel(tmp_path / "w", FILES, metadata={"METADATA": core_metadata(), "RECORD": b""})
    before = path.read_bytes()
    assert run(lambda: write_sbom.main([str(path)])) == Status.FAULTY
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"cuda": {}}'])
def test_a_folder_that_is_no_toolkit_is_wrong_usage(tmp_path: Path, content: str | None) -> None:
    path, folder = wheel(tmp_path / "w", FILES), tmp_path / "none"
    folder.mkdir()
    if content is not None:
        (folder / "version.json").write_text(content)
    assert run(lambda: write_sbom.main([str(path), "--cuda-home", str(folder)])) == Status.MISUSED
