"""Surfaces in files: what each format brings back, what other programs see, what is refused."""

from __future__ import annotations

import gzip
import lzma
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from cube_files import read_cube

import cyfes
from cyfes.errors import InputError, MissingDependencyError
from cyfes.io.cube_files import BOHR
from cyfes.model.grid import Grid
from cyfes.surface import FreeEnergySurface

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Extra = Callable[[str], Any]

PERIODIC = {1: [True], 2: [True, False], 3: [False, True, False]}
SUFFIXES = (".dat", ".dat.gz", ".npz", ".nc", ".vtk", ".cube", ".cub")


def _surface(ndim: int = 2, **changes: Any) -> FreeEnergySurface:
    lower: list[Any] = ["-pi" if wraps else 0.5 for wraps in PERIODIC[ndim]]
    upper: list[Any] = ["pi" if wraps else 2.0 for wraps in PERIODIC[ndim]]
    grid = Grid(lower, upper, [4, 6, 5][:ndim], PERIODIC[ndim])
    rng = np.random.default_rng(ndim)
    given: dict[str, Any] = {
        "values": rng.normal(size=grid.shape),
        "grid": grid,
        "names": ("phi", "d.x", "z")[:ndim],
        "gradient": rng.normal(size=(ndim, *grid.shape)),
        "domain": tuple(("-pi", "pi") if wraps else None for wraps in PERIODIC[ndim]),
        "plan": "direct",
        "unit": "kJ/mol",
        "kT": 2.494338785445972,
        "cv_units": ("rad", "nm", "nm")[:ndim],
    }
    return FreeEnergySurface(**{**given, **changes})


def _needs(suffix: str, extra: Extra) -> None:
    if suffix == ".nc":
        extra("scipy.io")


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("suffix", [".npz", ".nc"])
def test_npz_and_netcdf_keep_everything(
    suffix: str, ndim: int, tmp_path: Path, extra: Extra
) -> None:
    _needs(suffix, extra)
    for kind in (np.float64, np.float32):
        surface = _surface(ndim)
        surface = _surface(ndim, values=surface.values.astype(kind))
        path = tmp_path / f"fes{kind.__name__}{suffix}"
        surface.save(path)
        back = cyfes.load(path)
        assert back.values.dtype == kind
        np.testing.assert_array_equal(back.values, surface.values)
        np.testing.assert_array_equal(back.gradient, surface.gradient)
        for name in ("grid", "names", "domain", "device", "plan", "unit", "kT", "cv_units"):
            assert getattr(back, name) == getattr(surface, name), name
        assert back.grid.bounds == surface.grid.bounds


@pytest.mark.parametrize("suffix", [".npz", ".nc"])
def test_what_is_not_known_stays_unknown(suffix: str, tmp_path: Path, extra: Extra) -> None:
    _needs(suffix, extra)
    unknown: dict[str, Any] = {
        "gradient": None,
        "domain": None,
        "unit": None,
        "kT": None,
        "cv_units": None,
    }
    path = tmp_path / f"fes{suffix}"
    _surface(plan="", **unknown).save(path)
    back = cyfes.load(path)
    assert (back.gradient, back.unit, back.kT, back.cv_units, back.plan) == (None,) * 4 + ("",)


