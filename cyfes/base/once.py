"""What an object computes at most once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class computed_once(Generic[T]):  # noqa: N801  a decorator, as `property` is
    """A property that is computed when it is first asked for, and then kept by the object.

    Of `functools.cached_property`, which CPython has since 3.8, CPython 3.7 has nothing.

    Parameters
    ----------
    compute : callable
        The method that computes it from the object, whose fields do not change.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the name under which objects keep the value."""
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        """Compute the value and keep it; Python does not call this again for the object."""
        if instance is None:
            return self  # type: ignore[return-value]
        value = self._compute(instance)
        instance.__dict__[self._name] = value
        return value
