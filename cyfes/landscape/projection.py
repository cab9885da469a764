"""Surfaces over fewer CVs: the others are integrated out, or held at a value."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cyfes.base.numbers import check_positive
from cyfes.errors import InputError
from cyfes.landscape.interpolation import place_in_bins
from cyfes.model.grid import Grid
from cyfes.model.surface_data import SurfaceData

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Surface = TypeVar("Surface", bound=SurfaceData)


def projected(surface: Surface, names: Sequence[str], kT: float) -> Surface:
    """Return the free energy over some of the variables, the others being integrated out.

    F(a) = -kT ln Σ_b exp(-F(a, b) / kT) over the grid points b, as PLUMED's ``--idw`` does: without
    the volume of a bin.

    Parameters
    ----------
    surface : SurfaceData
        The surface.
    names : sequence of str
        The variables to keep, in the order wanted.
    kT : float
        kT, in the unit of the surface.

    Returns
    -------
    SurfaceData
        Of the class of `surface`. Without a gradient and without errors.

    Raises
    ------
    InputError
        If a name is unknown or stands twice, or kT is not above zero.
    """
    check_positive("kT", kT)
    unknown = [name for name in names if name not in surface.names]
    if unknown or not names or len(set(names)) < len(names):
        raise InputError(
            f"found the variables {', '.join(names)}, expected some of {', '.join(surface.names)}"
        )
    kept = [surface.names.index(name) for name in names]
    others = tuple(axis for axis in range(surface.grid.ndim) if axis not in kept)
    values = _integrated(surface.values, others, kT)
    # The axes left over are in the surface's order.
    values = np.transpose(values, [sorted(kept).index(axis) for axis in kept])
    domain = None if surface.domain is None else tuple(surface.domain[axis] for axis in kept)
    return replace(
        surface,
        values=np.ascontiguousarray(values),
        grid=surface.grid.subgrid(kept),
        names=tuple(names),
        gradient=None,
        error=None,
        domain=domain,
        cv_units=None if surface.cv_units is None else tuple(surface.cv_units[a] for a in kept),
    )


def _integrated(
    values: NDArray[np.floating], axes: tuple[int, ...], kT: float
) -> NDArray[np.float64]:
    exponents = np.asarray(values, dtype=np.float64) / -kT
    if not axes:
        return np.asarray(-kT * exponents)
    largest = exponents.max(axis=axes, keepdims=True)
    exponents -= largest
    np.exp(exponents, out=exponents)
    logarithms = np.log(exponents.sum(axis=axes)) + largest.squeeze(axis=axes)
    return np.asarray(-kT * logarithms)


def cut(surface: Surface, at: Mapping[str, float]) -> Surface:
    """Return the surface over the remaining CVs while others are held at a grid point.

    Parameters
    ----------
    surface : SurfaceData
        The surface.
    at : mapping of str to float
        The value of each CV that is held. The nearest point of the grid is used.

    Returns
    -------
    SurfaceData
        A surface over the remaining CVs, without a gradient. It has the class of `surface`.

    Raises
    ------
    InputError
        If a CV is unknown, its value is outside of the grid, or no CV remains.
    """
    nearest = _nearest(surface, at)
    kept = [axis for axis, name in enumerate(surface.names) if name not in at]
    index = tuple(slice(None) if k in kept else n for k, n in enumerate(nearest))
    grid, ends = surface.grid, surface.bounds()
    return replace(
        surface,
        values=surface.values[index],
        grid=Grid(
            [ends[k][0] for k in kept],
            [ends[k][1] for k in kept],
            [grid.bins[k] for k in kept],
            [grid.periodic[k] for k in kept],
        ),
        names=tuple(surface.names[k] for k in kept),
        gradient=None,
        error=None if surface.error is None else surface.error[index],
        domain=surface.domain and tuple(surface.domain[k] for k in kept),
        cv_units=surface.cv_units and tuple(surface.cv_units[k] for k in kept),
    )


def cut_place(surface: SurfaceData, at: Mapping[str, float]) -> dict[str, float]:
    """Return where `cut` holds CVs: the coordinates of the nearest grid point.

    Parameters
    ----------
    surface : SurfaceData
        The surface.
    at : mapping of str to float
        As for `cut`.

    Returns
    -------
    dict of str to float
        The coordinate of each CV that is held.

    Raises
    ------
    InputError
        As `cut` does.
    """
    nearest = dict(zip(surface.names, _nearest(surface, at)))
    axes = dict(zip(surface.names, surface.grid.axes))
    return {name: float(axes[name][nearest[name]]) for name in at}


def _nearest(surface: SurfaceData, at: Mapping[str, float]) -> list[int]:
    """Return the index of the grid point nearest to a place, 0 for the CVs that are not held."""
    unknown = [name for name in at if name not in surface.names]
    if unknown or not at or len(at) >= surface.grid.ndim:
        raise InputError(
            f"at: found {', '.join(at) or 'none'}, expected fewer than all of "
            f"{', '.join(surface.names)}"
        )
    place = surface.grid.lower.copy()
    for name, value in at.items():
        place[surface.names.index(name)] = value
    bins = np.rint(place_in_bins(place, surface.grid)[0]).astype(int)
    found: list[int] = (bins % surface.grid.shape).tolist()
    return found
