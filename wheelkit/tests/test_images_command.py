"""The images of a project are listed, and pinned to what their tags have today."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from wheelkit.cli import images
from wheelkit.target.report import MisusedError, Status, run

OLD, NEW = f"sha256:{'0' * 64}", f"sha256:{'1' * 64}"

# The lines end as on another system; the second comment names an image that is used.
PYPROJECT = f"""\
[tool.cibuildwheel]\r
# "q.io/big:latest" was here, which has no digest.\r
manylinux-x86_64-image = "q.io/big:latest@{OLD}"  # newest\r
\r
[[tool.cibuildwheel.overrides]]\r
select = "cp37-*"\r
manylinux-x86_64-image = 'q.io/big:2025'\r
\r
[tool.wheelkit]\r
test-images = [\r
  {{ image = "docker.io/library/fedora:44", pythons = ["3.14"], python = "python3" }},\r
]\r
"""

# Answers as the file that has the name of the image; without one, it cannot be pulled. The names
# of files have no '/'.
ENGINE = """#!/bin/sh
for last; do :; done
file="{answers}"/$(echo "$last" | tr / _)
case "$1 $2" in
  "info "*) exit 0 ;;
  "pull "*) test -f "$file" || {{ echo "no $last here" >&2; exit 125; }} ;;
  "image inspect") cat "$file" ;;
esac
"""


class Registry:
    """What the tags of images have today."""

    def __init__(self, folder: Path) -> None:
        self.answers = folder

    def tag(self, image: str, *digests: str) -> None:
        name = image.rpartition(":")[0]
        content = [{"RepoDigests": [f"{name}@{digest}" for digest in digests]}]
        (self.answers / image.replace("/", "_")).write_text(json.dumps(content))


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    program = tmp_path / "bin" / "docker"
    answers = tmp_path / "answers"
    for folder in (program.parent, answers, tmp_path / "project"):
        folder.mkdir()
    program.write_text(ENGINE.format(answers=answers))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("CIBW_CONTAINER_ENGINE", "docker")
    monkeypatch.chdir(tmp_path / "project")
    Path("pyproject.toml").write_bytes(PYPROJECT.encode())
    known = Registry(answers)
    known.tag("q.io/big:latest", OLD)
    known.tag("q.io/big:2025", NEW)
    known.tag("docker.io/library/fedora:44", NEW)
    return known


@pytest.mark.usefixtures("registry")
def test_each_image_is_listed_with_its_pin(capsys: pytest.CaptureFixture[str]) -> None:
    assert images.main([]) == Status.DONE
    assert capsys.readouterr().out.splitlines() == [
        f"q.io/big:latest@{OLD}: pinned by digest, builds wheels",
        "q.io/big:2025: not pinned, builds wheels",
        "docker.io/library/fedora:44: not pinned, tries wheels of 3.14",
    ]


def test_only_what_has_changed_is_written(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("pyproject.toml")
    assert images.main(["--update"]) == Status.DONE
    assert capsys.readouterr().out.splitlines() == [
        f"q.io/big:2025 → q.io/big:2025@{NEW}",
        f"docker.io/library/fedora:44 → docker.io/library/fedora:44@{NEW}",
    ]
    pinned = PYPROJECT.replace("'q.io/big:2025'", f"'q.io/big:2025@{NEW}'")
    pinned = pinned.replace(":44", f":44@{NEW}")
    assert path.read_bytes() == pinned.encode()
    assert images.main(["--update"]) == Status.DONE
    assert capsys.readouterr().out.startswith("nothing to do")
    assert path.read_bytes() == pinned.encode()
    registry.tag("q.io/big:latest", NEW)
    assert images.main(["--update"]) == Status.DONE
    assert f"q.io/big:latest@{OLD} → q.io/big:latest@{NEW}" in capsys.readouterr().out
    assert path.read_bytes() == pinned.replace(f"latest@{OLD}", f"latest@{NEW}").encode()


def test_the_digest_of_one_of_several_machines_is_not_a_change(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert images.main(["--update"]) == Status.DONE
    registry.tag("q.io/big:latest", NEW, OLD)
    capsys.readouterr()
    assert images.main(["--update"]) == Status.DONE
    assert capsys.readouterr().out.startswith("nothing to do")


def test_if_one_cannot_be_pulled_nothing_is_written(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("q.io_big:2025", "docker.io_library_fedora:44"):
        (registry.answers / name).unlink()
    assert run(lambda: images.main(["--update"])) == Status.LACKING
    said = capsys.readouterr().err
    assert "q.io/big:2025 cannot be pulled: no q.io/big:2025 here" in said
    assert "fedora:44 cannot be pulled" in said
    assert Path("pyproject.toml").read_bytes() == PYPROJECT.encode()


@pytest.mark.parametrize(
    "answer", ["", "[]", "[{}]", '[{"RepoDigests": []}]', '[{"RepoDigests": [1]}]']
)
def test_an_engine_that_tells_no_digest_is_reported(
    registry: Registry, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    (registry.answers / "q.io_big:2025").write_text(answer)
    assert run(lambda: images.main(["--update"])) == Status.LACKING
    assert "docker does not tell the digest of q.io/big:2025" in capsys.readouterr().err
    assert Path("pyproject.toml").read_bytes() == PYPROJECT.encode()


@pytest.mark.usefixtures("registry")
def test_an_image_without_a_tag_cannot_be_updated(capsys: pytest.CaptureFixture[str]) -> None:
    text = PYPROJECT.replace(":latest@", "@").replace(":44", "")
    Path("pyproject.toml").write_text(text)
    assert run(lambda: images.main(["--update"])) == Status.MISUSED
    said = capsys.readouterr().err
    assert f"q.io/big@{OLD}, docker.io/library/fedora: no tag" in said


@pytest.mark.usefixtures("registry")
def test_a_project_without_images_is_told_what_to_write(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("pyproject.toml").write_text("[tool.wheelkit]\n")
    assert run(lambda: images.main([])) == Status.MISUSED
    assert "manylinux-x86_64-image in [tool.cibuildwheel]" in capsys.readouterr().err


def test_a_string_that_is_written_otherwise_is_refused() -> None:
    text = 'image = "q.io/\\u0062ig:1"\n'
    with pytest.raises(MisusedError, match="plain string"):
        images.rewritten(text, {"q.io/big:1": "q.io/big:2"})
