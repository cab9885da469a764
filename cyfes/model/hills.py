"""The hills of a metadynamics run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from cyfes.base.arrays import checked_array
from cyfes.base.once import computed_once
from cyfes.base.optional_packages import need
from cyfes.errors import InputError
from cyfes.model.domains import checked_ends, checked_interval, period
from cyfes.model.hill_kernels import KERNELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray
    from pandas import DataFrame

    from cyfes.model.domains import Domain


class Hill(NamedTuple):
    """One hill."""

    #: The time at which it was deposited; None if that is not known.
    time: float | None
    #: Its centre along each CV.
    center: tuple[float, ...]
    #: Its width along each CV.
    sigma: tuple[float, ...]
    #: Its height.
    height: float
    #: The bias factor.
    bias_factor: float


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Hills:
    """The N Gaussian hills of a metadynamics run over D collective variables; immutable.

    Parameters
    ----------
    names : sequence of str
        The D collective variables (CVs).
    centers : array_like, shape (N, D)
        The centres, in the CVs' units. For one CV, the shape may be (N,).
    sigmas : array_like, shape (N, D), (D,) or (), optional
        The widths, in the CVs' units, above zero. Leave them out if you give `cholesky`.
    heights : array_like, shape (N,) or ()
        The heights, in the unit that the surface gets. The heights of a well-tempered run must be
        scaled by γ / (γ - 1), so that F = -Σ hills. In PLUMED's files, they are.
    kernel : {"stretched-gaussian", "gaussian"}, or sequence of N of them
        The kernel of all hills, or of each hill: see `cyfes.sum_hills`.
    domain : sequence of D (None or pair of str or float), optional
        The ends of the domain of each periodic CV, such as ``("-pi", "pi")``. For a CV that is not
        periodic, write None.
    times : array_like, shape (N,), optional
        The time at which each hill was deposited.
    bias_factors : array_like, shape (N,) or (), optional
        The bias factor γ of each hill. The default is 1, as in PLUMED.
    cholesky : array_like, shape (N, D (D + 1) / 2) or (D (D + 1) / 2,), optional
        For multivariate hills: the rows of the lower triangle of L, with a positive diagonal. L L^T
        is the covariance matrix of the hill. PLUMED writes L in the columns ``sigma_b_a``.
    interval : pair of float, optional
        For one CV: the ends of METAD's INTERVAL. Beyond an end, the bias has its value at this end.

    Notes
    -----
    The centres, and with them the widths and heights, may be arrays of CuPy, PyTorch or another
    library on a CUDA device. They are not copied. Only `cyfes.sum_hills` and `cyfes.bias` accept
    such hills. The numbers are not checked, and you must not change them afterwards.

    Attributes
    ----------
    names : tuple of str
        The collective variables.
    centers : ndarray of float64, shape (N, D), C-contiguous
        The centres.
    sigmas : ndarray of float64, shape (N, D)
        The widths. If they are the same for all hills, the N rows may share the memory of one row.
    heights : ndarray of float64, shape (N,), C-contiguous
        The heights.
    bias_factors : ndarray of float64, shape (N,)
        The bias factors. They may share memory as the widths do.
    times : ndarray of float64, shape (N,), or None
        The time at which each hill was deposited.
    cholesky : ndarray of float64, shape (N, D (D + 1) / 2), or None
        The Cholesky factors of multivariate hills. Then `sigmas` are the roots of the variances.
    interval : pair of float, or None
        The ends of METAD's INTERVAL.
    kernel : str, or ndarray of str, shape (N,)
        The kernel. It is an array only if the hills have different kernels.
    domain : tuple of (None or (str, str))
        The literals of each CV's domain.

    Raises
    ------
    InputError
        If shapes disagree, a number is not finite, a width is not above zero, or a name, kernel
        or domain cannot be used.

    Examples
    --------
    >>> hills = cyfes.Hills(["x"], centers=[-1.0, 1.0], sigmas=0.3, heights=[9.0, 6.0])
    >>> hills
    <Hills: 2 of kernel stretched-gaussian over x>
    >>> hills[0].height
    9.0
    """

    names: tuple[str, ...]
    centers: NDArray[np.float64]
    sigmas: NDArray[np.float64]
    heights: NDArray[np.float64]
    kernel: str | NDArray[np.str_]
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
        kernel: str | Sequence[str] | NDArray[np.str_] = "stretched-gaussian",
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
        set_field(self, "kernel", _checked_kernel(kernel, count))
        if self.on_device and len(self.kernels) > 1:
            raise InputError("found hills of several kernels on a GPU, expected one kernel")
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

    @computed_once
    def kernels(self) -> tuple[str, ...]:
        """The different kernels of the hills."""
        if isinstance(self.kernel, str):
            return (self.kernel,)
        return tuple(name for name in KERNELS if (self.kernel == name).any())

    def by_kernel(self) -> list[Hills]:
        """Return the hills of each kernel; all of them where they have the same one."""
        if isinstance(self.kernel, str):
            return [self]
        return [self[self.kernel == name] for name in self.kernels]

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

    @overload
    def __getitem__(self, rows: int) -> Hill: ...

    @overload
    def __getitem__(self, rows: slice | Sequence[int] | NDArray[Any]) -> Hills: ...

    def __getitem__(self, rows: int | slice | Sequence[int] | NDArray[Any]) -> Hill | Hills:
        """Return one hill by its number, or some of them.

        Those of a slice share their memory with all of them.
        """
        if isinstance(rows, (int, np.integer)) and not isinstance(rows, bool):
            return self._hill(int(rows))
        if isinstance(rows, list):
            rows = np.array(rows, dtype=np.intp if not rows else None)
        if not isinstance(rows, (slice, np.ndarray)):
            raise TypeError(
                "hills are taken by numbers, slices such as hills[:100], or arrays of numbers, "
                f"not by {rows!r}"
            )
        if self.on_device and not isinstance(rows, slice):
            raise InputError("found hills on a GPU, which are taken by slices such as hills[:100]")
        fields = self.__getstate__()
        per_hill = {k: _taken_rows(v, rows) for k, v in fields.items() if hasattr(v, "dtype")}
        if "kernel" in per_hill:
            per_hill["kernel"] = one_kernel(per_hill["kernel"])
        return Hills.of_checked_arrays(**{**fields, **per_hill})

    def _hill(self, number: int) -> Hill:
        self.check_on_host("hills[number]")
        return Hill(
            None if self.times is None else float(self.times[number]),
            tuple(self.centers[number].tolist()),
            tuple(self.sigmas[number].tolist()),
            float(self.heights[number]),
            float(self.bias_factors[number]),
        )

    def __iter__(self) -> Iterator[Hill]:
        """Yield the hills one by one."""
        return map(self._hill, range(len(self)))

    def to_dataframe(self) -> DataFrame:
        """Return the hills as a pandas.DataFrame.

        Returns
        -------
        pandas.DataFrame
            A row for each hill; the columns are those of PLUMED's file: ``time`` where it is known,
            the CVs, ``sigma_`` and the CV for each, ``height`` and ``biasf``. The Cholesky factors
            of multivariate hills are ``sigma_b_a``, as in PLUMED's file.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed: ``pip install cyfes[pandas]``.
        """
        pandas = need("pandas", "to_dataframe()")
        self.check_on_host("to_dataframe()")
        columns = {} if self.times is None else {"time": self.times}
        columns.update(zip(self.names, self.centers.T))
        if self.cholesky is None:
            widths = zip((f"sigma_{name}" for name in self.names), self.sigmas.T)
        else:
            rows = zip(*np.tril_indices(self.ndim))
            labels = (f"sigma_{self.names[row]}_{self.names[column]}" for row, column in rows)
            widths = zip(labels, self.cholesky.T)
        columns.update(widths)
        return pandas.DataFrame({**columns, "height": self.heights, "biasf": self.bias_factors})

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone, for copies; what was computed from them is not copied."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __repr__(self) -> str:
        """Return a line that says how many hills over which CVs."""
        kernel = " and ".join(self.kernels)
        return f"<Hills: {len(self)} of kernel {kernel} over {', '.join(self.names)}>"


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


def _checked_kernel(
    kernel: str | Sequence[str] | NDArray[np.str_], count: int
) -> str | NDArray[np.str_]:
    if isinstance(kernel, str):
        given = [kernel]
    else:
        given = list(map(str, kernel))
        if len(given) != count:
            raise InputError(f"kernel: found {len(given)} of them, expected one, or {count}")
    for name in given:
        if name not in KERNELS:
            raise InputError(f"kernel: found {name!r}, expected {' or '.join(KERNELS)}")
    return kernel if isinstance(kernel, str) else one_kernel(np.array(given, dtype=str))


def one_kernel(kernels: NDArray[np.str_]) -> str | NDArray[np.str_]:
    """Return the name of the kernel if all hills have the same, or the array of their kernels."""
    if not len(kernels):
        return KERNELS[0]
    if (kernels == kernels[0]).all():
        return str(kernels[0])
    kernels.flags.writeable = False
    return kernels


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
