"""Whatever a report holds, the gates refuse it, or it is green by rules of this test's own."""

from __future__ import annotations

import contextlib
import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import releases
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from wheelkit.release import git_tag, index
from wheelkit.target.report import Status, sha256

Files = dict[str, Any]
GREEN = releases.verification()
TOLERANCES = {
    name: (dtype, tolerance)
    for dtype, (tolerance, names) in releases.KERNELS.items()
    for name in names
}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[releases.Release]:
    """A release without any fault, with gates that ask neither git nor an index."""
    made = releases.make(tmp_path_factory.mktemp("random") / "release", pythons=("3.10",))
    with contextlib.ExitStack() as patches:
        patches.enter_context(mock.patch.object(git_tag, "faults_of", return_value=[]))
        patches.enter_context(mock.patch.object(index, "published", return_value={}))
        yield made


@pytest.fixture(scope="module")
def green(release: releases.Release) -> Files:
    """The content of each report, by its path."""
    paths = sorted(release.reports.glob("*/*.json"))
    return {
        path.relative_to(release.reports).as_posix(): json.loads(path.read_text()) for path in paths
    }


NUMBERS = (True, 0, -5, 1e300, 10**400, float("nan"), float("inf"))
WORDS = ("", "cpu", "cuda:0", "ok")
VALUES = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(WORDS),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["id", "name", "x"]), inner, max_size=2)
        ),
        max_leaves=3,
    ),
)


def changed(data: st.DataObject, value: Any) -> Any:
    """Return a value with one change, at a random place within it."""
    inner = isinstance(value, (dict, list)) and len(value) > 0
    action = data.draw(st.sampled_from(["replace", *["enter", "enter", "drop", "copy"] * inner]))
    if action == "replace":
        return data.draw(VALUES)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = data.draw(st.sampled_from(keys))
    if action == "enter":
        value[key] = changed(data, value[key])
    elif action == "drop":
        del value[key]
    elif isinstance(value, list):
        value.append(copy.deepcopy(value[key]))
    else:
        value[data.draw(st.text(max_size=5))] = copy.deepcopy(value[key])
    return value


def spoiled(data: st.DataObject, text: bytes) -> bytes:
    """Return the bytes of a file with a part cut out or put in."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    return text[:start] + data.draw(st.binary(max_size=10)) + text[end:]


def check(release: releases.Release, files: dict[str, bytes]) -> int:
    """Write the reports, seal them as their jobs do, and ask the gates."""
    shutil.rmtree(release.reports)
    for name, content in files.items():
        path = release.reports / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    release.seals = {}
    release.seal_reports()
    out = release.root / "out"
    shutil.rmtree(out, ignore_errors=True)
    status = release.check("http://nowhere", "--release", str(out))
    assert out.exists() == (status == Status.DONE)
    return status


def is_green(files: dict[str, bytes], dist: Path) -> bool:
    """Judge the reports by rules of this test's own."""
    entries: list[Any] = []
    for content in files.values():
        read = json.loads(content)
        entries += read if isinstance(read, list) else [read]
    wheels = {path.name: sha256(path) for path in dist.iterdir() if path.name != "SHA256SUMS"}
    shown = {
        (entry["wheel"]["name"], entry["tool"], str(entry.get("device", {}).get("id"))[:3])
        for entry in entries
        if entry["tool"] != "smoke_test"
        or entry["device"]["id"] == "cpu"
        or entry["place"] == releases.GPU
    }
    needed = {(name, "smoke_test", "cpu") for name in wheels}
    for name in wheels:
        if name.endswith(".whl"):
            needed |= {(name, "verify_wheel", "Non"), (name, "smoke_test", "cud")}
    return needed <= shown and all(is_green_entry(entry, wheels) for entry in entries)


def is_green_entry(entry: Any, wheels: dict[str, str]) -> bool:
    right = (
        entry["ok"] is True
        and entry["faults"] == []
        and entry.get("lacking") is None
        and entry.get("accepted", []) == []
        and wheels[entry["wheel"]["name"]] == entry["wheel"]["sha256"]
    )
    if entry["tool"] == "verify_wheel":
        tried = [(cell["installer"], cell["layout"]) for cell in entry["trials"]]
        wanted = [(cell["installer"], cell["layout"]) for cell in GREEN["trials"]]
        return (
            right
            and entry["platform"] == GREEN["platform"]
            and entry["layouts"]["how"] == "install"
            and set(GREEN["layouts"]["names"]) <= set(entry["layouts"]["names"])
            and all(entry["checks"][title] is True for title in GREEN["checks"])
            and set(wanted) <= set(tried)
        )
    names = [kernel["name"] for kernel in entry["kernels"]]
    return right and sorted(names) == sorted(TOLERANCES) and all(map(is_exact, entry["kernels"]))


def is_exact(kernel: Any) -> bool:
    dtype, tolerance = TOLERANCES[kernel["name"]]
    error = kernel["max_error"]
    number = type(error) is float or type(error) is int
    return number and 0 <= error <= tolerance and kernel.get("dtype", dtype) == dtype


MANY = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def as_bytes(files: Files) -> dict[str, bytes]:
    return {name: json.dumps(content).encode() for name, content in files.items()}


def test_the_reports_are_green(release: releases.Release, green: Files) -> None:
    assert check(release, as_bytes(green)) == Status.DONE
    assert is_green(as_bytes(green), release.dist)


@MANY
@given(st.data())
def test_a_changed_value_is_harmless_or_refused(
    release: releases.Release, green: Files, data: st.DataObject
) -> None:
    files = copy.deepcopy(green)
    name = data.draw(st.sampled_from(sorted(files)))
    files[name] = changed(data, files[name])
    status = check(release, as_bytes(files))
    assert status in (Status.DONE, Status.FAULTY, Status.MISUSED)
    assert status != Status.DONE or is_green(as_bytes(files), release.dist)


@MANY
@given(st.data())
def test_a_spoiled_file_is_harmless_or_refused(
    release: releases.Release, green: Files, data: st.DataObject
) -> None:
    files = as_bytes(green)
    name = data.draw(st.sampled_from(sorted(files)))
    files[name] = spoiled(data, files[name])
    status = check(release, files)
    assert status in (Status.DONE, Status.FAULTY, Status.MISUSED)
    assert status != Status.DONE or is_green(files, release.dist)


NAMES = st.text("abxJSONjson.-_ \n\\\x80é", min_size=1, max_size=12)


@MANY
@given(st.data(), NAMES)
@example(None, "x.JSON")
def test_a_renamed_or_lost_file_is_harmless_or_refused(
    release: releases.Release, green: Files, data: st.DataObject | None, name: str
) -> None:
    assume(name not in (".", "..", "SHA256SUMS"))
    files = as_bytes(green)
    old = sorted(files)[0] if data is None else data.draw(st.sampled_from(sorted(files)))
    content = files.pop(old)
    files[f"gpu/{name}"] = content
    status = check(release, files)
    assert status in (Status.DONE, Status.FAULTY, Status.MISUSED)
    assert status != Status.DONE or (is_green(files, release.dist) and name.endswith(".json"))
    del files[f"gpu/{name}"]
    assert check(release, files) == Status.FAULTY
