"""The bill of materials of a wheel names each graft as it is, and what the wheel was built with."""

from __future__ import annotations

import json
from dataclasses import replace
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from tiny_wheels import core_metadata, extension, library, members, wheel
from wheelkit.checks import catalogue, graft_licenses
from wheelkit.checks.sbom import NAME
from wheelkit.cli import sbom as write_sbom
from wheelkit.cli import verify
from wheelkit.target.report import WARNING, Status, run, sha256
from wheelkit.wheel.reading import read_wheel
from wheelkit.wheel.settings import Settings, of_project

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


LICENSES = """
[project]
name = "tiny"

[tool.wheelkit.graft-licenses]
"libtiny*" = { license = "GPL-3.0-or-later WITH GCC-exception-3.1", files = [
  "licenses/GPL.txt", "$CUDA_HOME/licenses/EULA.txt",
] }
libnone = { license = "MIT", files = ["none.txt"] }
"""
TEXTS = {
    "tiny-1.0.dist-info/licenses/libtinyrt/GPL.txt": b"the GPL\r\n",
    "tiny-1.0.dist-info/licenses/libtinyrt/EULA.txt": b"the EULA",
}


@pytest.fixture
def project(tmp_path: Path, cuda: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a project with licences, which is the working directory."""
    folder = tmp_path / "project"
    for file, text in (
        (folder / "pyproject.toml", LICENSES.encode()),
        (folder / "licenses" / "GPL.txt", b"the GPL\r\n"),
        (cuda / "licenses" / "EULA.txt", b"the EULA"),
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CUDA_HOME", str(cuda))
    return folder


def license_faults(path: Path, folder: Path, declared: Settings) -> list[str]:
    given = read_wheel(path, folder)
    found = list(graft_licenses.faults(given, declared))
    assert all((f.id, f.severity) == ("graft-license-missing", WARNING) for f in found)
    return [fault.found for fault in found]


def test_the_licence_of_a_graft_is_in_the_wheel(tmp_path: Path, project: Path) -> None:
    path = wheel(tmp_path / "w", FILES)
    document = written(path)
    assert component(document, "libtinyrt")["licenses"] == [
        {"expression": "GPL-3.0-or-later WITH GCC-exception-3.1"}
    ]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is None
    content = members(path)
    assert {name: content[name] for name in TEXTS} == TEXTS
    # METADATA 2.1 has no field for them.
    assert content["tiny-1.0.dist-info/METADATA"] == core_metadata()
    assert faults(path, tmp_path / "1") == []
    assert license_faults(path, tmp_path / "2", of_project(project, "tiny")) == []
    once = path.read_bytes()
    written(path)
    assert path.read_bytes() == once


def test_the_settings_of_another_folder_name_files_there(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = wheel(tmp_path / "w", FILES)
    written(path, "--settings", project / "pyproject.toml")
    assert {name: members(path).get(name) for name in TEXTS} == TEXTS
    other = wheel(tmp_path / "x", FILES)
    assert "licenses" not in component(written(other), "libtinyrt")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_metadata_lists_the_texts_where_it_can(tmp_path: Path, end: str) -> None:
    lines = ["Metadata-Version: 2.4", "Name: tiny", "Version: 1.0", "License-File: LICENSE"]
    given = (end.join(lines) + end * 2 + "About it.\n\nLicense-File: libtinyrt/no.txt\n").encode()
    path = wheel(tmp_path / "w", FILES, metadata={"METADATA": given})
    written(path)
    once = path.read_bytes()
    written(path)
    assert path.read_bytes() == once
    found = BytesParser().parsebytes(members(path)["tiny-1.0.dist-info/METADATA"])
    expected = ["LICENSE", "libtinyrt/EULA.txt", "libtinyrt/GPL.txt"]
    assert found.get_all("License-File") == expected
    assert found.get_payload() == "About it.\n\nLicense-File: libtinyrt/no.txt\n"
    assert (found["Name"], found["Version"]) == ("tiny", "1.0")


def test_a_licence_that_has_another_name_now_takes_the_place_of_the_old(
    tmp_path: Path, project: Path
) -> None:
    metadata = b"Metadata-Version: 2.4\nName: tiny\nVersion: 1.0\n"
    path = wheel(tmp_path / "w", FILES, metadata={"METADATA": metadata})
    written(path)
    (project / "licenses" / "GPL.txt").rename(project / "licenses" / "GPL-3.txt")
    text = LICENSES.replace("GPL.txt", "GPL-3.txt")
    (project / "pyproject.toml").write_text(text)
    written(path)
    content = members(path)
    assert [name for name in content if "/licenses/" in name] == [
        "tiny-1.0.dist-info/licenses/libtinyrt/EULA.txt",
        "tiny-1.0.dist-info/licenses/libtinyrt/GPL-3.txt",
    ]
    assert content["tiny-1.0.dist-info/METADATA"].count(b"License-File") == 2


def test_the_text_of_a_licence_must_be_there(
    tmp_path: Path,
    project: Path,
    cuda: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = wheel(tmp_path / "w", FILES)
    before = path.read_bytes()
    (cuda / "licenses" / "EULA.txt").unlink()
    assert run(lambda: write_sbom.main([str(path)])) == Status.MISUSED
    assert f"there is no file {cuda / 'licenses' / 'EULA.txt'}" in capsys.readouterr().err
    monkeypatch.delenv("CUDA_HOME")
    assert run(lambda: write_sbom.main([str(path)])) == Status.MISUSED
    assert "$CUDA_HOME/licenses/EULA.txt is in a CUDA toolkit; set CUDA_HOME" in (
        capsys.readouterr().err
    )
    (project / "licenses" / "GPL.txt").unlink()
    assert run(lambda: write_sbom.main([str(path)])) == Status.MISUSED
    assert "graft-licenses.libtiny*: licenses/GPL.txt: there is no file" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_a_graft_without_its_licence_is_a_warning(tmp_path: Path, project: Path) -> None:
    declared = of_project(project, "tiny")
    none = replace(declared, graft_licenses=())
    path = wheel(tmp_path / "w", FILES)
    (found,) = license_faults(path, tmp_path / "1", declared)
    assert "no tiny-1.0.dist-info/licenses/libtinyrt/GPL.txt" in found
    assert "says nothing of a licence" in found
    (found,) = license_faults(path, tmp_path / "2", none)
    assert "no file in tiny-1.0.dist-info/licenses/libtinyrt/" in found
    # A wheel of which nothing is declared, as it is with those of other people.
    assert license_faults(path, tmp_path / "3", Settings()) == []
    written(path)
    assert license_faults(path, tmp_path / "4", none) == []
    other = replace(declared.graft_licenses[0], license="MIT")
    (found,) = license_faults(path, tmp_path / "5", replace(declared, graft_licenses=(other,)))
    assert found.endswith("says GPL-3.0-or-later WITH GCC-exception-3.1")
    content = {name: data for name, data in members(path).items() if not name.endswith("RECORD")}
    del content["tiny-1.0.dist-info/licenses/libtinyrt/EULA.txt"]
    spoiled = wheel(tmp_path / "x", content)
    (found,) = license_faults(spoiled, tmp_path / "6", declared)
    assert found == "no tiny-1.0.dist-info/licenses/libtinyrt/EULA.txt"


def test_verify_shows_the_warning_and_is_green(
    tmp_path: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = wheel(tmp_path / "w", FILES)
    text = LICENSES + '[tool.wheelkit]\ngrafts = ["libtinyrt"]\n'
    (project / "pyproject.toml").write_text(text)
    assert verify.main([str(path), "--layouts", "none"]) == Status.DONE
    said = capsys.readouterr()
    assert f"warning graft-license-missing: tiny.libs/{RT}" in said.out + said.err


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
