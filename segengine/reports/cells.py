"""Into which cells do traits divide buyers, and which rule is a cell?

A trait with few values has a cell for each; numbers, dates and moments with many have five of about
the same size; of many texts the most frequent have their own, and the others share one, for which
there is no rule. Who has no value is a cell too. Several traits make a cell of each combination.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from segengine.errors import ReportError
from segengine.plain import plain
from segengine.reports.wording import MISSING, OTHERS
from segengine.rules.builder import Rule, col

FEW = 20
"""Values that have a cell each, at most."""
PARTS = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """Some buyers: a label for each trait, and the rule each must satisfy (None: there is none).

    value: what the trait equals, where the cell is that and no more.
    """

    labels: tuple[str, ...]
    rules: tuple[Rule | None, ...]
    values: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Cells:
    """All cells of some traits; places: int32[buyers], the cell of each."""

    traits: tuple[str, ...]
    cells: tuple[Cell, ...]
    places: NDArray[np.int32]


_NO_VALUE = object()


def cells_of(traits: Mapping[str, pa.Array]) -> Cells:
    """The cells of these traits' values, of the same buyers in the same order.

    Raises `ReportError` for a list.
    """
    each = [_of_one(name, values) for name, values in traits.items()]
    numbers = np.zeros(len(each[0][0]), np.int64)
    for places, cells in each:
        numbers = numbers * len(cells) + places
    there, places_ = np.unique(numbers, return_inverse=True)
    found = []
    for number in there.tolist():
        parts: list[Cell] = []
        rest = number
        for _, cells in reversed(each):
            rest, place = divmod(rest, len(cells))
            parts.insert(0, cells[place])
        found.append(
            Cell(
                tuple(part.labels[0] for part in parts),
                tuple(part.rules[0] for part in parts),
                tuple(part.values[0] for part in parts),
            )
        )
    return Cells(tuple(traits), tuple(found), places_.astype(np.int32))


def rule_of(cells: Sequence[Cell], traits: Sequence[str]) -> Rule | None:
    """The buyers of any of these cells; None where no cell has a rule.

    Cells that differ in one trait alone become one condition on it.
    """
    known = [cell for cell in cells if all(rule is not None for rule in cell.rules)]
    if not known:
        return None
    if len(traits) == 1:
        return _any_of(traits[0], known)
    return reduce(lambda a, b: a | b, [_all_of(cell) for cell in known])


def _all_of(cell: Cell) -> Rule:
    rules = [rule for rule in cell.rules if rule is not None]
    return reduce(lambda a, b: a & b, rules)


def _any_of(trait: str, cells: Sequence[Cell]) -> Rule:
    """One condition for all cells that are a value, then the others."""
    values = [cell.values[0] for cell in cells if cell.values[0] is not _NO_VALUE]
    others = [_all_of(cell) for cell in cells if cell.values[0] is _NO_VALUE]
    if len(values) > 1:
        others.insert(0, col(trait).is_in(values))  # type: ignore[arg-type]
    else:
        others = [_all_of(c) for c in cells if c.values[0] is not _NO_VALUE] + others
    return reduce(lambda a, b: a | b, others)


def _of_one(name: str, values: pa.Array) -> tuple[NDArray[np.int64], list[Cell]]:
    """The cell of each buyer by one trait, and the cells."""
    if pa.types.is_nested(values.type):
        raise ReportError(
            f"`{name}` is a list, of which a buyer may have several: it makes no cells",
            field="by",
        )
    distinct = pc.value_counts(values.drop_null())
    if len(distinct) <= FEW:
        return _by_value(name, values, distinct, len(distinct), others=False)
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _by_value(name, values, distinct, FEW - 1, others=True)
    return _by_range(name, values)


def _by_value(
    name: str, values: pa.Array, distinct: pa.Array, most: int, *, others: bool
) -> tuple[NDArray[np.int64], list[Cell]]:
    kept, counts = distinct.field(0), distinct.field(1)
    if others:
        order = np.lexsort((np.arange(len(kept)), -counts.to_numpy(zero_copy_only=False)))
        kept = kept.take(pa.array(order[:most]))
    kept = kept.take(pc.array_sort_indices(kept))
    found = pc.index_in(values, value_set=kept, skip_nulls=True)
    places = found.fill_null(len(kept)).to_numpy(zero_copy_only=False).astype(np.int64)
    cells = []
    for value in kept.to_pylist():
        kept_value = _NO_VALUE if isinstance(value, bool) else value
        cells.append(Cell((_said(value),), (_equals(name, value),), (kept_value,)))
    if others:
        cells.append(Cell((OTHERS,), (None,), (_NO_VALUE,)))
    return _with_missing(name, values, places, cells)


def _equals(name: str, value: object) -> Rule:
    if isinstance(value, bool):
        return col(name) if value else ~col(name)
    return col(name) == value


def _by_range(name: str, values: pa.Array) -> tuple[NDArray[np.int64], list[Cell]]:
    """Five ranges that begin at values which are there; the first is one value if most have it."""
    ordered = values.drop_null()
    ordered = ordered.take(pc.array_sort_indices(ordered))
    starts = sorted({ordered[len(ordered) * k // PARTS].as_py() for k in range(1, PARTS)})
    starts = [start for start in starts if start != ordered[0].as_py()]
    if not starts:
        # Four fifths have the least, as of what was spent lately: the others make the other ranges.
        rest = ordered.filter(pc.not_equal(ordered, ordered[0]))
        starts = sorted({rest[len(rest) * k // (PARTS - 1)].as_py() for k in range(PARTS - 1)})
    places = np.zeros(len(values), np.int64)
    for start in starts:
        above = pc.greater_equal(values, pa.scalar(start, values.type)).fill_null(False)
        places += above.to_numpy(zero_copy_only=False)
    cells = []
    for low, high in zip([None, *starts], [*starts, None], strict=True):
        rules, words = [], []
        if low is not None:
            rules.append(col(name) >= low)
            words.append(f"from {_said(low)}")
        if high is not None:
            rules.append(col(name) < high)
            words.append(f"below {_said(high)}")
        cells.append(Cell((" ".join(words),), (reduce(lambda a, b: a & b, rules),), (_NO_VALUE,)))
    return _with_missing(name, values, places, cells)


def _with_missing(
    name: str, values: pa.Array, places: NDArray[np.int64], cells: list[Cell]
) -> tuple[NDArray[np.int64], list[Cell]]:
    missing = values.is_null().to_numpy(zero_copy_only=False)
    if not missing.any():
        return places, cells
    places = np.where(missing, len(cells), places)
    return places, [*cells, Cell((MISSING,), (col(name).is_null(),), (_NO_VALUE,))]


def _said(value: object) -> str:
    return str(plain(value))