@pytest.mark.parametrize("name", ["fes.dat", "fes.dat.gz", "negativebias"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_plumed_files_come_back_as_they_were_printed(ndim: int, name: str, tmp_path: Path) -> None:
    surface = _surface(ndim)
    surface.save(tmp_path / name, fmt="%20.14e")
    back = cyfes.load(tmp_path / name, unit="kJ/mol", temperature=300.0)
    np.testing.assert_allclose(back.values, surface.values, rtol=1e-13)
    assert back.gradient is not None
    np.testing.assert_allclose(back.gradient, surface.gradient, rtol=1e-13)  # type: ignore[arg-type]
    assert (back.grid, back.names, back.domain) == (surface.grid, surface.names, surface.domain)
    assert back.unit == "kJ/mol"
    assert back.kT == pytest.approx(surface.kT)
    back.save(tmp_path / "again", fmt="%20.14e")
    raw = (tmp_path / name).read_bytes()
    text = gzip.decompress(raw) if name.endswith(".gz") else raw
    assert (tmp_path / "again").read_bytes() == text


def _compressed(kind: str, raw: bytes, extra: Extra) -> bytes:
    if kind == ".gz":
        return gzip.compress(raw)
    if kind == ".xz":
        return lzma.compress(raw)
    data: bytes = extra("zstandard").ZstdCompressor().compress(raw)
    return data


@pytest.mark.parametrize("kind", [".gz", ".xz", ".zst"])
@pytest.mark.parametrize("suffix", [".dat", ".cube", ".vtk"])
def test_compressed_files_are_read(suffix: str, kind: str, tmp_path: Path, extra: Extra) -> None:
    plain, path = tmp_path / f"fes{suffix}", tmp_path / f"fes{suffix}{kind}"
    _surface(3).save(plain)
    data = _compressed(kind, plain.read_bytes(), extra)
    path.write_bytes(data)
    np.testing.assert_array_equal(cyfes.load(path).values, cyfes.load(plain).values)
    # Known by their content, whatever they are called.
    named = tmp_path / f"other{suffix}"
    named.write_bytes(data)
    np.testing.assert_array_equal(cyfes.load(named).values, cyfes.load(plain).values)
    for part in (0.3, 0.95):
        path.write_bytes(data[: int(part * len(data))])
        with pytest.raises(InputError, match=re.escape(f"{path.name}: found damaged or incomp")):
            cyfes.load(path)


def test_zstandard_without_its_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    (tmp_path / "fes.dat.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
    with pytest.raises(MissingDependencyError, match=r"pip install cyfes\[zstd\]"):
        cyfes.load(tmp_path / "fes.dat.zst")


@pytest.mark.parametrize("suffix", [".dat", ".cube", ".vtk"])
def test_files_are_gzipped_under_such_a_name(suffix: str, tmp_path: Path) -> None:
    for name in (f"fes{suffix}", f"fes{suffix}.gz"):
        _surface(3).save(tmp_path / name)
    raw = (tmp_path / f"fes{suffix}.gz").read_bytes()
    assert gzip.decompress(raw) == (tmp_path / f"fes{suffix}").read_bytes()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fes.dat.xz", "found .xz, expected .gz"),
        ("fes.cube.zst", "found .zst, expected .gz"),
        ("fes.npz.gz", "found .npz.gz, expected .npz without compression"),
        ("fes.nc.gz", "found .nc.gz, expected .nc without compression"),
    ],
)
def test_what_is_not_compressed_so_is_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        _surface(3).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_plumeds_own_file_is_read(shared_data: Path) -> None:
    surface = cyfes.load(shared_data / "plumed" / "fes_acealanme_100x100.dat")
    assert surface.grid == Grid(["-pi", "-pi"], ["pi", "pi"], [100, 100], True)
    assert surface.names == ("phi", "psi")
    assert surface.values.min() == 0.0
    assert surface.unit is None
    # The derivative along phi, read in the same order as the values.
    assert surface.gradient is not None
    step = surface.grid.spacing[0]
    slope = (np.roll(surface.values, -1, 0) - np.roll(surface.values, 1, 0)) / (2.0 * step)
    np.testing.assert_allclose(surface.gradient[0], slope, atol=3.0)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_vtk_keeps_values_names_unit_and_periods(ndim: int, tmp_path: Path) -> None:
    surface = _surface(ndim)
    surface.save(tmp_path / "fes.vtk")
    back = cyfes.load(tmp_path / "fes.vtk")
    np.testing.assert_array_equal(back.values, surface.values)
    assert (back.names, back.unit, back.kT) == (surface.names, surface.unit, surface.kT)
    assert back.grid.periodic == surface.grid.periodic
    np.testing.assert_allclose(back.grid.lower, surface.grid.lower)
    np.testing.assert_allclose(back.grid.upper, surface.grid.upper)


def test_vtk_of_another_program_in_text_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.vtk").write_text(
        "# vtk DataFile Version 2.0\nmade elsewhere\nASCII\nDATASET STRUCTURED_POINTS\n"
        "DIMENSIONS 2 3 1\nSPACING 1 2 1\nORIGIN 0 0 0\nPOINT_DATA 6\nSCALARS f float\n"
        "LOOKUP_TABLE default\n1 2\n3 4\n5 6\n"
    )
    surface = cyfes.load(tmp_path / "a.vtk")
    assert surface.values.tolist() == [[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]]
    assert surface.names == ("x", "y")
    assert surface.grid.axes[1].tolist() == [0.0, 2.0, 4.0]


