"""The parts of a smoke test, each on what is just right and on what is just wrong."""

from __future__ import annotations

import base64
import csv
import hashlib
import math
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest
from wheelkit.target import smoke
from wheelkit.target.report import FaultyError, MisusedError

PROJECT = smoke.Project(Path("kernels.py"), "tiny", None, (), ())
KERNEL = {"name": "sum", "max_error": 0.0, "limit": 1e-9}


def result(*kernels: dict[str, Any]) -> dict[str, Any]:
    return {"device": {"id": "cpu"}, "kernels": list(kernels)}


@pytest.mark.parametrize(
    ("error", "wrong"),
    [
        (0.0, False),
        (1e-9, False),
        (math.nextafter(1e-9, 1), True),
        (math.nan, True),
        (math.inf, True),
        # An error is no less than nothing.
        (-1e-12, True),
        (-math.inf, True),
        (None, True),
    ],
)
def test_the_limit_is_the_largest_right_error(error: float | None, wrong: bool) -> None:
    faults = list(smoke.check_kernels(PROJECT, result({**KERNEL, "max_error": error}, KERNEL)))
    assert [(fault.id, fault.file) for fault in faults] == [("kernel-wrong", "sum")] * wrong
    if wrong:
        assert "on cpu" in faults[0].expected


@pytest.mark.parametrize(
    ("kernel", "found"),
    [
        ({"max_error": None, "found": "ValueError: x"}, "ValueError: x"),
        ({"max_error": None}, "no number"),
        ({"max_error": 0.5}, "relative error 0.5"),
    ],
)
def test_what_is_wrong_with_a_kernel_is_said(kernel: dict[str, Any], found: str) -> None:
    (fault,) = smoke.check_kernels(PROJECT, result({**KERNEL, **kernel}))
    assert fault.found == found


def test_a_run_without_kernels_proves_nothing() -> None:
    assert [fault.id for fault in smoke.check_kernels(PROJECT, result())] == ["no-kernels-run"]


def test_the_summary_names_the_largest_error_of_each_precision() -> None:
    errors = [("float64", 2e-15), ("float64", 4e-12), ("float64", 1e-15), ("float32", 3e-7)]
    kernels = [{**KERNEL, "dtype": dtype, "max_error": error} for dtype, error in errors]
    expected = "cpu ok (4 kernels, max error 3e-07 float32, 4e-12 float64)"
    assert smoke.summary(result(*kernels)) == expected
    assert smoke.summary(result(KERNEL)) == "cpu ok (1 kernels, max error 0e+00)"


@pytest.mark.parametrize(
    ("error", "shown"),
    [(1e-3, 1e-3), (math.inf, None), (-math.inf, None), (math.nan, None), (None, None)],
)
def test_a_report_has_numbers_that_json_has(error: float | None, shown: float | None) -> None:
    given = {**KERNEL, "max_error": error, "found": "why", "dtype": "float64"}
    (kernel,) = smoke.as_reported({**result(given), "driver": "1"})["kernels"]
    assert kernel == {"name": "sum", "max_error": shown, "dtype": "float64"}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"device": {"id": "cpu"}},
        {"kernels": []},
        {"device": {"id": 0}, "kernels": []},
        {"device": {}, "kernels": []},
        {"device": "cpu", "kernels": []},
        None,
        result({**KERNEL, "name": 1}),
        result({**KERNEL, "limit": "1e-9"}),
        result({**KERNEL, "limit": None}),
        result({**KERNEL, "max_error": "0"}),
        result(KERNEL, {"name": "sum", "max_error": 0.0}),
        result(KERNEL, {"name": "sum", "limit": 0.0}),
    ],
)
def test_a_result_of_another_form_is_wrong_usage(wrong: Any) -> None:
    with pytest.raises(MisusedError, match=r"run_kernels of kernels\.py returned"):
        smoke.check_result(PROJECT, wrong)


@pytest.mark.parametrize("error", [None, 0, 0.5])
def test_a_result_of_the_agreed_form_is_taken(error: float | None) -> None:
    smoke.check_result(PROJECT, result(KERNEL, {**KERNEL, "max_error": error, "limit": 1}))


# ----------------------------------------------------------------------------------- the files


def record_of(files: dict[str, bytes]) -> list[tuple[str, str, str]]:
    rows = []
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append((name, f"sha256={digest}", str(len(data))))
    return [*rows, ("tiny-1.dist-info/RECORD", "", "")]


def write_wheel(
    path: Path, files: dict[str, bytes], record: str = "tiny-1.dist-info/RECORD"
) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        lines = (",".join(row) for row in record_of(files))
        archive.writestr(record, "\n".join(lines) + "\n")
    return path


