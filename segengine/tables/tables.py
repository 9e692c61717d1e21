"""Here is a store: all its tables, and the dictionaries they share."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from copy import copy

import numpy as np
from numpy.typing import NDArray

from segengine.errors import UnknownNameError, did_you_mean
from segengine.schema.kinds import Kind
from segengine.schema.tables import CUSTOMERS, ORDER_LINES, ORDERS, PRODUCTS, TableSpec
from segengine.tables.affinities import Affinities, fresh_scores
from segengine.tables.column import Column
from segengine.tables.customers import CustomerTable
from segengine.tables.dictionary import Dictionary
from segengine.tables.events import EventTable
from segengine.tables.gate import Gate
from segengine.tables.key_index import KeyIndex
from segengine.tables.list_column import ListColumn
from segengine.tables.row_lists import RowLists
from segengine.tables.table import Table

_SHARED = frozenset(
    {"customer_id", "order_id", "line_id", "product_id", "review_id", "category", "brand"}
)
"""Columns of these names mean the same thing in every table: one kind, one dictionary."""


class Tables:
    """Every table of one store; `gate` decides who may look while one writer changes them."""

    def __init__(self, specs: Mapping[str, TableSpec], *, money_scale: int) -> None:
        self.gate = Gate()
        self.money_scale = money_scale
        self.as_of = int(np.iinfo(np.int64).max)
        """The moment for which orders are settled; see `settle.py`."""
        self.specs = dict(specs)
        self.shared: dict[tuple[str, Kind], Dictionary] = {}
        self.identifier_kinds: dict[str, Kind] = {}
        self.customers = CustomerTable(specs[CUSTOMERS], self._make_dictionary)
        self.products = Table(specs[PRODUCTS], self._make_dictionary)
        self.events: MutableMapping[str, EventTable] = {}
        for name, spec in specs.items():
            if spec.is_event:
                # Lines find their order's id in the orders, which the catalogue names first.
                orders = self.events[ORDERS] if name == ORDER_LINES else None
                self.events[name] = EventTable(spec, self._make_dictionary, self.customers, orders)
        self._product_index: KeyIndex | None = None
        self.products_revision = 0
        """Grows when products are given or revised: what is kept of them knows that by it."""
        self.affinities = Affinities(lambda kind: self._make_dictionary(kind, Kind.VARCHAR))

    def _make_dictionary(self, name: str, kind: Kind) -> Dictionary:
        if name not in _SHARED:
            return Dictionary(kind, is_set=name == "tags")
        found = self.shared.get((name, kind))
        if found is None:
            found = self.shared[name, kind] = Dictionary(kind)
        return found

    def dictionary_for(self, table: str, name: str, kind: Kind) -> Dictionary | None:
        """The dictionary a batch's column is to be coded by; None for a kind without codes."""
        if not kind.is_coded:
            return None
        existing = self.table(table).columns.get(name)
        if existing is not None and existing.kind is kind:
            return existing.dictionary
        return self._make_dictionary(name, kind)

    def table(self, name: str) -> Table:
        """The table with this name, or an error that names the nearest."""
        if name == CUSTOMERS:
            return self.customers
        if name == PRODUCTS:
            return self.products
        found = self.events.get(name)
        if found is None:
            hint = did_you_mean(name, list(self.specs)) or "known: " + ", ".join(self.specs)
            raise UnknownNameError(f"unknown table `{name}`; {hint}", field="table")
        return found

    def identifier_kind(self, table: str, name: str) -> Kind | None:
        """int64 or text, as the first load of an identifier fixed it; None: not fixed yet."""
        return self.identifier_kinds.get(self._identifier(table, name))

    @staticmethod
    def _identifier(table: str, name: str) -> str:
        return name if name in _SHARED else f"{table}.{name}"

    def fix_identifier(self, table: str, name: str, kind: Kind) -> None:
        """The first load of an identifier fixes its kind in every table that shares it."""
        key = self._identifier(table, name)
        if key in self.identifier_kinds:
            return
        self.identifier_kinds[key] = kind
        everywhere = [self.customers, self.products, *self.events.values()]
        for each in everywhere if name in _SHARED else [self.table(table)]:
            spec = each.spec.by_name.get(name)
            if spec is not None and spec.identifier:
                each.fix_kind(name, kind)

    def fix_identifiers(self, kinds: Mapping[str, Kind]) -> None:
        """Let identifiers be of these kinds, as `identifier_kinds` of other tables says them."""
        for key, kind in kinds.items():
            table, _, name = key.rpartition(".")
            owners = [table] if table else [
                t for t, spec in self.specs.items()
                if name in spec.by_name and spec.by_name[name].identifier
            ]  # fmt: skip
            self.fix_identifier(owners[0], name, kind)

    def product_rows(self, ids: NDArray[np.int64] | NDArray[np.int32]) -> NDArray[np.int64]:
        """The row of each product_id (int64, or its dictionary code), -1 for none."""
        kept = self.products.columns["product_id"].values
        return self.product_index().find((ids, ids), (kept, kept))

    def product_index(self) -> KeyIndex:
        """The index of product_id."""
        if self._product_index is None:
            column = self.products.columns["product_id"]
            missing = int(column.missing)
            self._product_index = KeyIndex((missing, missing))
            if column.is_allocated:
                self._product_index.add((column.values, column.values), 0, self.products.rows)
        return self._product_index

    def with_own_products(self, added: int) -> Tables:
        """The same tables, but with products that can be written to, and room for more of them."""
        found, rows = copy(self), np.arange(self.products.rows)
        found.products = self.products.part(rows, len(rows) + added, {})
        found._product_index = self.product_index().copy()  # noqa: SLF001 - its own kind
        return found

    def kept_product_slots(self) -> NDArray[np.int32] | None:
        """The table of places of the index of product_id; None where it is not in use."""
        return None if self._product_index is None else self._product_index.slots

    def take_product_slots(self, slots: NDArray[np.int32]) -> None:
        """Take the index of product_id that a snapshot kept."""
        missing = int(self.products.columns["product_id"].missing)
        self._product_index = KeyIndex((missing, missing))
        self._product_index.slots = slots

    def lists(self) -> dict[str, RowLists]:
        """What is derived as lists of each buyer: kinds of affinity, and traits that are lists."""
        return self.affinities.kept | {n: c.kept for n, c in self._list_traits().items()}

    def fresh_lists(self) -> dict[str, RowLists]:
        """The same with nothing in them, to be filled beside those in use."""
        return fresh_scores() | {name: RowLists() for name in self._list_traits()}

    def install_lists(self, lists: Mapping[str, RowLists]) -> None:
        """Take new lists in place of those in use; called with the gate closed."""
        self.affinities.kept = {kind: lists[kind] for kind in self.affinities.kept}
        for name, column in self._list_traits().items():
            column.kept = lists[name]

    def _list_traits(self) -> dict[str, ListColumn]:
        traits = self.customers.traits
        return {name: c for name, c in traits.items() if isinstance(c, ListColumn)}

    def column(self, table: str, name: str) -> Column:
        """The column of a table, a customer's trait included."""
        if table == CUSTOMERS and name in self.customers.traits:
            return self.customers.traits[name]
        return self.table(table).column(name)
