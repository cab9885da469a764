"""What the header of a HILLS file says: the variables, their domains and the shape of the hills."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, NamedTuple

from cyfes.base.numbers import parse_number
from cyfes.errors import HillsFileError, InputError
from cyfes.io.plumed_header import header_domain
from cyfes.model.domains import checked_interval, same_domain
from cyfes.model.hill_kernels import KERNELS

if TYPE_CHECKING:
    from cyfes.io.plumed_header import Header
    from cyfes.model.domains import Domain

# The names of the kernels in HILLS files. PLUMED computes a truncated Gaussian as a Gaussian.
_KERNEL_NAMES = {**{kernel: kernel for kernel in KERNELS}, "truncated-gaussian": "gaussian"}

# Columns of a HILLS or KERNELS file that are neither a collective variable nor a width.
_OTHER_COLUMNS = ("time", "height", "biasf", "clock", "logweight")


class HillsHeader(NamedTuple):
    """What a header says: the CVs, and the shape of the hills."""

    names: tuple[str, ...]
    domain: tuple[Domain, ...]
    #: None where the header names none.
    named_kernel: str | None
    multivariate: bool
    interval: tuple[float, float] | None

    @classmethod
    def of_header(cls, header: Header) -> HillsHeader:
        """Return what a header says, or refuse it with a HillsFileError."""
        fields, constants = header.fields, header.constants
        if "logweight" in fields:
            raise HillsFileError(
                "found the column logweight of an OPES KERNELS file, expected a HILLS file; "
                "read it with cyfes.read_kernels"
            )
        multivariate = _header_multivariate(constants)
        names = _collective_variables(fields, multivariate)
        domain = tuple(header_domain(name, constants) for name in names)
        given = constants.get("kerneltype")
        kernel = None if given is None else _KERNEL_NAMES.get(given.lower())
        if given is not None and kernel is None:
            raise HillsFileError(f"found kerneltype {given}, expected {' or '.join(KERNELS)}")
        interval = _header_interval(constants, names)
        layout = cls(names, domain, kernel, multivariate, interval)
        layout.check_columns(fields)
        return layout

    @property
    def kernel(self) -> str:
        """The kernel, by default that of PLUMED 2.8 and newer."""
        return self.named_kernel or KERNELS[0]

    @property
    def shape_columns(self) -> tuple[str, ...]:
        """The columns of the widths, or of the rows of the lower triangle."""
        if not self.multivariate:
            return tuple(f"sigma_{name}" for name in self.names)
        rows = enumerate(self.names)
        return tuple(f"sigma_{b}_{a}" for i, b in rows for a in self.names[: i + 1])

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a table of hills, in this order."""
        time, factor, clock = map(self._own, ("time", "biasf", "clock"))
        return (time, *self.names, *self.shape_columns, "height", factor, clock)

    @property
    def defaults(self) -> dict[str, float]:
        """The values of the columns that a file may leave out."""
        return {self._own("time"): nan, self._own("biasf"): 1.0, self._own("clock"): nan}

    def _own(self, column: str) -> str:
        """Return the name of a column of PLUMED's own; one that no file has, if a CV has it."""
        return f"{column} of the hill" if column in self.names else column

    @property
    def positive(self) -> tuple[str, ...]:
        """The columns whose numbers are above zero."""
        if self.multivariate:
            return tuple(f"sigma_{name}_{name}" for name in self.names)
        return self.shape_columns

    def check_columns(self, fields: tuple[str, ...]) -> None:
        """Refuse a file that lacks a column of the shapes or the heights, or has it twice."""
        for column in (*self.shape_columns, "height"):
            if fields.count(column) != 1:
                raise HillsFileError(
                    f"found {fields.count(column)} columns {column} in the header "
                    f"({' '.join(fields)}), expected one"
                )

    def ordered_as(self, other: HillsHeader) -> HillsHeader:
        """Return the same with the CVs in the order of another header, if it has the same CVs."""
        if set(self.names) != set(other.names):
            found, expected = " ".join(self.names), " ".join(other.names)
            raise HillsFileError(f"found the CVs {found}, expected {expected} as before")
        domain = tuple(self.domain[self.names.index(name)] for name in other.names)
        return self._replace(names=other.names, domain=domain)

    def check_agreement(self, other: HillsHeader) -> None:
        """Refuse hills that cannot be summed with those under another header, of the same CVs."""
        pairs = {
            "multivariate": (self.multivariate, other.multivariate),
            "the interval": (self.interval, other.interval),
        }
        for what, (mine, theirs) in pairs.items():
            if mine != theirs:
                raise HillsFileError(f"found {what} {mine}, expected {theirs} as before")
        for name, own, before in zip(self.names, self.domain, other.domain):
            if not same_domain(own, before):
                raise HillsFileError(
                    f"found {name} {_described(own)}, expected {_described(before)} as before"
                )


def _described(domain: Domain) -> str:
    return "not periodic" if domain is None else f"periodic from {domain[0]} to {domain[1]}"


def _header_multivariate(constants: dict[str, str]) -> bool:
    text = constants.get("multivariate", "false")
    if text not in ("true", "false"):
        raise HillsFileError(f"found multivariate {text}, expected true or false")
    return text == "true"


def _header_interval(
    constants: dict[str, str], names: tuple[str, ...]
) -> tuple[float, float] | None:
    ends = constants.get("lower_int"), constants.get("upper_int")
    if ends[0] == ends[1]:
        return None
    try:
        low, high = (parse_number(end or "none") for end in ends)
        return checked_interval((low, high), len(names))
    except InputError as error:
        raise HillsFileError(f"lower_int and upper_int: {error}") from error


def hill_variables(fields: tuple[str, ...], multivariate: bool = False) -> tuple[str, ...]:
    """Return the columns that hold the CVs of hills: those before the widths.

    PLUMED's own columns, such as ``height``, are CVs only where there is a width for them, such as
    ``sigma_height``.
    """
    widths = {f"sigma_{field}_{field}" if multivariate else f"sigma_{field}" for field in fields}
    places = [i for i, field in enumerate(fields) if field in widths]
    if not places:
        places = [i for i, field in enumerate(fields) if field.startswith("sigma_")]
    before = fields[: places[0]] if places else fields
    shape = "sigma_{0}_{0}" if multivariate else "sigma_{0}"
    # A name with a blank is that of a column which is not to be read.
    return tuple(
        field
        for field in before
        if " " not in field and (field not in _OTHER_COLUMNS or shape.format(field) in fields)
    )


def _collective_variables(fields: tuple[str, ...], multivariate: bool) -> tuple[str, ...]:
    names = hill_variables(fields, multivariate)
    if not names:
        raise HillsFileError(f"found no collective variable in the columns {' '.join(fields)}")
    if len(set(names)) < len(names):
        raise HillsFileError(f"found the columns {' '.join(names)}, expected different CVs")
    return names