def test_the_hashes_of_a_wheel_are_those_of_its_record(tmp_path: Path) -> None:
    files = {"tiny.py": b"1", "tiny-1.data/data/own/x": b"22", "e": b""}
    read = smoke.read_wheel(write_wheel(tmp_path / "tiny.whl", files))
    assert read.dist_info == "tiny-1.dist-info"
    expected = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    assert {member.name: member.sha256 for member in read.members} == expected


@pytest.mark.parametrize("record", ["deep/tiny-1.dist-info/RECORD", "tiny-1.dist-info/RECORD.jws"])
def test_a_record_elsewhere_is_none(tmp_path: Path, record: str) -> None:
    with pytest.raises(FaultyError) as caught:
        smoke.read_wheel(write_wheel(tmp_path / "tiny.whl", {}, record))
    assert [fault.id for fault in caught.value.faults] == ["not-a-wheel"]


def test_no_file_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(MisusedError, match="is no file"):
        smoke.read_wheel(tmp_path)
    with pytest.raises(MisusedError, match="is no file"):
        smoke.read_project(tmp_path)


@pytest.mark.parametrize(
    ("member", "rows", "expected"),
    [
        ("tiny/x.py", ["../../x.py"], "site/tiny/x.py"),
        ("tiny-1.data/data/own/x", ["tiny/own/x", "../../own/x"], "own/x"),
        # The names end alike, the folders do not.
        ("tiny-1.data/data/own/x", ["../../my-own/x", "../../own/x"], "own/x"),
        ("tiny-1.data/data/own/x", ["../../my-own/x"], "site/own/x"),
        # A row without its file.
        ("tiny-1.data/data/gone/x", ["../../gone/x"], "site/gone/x"),
        ("tiny-1.data/data/own/x", [], "site/own/x"),
    ],
)
def test_where_an_installer_has_put_a_member(
    tmp_path: Path, member: str, rows: list[str], expected: str
) -> None:
    site = tmp_path / "lib" / "site"
    for name in ("own/x", "my-own/x", "lib/site/tiny/own/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    recorded = {row: site / row for row in rows}
    found = smoke.installed_path(member, site, recorded).resolve()
    base = tmp_path if expected == "own/x" else tmp_path / "lib"
    assert found == (base / expected).resolve()


def installed(tmp_path: Path, files: dict[str, bytes]) -> Path:
    """Write files and their RECORD as an installer does."""
    site = tmp_path / "site"
    for name, data in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(data)
    (site / "tiny-1.dist-info").mkdir(exist_ok=True)
    with (site / "tiny-1.dist-info" / "RECORD").open("w", newline="") as stream:
        csv.writer(stream).writerows(record_of(files))
    return site


def test_every_member_is_compared(tmp_path: Path) -> None:
    files = {"tiny/a.py": b"a", "tiny/b.py": b"b", "tiny/c.py": b"c"}
    site = installed(tmp_path, files)
    read = smoke.read_wheel(write_wheel(tmp_path / "tiny.whl", files))
    good, faults = smoke.check_files(read, site)
    assert faults == []
    expected = {site / name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    assert good == {path.resolve(): digest for path, digest in expected.items()}
    (site / "tiny/a.py").write_bytes(b"b")
    (site / "tiny/b.py").unlink()
    good, faults = smoke.check_files(read, site)
    assert list(good) == [(site / "tiny/c.py").resolve()]
    assert [(fault.id, fault.file) for fault in faults] == [
        ("file-differs", str(site / "tiny/a.py")),
        ("file-missing", "tiny/b.py"),
    ]
    digests = [f"sha256 {hashlib.sha256(data).hexdigest()}" for data in (b"b", b"a")]
    assert [faults[0].found, faults[0].expected] == digests


def test_the_distribution_is_searched_for_on_the_import_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = installed(tmp_path, {"tiny/__init__.py": b""})
    (tmp_path / "first" / "tiny-1.dist-info").mkdir(parents=True)
    (tmp_path / "last" / "tiny-0.5.dist-info").mkdir(parents=True)
    folders = [str(tmp_path / name) for name in ("first", "site", "last")]
    monkeypatch.setattr(sys, "path", [*folders, *sys.path])
    # The first has no RECORD.
    assert smoke.find_site("tiny-1.dist-info") == site.resolve()
    assert smoke.find_site("tiny-2.dist-info") is None
    names = [Path(path).name for path in smoke.other_versions("tiny")]
    assert names == ["tiny-1.dist-info", "tiny-1.dist-info", "tiny-0.5.dist-info"]
    assert smoke.other_versions("ti") == []


COMPILED = sysconfig.get_config_var("EXT_SUFFIX")


@pytest.mark.parametrize(
    ("file", "hidden"),
    [
        ("tiny.py", False),
        ("tiny/__init__.py", False),
        (f"tiny{COMPILED}", False),
        (f"tiny/__init__{COMPILED}", False),
        ("none.py", True),
    ],
)
def test_the_package_must_be_the_installed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, hidden: bool
) -> None:
    site = installed(tmp_path, {file: b""})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    assert [fault.id for fault in smoke.check_origin("tiny", site.resolve())] == (
        ["package-shadowed"] * hidden
    )
    (elsewhere / "tiny.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(elsewhere), *sys.path])
    (fault,) = smoke.check_origin("tiny", site.resolve())
    assert (fault.id, fault.found) == ("package-shadowed", str(elsewhere / "tiny.py"))


# ------------------------------------------------------------------------------- the libraries


def test_mapped_libraries_are_told_by_their_stems() -> None:
    mapped = smoke.mapped_libraries(("libnone", "li", "libc"))
    # The name goes on with a version or a hash, and not with letters: libcrypto is another one.
    assert [path.name.partition(".")[0].partition("-")[0] for path in mapped["libc"]] == ["libc"]
    assert (mapped["li"], mapped["libnone"]) == ([], [])
    assert smoke.mapped_libraries(()) == {}


def test_a_mapped_library_is_the_wheels_own_and_single(tmp_path: Path) -> None:
    own, other = tmp_path / "liba.so", tmp_path / "liba-1.so"
    for path in (own, other):
        path.write_text("")
    good = {own.resolve(): "hash"}

    def ids(mapped: dict[str, list[Path]], *elsewhere: str) -> list[str]:
        return [fault.id for fault in smoke.check_mapped(mapped, good, elsewhere)]

    assert ids({"liba": [own]}) == []
    assert ids({"liba": []}) == ["library-not-mapped"]
    assert ids({"liba": []}, "liba") == ["library-not-mapped"]
    assert ids({"liba": [other]}) == ["library-not-from-wheel"]
    assert ids({"liba": [other], "libb": [own]}, "liba") == []
    assert ids({"liba": [own], "libb": [other]}, "liba") == ["library-not-from-wheel"]
    assert ids({"liba": [own, other]}) == ["library-not-from-wheel", "library-twice"]
    assert ids({"liba": [own, own]}) == ["library-twice"]


# --------------------------------------------------------------------------------- the project


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("PACKAGE = 'tiny'\n", "has no run_kernels"),
        ("def run_kernels(): ...\n", "has no PACKAGE"),
        ("PACKAGE = 'tiny'\nrun_kernels = 1\nGRAFTS = ('liba',)\n", "expected some of LIBRARIES"),
        (
            "PACKAGE = 'tiny'\nrun_kernels = 1\nGRAFTS = ('liba', 'libb')\nLIBRARIES = ('liba',)\n",
            "expected some of LIBRARIES",
        ),
    ],
)
def test_a_file_of_kernels_that_lacks_something_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "kernels_of_tiny.py").write_text(text)
    with pytest.raises(MisusedError, match=message):
        smoke.read_project(tmp_path / "kernels_of_tiny.py")