def test_cube_is_what_molecular_viewers_expect(tmp_path: Path) -> None:
    surface = _surface(3, cv_units=("nm", "", "nm"))
    surface.save(tmp_path / "fes.cube")
    strict = read_cube(tmp_path / "fes.cube")
    np.testing.assert_allclose(strict.values, surface.values, rtol=1e-5)
    np.testing.assert_allclose(strict.origin[0] * BOHR, 5.0, rtol=1e-6)
    back = cyfes.load(tmp_path / "fes.cube")
    assert back.names == surface.names
    assert back.grid.periodic == surface.grid.periodic
    assert back.grid.shape == surface.grid.shape
    np.testing.assert_allclose(back.grid.lower, surface.grid.lower * [10.0, 1.0, 10.0], atol=1e-8)
    assert (back.unit, back.cv_units) == ("kJ/mol", ("Å",) * 3)


def test_lengths_in_bohr_go_to_a_cube_as_they_are(tmp_path: Path) -> None:
    _surface(3, cv_units=("bohr", "Å", "nm")).save(tmp_path / "fes.cube")
    strict = read_cube(tmp_path / "fes.cube")
    expected = [0.5, -np.pi / 0.529177210903, 0.5 * 10.0 / 0.529177210903]
    np.testing.assert_allclose(strict.origin, expected, atol=1e-6)


def test_a_cube_of_skewed_axes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fes.cube"
    _surface(3).save(path)
    lines = path.read_text().splitlines(keepends=True)
    count, x, y, z = lines[3].split()
    for axis in (f"{count} {x} 0.1 {z}\n", f"{count} {x} {y} -0.1\n"):
        path.write_text("".join([*lines[:3], axis, *lines[4:]]))
        with pytest.raises(InputError, match="axes that are not at right angles"):
            cyfes.load(path)


