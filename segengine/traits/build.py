"""Events -> every trait of every buyer, or of those whom a batch touched.

Both run the same loops; only the list of rows differs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.schema.kinds import Kind
from segengine.tables.batch import Batch
from segengine.tables.column import Column
from segengine.tables.dictionary import Dictionary
from segengine.tables.list_column import ListColumn
from segengine.tables.placing import Placing
from segengine.tables.row_lists import RowLists
from segengine.tables.tables import Tables
from segengine.traits.catalogue import BLOCKS, FAMILIES, LISTED
from segengine.traits.coming import coming
from segengine.traits.products import OVERRIDDEN, PRODUCT_TRAITS
from segengine.traits.some_buyers import SomeBuyers
from segengine.traits.work import Fits, TraitSettings, Work

_SUM_DIGITS = 38

Building = Callable[[str, int, int], None]
"""Told before each step of a full build: whose it is, how many are done, of how many; at the end
that of nobody."""


def declare(tables: Tables) -> None:
    """Give the customers a column for every trait of the catalogue, and name those of products."""
    tables.products.computed = frozenset(t.name for t in PRODUCT_TRAITS) - OVERRIDDEN.keys()
    words: dict[tuple[str, ...], Dictionary] = {}
    for block, traits in BLOCKS.items():
        columns = []
        for trait in traits:
            dictionary = None
            if trait.column is not None:
                dictionary = tables.column(*trait.column).dictionary
            if trait.words:
                dictionary = words.setdefault(trait.words, Dictionary(Kind.VARCHAR))
                dictionary.encode(pa.array(trait.words))
            columns.append(
                Column(trait.name, trait.kind, dictionary=dictionary, narrow=trait.narrow,
                       digits=_SUM_DIGITS)
            )  # fmt: skip
        tables.customers.add_block(block, columns)
    for trait in LISTED:
        texts = partial(_texts_at, tables, *trait.items)
        column = ListColumn(trait.name, texts, lambda: tables.customers.capacity)
        tables.customers.traits[trait.name] = column


def _texts_at(tables: Tables, table: str, name: str, rows: NDArray[np.int32]) -> pa.Array:
    """The values of a column in some rows of its table, as texts."""
    found = tables.column(table, name).to_arrow(rows.astype(np.int64), tables.money_scale)
    return found.cast(pa.large_string())


def build_all(
    tables: Tables,
    settings: TraitSettings,
    as_of: int,
    *,
    in_place: bool = False,
    progress: Building | None = None,
) -> tuple[dict[str, NDArray[Any]], dict[str, RowLists], Fits]:
    """Matrices and lists of all traits at a moment, and their fits.

    New ones, while the tables stay as they are; or, where nobody looks, those in use.
    """
    customers = tables.customers
    blocks = customers.blocks() if in_place else customers.empty_blocks()
    lists = tables.lists() if in_place else tables.fresh_lists()
    rows = np.arange(customers.rows, dtype=np.int64)
    work = Work(tables, settings, as_of, rows, blocks, all_rows=True, lists=lists)
    derived = [family for family in FAMILIES if family.facts is not None]
    placed = [family for family in FAMILIES if family.fit is not None or family.place is not None]
    steps = len(derived) + len(placed)

    def tell(name: str, done: int) -> None:
        if progress is not None:
            progress(name, done, steps)

    for done, family in enumerate(derived):
        tell(family.name, done)
        assert family.facts is not None
        family.facts(work)
    fits: dict[str, Any] = {}
    work.fits = fits
    for done, family in enumerate(placed, len(derived)):
        tell(family.name, done)
        if family.fit is not None:
            fits[family.name] = family.fit(work)
        if family.place is not None:
            family.place(work, fits.get(family.name))
    tell("", steps)
    return blocks, lists, Fits(as_of, fits)


def built_anew(tables: Tables, settings: TraitSettings) -> Fits:
    """Give tables that have no traits all of them, at their moment, and what was fitted."""
    declare(tables)
    customers = tables.customers
    blocks, _, fits = build_all(tables, settings, tables.as_of, in_place=True)
    customers.install_blocks(blocks, customers.codes_for(blocks))
    return fits


def refresh(
    tables: Tables,
    settings: TraitSettings,
    as_of: int,
    fits: Fits,
    rows: NDArray[np.int64],
    *,
    changed: frozenset[str] | None = None,
) -> None:
    """Bring the traits of these buyers up to date in place, against the fitted values.

    changed: the tables that are another since their traits were true for this moment: families
    that read none of them stay as they are. None: any table, or buyers who had no traits yet.
    """
    if len(rows) == 0:
        return
    rows = np.unique(rows).astype(np.int64)
    work = SomeBuyers(tables, settings, as_of, rows, changed=changed)
    _work_out(work, fits)
    work.compare()
    work.write_back()


def worked_out_ahead(
    tables: Tables,
    settings: TraitSettings,
    as_of: int,
    fits: Fits,
    batch: Batch,
    place: Placing | None,
) -> SomeBuyers | None:
    """The traits that buyers will have once a checked batch is in the tables, new ones too.

    They are there after its `write_back`, which is called when it is in. Nothing changes here, so
    that everybody may look meanwhile. None: they can be worked out only then.
    place: where the batch goes, where that can be said before
    """
    found = coming(tables, batch, settings.config.answers, place)
    if found is None:
        return None
    work = SomeBuyers(tables, settings, as_of, found.buyers, changed=found.changed, ahead=found)
    _work_out(work, fits)
    work.compare()
    return work


def _work_out(work: SomeBuyers, fits: Fits) -> None:
    """What the families that have news come to."""
    families = [family for family in FAMILIES if family.has_news(work)]
    for family in families:
        if family.facts is not None:
            family.facts(work)
    for family in families:
        if family.place is not None:
            family.place(work, fits.of.get(family.name))
