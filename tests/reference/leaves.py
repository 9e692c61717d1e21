"""Which leaves look beyond one buyer's traits? Syntax for history, population and given values."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from .rules import Column, Node

HISTORY_FUNCTIONS = ("count", "count_distinct", "sum", "min", "max", "avg", "first", "last")
POPULATION_FUNCTIONS = ("percent_rank", "avg", "median", "min", "max", "quantile")


@dataclass(frozen=True, slots=True)
class History:
    """An aggregate over the buyer's events up to as_of, of those for which `where` is TRUE.

    `column` is None for count(table) alone. Inside `where` a bare column is the event's,
    `customers.x` the buyer's and `product.x` the product's; a Column's name has the dot in it.
    """

    function: str
    table: str
    column: Column | None = None
    where: Node | None = None


@dataclass(frozen=True, slots=True)
class Population:
    """A value among the buyers whose `operand` is known and for whom `where` is TRUE.

    `share` is the second argument of quantile, None elsewhere.
    """

    function: str
    operand: Node
    share: Decimal | None = None
    where: Node | None = None
    partition: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class Affinity:
    """affinity('kind', 'value'): null without evidence of the kind, 0 without any of the value."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """bucket('salt'): a number in [0, 1) that is the buyer's under the salt."""

    salt: str


@dataclass(frozen=True, slots=True)
class Named:
    """A name that stands for an expression: a store constant or a declared trait."""

    name: str
    meaning: Node


Leaf: TypeAlias = History | Population | Affinity | Bucket | Named
