"""What is the answer to a page: a placement for each slot, and why the others are not shown?

Losers are kept as one byte each and put into words when asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segengine.pages.pool_rank import Product

Rejected = tuple[tuple[str, str, "Reason"], ...]


class Reason(StrEnum):
    """Why a module was placed, or was not."""

    MATCHED = "MATCHED"
    FALLBACK = "FALLBACK"
    EMPTY = "EMPTY"
    NOT_ELIGIBLE = "NOT_ELIGIBLE"
    OUTRANKED = "OUTRANKED"
    CAPPED = "CAPPED"
    HELD_OUT = "HELD_OUT"
    INACTIVE = "INACTIVE"
    ALREADY_SHOWN = "ALREADY_SHOWN"


@dataclass(frozen=True, slots=True)
class Placement:
    """What a slot shows; `module` is None where it stays empty. products: of the module's pool."""

    slot: str
    module: str | None
    variant: str | None
    reason: Reason
    products: tuple[Product, ...] = ()
    payload: Any = None


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """A frozen answer: one placement per slot in slot order, and why the others lost.

    valid_until: the first moment at which time alone could change the answer, while the data
    stands; None where it never can. traits: those that the page's rules read.
    """

    page: str
    placements: tuple[Placement, ...]
    as_of: datetime
    data_version: int
    valid_until: datetime | None
    traits: tuple[str, ...]
    losers: Callable[[], Rejected] = field(repr=False, compare=False)
    _kept: list[Rejected] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def rejected(self) -> Rejected:
        """(slot, module, reason) of every module that does not show, in the order of each slot."""
        if not self._kept:
            self._kept.append(self.losers())
        return self._kept[0]
