"""What did this buyer do lately, and what do they like, as far as pools ask?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.pages import pool_visit_loops
from segengine.pages.pool_candidates import Candidates
from segengine.pages.pool_loops import Taste
from segengine.pages.pool_ranker import Ranker
from segengine.pages.pool_shelf import BEHAVIORS
from segengine.pages.pool_visit_loops import Doings, Lately, Lines
from segengine.rules.segment import View
from segengine.schema.tables import ORDER_LINES
from segengine.tables.column import Column
from segengine.tables.list_column import ListColumn
from segengine.traits.interest import OPEN_PRODUCTS

POOL_TRAITS = (OPEN_PRODUCTS, "price_band")
"""The traits of a buyer that every pool reads; their affinities and events come beside them."""


class Visit:
    """One buyer before the shelf: what they did lately, gathered when a pool first asks.

    row: the buyer's, or that of nobody
    """

    __slots__ = ("_lately", "_taste", "placed", "ranker", "row", "view")

    def __init__(self, ranker: Ranker, view: View, row: int) -> None:
        self.ranker, self.view, self.row = ranker, view, row
        self.placed = ranker.shelves.placed(view)
        """The shelf as the products are."""
        self._lately: Lately | None = None
        self._taste: Taste | None = None

    @property
    def lately(self) -> Lately:
        """What the buyer did lately."""
        if self._lately is None:
            self._lately = self._gathered()
        return self._lately

    def _gathered(self) -> Lately:
        tables, today = self.view.population.tables, self.ranker.today(self.view)
        customers = self.view.population.customers
        behaviors, lines = tables.events[BEHAVIORS], tables.events[ORDER_LINES]
        opened = customers.traits[OPEN_PRODUCTS]
        assert isinstance(opened, ListColumn)
        did, sold = behaviors.columns, lines.columns
        found: Lately = pool_visit_loops.lately(
            today.clock, today.span,
            Doings(
                int(customers.heads(BEHAVIORS)[self.row]), behaviors.extra("previous"),
                did["time"].values, did["product_id"].values, did["kind"].values,
                did["category"].values, opened.kept.of(self.row)[0],
            ),
            Lines(
                int(customers.heads(ORDER_LINES)[self.row]), lines.extra("previous"),
                sold["time"].values, sold["product_id"].values, sold["is_purchase"].values,
            ),
            self.placed.shelf.ids, self.placed.shelf.by_id,
        )  # fmt: skip
        return found

    @property
    def just_bought(self) -> NDArray[np.int32]:
        """The places of what is not to be shown again yet, each once, ascending."""
        return self.lately.bought

    @property
    def taste(self) -> Taste:
        """What the buyer likes."""
        if self._taste is None:
            self._taste = self._liked()
        return self._taste

    def _liked(self) -> Taste:
        population = self.view.population
        kept = population.tables.affinities.kept
        columns = population.tables.events[BEHAVIORS].columns
        sizes = (_size(columns["category"]), _size(columns["brand"]))
        band = int(population.trait("price_band").values[self.row])
        return Taste(*kept["category"].of(self.row), *kept["brand"].of(self.row), band, *sizes)

    def remains(self, candidates: Candidates) -> int:
        """How many products of a pool are left for the buyer, pins aside."""
        count = candidates.size
        if not count or not len(self.just_bought):
            return count
        words, places = candidates.words, self.just_bought
        held = words[places >> 6] >> (places & 63).astype(np.uint64)
        return count - int(np.count_nonzero(held & np.uint64(1)))


def _size(column: Column) -> int:
    """How many texts a coded column knows."""
    assert column.dictionary is not None
    return column.dictionary.size