def test_cube_of_cyfes45s_writer_is_read(tmp_path: Path) -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    cyfes.save_cube(tmp_path / "z.cub", np.zeros(3), 2, 0.5, 3, 0.5, 4, 0.5, values)
    surface = cyfes.load(tmp_path / "z.cub")
    np.testing.assert_allclose(surface.values, values)
    assert (surface.unit, surface.names) == ("kcal/mol", ("x", "y", "z"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_older_file_is_kept_and_never_lost_to_a_failure(
    suffix: str, tmp_path: Path, extra: Extra, monkeypatch: pytest.MonkeyPatch
) -> None:
    _needs(suffix, extra)
    path = tmp_path / f"fes{suffix}"
    _surface(3).save(path)
    first = path.read_bytes()
    _surface(3).save(path)
    assert (tmp_path / f"bck.0.fes{suffix}").read_bytes() == first
    before = sorted(tmp_path.iterdir())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="No space left"):
        _surface(3).save(path)
    backups = [p for p in tmp_path.iterdir() if p.name.startswith("bck.")]
    assert any(p.read_bytes() == first for p in backups)
    assert not [p for p in tmp_path.iterdir() if p.suffix == ".tmp"]
    assert len(before) == 2


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_that_is_not_there_is_named(suffix: str, tmp_path: Path, extra: Extra) -> None:
    _needs(suffix, extra)
    with pytest.raises(InputError, match="found no directory"):
        _surface(3).save(tmp_path / "nowhere" / f"fes{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"\x00\xff\x80garbage\n" * 50, b"1 2 3\n4 5 6\n"])
def test_garbage_is_refused_with_the_name_of_the_file(
    suffix: str, content: bytes, tmp_path: Path, extra: Extra
) -> None:
    _needs(suffix, extra)
    path = tmp_path / f"fes{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(path.name)):
        cyfes.load(path)


@pytest.mark.parametrize("suffix", [".dat", ".npz", ".nc", ".vtk", ".cube", ".dat.gz"])
def test_a_file_that_is_cut_off_is_refused(suffix: str, tmp_path: Path, extra: Extra) -> None:
    _needs(suffix, extra)
    path = tmp_path / f"fes{suffix}"
    _surface(3).save(path)
    whole = path.read_bytes()
    for part in (0.3, 0.7, 0.95):
        path.write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(InputError, match=re.escape(path.name)):
            cyfes.load(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_file_is_an_os_error(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cyfes.load(tmp_path / f"fes{suffix}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("#! FIELDS", "# FIELDS", "no '#! FIELDS' header"),
        ("#! SET nbins_phi  4\n", "", "no '#! SET nbins_phi'"),
        ("nbins_phi  4", "nbins_phi  x", "nbins_phi: found 'x'"),
        ("nbins_phi  4", "nbins_phi  5", "found 28 rows of 5 numbers, expected 35 of 5"),
        ("min_phi -pi", "min_phi pi", "expected the upper end to be larger"),
        ("min_phi -pi", "min_phi abc", "found 'abc'"),
        ("phi d.x file.free", "d.x phi file.free", "expected the first CV to change fastest"),
        ("phi d.x file.free", "phi phi file.free", "expected different ones"),
        ("phi d.x file.free", "a b c", "expected min_, max_, nbins_ and periodic_"),
        ("0.500000000", "0.5q0000000", "a row that is damaged"),
    ],
)
def test_faulty_plumed_files_say_what_is_wrong(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "fes.dat"
    _surface(2).save(path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=f"fes.dat: .*{message}"):
        cyfes.load(path)


def test_formats_refuse_what_they_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found 2 CVs, expected 3 for a cube file"):
        _surface(2).save(tmp_path / "fes.cube")
    infinite = np.full(_surface(3).grid.shape, np.inf)
    with pytest.raises(InputError, match="not finite"):
        _surface(3, values=infinite).save(tmp_path / "fes.cube")
    grid = Grid([0.0] * 4, [1.0] * 4, [2] * 4)
    wide = FreeEnergySurface(np.zeros(grid.shape), grid, ("a", "b", "c", "d"))
    with pytest.raises(InputError, match="found 4 CVs, expected at most 3"):
        wide.save(tmp_path / "fes.vtk")
    with pytest.raises(InputError, match="found names of"):
        _surface(1, names=("n" * 300,)).save(tmp_path / "fes.vtk")
    assert not list(tmp_path.iterdir())


def test_another_unit_than_the_files_is_refused(tmp_path: Path) -> None:
    _surface().save(tmp_path / "fes.npz")
    with pytest.raises(InputError, match="found values in kJ/mol, expected eV as given"):
        cyfes.load(tmp_path / "fes.npz", unit="eV")


def test_netcdf_version_4_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(InputError, match="NetCDF version 4"):
        cyfes.load(tmp_path / "a.nc")


# The last xarray for CPython 3.7 lives on what newer importlib-metadata and setuptools warn of.
old_xarray = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@old_xarray
def test_xarray_has_names_units_and_no_copy(extra: Extra) -> None:
    extra("xarray")
    surface = _surface()
    array = surface.to_xarray()
    assert array.dims == ("phi", "d.x")
    assert np.shares_memory(array.values, surface.values)
    assert array.attrs["units"] == "kJ/mol"
    assert array.coords["d.x"].attrs["units"] == "nm"
    np.testing.assert_array_equal(array.coords["phi"], surface.grid.axes[0])
    assert float(array.sel(phi=0.0, method="nearest").isel({"d.x": 0})) == surface.values[2, 0]


@old_xarray
def test_netcdf_goes_to_xarray_and_back(tmp_path: Path, extra: Extra) -> None:
    extra("scipy.io")
    xarray = extra("xarray")
    surface = _surface()
    surface.save(tmp_path / "ours.nc")
    with xarray.open_dataset(tmp_path / "ours.nc", engine="scipy") as data:
        np.testing.assert_array_equal(data["F"].values, surface.values)
        assert data["F"].dims == ("phi", "d.x")
        assert data["gradient"].shape == (2, 4, 7)
    surface.to_xarray().to_netcdf(tmp_path / "theirs.nc", engine="scipy")
    back = cyfes.load(tmp_path / "theirs.nc")
    np.testing.assert_array_equal(back.values, surface.values)
    assert (back.grid, back.unit, back.kT) == (surface.grid, surface.unit, surface.kT)


@pytest.mark.parametrize(
    ("package", "extra_name", "action"),
    [
        ("xarray", "xarray", "fes.to_xarray()"),
        ("scipy", "netcdf", "fes.save('fes.nc')"),
        ("matplotlib", "plot", "fes.plot()"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    package: str, extra_name: str, action: str, tmp_path: Path
) -> None:
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "import cyfes, numpy as np\n"
        "fes = cyfes.FreeEnergySurface(np.zeros(3), cyfes.Grid(0.0, 1.0, 2), ('x',))\n"
        f"{action}\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{MissingDependencyError.__name__}: " in done.stderr
    assert f"pip install 'cyfes[{extra_name}]'" in done.stderr
    assert not list(tmp_path.iterdir())


def test_importing_cyfes_imports_no_optional_package() -> None:
    program = "import cyfes, sys; print({'matplotlib', 'xarray', 'scipy'}.isdisjoint(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"
