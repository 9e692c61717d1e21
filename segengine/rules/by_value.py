"""When is a condition asked once for each value its columns can have, and not once for each row?

Where a column has few different values (whole numbers close together, dates, truths, texts of a
dictionary), the answers for all of them are a table, and a row is one look-up. Two such columns
make a table with an answer for each pair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.kernels import table_scan
from segengine.kernels.jit import Words
from segengine.rules.block import NO_INT, UNKNOWN, Block, Clock
from segengine.rules.compute import truth
from segengine.rules.frame import Frame
from segengine.rules.plan import Computed
from segengine.rules.term import COLUMNS, Term
from segengine.schema.kinds import Kind
from segengine.tables.column import Column

Step = Callable[[int, int, int, Words], None]
"""run(first word, end word, mode, out)"""

_MOST_VALUES = 1 << 17
_MOST_PAIRS = 1 << 16
"""What stays in the inner caches; beyond, a look-up costs more than the machine."""
_MANY_ROWS = 1 << 17
_ROWS_A_PAIR = 16
"""A table has to be worth making: so many rows for each of its entries."""


@dataclass(frozen=True, slots=True)
class Values:
    """The values a column can have: the array's `least` and the next ones, `count` in all.

    array: whole numbers or codes[rows, padded to 64]  form: what those stand for and then a
    missing value, as `compute` takes them
    """

    array: NDArray[Any]
    least: int
    count: int
    form: Callable[[], Any]

    @property
    def first(self) -> np.uint64:
        """The least value as an unsigned number."""
        return np.uint64(self.least % 2**64)

    @property
    def last(self) -> np.uint64:
        """The place of a missing value."""
        return np.uint64(self.count)


def few_values(column: Column, rows: int) -> Values | None:
    """Which values a column can have; None where those are many, or no whole numbers."""
    if column.is_made or column.kind is Kind.TAGS:
        return None
    if column.dictionary is not None:
        dictionary = column.dictionary
        return Values(column.values, 0, dictionary.size, lambda: _texts(dictionary.values()))
    if column.kind is Kind.BOOLEAN:
        truths = np.array([0, 1, UNKNOWN], np.int8)
        return Values(column.values.view(np.uint8), 0, 2, lambda: truths)
    codes = column.scan_codes(rows)
    extent = codes.extent()
    single = None if extent is None else codes.single_values()
    if single is not None:
        # A byte a row says as much as the value.
        every = np.append(single.astype(np.int64), NO_INT)
        return Values(codes.codes, 1, len(single), lambda: every)
    if extent is None or extent[1] - extent[0] >= _MOST_VALUES:
        return None
    first, last = extent
    return Values(
        column.values,
        first,
        last - first + 1,
        lambda: np.append(np.arange(first, last + 1, dtype=np.int64), NO_INT),
    )


def _texts(values: pa.Array) -> pa.Array:
    return pa.concat_arrays([values, pa.nulls(1, values.type)])


def looked_up(values: Values, hits: NDArray[np.bool_], *, missing: bool) -> Step:
    """The rows whose value has a hit; `missing`: those without one too."""
    table = np.append(hits, np.bool_(missing)).view(np.uint8)
    array, least = values.array, values.first
    return lambda begin, end, mode, out: table_scan.scan_table(
        array, least, table, begin, end, mode, out
    )


def by_value(
    node: Computed, frame: Frame, clock: Clock, column: Callable[[Term], Column]
) -> Step | None:
    """A condition on one or two columns of few values; None where it is another or not worth it."""
    sources = list(dict.fromkeys(node.term.sources()))
    if not 1 <= len(sources) <= 2 or frame.rows < _MANY_ROWS:
        return None
    if node.term.reads_context or node.term.asks_bucket:
        return None
    found = []
    for source in sources:
        if source.op not in COLUMNS or (frame.reached and source.op != "event"):
            return None
        values = few_values(column(source), frame.rows)
        if values is None:
            return None
        found.append(values)
    wanted = 1 if node.wanted else 0
    if len(found) == 1:
        forms = {sources[0]: found[0].form()}
        hits = _answers(node.term, forms, found[0].count + 1, frame, clock) == wanted
        return looked_up(found[0], hits[:-1], missing=bool(hits[-1]))
    # One order of widths, so that fewer pairs of types are compiled.
    (first, one), (second, other) = sorted(
        zip(found, sources, strict=True), key=lambda each: each[0].array.itemsize
    )
    size = (first.count + 1) * (second.count + 1)
    if size > _MOST_PAIRS or size * _ROWS_A_PAIR > frame.rows:
        return None
    places = np.arange(size)
    forms = {
        one: _taken(first.form(), places // (second.count + 1)),
        other: _taken(second.form(), places % (second.count + 1)),
    }
    table = (_answers(node.term, forms, size, frame, clock) == wanted).view(np.uint8)
    return lambda begin, end, mode, out: table_scan.scan_pairs(
        first.array, first.first, first.last, second.array, second.first, second.last,
        table, begin, end, mode, out,
    )  # fmt: skip


def _taken(form: Any, places: NDArray[np.int64]) -> Any:
    return form.take(pa.array(places)) if isinstance(form, pa.Array) else form[places]


def _answers(
    term: Term, forms: dict[Term, Any], count: int, frame: Frame, clock: Clock
) -> NDArray[np.int8]:
    block = Block(count, clock, frame.money_scale, lambda source: forms[source])
    return np.ascontiguousarray(truth(term, block))
