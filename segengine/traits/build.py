"""Events -> every trait of every buyer, or of those whom a batch touched.

Both run the same loops; only the list of rows differs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.days import Zone
from segengine.kernels import jit
from segengine.schema.kinds import Kind
from segengine.schema.store_config import LifecycleSettings, RfmSettings
from segengine.schema.tables import ORDER_LINES, ORDERS
from segengine.tables.column import Column
from segengine.tables.dictionary import Dictionary
from segengine.tables.table import Table
from segengine.tables.tables import Tables
from segengine.traits import intent_loops, purchase_loops, rfm_loops
from segengine.traits.catalogue import BLOCK_ORDER, BY_NAME, INTENTS, WORDS
from segengine.traits.fit import Fits, fit_cuts

_SUM_DIGITS = 38
_INTENT_WORDS = {
    "visit": intent_loops.VISIT,
    "view": intent_loops.VIEW,
    "cart": intent_loops.CART,
    "favorite": intent_loops.FAVORITE,
    "inquiry": intent_loops.INQUIRY,
    "quote": intent_loops.QUOTE,
    "reply": intent_loops.REPLY,
}
assert INTENTS[intent_loops.NEVER] == "never"


@dataclass(frozen=True, slots=True)
class TraitSettings:
    """What the definitions of traits depend on beside the events."""

    zone: Zone
    rfm: RfmSettings
    lifecycle: LifecycleSettings


def declare(tables: Tables) -> None:
    """Give the customers a column for every trait of the catalogue."""
    promotions = tables.events[ORDERS].columns["promotion"].dictionary
    words: dict[tuple[str, ...], Dictionary] = {}
    for block, names in BLOCK_ORDER.items():
        columns = []
        for name in names:
            trait = BY_NAME[name]
            dictionary = promotions if name == "first_promotion" else None
            if name in WORDS:
                dictionary = words.setdefault(WORDS[name], Dictionary(Kind.VARCHAR))
                dictionary.encode(pa.array(WORDS[name]))
            narrow = block in ("counts", "scores")
            columns.append(
                Column(name, trait.kind, dictionary=dictionary, narrow=narrow, digits=_SUM_DIGITS)
            )
        tables.customers.add_block(block, columns)


def build_all(
    tables: Tables, settings: TraitSettings, as_of: int, *, in_place: bool = False
) -> tuple[dict[str, NDArray[Any]], Fits]:
    """Matrices of all traits at a moment, and their fits.

    New ones, while the tables stay as they are; or, where nobody looks, those in use.
    """
    customers = tables.customers
    blocks = {n: customers.block(n) for n in BLOCK_ORDER} if in_place else customers.empty_blocks()
    rows = np.arange(tables.customers.rows, dtype=np.int64)
    _facts(tables, settings, as_of, rows, blocks)
    counts, wides = blocks["counts"], blocks["wides"]
    count = tables.customers.rows
    fits = fit_cuts(
        as_of, settings.rfm, tables.money_scale,
        counts[purchase_loops.ORDER_COUNT, :count], counts[purchase_loops.RECENCY, :count],
        wides[purchase_loops.AMOUNT, :count], wides[purchase_loops.AMOUNT_365D, :count],
    )  # fmt: skip
    _scores(rows, fits, blocks)
    scores = blocks["scores"][:, :count]
    scored = scores[0] != np.iinfo(np.int32).min
    if scored.any():
        fits = fits.with_means(scores[:, scored].mean(axis=1, dtype=np.float64))
        _scores(rows, fits, blocks)
    return blocks, fits


def refresh(
    tables: Tables, settings: TraitSettings, as_of: int, fits: Fits, rows: NDArray[np.int64]
) -> None:
    """Bring the traits of these buyers up to date in place, against the fitted cuts."""
    if len(rows) == 0:
        return
    blocks = {name: tables.customers.block(name) for name in BLOCK_ORDER}
    rows = np.unique(rows).astype(np.int64)
    _facts(tables, settings, as_of, rows, blocks)
    _scores(rows, fits, blocks)
    tables.customers.touch_traits(rows)


def _facts(
    tables: Tables,
    settings: TraitSettings,
    as_of: int,
    rows: NDArray[np.int64],
    blocks: dict[str, NDArray[Any]],
) -> None:
    zone, life = settings.zone, settings.lifecycle
    customers = tables.customers
    orders, lines = tables.events[ORDERS], tables.events[ORDER_LINES]
    today = zone.day_of(as_of)
    clock = purchase_loops.Clock(np.int64(as_of), np.int64(today), zone.starts, zone.offsets)
    value = _values_of(orders)
    order_history = purchase_loops.Orders(
        customers.heads(ORDERS), orders.extra("previous"), value("time"), value("is_purchase"),
        value("amount"), value("refund_amount"), value("promotion"),
    )  # fmt: skip
    value = _values_of(lines)
    line_history = purchase_loops.Lines(
        customers.heads(ORDER_LINES), lines.extra("previous"), value("time"),
        value("is_purchase"), value("quantity"), value("category"), value("brand"),
    )  # fmt: skip
    thresholds = np.array([life.new_days, life.active_days, life.sleeping_days], np.int64)
    sizes = [_dictionary(orders, "promotion").size]
    sizes += [_dictionary(lines, name).size for name in ("category", "brand")]
    unit = np.int64(10**tables.money_scale)

    def purchases(begin: int, end: int) -> None:
        stamps = np.full((3, max(1, *sizes)), -1, np.int32)
        purchase_loops.purchase_facts(
            rows[begin:end], clock, order_history, line_history, thresholds, unit, stamps,
            blocks["counts"], blocks["wides"], blocks["ratios"], blocks["codes"],
        )  # fmt: skip

    jit.over_ranges(purchases, len(rows))
    since = zone.start_of_day(today - (intent_loops.DAYS - 1))
    _intents(tables, clock, since, rows, blocks["intent"][0])


def _values_of(table: Table) -> Callable[[str], NDArray[Any]]:
    return lambda name: table.columns[name].values


def _dictionary(table: Table, column: str) -> Dictionary:
    dictionary = table.columns[column].dictionary
    assert dictionary is not None
    return dictionary


def _intents(
    tables: Tables,
    clock: purchase_loops.Clock,
    since: int,
    rows: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    customers = tables.customers
    behaviors, orders = tables.events["behaviors"], tables.events[ORDERS]
    kinds, lists = _dictionary(behaviors, "kind"), _dictionary(customers, "tags")
    meaning = np.zeros(1 + kinds.size, np.int8)
    found = kinds.find(pa.array(list(_INTENT_WORDS)))
    for code, meant in zip(found, _INTENT_WORDS.values(), strict=True):
        if code >= 0:
            meaning[code + 1] = meant
    never = np.zeros(1 + lists.size, np.int8)
    held = np.arange(lists.size)
    if len(rows) < lists.size:
        # A batch looks at the lists of its own buyers, not at every list there is.
        held = np.unique(customers.columns["tags"].values[rows])
    never[held + 1] = lists.have_item("never", held)
    product = behaviors.columns["product_id"]

    def work(begin: int, end: int) -> None:
        intent_loops.intent_facts(
            rows[begin:end], clock, np.int64(since),
            customers.heads("behaviors"), behaviors.extra("previous"),
            behaviors.columns["time"].values, behaviors.columns["kind"].values,
            product.values, product.dtype.type(product.missing), meaning,
            customers.heads(ORDERS), orders.extra("previous"), orders.columns["time"].values,
            customers.columns["tags"].values, never, out,
        )  # fmt: skip

    jit.over_ranges(work, len(rows))


def _scores(rows: NDArray[np.int64], fits: Fits, blocks: dict[str, NDArray[Any]]) -> None:
    counts, wides = blocks["counts"], blocks["wides"]

    def work(begin: int, end: int) -> None:
        rfm_loops.rfm_facts(
            rows[begin:end], fits.cuts,
            counts[purchase_loops.ORDER_COUNT], counts[purchase_loops.RECENCY],
            wides[purchase_loops.AMOUNT], wides[purchase_loops.AMOUNT_365D],
            blocks["scores"], blocks["rfm"],
        )  # fmt: skip

    jit.over_ranges(work, len(rows))
