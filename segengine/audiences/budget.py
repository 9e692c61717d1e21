"""How many buyers does a budget reach?

A budget is a number of parts, or of money that pays for parts at `text.price_per_part`. Where a
campaign has no text, every message is one part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.errors import did_you_mean

MOST = 10**15
"""What a budget may be, at most; so that sums stay within 64 bits."""
_KEYS = ("parts", "cost")


@dataclass(frozen=True, slots=True)
class Budget:
    """At most so many parts, at most so much money; None: no such bound. Both hold."""

    parts: int | None = None
    cost: Decimal | None = None

    def most_parts(self, price: Decimal | None) -> int:
        """The parts that it pays for. A budget of money needs a price."""
        bounds = [] if self.parts is None else [self.parts]
        if self.cost is not None:
            assert price is not None
            bounds.append(int(Fraction(self.cost) // Fraction(price)))
        return min(*bounds, MOST)

    def __str__(self) -> str:
        parts = [] if self.parts is None else [f"{self.parts:,} parts"]
        return " and ".join([*parts, *([] if self.cost is None else [f"{self.cost:,f} of money"])])


def read_budget(given: object) -> tuple[Budget | None, list[str]]:
    """`10000`, `{"parts": 10000}` or `{"cost": 500}` as a budget, and what is wrong with it."""
    if given is None or isinstance(given, Budget):
        return given, []
    if not isinstance(given, Mapping):
        given = {"parts": given}
    if not given:
        return None, ["`budget` is empty; give `parts` or `cost`, or leave it out"]
    wrong = [
        f"`budget` has no `{key}`; {did_you_mean(str(key), _KEYS) or 'give `parts` or `cost`'}"
        for key in given
        if key not in _KEYS
    ]
    parts: Any = given.get("parts")
    cost: Any = given.get("cost")
    if parts is None and cost is None and not wrong:
        wrong.append("`budget` needs a number of `parts` or of money, `cost`")
    is_whole = isinstance(parts, int) and not isinstance(parts, bool)
    if parts is not None and not (is_whole and 0 <= parts <= MOST):
        wrong.append(f"`budget` is a whole number of parts from 0, not `{parts}`, "
                     "or `{ cost = 500 }`")  # fmt: skip
    money = _money(cost)
    if cost is not None and (money is None or not 0 <= money <= MOST):
        wrong.append(f"the `cost` of `budget` is an amount of money from 0, not `{cost}`")
    return (None, wrong) if wrong else (Budget(parts, money), [])


def _money(given: Any) -> Decimal | None:
    if isinstance(given, bool) or not isinstance(given, int | float | Decimal):
        return None
    money = given if isinstance(given, Decimal) else Decimal(str(given))
    return money if money.is_finite() else None


def reached(parts: NDArray[Any], most: int) -> int:
    """How many of the first are paid for: int[n], what each takes, in the order of the limit.

    The first who no longer fits ends it: nobody behind is preferred for a shorter text.
    """
    return int(np.searchsorted(np.cumsum(parts, dtype=np.int64), most, side="right"))
