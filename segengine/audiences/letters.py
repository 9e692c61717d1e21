"""What is sent to whom, in how many parts, at what cost?

Values are read while the store holds still; texts are made of them afterwards, a batch at a time,
so that three million of them need no more room than one batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine import stopping
from segengine.audiences.last_order import latest_purchases, values_of_orders
from segengine.audiences.parts import Counted, cost_of, count_parts
from segengine.audiences.text import Words
from segengine.audiences.text_check import CheckedText, OfArm, Value
from segengine.audiences.text_formats import written
from segengine.days import Zone
from segengine.rules.segment import View

BATCH_ROWS = 1 << 16
_TEXT = pa.large_string()


@dataclass(frozen=True, slots=True)
class Letters:
    """The texts of some buyers, not yet written. `values`: of each column, a value a buyer.

    arms: int16[n], the variant of each, -1 for none
    """

    checked: CheckedText
    values: dict[tuple[bool, str], pa.Array]
    arms: NDArray[np.int16]
    zone: Zone

    def texts(self, begin: int, end: int) -> pa.Array:
        """The texts of buyers [begin, end): large_string."""
        stopping.go_on()
        found = []
        for piece in self.checked.pieces:
            if isinstance(piece, Words):
                found.append(pa.scalar(piece.text, _TEXT))
            elif isinstance(piece, OfArm):
                arms = np.maximum(self.arms[begin:end], 0)
                found.append(pa.array(piece.texts, _TEXT).take(pa.array(arms)))
            else:
                values = self.values[piece.of_order, piece.column].slice(begin, end - begin)
                said = written(values, piece.format, self.zone)
                found.append(said.fill_null(pa.scalar(piece.fallback, _TEXT)))
        if all(isinstance(each, pa.Scalar) for each in found):
            return pa.repeat(pa.scalar("".join(each.as_py() for each in found), _TEXT), end - begin)
        return pa.compute.binary_join_element_wise(*found, pa.scalar("", _TEXT))

    def counted(self) -> Counted:
        """The characters and parts of each: int32[n]."""
        encoding, count = self.checked.settings.encoding, len(self.arms)
        found = [
            count_parts(self.texts(begin, min(begin + BATCH_ROWS, count)), encoding)
            for begin in range(0, count, BATCH_ROWS)
        ]
        none = [Counted(np.empty(0, np.int32), np.empty(0, np.int32))]
        characters, parts = zip(*(found or none), strict=True)
        return Counted(np.concatenate(characters), np.concatenate(parts))

    def batches(
        self, ids: pa.Array, variants: Sequence[str], batch_rows: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """customer_id, variant, text, characters, parts, cost of these buyers, a batch at a time.

        There is always one batch at least, so that an empty answer has its columns.
        """
        settings, count = self.checked.settings, len(self.arms)
        for begin in range(0, max(count, 1), batch_rows):
            end = min(begin + batch_rows, count)
            texts = self.texts(begin, end)
            characters, parts = count_parts(texts, settings.encoding)
            columns = {
                "customer_id": ids.slice(begin, end - begin),
                "variant": names_of(self.arms[begin:end], variants),
                "text": texts,
                "characters": pa.array(characters).cast(pa.int64()),
                "parts": pa.array(parts).cast(pa.int64()),
                "cost": cost_of(parts, settings.price_per_part),
            }
            yield pa.record_batch(list(columns.values()), names=list(columns))

    def bill(self, variants: Sequence[str]) -> pa.Table:
        """Table(variant, parts_each, buyers, parts, cost): what each length comes to, by variant.

        In the order of the variants, then of parts; without buyers it has no row.
        """
        each = self.counted().parts
        keys = np.stack([self.arms.astype(np.int64), each.astype(np.int64)])
        (arms, length), buyers = np.unique(keys, axis=1, return_counts=True)
        parts = length * buyers
        return pa.table(
            {
                "variant": names_of(arms, variants),
                "parts_each": pa.array(length, pa.int64()),
                "buyers": pa.array(buyers, pa.int64()),
                "parts": pa.array(parts, pa.int64()),
                "cost": cost_of(parts, self.checked.settings.price_per_part),
            }
        )


def letters(
    checked: CheckedText, view: View, rows: NDArray[np.int64], arms: NDArray[np.int16] | None
) -> Letters:
    """What the texts of some buyers are made of: rows: int64[n], ascending  arms: int16[n]."""
    values: dict[tuple[bool, str], pa.Array] = {}
    orders: NDArray[np.int64] | None = None
    for piece in checked.pieces:
        if not isinstance(piece, Value) or (piece.of_order, piece.column) in values:
            continue
        if piece.of_order:
            orders = latest_purchases(view, rows) if orders is None else orders
            found = values_of_orders(view, piece.column, orders)
        else:
            found = view.values(piece.column, rows)
        values[piece.of_order, piece.column] = found
    chosen = np.full(len(rows), -1, np.int16) if arms is None else arms
    return Letters(checked, values, chosen, view.clock.zone)


def names_of(arms: NDArray[np.integer], variants: Sequence[str]) -> pa.Array:
    """The name of each arm, null at -1."""
    names = pa.array([*variants, None], pa.string())
    return names.take(pa.array(np.where(arms < 0, len(variants), arms)))


def spread(count: int, wanted: int) -> NDArray[np.int64]:
    """`wanted` places of `count`, evenly far apart, from the middle of each stretch: ascending."""
    wanted = min(count, wanted)
    return (2 * np.arange(wanted, dtype=np.int64) + 1) * count // max(1, 2 * wanted)
