"""What of the tables stands in which file of a snapshot?

All that is in memory: the values of columns, the places of events, keys and texts, scan codes, and
the traits of buyers with their lists. So whoever opens it derives nothing again. A table is a file,
`orders.arrow`, of its columns and of whatever else is a value a row; so are the traits of buyers,
`customers.traits.arrow`. Arrays of another length have files of their own where they are long, and
stand together in `odd.arrow` where they are short. What the arrays are is said in the manifest.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from segengine.kernels.encode import BLOCK_SHIFT
from segengine.schema.tables import CUSTOMERS, PRODUCTS
from segengine.storage.array_files import FileFacts, Told, write_arrays, write_odd
from segengine.tables.column import Column, JoinedColumn, padded
from segengine.tables.dictionary import Dictionary
from segengine.tables.events import EventTable
from segengine.tables.table import SPARE, Table
from segengine.tables.tables import Tables

ODD, TRAITS, VALUES = "odd.arrow", "customers.traits.arrow", "values"
_SHORT = 1 << 16
"""Bytes up to which an array of an odd length has no file of its own."""
_Arrays = dict[str, NDArray[Any]]


class TableFiles:
    """The arrays of some tables, file by file, and what the manifest says of them.

    They are those in use: nobody changes the tables until `write` is done.
    with_traits: whether the traits are kept, which then are true for the tables' moment.
    """

    def __init__(self, tables: Tables, *, with_traits: bool) -> None:
        self._tables = tables
        self._dictionaries: dict[int, int] = {}
        self._files: dict[str, _Arrays] = {}
        self._odd: _Arrays = {}
        self._with_traits = with_traits
        self.said: dict[str, Any] = {"tables": {}, "blocks": {}, "lists": []}
        everything = (tables.customers, tables.products, *tables.events.values())
        for table in everything:
            # A dictionary may hold texts before its column does, which others have codes of.
            for column in table.columns.values():
                self._note_dictionary(column)
        for table in everything:
            if table.rows:
                self._note_table(table)
        if tables.customers.rows:
            self._note_customers()
        if with_traits:
            self._note_traits()
        if tables.products.rows and (slots := tables.kept_product_slots()) is not None:
            self._odd[f"{PRODUCTS}.key"] = slots

    def _note_dictionary(self, column: Column) -> None:
        dictionary = column.dictionary
        empty = 0 if dictionary is None else int(dictionary.is_set)
        if dictionary is None or dictionary.size <= empty or id(dictionary) in self._dictionaries:
            return
        number = self._dictionaries[id(dictionary)] = len(self._dictionaries)
        for name, array in dictionary.kept().items():
            self._odd[f"dictionary-{number:04d}.{name}"] = array

    def _number_of(self, dictionary: Dictionary | None) -> int | None:
        return None if dictionary is None else self._dictionaries.get(id(dictionary))

    def _note_table(self, table: Table) -> None:
        name = table.spec.name
        capacity = min(table.capacity, padded(table.rows + table.rows // SPARE))
        arrays = self._files[f"{name}.arrow"] = {}
        columns, coded = {}, []
        for column in table.columns.values():
            is_kept = column.is_allocated and not isinstance(column, JoinedColumn)
            columns[column.name] = {
                "kind": column.kind.value,
                "written": is_kept,
                "dictionary": self._number_of(column.dictionary),
            }
            if is_kept:
                arrays[f"column.{column.name}"] = column.values[:capacity]
                if self._note_codes(arrays, name, column, table.rows, capacity):
                    coded.append(column.name)
        for extra in table.extras():
            arrays[f"extra.{extra}"] = table.extra(extra)[:capacity]
        said: dict[str, Any] = {
            "rows": table.rows, "capacity": capacity, "columns": columns, "codes": coded,
            "given": sorted(table.given),
        }  # fmt: skip
        if isinstance(table, EventTable):
            said["latest"] = int(table.latest)
            for kind, index in table.indexes().items():
                self._odd[f"{name}.{kind}"] = index.slots
            said["indexes"] = list(table.indexes())
            self._odd[f"{name}.updates"] = table.update_ids.keys
        self.said["tables"][name] = said

    def _note_codes(
        self, arrays: _Arrays, table: str, column: Column, rows: int, capacity: int
    ) -> bool:
        """Whether a column has scan codes that are worth keeping, which are noted then."""
        if not column.has_codes or rows < 1 << BLOCK_SHIFT:
            return False
        kept = column.scan_codes(rows).kept(capacity)
        arrays[f"codes.{column.name}"] = kept.pop("codes")
        self._odd |= {f"{table}.codes.{column.name}.{name}": a for name, a in kept.items()}
        return True

    def _note_customers(self) -> None:
        customers = self._tables.customers
        capacity = self.said["tables"][CUSTOMERS]["capacity"]
        arrays = self._files[f"{CUSTOMERS}.arrow"]
        for table in self._tables.events:
            arrays[f"head.{table}"] = customers.heads(table)[:capacity]
        self._odd[f"{CUSTOMERS}.live"] = customers.live
        self._odd[f"{CUSTOMERS}.key"] = customers.index.slots

    def _note_traits(self) -> None:
        customers = self._tables.customers
        capacity = self.said["tables"][CUSTOMERS]["capacity"]
        arrays = self._files[TRAITS] = {}
        coded: _Arrays = {}
        for block, columns in customers.traits_of_blocks().items():
            said = []
            for row, column in zip(customers.block(block), columns, strict=True):
                # The rows of a matrix one behind the other: it is one when it is mapped too.
                arrays[f"trait.{column.name}"] = row[:capacity]
                is_coded = self._note_codes(coded, "traits", column, customers.rows, capacity)
                said.append({
                    "name": column.name, "kind": column.kind.value, "codes": is_coded,
                    "dictionary": self._number_of(column.dictionary),
                })  # fmt: skip
            self.said["blocks"][block] = said
        self._files[TRAITS] |= coded
        for name, lists in self._tables.lists().items():
            self._odd |= {f"list.{name}.{part}": array for part, array in lists.kept().items()}
            self.said["lists"].append(name)

    def _planned(self) -> Iterator[tuple[str, _Arrays]]:
        yield from ((name, arrays) for name, arrays in self._files.items() if arrays)
        for name, array in self._odd.items():
            if array.nbytes > _SHORT:
                yield f"{name}.arrow", {VALUES: array}

    def nbytes(self) -> int:
        """How many bytes will be written, but for heads of files."""
        arrays = [a for _, each in self._planned() for a in each.values()]
        return sum(int(a.nbytes) for a in arrays) + sum(
            int(a.nbytes) for a in self._odd.values() if a.nbytes <= _SHORT
        )

    def write(self, folder: Path, told: Told | None = None) -> dict[str, FileFacts]:
        """Write the files into a directory; their sizes and checksums by name."""
        files = {
            name: write_arrays(folder / name, arrays, told) for name, arrays in self._planned()
        }
        short = {name: array for name, array in self._odd.items() if array.nbytes <= _SHORT}
        files[ODD] = write_odd(folder / ODD, short)
        return files
