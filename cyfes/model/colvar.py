"""Samples of collective variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyfes.base.optional_packages import need
from cyfes.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame

    from cyfes.model.domains import Domain


@dataclass(frozen=True, eq=False, repr=False)
class Colvar:
    """N samples of K quantities, as PLUMED's PRINT writes them; immutable.

    Attributes
    ----------
    names : tuple of str
        The K columns.
    values : ndarray of float64, shape (N, K)
        The samples, in the units of the file.
    domain : tuple of (None or (str, str))
        The literals of the ends of each periodic quantity's domain, such as ``("-pi", "pi")``.
    times : ndarray of float64, shape (N,), or None
        When each sample was taken; None if the file does not say.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    domain: tuple[Domain, ...]
    times: NDArray[np.float64] | None

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.values)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return one column, shape (N,)."""
        if name not in self.names:
            raise InputError(f"found no column {name}, expected one of {', '.join(self.names)}")
        return self.values[:, self.names.index(name)]

    def to_dataframe(self) -> DataFrame:
        """Return the samples as a pandas.DataFrame.

        Returns
        -------
        pandas.DataFrame
            A row for each sample; the columns are ``time`` where it is known, and the names.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed: ``pip install cyfes[pandas]``.
        """
        pandas = need("pandas", "to_dataframe()")
        columns = {} if self.times is None else {"time": self.times}
        columns.update(zip(self.names, self.values.T))
        return pandas.DataFrame(columns)

    def __repr__(self) -> str:
        """Return a line that says how many samples of what."""
        return f"<Colvar: {len(self)} samples of {', '.join(self.names)}>"
