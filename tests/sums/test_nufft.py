"""The Fourier transform of hills, with the transform itself written out, and with finufft."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import reference

import cyfes
from cyfes.native import device_choice
from cyfes.sums import nufft

if TYPE_CHECKING:
    pass


def written_out(*arguments: Any, eps: float, isign: int, modeord: int) -> Any:
    """Return what finufft's transforms of type 1 are defined as."""
    *angles, charges, sizes = arguments
    assert (isign, modeord) == (-1, 0)
    assert eps <= 1e-13
    terms = charges[:, None]
    for angle, size in zip(angles, np.atleast_1d(sizes)):
        assert np.abs(angle).max() <= np.pi
        modes = np.arange(size) - size // 2
        waves = np.exp(-1j * angle[:, None] * modes)
        terms = (terms[:, :, None] * waves[:, None, :]).reshape(len(charges), -1)
    return terms.sum(axis=0).reshape(sizes)


@pytest.fixture
def finufft(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for the optional package."""
    monkeypatch.setitem(sys.modules, "finufft", transforms("finufft", written_out))


def transforms(name: str, function: Any) -> Any:
    """Return a module with the transforms of type 1."""
    functions = {f"nufft{ndim}d1": function for ndim in (1, 2, 3)}
    return SimpleNamespace(__name__=name, __version__="0", **functions)


class There(np.ndarray):
    """An array on a GPU, with which NumPy's arrays take no part in arithmetic, as with CuPy's."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = ()) -> Any:
        plain = [array for array in (*inputs, *out) if type(array) is np.ndarray and array.ndim]
        if plain:
            raise TypeError(f"{ufunc.__name__} of arrays here and there")
        operands = [here(array) if isinstance(array, There) else array for array in inputs]
        options = {"out": tuple(map(here, out))} if out else {}
        return there(getattr(ufunc, method)(*operands, **options))


class Memory:
    """What is used of CuPy, beside what it has in common with NumPy; and where the work is done."""

    class OutOfMemoryError(MemoryError):
        pass

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.current: list[int] = []
        self.cuda = SimpleNamespace(
            Device=self._device,
            Stream=SimpleNamespace(null=self._device(0)),
            memory=SimpleNamespace(OutOfMemoryError=self.OutOfMemoryError),
        )
        self.fft = SimpleNamespace(
            ifft=lambda array, axis: there(np.fft.ifft(here(array), axis=axis))
        )

    def _device(self, number: int) -> Any:
        self.asked.append(number)
        return SelfContext()

    def _ifft(self, array: Any, axis: int) -> Any:
        return there(np.fft.ifft(here(array), axis=axis))

    def asarray(self, array: Any) -> Any:
        return there(np.array(array))

    def asnumpy(self, array: Any) -> Any:
        return here(array)

    def zeros(self, shape: Any, dtype: Any) -> Any:
        return there(np.zeros(shape, dtype))

    def moveaxis(self, array: Any, source: int, target: int) -> Any:
        return there(np.moveaxis(here(array), source, target))

    def ascontiguousarray(self, array: Any) -> Any:
        return there(np.ascontiguousarray(here(array)))

    def rint(self, array: Any) -> Any:
        return there(np.rint(here(array)))


class SelfContext:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def there(array: Any) -> Any:
    return array.view(There)


def here(array: Any) -> Any:
    assert isinstance(array, There)
    return array.view(np.ndarray)


def problem(periodic: list[bool], count: int = 30) -> tuple[cyfes.Hills, cyfes.Grid]:
    ndim = len(periodic)
    rng = np.random.default_rng(ndim)
    hills = cyfes.Hills(
        [f"x{i}" for i in range(ndim)],
        rng.uniform(-4.0, 4.0, (count, ndim)),
        [0.3, 0.35, 0.28][:ndim],
        rng.uniform(-1.0, 2.0, count),
        kernel="gaussian",
        domain=[("-pi", "pi") if wraps else None for wraps in periodic],
    )
    return hills, cyfes.Grid(["-pi"] * ndim, ["pi"] * ndim, range(9, 9 + ndim), periodic)


def check(periodic: list[bool], device: str = "auto") -> None:
    hills, grid = problem(periodic)
    surface = cyfes.sum_hills(hills, grid, device, plan="nufft", truncation="none", gradient=True)
    assert surface.device == ("cpu" if device == "auto" else device)
    library = "finufft" if device == "auto" else "cufinufft"
    assert re.match(rf"nufft, \d+( x \d+)* modes, {library} [\d.]+", surface.plan)
    values, slopes = reference.bias(grid.points(), hills)
    assert np.abs(surface.values.ravel() + values).max() < 1e-11 * np.abs(values).max()
    gradient = np.asarray(surface.gradient).reshape(slopes.shape)
    assert np.abs(gradient + slopes).max() < 1e-11 * np.abs(slopes).max()


PERIODIC = [[False], [True], [True, False], [False, True], [True, False, True]]


@pytest.mark.usefixtures("finufft")
@pytest.mark.parametrize("periodic", PERIODIC)
def test_surface_and_gradient_equal_the_plain_sum(periodic: list[bool]) -> None:
    check(periodic)


@pytest.mark.slow
@pytest.mark.parametrize("periodic", PERIODIC)
def test_finufft_itself(periodic: list[bool]) -> None:
    pytest.importorskip("finufft")
    check(periodic)


@pytest.mark.usefixtures("finufft")
def test_portions_of_hills_are_added() -> None:
    hills, grid = problem([True, False])
    options: dict[str, Any] = {"plan": "nufft", "truncation": "none", "gradient": True}
    once = cyfes.sum_hills(hills, grid, **options)
    twice = cyfes.sum_hills([hills, hills], grid, **options)
    np.testing.assert_allclose(twice.values, 2.0 * once.values, rtol=1e-12)
    slopes = [np.asarray(surface.gradient) for surface in (once, twice)]
    np.testing.assert_allclose(slopes[1], 2.0 * slopes[0], rtol=1e-10)


@pytest.mark.usefixtures("finufft")
@pytest.mark.parametrize(
    ("sigmas", "options", "message"),
    [
        (0.3, {}, "the nufft plan sums plain Gaussians that all have the same widths"),
        (np.linspace(0.2, 0.3, 60).reshape(30, 2), {"truncation": "none"}, "the same widths"),
        (0.5, {"truncation": "none"}, "For the sigma 0.5 of axis 0 and the period"),
    ],
)
def test_what_a_transform_cannot_sum_is_refused(
    sigmas: Any, options: dict[str, Any], message: str
) -> None:
    hills, grid = problem([True, False])
    changed = cyfes.Hills(
        hills.names, hills.centers, sigmas, hills.heights, kernel="gaussian", domain=hills.domain
    )
    with pytest.raises(cyfes.CyfesError, match=message):
        cyfes.sum_hills(changed, grid, plan="nufft", **options)


@pytest.mark.usefixtures("finufft")
def test_four_axes_and_tails_are_refused() -> None:
    hills = cyfes.Hills(list("abcd"), [[0.0] * 4], 0.3, 1.0, kernel="gaussian")
    with pytest.raises(cyfes.InputError, match="computes up to 3 CVs, found 4"):
        cyfes.sum_hills(hills, cyfes.Grid([0] * 4, [1] * 4, 2), plan="nufft", truncation="none")
    with pytest.raises(cyfes.InputError, match="loses the tails"):
        cyfes.reweight([0.0], cyfes.Grid(0.0, 1.0, 4), 0.1, kT=1.0, plan="nufft")


def test_without_finufft_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "finufft", None)
    hills, grid = problem([True])
    with pytest.raises(cyfes.MissingDependencyError, match=r"pip install 'cyfes\[nufft\]'"):
        cyfes.sum_hills(hills, grid, plan="nufft", truncation="none")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine with a second GPU, CuPy and cufinufft, as far as the package can tell."""
    cupy: Any = Memory()

    def transform(*arguments: Any, gpu_device_id: int, **options: Any) -> Any:
        cupy.current.append(gpu_device_id)
        *angles, charges, sizes = arguments
        assert {array.dtype.name for array in angles} == {"float64"}
        return there(written_out(*map(here, (*angles, charges)), sizes, **options))

    cupy.transforms = transforms("cufinufft", transform)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cufinufft", cupy.transforms)
    monkeypatch.setattr(device_choice, "_usable", lambda number: number)
    return cupy


@pytest.mark.parametrize("periodic", PERIODIC)
def test_a_gpu_has_the_same_mathematics(gpu: Any, periodic: list[bool]) -> None:
    check(periodic, "cuda:1")
    assert gpu.asked[-1] == 1
    assert gpu.current == [1]


@pytest.mark.usefixtures("gpu")
def test_single_precision_and_portions_on_a_gpu() -> None:
    hills, grid = problem([True, False])
    options: dict[str, Any] = {"plan": "nufft", "truncation": "none", "dtype": "float32"}
    found = cyfes.sum_hills([hills, hills], grid, "cuda:1", gradient=True, **options)
    values, slopes = reference.bias(grid.points(), hills)
    assert found.values.dtype == np.float32
    assert np.abs(found.values.ravel() + 2 * values).max() < 1e-5 * np.abs(values).max()
    gradient = np.asarray(found.gradient).reshape(slopes.shape)
    assert np.abs(gradient + 2 * slopes).max() < 1e-5 * np.abs(slopes).max()


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        (Memory.OutOfMemoryError("9 bytes"), cyfes.DeviceMemoryError, "cuda:1 has too little free"),
        (RuntimeError("Error creating plan."), cyfes.DeviceError, "failed on cuda:1: Error creat"),
    ],
)
def test_what_fails_on_a_gpu_is_said(
    gpu: Any, raised: Exception, kind: type[Exception], message: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise raised

    gpu.transforms.nufft1d1 = fail
    hills, grid = problem([True])
    with pytest.raises(kind, match=message):
        cyfes.sum_hills(hills, grid, "cuda:1", plan="nufft", truncation="none")


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("absent", ["cupy", "cufinufft"])
def test_without_cufinufft_or_cupy_it_says_what_to_install(
    absent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    hills, grid = problem([True])
    expected = rf"needs {absent}, .* pip install 'cyfes\[nufft-cuda\]'"
    with pytest.raises(cyfes.MissingDependencyError, match=expected):
        cyfes.sum_hills(hills, grid, "cuda:1", plan="nufft", truncation="none")


@pytest.mark.usefixtures("gpu")
def test_libraries_of_cuda_are_loaded_from_the_packages_that_bring_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("nvidia/cufft/lib", "nvidia/cuda_runtime"):
        (tmp_path / folder).mkdir(parents=True)
    library = tmp_path / "nvidia" / "cufft" / "lib" / "libcufft.so.11"
    library.touch()
    loaded: list[str] = []
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("ctypes.CDLL", loaded.append)
    # Another nvidia may have been imported.
    for name in [name for name in sys.modules if name.partition(".")[0] == "nvidia"]:
        monkeypatch.delitem(sys.modules, name)
    check([True], "cuda:1")
    assert loaded == [str(library)]


@pytest.mark.gpu
@pytest.mark.parametrize("periodic", PERIODIC)
def test_cufinufft_itself(periodic: list[bool]) -> None:
    try:
        with nufft.cuda_engine(0):
            pass
    except cyfes.MissingDependencyError as error:
        pytest.skip(f"no optional packages: {error}")
    check(periodic, "cuda:0")
