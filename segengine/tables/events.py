"""Here is a buyer: their events, latest arrival first; here is an event: its columns.

Rows stand in arrival order. `owner` is the buyer's row, `previous` the same buyer's event
before. Two tables keep more: orders know their lines, and lines their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import history
from segengine.schema.kinds import Kind
from segengine.schema.tables import FILLED, ORDER_LINES, ORDERS, ColumnSpec, TableSpec
from segengine.tables.column import Column, JoinedColumn
from segengine.tables.customers import CustomerTable
from segengine.tables.key_index import KeyIndex, Keys, KeySet
from segengine.tables.table import MakeDictionary, Table

NOT_GIVEN = -128


class EventTable(Table):
    """One event table, its chains per buyer, and the index of its key if it has one."""

    def __init__(
        self,
        spec: TableSpec,
        make_dictionary: MakeDictionary,
        customers: CustomerTable,
        orders: EventTable | None = None,
    ) -> None:
        self._customers = customers
        self._orders = orders
        super().__init__(spec, make_dictionary)
        self.latest = np.iinfo(np.int64).min
        """The greatest time in the table."""
        customers.add_head(spec.name)
        self.add_extra("owner", np.int32, -1)
        self.add_extra("previous", np.int32, -1)
        if spec.name == ORDERS:
            self.add_extra("last_line", np.int32, -1)
            for flag in ("row_given", "amount_given", "has_status"):
                self.add_extra(flag, np.int8, 0)
            self.add_extra("flag_given", np.int8, NOT_GIVEN)
        if spec.name == ORDER_LINES:
            self.add_extra("order_row", np.int32, -1)
            self.add_extra("previous_in_order", np.int32, -1)
            self.add_extra("flag_given", np.int8, NOT_GIVEN)
        if "product_id" in spec.by_name and any(name in spec.by_name for name in FILLED):
            self.add_extra("filled", np.int8, 0)
        self._forget_keys()

    def _forget_keys(self) -> None:
        self._index: KeyIndex | None = None
        self._event_ids: KeyIndex | None = None
        self.update_ids = KeySet(int(self.columns["event_id"].missing))
        """event_ids of rows that updated another row, which shows the one that began it."""

    def fix_kind(self, name: str, kind: Kind) -> None:
        """As `Table.fix_kind`; indexes follow the kind of their keys."""
        if self.columns[name].kind is not kind:
            super().fix_kind(name, kind)
            self._forget_keys()

    def add_column(self, spec: ColumnSpec, *, default: int | float | None = None) -> Column:
        """As `Table.add_column`; what the owner or the order knows is not kept twice."""
        joined: Column | None = None
        if spec.name == "customer_id":
            joined = JoinedColumn(
                spec.name,
                spec.kind,
                lambda: self.extra("owner"),
                lambda: self._customers.columns["customer_id"],
            )
        elif spec.name == "order_id" and self._orders is not None:
            orders = self._orders
            joined = JoinedColumn(
                spec.name,
                spec.kind,
                lambda: self.extra("order_row"),
                lambda: orders.columns["order_id"],
            )
        if joined is None:
            return super().add_column(spec, default=default)
        self.columns[spec.name] = joined
        return joined

    def key_arrays(self) -> Keys:
        """The two arrays that identify a row; a single key stands twice."""
        if self.spec.name == ORDER_LINES:
            return self.extra("order_row"), self.columns["line_id"].values
        only = self.columns[self.spec.key[0]].values
        return only, only

    def index(self) -> KeyIndex:
        """The index of the table's key."""
        if self._index is None:
            second = int(self.columns[self.spec.key[-1]].missing)
            first = -1 if self.spec.name == ORDER_LINES else second
            self._index = KeyIndex((first, second))
            if any(self.columns[k].is_allocated for k in self.spec.key):
                self._index.add(self.key_arrays(), 0, self.rows)
        return self._index

    def event_ids(self) -> KeyIndex:
        """The index of event_id."""
        if self._event_ids is None:
            column = self.columns["event_id"]
            missing = int(column.missing)
            self._event_ids = KeyIndex((missing, missing))
            if column.is_allocated:
                self._event_ids.add((column.values, column.values), 0, self.rows)
        return self._event_ids

    def has_seen(self, event_ids: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of these event_ids a row or an update has brought before."""
        values = self.columns["event_id"].values
        found = self.event_ids().find((event_ids, event_ids), (values, values)) >= 0
        return found | self.update_ids.has(event_ids)

    def disown(self, buyer: int) -> None:
        """A buyer is gone: their rows belong to nobody, and no key finds them."""
        heads = self._customers.heads(self.spec.name)
        rows = []
        row = int(heads[buyer])
        while row >= 0:
            rows.append(row)
            row = int(self.extra("previous")[row])
        heads[buyer] = -1
        self.extra("owner")[rows] = -1
        if self.spec.key and rows:
            key = self.columns[self.spec.key[-1]]
            key.write(np.array(rows, np.int64), key.missing)

    def link(self, begin: int, end: int) -> None:
        """Chain rows [begin, end), whose owners are written."""
        history.link_rows(
            self.extra("owner"), begin, end,
            self._customers.heads(self.spec.name), self.extra("previous"),
        )  # fmt: skip

    def enter_keys(self, begin: int, end: int) -> None:
        """Enter the keys of rows [begin, end) into the indexes in use."""
        for index, kept in self.kept_keys():
            index.add(kept, begin, end)

    def kept_keys(self) -> list[tuple[KeyIndex, Keys]]:
        """The indexes in use, each with the arrays of its keys."""
        found: list[tuple[KeyIndex, Keys]] = []
        if self.spec.key and self._index is not None:
            found.append((self._index, self.key_arrays()))
        if self._event_ids is not None:
            values = self.columns["event_id"].values
            found.append((self._event_ids, (values, values)))
        return found

    def indexes(self) -> dict[str, KeyIndex]:
        """The indexes in use: of the `key`, of the `event_id`s."""
        found = {"key": self._index, "event_id": self._event_ids}
        return {name: index for name, index in found.items() if index is not None}

    def take_index(self, name: str, slots: NDArray[np.int32]) -> None:
        """Take an index that a snapshot kept: `key` or `event_id`."""
        keys = self.spec.key if name == "key" else ("event_id",)
        missing = int(self.columns[keys[-1]].missing)
        first = -1 if name == "key" and self.spec.name == ORDER_LINES else missing
        index = KeyIndex((first, missing))
        index.slots = slots
        if name == "key":
            self._index = index
        else:
            self._event_ids = index

    def excerpt(
        self,
        customers: CustomerTable,
        rows: NDArray[np.int64],
        capacity: int,
        made: Mapping[str, Callable[[str], NDArray[Any]]],
    ) -> Self:
        """A table of these rows of its own, whose events are those of an excerpt of the buyers.

        It knows no keys.  customers: that excerpt  made: the internal arrays that name rows
        """
        found = self.part(rows, capacity, made)
        found._customers = customers  # noqa: SLF001 - its own kind
        found._forget_keys()  # noqa: SLF001
        return found

    def restore(self, rows: int, latest: int | None = None) -> None:
        """Take the rows of a snapshot whose arrays are in place; latest: their greatest time."""
        self.rows = rows
        if latest is not None:
            self.latest = latest
            return
        times = self.columns["time"].values[:rows]
        self.latest = int(times.max()) if rows else np.iinfo(np.int64).min