def test_all_libraries_may_be_grafts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    text = "PACKAGE = 'tiny'\nrun_kernels = 1\nGRAFTS = LIBRARIES = ('liba',)\n"
    (tmp_path / "kernels_of_tiny.py").write_text(text)
    assert smoke.read_project(tmp_path / "kernels_of_tiny.py").grafts == ("liba",)


def test_a_package_that_fails_is_told_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "fails_at_import.py").write_text("raise OSError('no library')\n")
    package, (fault,) = smoke.import_package("fails_at_import")
    assert package is None
    assert (fault.id, fault.file, fault.found) == (
        *("import-fails", "fails_at_import", "OSError: no library"),
    )
    assert (fault.expected, fault.remedy) == ("import succeeds", "rebuild the wheel")
    found, faults = smoke.import_package("json")
    assert (found.__name__, faults) == ("json", [])


def test_a_file_of_kernels_imports_what_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "beside_tiny.py").write_text("LIBRARIES = ['liba', 'libb']\n")
    text = "from beside_tiny import LIBRARIES\nPACKAGE = 'tiny'\nGRAFTS = ['libb']\n"
    (tmp_path / "kernels_of_tiny.py").write_text(text + "def run_kernels(): return 7\n")
    found = smoke.read_project(tmp_path / "kernels_of_tiny.py")
    assert (found.package, found.libraries, found.grafts) == ("tiny", ("liba", "libb"), ("libb",))
    assert found.run_kernels() == 7
    assert sys.path[0] == str(tmp_path)
    smoke.read_project(tmp_path / "kernels_of_tiny.py")
    assert sys.path.count(str(tmp_path)) == 1
