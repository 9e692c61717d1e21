"""How do tables become what the files of a snapshot hold?

The counterpart of `table_files.py`: arrays are mapped and put in place, nothing is read or
derived. Traits are put in place where they are still true, and otherwise left for their owner
to build.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from segengine.errors import StoreError
from segengine.schema.kinds import Kind, kind_named
from segengine.schema.tables import CUSTOMERS, PRODUCTS, ColumnSpec
from segengine.storage.array_files import map_arrays, matrix_over, read_odd
from segengine.storage.table_files import ODD, TRAITS, VALUES
from segengine.tables.column import Column
from segengine.tables.dictionary import Dictionary
from segengine.tables.events import EventTable
from segengine.tables.scan_codes import ScanCodes
from segengine.tables.table import Table
from segengine.tables.tables import Tables

_Said = Mapping[str, Any]


def place_tables(tables: Tables, said: _Said, folder: Path, *, with_traits: bool) -> None:
    """Put the arrays of a verified snapshot into new, empty tables.

    said: what its manifest says; with_traits: whether traits are taken too.
    Raises `StoreError` where the snapshot and store.toml disagree about a table or a column.
    """
    TableMaps(tables, said, folder).place(with_traits=with_traits)


class TableMaps:
    """One snapshot on its way into tables."""

    def __init__(self, tables: Tables, said: _Said, folder: Path) -> None:
        self._tables, self._said, self._folder = tables, said, folder
        self._odd = read_odd(folder / ODD)
        self._files: dict[str, dict[str, NDArray[Any]]] = {}
        self._dictionaries: dict[int, Dictionary] = {}

    def place(self, *, with_traits: bool) -> None:
        """Put everything in place."""
        tables = self._tables
        for name, said in self._said["tables"].items():
            self._place_columns(tables.table(name), said)
        if CUSTOMERS in self._said["tables"]:
            self._place_customers(with_traits=with_traits)
        if PRODUCTS in self._said["tables"] and (slots := self._array("products.key")) is not None:
            tables.take_product_slots(slots)

    def _mapped(self, name: str) -> dict[str, NDArray[Any]]:
        if name not in self._files:
            self._files[name] = map_arrays(self._folder / name)
        return self._files[name]

    def _array(self, name: str) -> NDArray[Any] | None:
        """An array of an odd length; None where the snapshot has none of this name."""
        if name in self._odd:
            return self._odd[name]
        if f"{name}.arrow" not in self._said["files"]:
            return None
        return self._mapped(f"{name}.arrow")[VALUES]

    def _certain(self, name: str) -> NDArray[Any]:
        found = self._array(name)
        assert found is not None, name
        return found

    def _place_columns(self, table: Table, said: _Said) -> None:
        name, rows = table.spec.name, int(said["rows"])
        arrays = self._mapped(f"{name}.arrow")
        table.rows = min(table.rows, rows)
        table.take_room(int(said["capacity"]))
        table.given = set(said["given"])
        for column_name, column in said["columns"].items():
            self._place_column(table, column_name, column, arrays, rows, said["codes"])
        for extra in table.extras():
            if f"extra.{extra}" in arrays:
                table.set_extra(extra, arrays[f"extra.{extra}"])
            else:
                table.renew_extra(extra)
        if isinstance(table, EventTable):
            for kind in said["indexes"]:
                table.take_index(kind, self._certain(f"{name}.{kind}"))
            table.update_ids.add(self._certain(f"{name}.updates"))
            table.restore(rows, int(said["latest"]))
        else:
            table.rows = rows

    def _place_column(
        self,
        table: Table,
        name: str,
        said: _Said,
        arrays: Mapping[str, NDArray[Any]],
        rows: int,
        coded: list[str],
    ) -> None:
        kind = kind_named(said["kind"])
        assert kind is not None
        if name not in table.columns:
            table.add_column(ColumnSpec(name, kind))
        elif said["written"] and table.columns[name].kind is not kind:
            raise StoreError(
                f"`{self._folder}` keeps `{name}` of `{table.spec.name}` as {kind} and store.toml "
                f"now says {table.columns[name].kind}; load the table anew",
                field=name,
            )
        column = table.columns[name]
        if column.kind is kind and said["dictionary"] is not None:
            self._place_dictionary(column.dictionary, int(said["dictionary"]))
        if said["written"]:
            values, codes = arrays[f"column.{name}"], None
            if name in coded:
                codes = self._codes(table.spec.name, column, values, rows, arrays)
            column.install(values, codes)

    def _place_dictionary(self, dictionary: Dictionary | None, number: int) -> None:
        assert dictionary is not None
        known = self._dictionaries.get(number)
        if known is dictionary:
            return
        parts = ("offsets", "data", "slots")
        kept = {part: self._certain(f"dictionary-{number:04d}.{part}") for part in parts}
        if known is None:
            self._dictionaries[number] = dictionary
            dictionary.take(kept)
        else:
            dictionary.take({part: array.copy() for part, array in kept.items()})

    def _codes(
        self,
        table: str,
        column: Column,
        values: NDArray[Any],
        rows: int,
        arrays: Mapping[str, NDArray[Any]],
    ) -> ScanCodes:
        kept = {
            part: self._certain(f"{table}.codes.{column.name}.{part}")
            for part in ("bounds", "blocks", "shares")
        }
        kept["codes"] = arrays[f"codes.{column.name}"]
        return ScanCodes(values, column.missing, rows, kept)

    def _place_customers(self, *, with_traits: bool) -> None:
        customers = self._tables.customers
        arrays = self._mapped(f"{CUSTOMERS}.arrow")
        for name in self._tables.events:
            if f"head.{name}" in arrays:
                customers.set_heads(name, arrays[f"head.{name}"])
        rows = int(self._said["tables"][CUSTOMERS]["rows"])
        customers.restore(
            rows, self._certain(f"{CUSTOMERS}.live"), self._certain(f"{CUSTOMERS}.key")
        )
        if with_traits:
            self._place_traits(rows)
        else:
            customers.clear_traits()

    def _place_traits(self, rows: int) -> None:
        customers = self._tables.customers
        arrays = self._mapped(TRAITS)
        blocks: dict[str, NDArray[Any]] = {}
        codes: dict[str, list[ScanCodes | None]] = {}
        for block, said in self._said["blocks"].items():
            if block not in customers.blocks():
                # A trait that a batch has brought, such as the answers to a question.
                customers.add_block(block, [self._column(each) for each in said])
            values = [arrays[f"trait.{each['name']}"] for each in said]
            columns = customers.traits_of_blocks()[block]
            assert [each["name"] for each in said] == [column.name for column in columns]
            blocks[block] = matrix_over(values)
            codes[block] = [
                self._codes("traits", column, array, rows, arrays) if each["codes"] else None
                for each, column, array in zip(said, columns, blocks[block], strict=True)
            ]
        customers.install_blocks(blocks, codes)
        lists = self._tables.lists()
        for name in self._said["lists"]:
            parts = ("begins", "counts", "codes", "scores", "new_codes", "new_scores", "used")
            lists[name].take({part: self._certain(f"list.{name}.{part}") for part in parts})

    def _column(self, said: _Said) -> Column:
        kind = kind_named(said["kind"]) or Kind.VARCHAR
        number = said["dictionary"]
        return Column(
            said["name"], kind, dictionary=None if number is None else self._dictionaries[number]
        )
