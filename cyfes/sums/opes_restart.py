"""The state of an OPES run from its KERNELS file, as OPES makes it when it restarts from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cyfes.errors import InputError
from cyfes.model.domains import end_values
from cyfes.model.opes_kernels import Kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# The settings that the header of a KERNELS file has, and that a state needs.
_NEEDED = ("biasfactor", "epsilon", "kernel_cutoff", "compression_threshold")


def state_of_kernels(kernels: Kernels) -> Kernels:
    """Return the state that OPES has after it has deposited all kernels of a KERNELS file.

    A new kernel is merged with the nearest kernel within the compression threshold. The merged
    kernel is then merged with its nearest one, and so on. The norm zed is the mean of the estimated
    probability density at the centres of the remaining kernels.

    Parameters
    ----------
    kernels : Kernels
        The kernels of a KERNELS file of OPES_METAD or OPES_METAD_EXPLORE, in the order of time.

    Returns
    -------
    Kernels
        The merged kernels with the settings of a STATE file, for `cyfes.sum_kernels`. A KERNELS
        file does not say whether the run used the options NO_ZED and RECURSIVE_MERGE_OFF; cyfes
        assumes that it did not.

    Raises
    ------
    InputError
        If the kernels are those of a STATE file, a setting is missing, or the action is another.

    References
    ----------
    M. Invernizzi, M. Parrinello, J. Phys. Chem. Lett. 11, 2731 (2020); PLUMED 2.10, OPES_METAD.
    """
    if kernels.log_weights is None:
        raise InputError("found the kernels of a STATE file, expected those of a KERNELS file")
    exploring = kernels.action == "OPES_METAD_EXPLORE_kernels"
    if not exploring and kernels.action != "OPES_METAD_kernels":
        raise InputError(
            f"found kernels of the action {kernels.action or '(not named)'}, expected "
            "OPES_METAD_kernels or OPES_METAD_EXPLORE_kernels"
        )
    missing = [name for name in _NEEDED if name not in kernels.settings]
    if missing:
        raise InputError(f"found kernels without '#! SET {missing[0]}', expected it in the header")
    merged = _Merged(kernels)
    for row in zip(kernels.centers, kernels.sigmas, kernels.heights.tolist()):
        merged.add(*row)
    settings = {name: kernels.settings[name] for name in _NEEDED}
    factor = settings["biasfactor"]
    prefactor = factor - 1.0 if exploring else 1.0 - 1.0 / factor
    weights = np.exp(kernels.log_weights)
    # OPES begins with one kernel of this weight, which has no place.
    first = settings["epsilon"] ** prefactor
    settings["sum_weights"] = float(first + weights.sum())
    settings["sum_weights2"] = float(first**2 + (weights**2).sum())
    settings["counter"] = 1.0 + len(kernels)
    norm = settings["counter"] if exploring else settings["sum_weights"]
    settings["zed"] = merged.sum_at_centers(settings["kernel_cutoff"]) / norm / len(merged)
    return Kernels(
        kernels.names,
        merged.centers,
        merged.sigmas,
        merged.heights,
        kernels.domain,
        None,
        np.full(len(merged), kernels.times[-1]),
        settings,
        kernels.action.replace("_kernels", "_state"),
    )


class _Merged:
    """Kernels of which those that are close are merged."""

    def __init__(self, kernels: Kernels) -> None:
        count, ndim = kernels.centers.shape
        self._room = np.empty((count, 2 * ndim + 1))
        self._count = 0
        self._ndim = ndim
        self._threshold = kernels.settings["compression_threshold"] ** 2
        ends = [(0.0, 0.0) if d is None else end_values(d) for d in kernels.domain]
        self._low = np.array([low for low, _ in ends])
        self._periods = np.array([high - low for low, high in ends])
        self._periodic = self._periods > 0.0

    def __len__(self) -> int:
        return self._count

    @property
    def centers(self) -> Floats:
        return self._room[: self._count, : self._ndim]

    @property
    def sigmas(self) -> Floats:
        return self._room[: self._count, self._ndim : -1]

    @property
    def heights(self) -> Floats:
        return self._room[: self._count, -1]

    def add(self, center: Floats, sigma: Floats, height: float) -> None:
        """Add a kernel, and merge it and what comes of it as long as another one is close."""
        place = self._nearest(center, None)
        if place is None:
            self._room[self._count] = [*center, *sigma, height]
            self._count += 1
            return
        self._merge(place, center, sigma, height)
        while True:
            other = self._nearest(self.centers[place], place)
            if other is None:
                return
            taker, giver = min(place, other), max(place, other)
            row = self._room[giver].copy()
            self._merge(taker, row[: self._ndim], row[self._ndim : -1], row[-1])
            self._room[giver : self._count - 1] = self._room[giver + 1 : self._count]
            self._count -= 1
            place = taker

    def _differences(self, origin: Floats, points: Floats) -> Floats:
        """Return points minus an origin, to the nearest image."""
        ways = points - origin
        scale = np.where(self._periodic, self._periods, 1.0)
        return np.where(self._periodic, ways - scale * np.round(ways / scale), ways)

    def _nearest(self, center: Floats, own: int | None) -> int | None:
        """Return the kernel that is nearest in its own widths, if it is close enough."""
        if not self._count:
            return None
        scaled = self._differences(center, self.centers) / self.sigmas
        norms = np.einsum("kd,kd->k", scaled, scaled)
        if own is not None:
            norms[own] = np.inf
        nearest = int(np.argmin(norms))
        return nearest if norms[nearest] < self._threshold else None

    def _merge(self, place: int, center: Floats, sigma: Floats, height: float) -> None:
        """Give a kernel the height, the mean and the variance of itself and another together."""
        own = self._room[place]
        near = center + self._differences(center, own[: self._ndim])
        total = own[-1] + height
        mean = (own[-1] * near + height * center) / total
        squares = own[-1] * (own[self._ndim : -1] ** 2 + near**2) + height * (sigma**2 + center**2)
        own[self._ndim : -1] = np.sqrt(squares / total - mean**2)
        scale = np.where(self._periodic, self._periods, 1.0)
        inside = self._low + np.mod(mean - self._low, scale)
        own[: self._ndim] = np.where(self._periodic, inside, mean)
        own[-1] = total

    def sum_at_centers(self, cutoff: float) -> float:
        """Return the sum of all kernels, each less its value at the cut-off, at all centres."""
        total = 0.0
        for center in self.centers:
            scaled = self._differences(center, self.centers) / self.sigmas
            norms = np.einsum("kd,kd->k", scaled, scaled)
            values = self.heights * (np.exp(-0.5 * norms) - np.exp(-0.5 * cutoff**2))
            total += float(values[norms < cutoff**2].sum())
        return total
