"""The hills of a metadynamics run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.arrays import checked_array
from cyfes.base.once import computed_once
from cyfes.errors import InputError
from cyfes.model.domains import checked_ends, checked_interval, period
from cyfes.model.hill_kernels import KERNELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from cyfes.model.domains import Domain


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Hills:
    """The N Gaussian hills that a metadynamics run left along D collective variables; immutable.

    Parameters
    ----------
    names : sequence of str
        The D collective variables (CVs).
    centers : array_like, shape (N, D)
        The centres, in the CVs' units. Shape (N,) will do for one CV.
    sigmas : array_like, shape (N, D), (D,) or (), optional
        The widths, in the CVs' units, above zero. Not needed with `cholesky`.
    heights : array_like, shape (N,) or ()
        The heights, in the unit that the surface is to have. As in PLUMED's files, those of a
        well-tempered run are expected to be scaled by gamma/(gamma - 1), so that F = -Σ hills.
    kernel : {"stretched-gaussian", "gaussian"}
        The kernel, see `cyfes.sum_hills`.
    domain : sequence of D (None or pair of str or float), optional
        The ends of each periodic CV's domain, such as ``("-pi", "pi")``; None for any other.
    times : array_like, shape (N,), optional
        When each hill was laid.
    bias_factors : array_like, shape (N,) or (), optional
        The bias factor gamma of each hill; 1 by default, as PLUMED takes it.
    cholesky : array_like, shape (N, D (D + 1) / 2) or (D (D + 1) / 2,), optional
        For multivariate hills: the rows of the lower triangle of L, with a positive diagonal, where
        L L^T is the covariance matrix of the hill; PLUMED's columns ``sigma_b_a``.
    interval : pair of float, optional
        The ends of METAD's INTERVAL, for one CV: beyond them the bias is what it is at them.

    Arrays of CuPy, PyTorch and others on a CUDA device are used where they are, without a copy:
    the centers, and with them sigmas and heights. `cyfes.sum_hills` and `cyfes.bias` take such
    hills; their numbers are not looked at, and must not be changed afterwards.

    Attributes
    ----------
    names : tuple of str
        The collective variables.
    centers : ndarray of float64, shape (N, D), C-contiguous
        Centres.
    sigmas : ndarray of float64, shape (N, D)
        Widths; where those of all hills are equal, memory may hold one row, which N rows stand for.
    heights : ndarray of float64, shape (N,), C-contiguous
        Heights.
    bias_factors : ndarray of float64, shape (N,)
        Bias factors; in memory, as the widths.
    times : ndarray of float64, shape (N,), or None
        When each hill was laid.
    cholesky : ndarray of float64, shape (N, D (D + 1) / 2), or None
        The Cholesky factors of multivariate hills; `sigmas` are then the roots of the variances.
    interval : pair of float, or None
        The ends of METAD's INTERVAL.
    kernel : str
        The kernel.
    domain : tuple of (None or (str, str))
        The literals of each CV's domain.

    Raises
    ------
    InputError
        If shapes disagree, a number is not finite, a width is not above zero, or a name, kernel
        or domain is not usable.
    """

    names: tuple[str, ...]
    centers: NDArray[np.float64]
    sigmas: NDArray[np.float64]
    heights: NDArray[np.float64]
    kernel: str
    domain: tuple[Domain, ...]
    times: NDArray[np.float64] | None
    bias_factors: NDArray[np.float64]
    cholesky: NDArray[np.float64] | None
    interval: tuple[float, float] | None

    def __init__(
        self,
        names: Sequence[str],
        centers: ArrayLike,
        sigmas: ArrayLike | None,
        heights: ArrayLike,
        *,
        kernel: str = "stretched-gaussian",
        domain: Sequence[tuple[str | float, str | float] | None] | None = None,
        times: ArrayLike | None = None,
        bias_factors: ArrayLike = 1.0,
        cholesky: ArrayLike | None = None,
        interval: tuple[float, float] | None = None,
    ) -> None:
        set_field = object.__setattr__
        set_field(self, "names", _checked_names(names))
        shapes = {"centers": centers, "sigmas": sigmas, "heights": heights}
        for name, value in _shape_fields(shapes, cholesky, len(self.names)).items():
            set_field(self, name, value)
        count = len(self.centers)
        set_field(self, "bias_factors", _repeated("bias_factors", bias_factors, (count,)))
        set_field(self, "times", None if times is None else _array("times", times, (count,)))
        set_field(self, "kernel", _checked_kernel(kernel))
        set_field(self, "domain", _checked_domain(domain, self.names))
        set_field(self, "interval", checked_interval(interval, self.ndim))

    @classmethod
    def of_checked_arrays(cls, **fields: object) -> Hills:
        """Return hills of arrays that were checked before, without copies of them."""
        hills = cls.__new__(cls)
        for name, value in fields.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(hills, name, value)
        return hills

    @property
    def ndim(self) -> int:
        """The number of collective variables."""
        return len(self.names)

    @computed_once
    def periods(self) -> NDArray[np.float64]:
        """The period of each collective variable, 0 where it has none, shape (D,)."""
        return _read_only(np.array([period(domain) for domain in self.domain], dtype=np.float64))

    @computed_once
    def width_rows(self) -> NDArray[np.float64]:
        """The widths, one row where those of all hills are equal: shape (N or 1, D)."""
        rows: NDArray[np.float64] = _one_row(self.sigmas)
        return rows

    @computed_once
    def widest(self) -> NDArray[np.float64]:
        """The largest width along each axis, shape (D,)."""
        return _read_only(_unrepeated(self.sigmas).max(axis=0))

    @computed_once
    def placed(self) -> dict[Any, Any]:
        """What sums keep of hills on a device; they clear it before they add to it."""
        return {}

    @computed_once
    def inverse_factors(self) -> NDArray[np.float64] | None:
        """The Cholesky factors of the inverse covariance matrices, one row where all are equal."""
        if self.cholesky is None:
            return None
        return _read_only(_factors_of_inverses(_one_row(self.cholesky), self.ndim))

    @computed_once
    def negated_heights(self) -> NDArray[np.float64]:
        """The heights of F = -Σ hills, shape (N,)."""
        return _read_only(-self.heights)

    @computed_once
    def bias_scale(self) -> NDArray[np.float64]:
        """The factors that make heights of F those of the bias, shape (N,); (1,) if all are one."""
        factors = _one_row(self.bias_factors)
        tempered = factors > 1.0
        return _read_only(np.where(tempered, 1.0 - 1.0 / np.where(tempered, factors, 1.0), 1.0))

    @computed_once
    def bias_heights(self) -> NDArray[np.float64]:
        """The heights of the bias, shape (N,)."""
        scale = self.bias_scale
        return self.heights if (scale == 1.0).all() else _read_only(self.heights * scale)

    @property
    def on_device(self) -> bool:
        """Whether the centres lie on a CUDA device, as an array of CuPy or PyTorch."""
        return not isinstance(self.centers, np.ndarray)

    def check_on_host(self, user: str) -> None:
        """Refuse hills on a CUDA device, for a function that needs NumPy's arrays.

        Parameters
        ----------
        user : str
            The function.

        Raises
        ------
        InputError
            If they are there.
        """
        if self.on_device:
            raise InputError(
                f"{user}: found hills on a GPU, which only sum_hills and bias accept; expected "
                "NumPy's arrays"
            )

    def __len__(self) -> int:
        """Return the number of hills."""
        return len(self.heights)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Hills:
        """Return some of the hills; those of a slice share their memory with all of them."""
        if not isinstance(rows, (slice, np.ndarray)):
            raise TypeError(
                f"hills are taken by slices such as hills[:100] or by arrays, not by {rows!r}"
            )
        if self.on_device and not isinstance(rows, slice):
            raise InputError("found hills on a GPU, which are taken by slices such as hills[:100]")
        fields = self.__getstate__()
        per_hill = {k: _taken_rows(v, rows) for k, v in fields.items() if hasattr(v, "dtype")}
        return Hills.of_checked_arrays(**{**fields, **per_hill})

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone, for copies; what was computed from them is not copied."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __repr__(self) -> str:
        """Return a line that says how many hills over which CVs."""
        return f"<Hills: {len(self)} of kernel {self.kernel} over {', '.join(self.names)}>"


def _checked_names(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise InputError(f"names: found the string {names!r}, expected a sequence of names")
    checked = tuple(map(str, names))
    blanks = any(len(name.split()) != 1 for name in checked)
    if not checked or blanks or len(set(checked)) < len(checked):
        raise InputError(f"names: found {checked}, expected different names without blanks")
    return checked


def _shape_fields(
    given: dict[str, Any], cholesky: ArrayLike | None, ndim: int
) -> dict[str, NDArray[np.float64] | None]:
    """Return centres, widths, Cholesky factors and heights, checked."""
    # Imported here, because reading a file does not need it.
    from cyfes.native.gpu_arrays import on_device

    if any(map(on_device, given.values())):
        from cyfes.model.gpu_hills import placed_fields

        return {**placed_fields(given, ndim, cholesky is not None), "cholesky": None}
    centers = _centers(given["centers"], ndim)
    sigmas, factors = _widths(given["sigmas"], cholesky, (len(centers), ndim))
    heights = _array("heights", given["heights"], (len(centers),))
    return {"centers": centers, "sigmas": sigmas, "cholesky": factors, "heights": heights}


def _checked_kernel(kernel: str) -> str:
    if kernel not in KERNELS:
        raise InputError(f"kernel: found {kernel!r}, expected {' or '.join(KERNELS)}")
    return kernel


def _checked_domain(
    domain: Sequence[tuple[str | float, str | float] | None] | None, names: tuple[str, ...]
) -> tuple[Domain, ...]:
    if domain is None:
        return (None,) * len(names)
    if len(domain) != len(names):
        raise InputError(f"domain: found {len(domain)} entries, expected {len(names)}")
    return tuple(checked_ends(name, ends) for name, ends in zip(names, domain))


def _widths(
    sigmas: ArrayLike | None, cholesky: ArrayLike | None, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the widths along each axis, and the Cholesky factors if the hills have them."""
    if sigmas is None and cholesky is None:
        raise InputError("found neither sigmas nor cholesky, expected one of them")
    widths = None if sigmas is None else _repeated("sigmas", sigmas, shape)
    if widths is not None and widths.size and not _unrepeated(widths).min() > 0.0:
        raise InputError(f"sigmas: found {np.min(widths):g}, expected widths above zero")
    if cholesky is None:
        assert widths is not None  # noqa: S101  checked above
        return widths, None
    count, ndim = shape
    factors = _repeated("cholesky", cholesky, (count, ndim * (ndim + 1) // 2))
    diagonal = factors[:, [i * (i + 3) // 2 for i in range(ndim)]]
    if not (diagonal > 0.0).all():
        raise InputError(
            f"cholesky: found {np.min(diagonal):g} on the diagonal, expected numbers above zero"
        )
    deviations = standard_deviations(factors, ndim)
    if widths is not None and not np.allclose(widths, deviations, rtol=1e-6, atol=0.0):
        raise InputError("found sigmas that are not those of cholesky, expected one of the two")
    return deviations, factors


def standard_deviations(factors: NDArray[np.float64], ndim: int) -> NDArray[np.float64]:
    """Return the standard deviation along each axis: the lengths of the rows of L."""
    starts = [i * (i + 1) // 2 for i in range(ndim)]
    deviations = np.sqrt(np.add.reduceat(factors**2, starts, axis=1))
    deviations.flags.writeable = False
    return deviations


def _centers(value: ArrayLike, ndim: int) -> NDArray[np.float64]:
    shape = np.shape(value)
    if len(shape) == 1 and ndim == 1:
        return _array("centers", np.reshape(np.asarray(value), (-1, 1)), (shape[0], 1))
    if len(shape) != 2 or shape[1] != ndim:
        raise InputError(f"centers: found shape {shape}, expected (N, {ndim})")
    return _array("centers", value, (shape[0], ndim))


def _array(name: str, value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a read-only copy of `value`, broadcast to `shape`."""
    given = np.broadcast_to(checked_array(name, value, shape), shape)
    return _read_only(np.array(given, dtype=np.float64, order="C", copy=True))


def _repeated(name: str, value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the same, but with one row in memory where all are equal, which costs nothing."""
    given = _one_row(np.broadcast_to(checked_array(name, value, shape), shape))
    return np.broadcast_to(np.array(given, dtype=np.float64, order="C", copy=True), shape)


def _one_row(rows: Any) -> Any:
    """Return one of N rows where all are equal; an array on a device as it is."""
    if not isinstance(rows, np.ndarray) or len(rows) < 2:
        return rows
    # To compare the last row is enough for most arrays of different rows. Neighbours are compared
    # because that is faster than to compare each row with the first.
    alike = rows.strides[0] == 0 or ((rows[-1] == rows[0]).all() and (rows[1:] == rows[:-1]).all())
    return rows[:1] if alike else rows


def _unrepeated(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what memory holds of rows: one, if it stands for all."""
    return rows[:1] if rows.strides[0] == 0 else rows


def _taken_rows(rows: Any, which: slice | NDArray[Any]) -> Any:
    """Return some of the rows; a row that stands for all, for those."""
    if isinstance(rows, np.ndarray) and isinstance(which, np.ndarray) and rows.strides[0] == 0:
        count = len(np.empty(len(rows), dtype=bool)[which])
        return np.broadcast_to(rows[:1], (count, *rows.shape[1:]))
    return rows[which]


def _read_only(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array.flags.writeable = False
    return array


def _factors_of_inverses(packed: NDArray[np.float64], ndim: int) -> NDArray[np.float64]:
    """Return the Cholesky factors of inverse matrices, from those of the matrices.

    Both are lower triangles, packed row by row.
    """
    rows, columns = np.tril_indices(ndim)
    factors = np.zeros((len(packed), ndim, ndim))
    factors[:, rows, columns] = packed
    inverses = np.linalg.inv(factors)
    precisions = inverses.transpose((0, 2, 1)) @ inverses
    return np.ascontiguousarray(np.linalg.cholesky(precisions)[:, rows, columns])
