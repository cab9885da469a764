"""The Cython extensions refuse arrays that do not fit together, and honour strides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cyfes
from cyfes import wrapper, wrapper_f32

CPU, STRETCHED, GAUSSIAN, BOXED, LOG = -1, 0, 1, 2, 3
MODULES = [(wrapper, np.float64), (wrapper_f32, np.float32)]


def hills(real: Any, count: int = 5, ndim: int = 2) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "centers": rng.normal(size=(count, ndim)).astype(real),
        "sigmas": rng.uniform(0.5, 1.0, (count, ndim)).astype(real),
        "heights": rng.uniform(0.5, 1.0, count).astype(real),
        "periods": np.zeros(ndim),
    }


def call_points(module: Any, real: Any, **change: Any) -> Any:
    arguments = {
        "device": CPU,
        "kernel": GAUSSIAN,
        **hills(real),
        "points": np.zeros((3, 2), real),
        "values": np.empty(3, real),
    }
    arguments.update(change)
    module.sum_points(**arguments)
    return arguments["values"]


def call_grid(module: Any, real: Any, **change: Any) -> Any:
    arguments = {
        "device": CPU,
        "kernel": GAUSSIAN,
        **hills(real),
        "lower": np.zeros(2),
        "spacing": np.ones(2),
        "points": np.array([2, 3], np.int64),
        "values": np.empty(6, real),
        "gradient": np.empty((2, 6), real),
    }
    arguments.update(change)
    module.sum_grid(**arguments)
    return arguments["values"]


@pytest.mark.parametrize(("module", "real"), MODULES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"centers": (0, 2)}, r"centers has shape \(0, 2\), expected"),
        ({"sigmas": (4, 2)}, r"sigmas has shape \(4, 2\), expected \('1 or 5', 2\)"),
        ({"sigmas": (5, 3)}, r"sigmas has shape \(5, 3\)"),
        ({"heights": (4,)}, r"heights has shape \(4,\), expected \(5,\)"),
        ({"points": (3, 3)}, r"points has shape \(3, 3\), expected \(3, 2\)"),
        ({"values": (2,)}, r"values has shape \(2,\), expected \(3,\)"),
        ({"sigmas": (1, 2)}, r"sigma of axis 0 of hill 0 is 0\.0+, expected a positive"),
    ],
)
def test_points_that_do_not_fit_are_refused(
    module: Any, real: Any, change: dict[str, Any], message: str
) -> None:
    arrays = {name: np.zeros(shape, real) for name, shape in change.items()}
    with pytest.raises(cyfes.InputError, match=message):
        call_points(module, real, **arrays)


@pytest.mark.parametrize(("module", "real"), MODULES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lower": np.zeros(1)}, r"lower has shape \(1,\), expected \(2,\)"),
        ({"spacing": np.ones(3)}, r"spacing has shape \(3,\)"),
        ({"spacing": np.zeros(2)}, r"axis 0 of the grid has no finite origin and positive"),
        ({"points": np.array([6], np.int64)}, r"points has shape \(1,\)"),
        ({"points": np.array([6, 0], np.int64)}, r"values has shape \(6,\), expected \(0,\)"),
        ({"points": np.array([-2, -3], np.int64)}, r"the grid has -2 points along axis 0"),
        ({"periods": np.ones(3)}, r"periods has shape \(3,\)"),
        ({"periods": np.array([-1.0, 0.0])}, r"period of axis 0 is -1"),
        ({"periods": np.array([7.0, 0.0])}, r"axis 0 of the grid is 2.* its period is 7"),
        ({"kernel": 4}, r"kernel 4 is unknown"),
        ({"kernel": LOG}, r"the logarithmic kernel is summed at points only"),
    ],
)
def test_grids_that_do_not_fit_are_refused(
    module: Any, real: Any, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(cyfes.InputError, match=message):
        call_grid(module, real, **change)


@pytest.mark.parametrize(("module", "real"), MODULES)
def test_gradient_of_another_shape_is_refused(module: Any, real: Any) -> None:
    with pytest.raises(cyfes.InputError, match=r"gradient has shape \(2, 5\), expected \(2, 6\)"):
        call_grid(module, real, gradient=np.empty((2, 5), real))


@pytest.mark.parametrize(("module", "real"), MODULES)
def test_boxed_kernel_needs_a_grid(module: Any, real: Any) -> None:
    with pytest.raises(cyfes.InputError, match="sum it on a grid"):
        call_points(module, real, kernel=BOXED)


@pytest.mark.parametrize(("module", "real"), MODULES)
@pytest.mark.parametrize("weight", [-np.inf, np.inf, np.nan])
def test_logarithm_of_no_weight_is_refused(module: Any, real: Any, weight: float) -> None:
    heights = np.array([0.0, 0.0, weight, 0.0, 0.0], real)
    with pytest.raises(cyfes.InputError, match=r"weight of hill 2 is -?(inf|nan), expected a"):
        call_points(module, real, kernel=LOG, heights=heights)


def test_more_axes_than_the_library_has_are_refused() -> None:
    with pytest.raises(cyfes.InputError, match="hills have 17 axes, expected 1 to 16"):
        call_points(wrapper, np.float64, **hills(np.float64, ndim=17), points=np.zeros((3, 17)))


@pytest.mark.parametrize(("module", "real"), MODULES)
def test_numbers_of_the_other_precision_are_refused(module: Any, real: Any) -> None:
    other = np.float32 if real is np.float64 else np.float64
    with pytest.raises(ValueError, match="Buffer dtype mismatch"):
        call_points(module, real, points=np.zeros((3, 2), other))


@pytest.mark.parametrize(("module", "real"), MODULES)
@pytest.mark.parametrize("name", ["centers", "sigmas", "heights", "periods", "points", "values"])
def test_none_is_refused(module: Any, real: Any, name: str) -> None:
    with pytest.raises(TypeError, match="None"):
        call_points(module, real, **{name: None})


@pytest.mark.parametrize(("module", "real"), MODULES)
def test_strides_are_honoured(module: Any, real: Any) -> None:
    expected = call_points(module, real)
    for name in ("centers", "sigmas"):
        matrix = hills(real)[name]
        padded = np.full((10, 6), np.nan, real)
        padded[::2, ::3] = matrix
        assert (call_points(module, real, **{name: padded[::2, ::3]}) == expected).all()
        assert (call_points(module, real, **{name: np.asfortranarray(matrix)}) == expected).all()
        reverse = np.ascontiguousarray(matrix[::-1, ::-1])
        assert (call_points(module, real, **{name: reverse[::-1, ::-1]}) == expected).all()


def test_result_must_be_contiguous() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        call_points(wrapper, np.float64, values=np.empty(6)[::2])


def test_library_has_the_version_of_the_package() -> None:
    assert wrapper.library_version() == cyfes.__version__
