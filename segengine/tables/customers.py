"""Here is a buyer: their row, and every trait in it.

Row 0 is nobody: the buyer with no history, as whom an unknown visitor is evaluated. It is in
every array and never in a bitmap of live rows. A row number never leaves the process.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from copy import copy
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.kernels import bits
from segengine.schema.identifiers import is_text
from segengine.schema.kinds import Kind
from segengine.schema.tables import TableSpec
from segengine.tables import trait_loops
from segengine.tables.column import Column, ExcerptColumn, NewArray, aligned
from segengine.tables.key_index import KeyIndex, first_places
from segengine.tables.lazy import Lazy
from segengine.tables.scan_codes import CodesAhead, LongerCodes, ScanCodes
from segengine.tables.table import MakeDictionary, Room, Table, longer

NOBODY = 0


class Differing(NamedTuple):
    """What a trait changes to.

    rows: int64[n]  values: T[n]  codes: of these values, where scans use any
    """

    trait: Column
    rows: NDArray[np.int64]
    values: NDArray[Any]
    codes: CodesAhead | None


@dataclass(frozen=True, slots=True)
class CustomerRoom(Room):
    """As `Room`; the blocks of traits by name, the codes of each trait, the heads by table."""

    blocks: dict[str, NDArray[Any]]
    codes: dict[str, list[LongerCodes | None]]
    heads: dict[str, NDArray[np.int32]]


def block(columns: list[Column], capacity: int, new_array: NewArray = aligned) -> NDArray[Any]:
    """A matrix with one row per column, every value at its column's default."""
    dtype = columns[0].dtype
    matrix = new_array(len(columns) * capacity, dtype).reshape(len(columns), capacity)
    for array, column in zip(matrix, columns, strict=True):
        array[:] = column.default
    return matrix


class CustomerTable(Table):
    """One row per buyer in the order first seen."""

    def __init__(self, spec: TableSpec, make_dictionary: MakeDictionary) -> None:
        super().__init__(spec, make_dictionary)
        self.traits: dict[str, Column] = {}
        self.live: NDArray[np.uint64] = np.zeros(1, np.uint64)
        self.id_is_fixed = False
        self._index = KeyIndex((self.columns["customer_id"].missing,) * 2)  # type: ignore[arg-type]
        self._heads: MutableMapping[str, NDArray[np.int32]] = {}
        self._blocks: dict[str, tuple[NDArray[Any], list[Column]]] = {}
        self.rows = 1

    def fix_kind(self, name: str, kind: Kind) -> None:
        """As `Table.fix_kind`; the index follows the kind of customer_id."""
        super().fix_kind(name, kind)
        if name == "customer_id":
            missing = int(self.columns[name].missing)
            self._index = KeyIndex((missing, missing))
            self.id_is_fixed = True

    @property
    def count(self) -> int:
        """How many buyers there are."""
        return int(bits.count_bits(self.live))

    @property
    def words(self) -> int:
        """Words of a bitmap over all rows."""
        return (self.rows + 63) // 64

    def trait_or_column(self, name: str) -> Column | None:
        """The trait or given column a rule means by this name."""
        return self.traits.get(name) or self.columns.get(name)

    def add_head(self, table: str) -> None:
        """Keep, per buyer, the latest row of an event table."""
        self._heads[table] = aligned(self.capacity, np.dtype(np.int32), -1)

    def heads(self, table: str) -> NDArray[np.int32]:
        """Per buyer the row of the latest arrival in an event table, -1 for none."""
        return self._heads[table]

    def set_heads(self, table: str, array: NDArray[np.int32]) -> None:
        """Take the heads that a snapshot kept."""
        self._heads[table] = array

    def room(self, rows: int, *, exact: bool = False) -> CustomerRoom | None:
        """As `Table.room`, for traits and heads too."""
        room = super().room(rows, exact=exact)
        if room is None:
            return None
        capacity, blocks = room.capacity, {}
        codes: dict[str, list[LongerCodes | None]] = {}
        for name, (matrix, columns) in self._blocks.items():
            moved = blocks[name] = block(columns, capacity, self.new_array)
            moved[:, : self.rows] = matrix[:, : self.rows]
            codes[name] = [column.longer_codes(capacity) for column in columns]
        heads = {
            name: longer(array, capacity, self.rows, -1, self.new_array)
            for name, array in self._heads.items()
        }
        return CustomerRoom(capacity, room.columns, room.extras, blocks, codes, heads)

    def take(self, room: Room) -> list[object]:
        """As `Table.take`."""
        assert isinstance(room, CustomerRoom)
        before = super().take(room)
        before += [matrix for matrix, _ in self._blocks.values()]
        before += self._heads.values()
        for name, moved in room.blocks.items():
            columns = self._blocks[name][1]
            self._blocks[name] = (moved, columns)
            for array, column, codes in zip(moved, columns, room.codes[name], strict=True):
                column.moved(array, self.rows, codes)
        self._heads = {**self._heads, **room.heads}
        return before

    def add_block(self, name: str, columns: list[Column]) -> None:
        """Traits of one array type, kept as the rows of one matrix that a loop can fill."""
        matrix = block(columns, self.capacity, self.new_array)
        self._blocks[name] = (matrix, columns)
        for array, column in zip(matrix, columns, strict=True):
            column.install(array, None)
            self.traits[column.name] = column

    def block(self, name: str) -> NDArray[Any]:
        """The matrix of a block: T[traits, capacity]."""
        return self._blocks[name][0]

    def blocks(self) -> dict[str, NDArray[Any]]:
        """Every matrix by the name of its block."""
        return {name: matrix for name, (matrix, _) in self._blocks.items()}

    def place_of(self, trait: str) -> tuple[str, int]:
        """The block of a trait, and its row there."""
        column = self.traits[trait]
        return next(
            (name, columns.index(column))
            for name, (_, columns) in self._blocks.items()
            if column in columns
        )

    def move_block(self, name: str, matrix: NDArray[Any]) -> None:
        """Keep a block in this matrix, which holds the same."""
        columns = self._blocks[name][1]
        self._blocks[name] = (matrix, columns)
        for array, column in zip(matrix, columns, strict=True):
            column.moved(array, self.rows)

    @property
    def index(self) -> KeyIndex:
        """The index of customer_id."""
        return self._index

    def empty_blocks(self) -> dict[str, NDArray[Any]]:
        """New matrices of the same shapes, to be filled beside the old ones."""
        return {
            n: block(columns, self.capacity, self.new_array)
            for n, (_, columns) in self._blocks.items()
        }

    def codes_for(self, blocks: dict[str, NDArray[Any]]) -> dict[str, list[ScanCodes | None]]:
        """The scan codes that the columns of these matrices will need."""
        return {
            name: [c.codes_of(a, self.rows) for a, c in zip(matrix, self._blocks[name][1],
                                                            strict=True)]
            for name, matrix in blocks.items()
        }  # fmt: skip

    def install_blocks(
        self, blocks: dict[str, NDArray[Any]], codes: dict[str, list[ScanCodes | None]]
    ) -> None:
        """Take new matrices in place of the old ones, all at once."""
        for name, matrix in blocks.items():
            columns = self._blocks[name][1]
            self._blocks[name] = (matrix, columns)
            for array, column, code in zip(matrix, columns, codes[name], strict=True):
                column.install(array, code)

    def differing(self, name: str, rows: NDArray[np.int64], fresh: NDArray[Any]) -> list[Differing]:
        """What these rows' traits of a block change to: fresh T[traits, n].

        Rows that have yet to be added change from the defaults. Nothing changes here, so that
        everybody may look meanwhile; `put` writes it.  rows: int64[n], ascending
        """
        matrix, columns = self._blocks[name]
        known = int(np.searchsorted(rows, self.rows))
        if known < len(rows):
            added = _differing_from_default(columns, rows[known:], fresh[:, known:])
            fresh = np.ascontiguousarray(fresh[:, :known])
            return added + self.differing(name, rows[:known], fresh)
        changed, values = np.empty(fresh.shape, np.int64), np.empty(fresh.shape, fresh.dtype)
        counts = np.empty(len(columns), np.int64)
        trait_loops.find_changed(rows, fresh, matrix, changed, values, counts)
        found = []
        for column, count, whose, now in zip(
            columns, counts.tolist(), changed, values, strict=True
        ):
            if count:
                codes = column.codes_ahead(now[:count])
                found.append(Differing(column, whose[:count], now[:count], codes))
        return found

    @staticmethod
    def put(differing: Iterable[Differing]) -> None:
        """Write what was found to differ; called with the gate closed."""
        for column, rows, values, codes in differing:
            column.put(rows, values, codes)

    def find(self, ids: NDArray[Any]) -> NDArray[np.int64]:
        """The row of each customer_id (int64, or its dictionary code), -1 for none."""
        kept = self.columns["customer_id"].values
        return self._index.find((ids, ids), (kept, kept))

    def row_of(self, customer_id: object) -> int | None:
        """The row of one customer_id as a caller gives it; None for an unknown one."""
        column = self.columns["customer_id"]
        if self.rows == 1 or isinstance(customer_id, bool):
            return None
        if column.kind is Kind.VARCHAR:
            if not is_text(customer_id):
                return None
            assert column.dictionary is not None
            code = column.dictionary.find(pa.array([customer_id], pa.large_string()))
            key = int(code[0])
            if key < 0:
                return None
        else:
            if not isinstance(customer_id, int | np.integer) or abs(int(customer_id)) >= 2**63:
                return None
            key = int(customer_id)
        row = self._index.find_one(key, column.values)
        return row if row >= 0 else None

    def lookup(self) -> tuple[NDArray[np.int64], NDArray[np.int32]] | None:
        """Ids that are numbers and their table of places, as `hashing.find_key` takes them.

        None where ids are no whole numbers, and where there is nobody.
        """
        column = self.columns["customer_id"]
        if self.rows == 1 or column.kind is not Kind.BIGINT:
            return None
        return column.values, self._index.slots

    def numbered(self, ids: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """The row of each customer_id, and the ids that have none yet, each once, in their order.

        Those are numbered on from the rows there are, as `add` will give them rows.
        """
        rows = self.find(ids)
        new = np.flatnonzero(rows < 0)
        fresh = ids[new]
        if len(new):
            first = first_places((fresh, fresh))
            leaders = np.flatnonzero(first == np.arange(len(new)))
            numbers = np.empty(len(new), np.int64)
            numbers[leaders] = self.rows + np.arange(len(leaders))
            rows[new] = numbers[first]
            fresh = fresh[leaders]
        return rows, fresh

    def add(self, ids: NDArray[Any]) -> None:
        """Give these ids, which have none and are there once, the next rows."""
        if len(ids) == 0:
            return
        begin, end = self.rows, self.rows + len(ids)
        self.reserve(end, exact=len(ids) > 1_000_000)
        column = self.columns["customer_id"]
        column.write(slice(begin, end), ids)
        self._index.add((column.values, column.values), begin, end)
        self._extend(end)

    def rows_for(self, ids: NDArray[Any]) -> NDArray[np.int64]:
        """The row of each customer_id; one not seen before gets the next row."""
        rows, new = self.numbered(ids)
        self.add(new)
        return rows

    def _extend(self, end: int) -> None:
        live = np.zeros((end + 63) // 64, np.uint64)
        live[: len(self.live)] = self.live
        added = np.arange(self.rows, end, dtype=np.int64)
        bits.set_rows(added, live)
        self.rows, self.live = end, live

    def forget(self, row: int) -> None:
        """The buyer of this row is gone: what they gave, from the index, from every answer."""
        for column in self.columns.values():
            if column.is_allocated:
                column.write(np.array([row], np.int64), column.default)
        live = self.live.copy()
        bits.clear_rows(np.array([row], np.int64), live)
        self.live = live

    def excerpt(
        self, rows: NDArray[np.int64], heads: MutableMapping[str, NDArray[np.int32]]
    ) -> Self:
        """What these buyers gave, and their heads; all else is of all buyers, the same objects.

        So a trait that a family begins while it works on some is one of all; and `rows`,
        `capacity` and ids bound nothing here.
        heads: per buyer of the excerpt the row of the latest arrival, by event table
        """
        found = copy(self)
        found.columns = Lazy(
            self.columns, lambda name: ExcerptColumn(self.columns[name], rows, len(rows))
        )
        found.given = set(self.given)
        found._heads = heads  # noqa: SLF001 - its own kind
        return found

    def take_room(self, capacity: int) -> None:
        """As `Table.take_room`, for heads too; the matrices of traits follow for themselves."""
        super().take_room(capacity)
        for name in self._heads:
            self.add_head(name)

    def clear_traits(self) -> None:
        """Let every trait be at its default for all rows that there is room for."""
        blocks = self.empty_blocks()
        self.install_blocks(blocks, {name: [None] * len(m) for name, m in blocks.items()})

    def traits_of_blocks(self) -> dict[str, list[Column]]:
        """The traits of every matrix, by the name of their block."""
        return {name: columns for name, (_, columns) in self._blocks.items()}

    def restore(
        self, rows: int, live: NDArray[np.uint64], slots: NDArray[np.int32] | None = None
    ) -> None:
        """Take the rows of a snapshot whose columns are in place; slots: of its index."""
        self.rows, self.live = rows, live
        if slots is not None:
            self._index.slots = slots
            return
        kept = self.columns["customer_id"].values
        self._index.add((kept, kept), 0, rows)


def _differing_from_default(
    columns: list[Column], rows: NDArray[np.int64], fresh: NDArray[Any]
) -> list[Differing]:
    found = []
    for column, now in zip(columns, fresh, strict=True):
        # What is no number is never equal to itself.
        is_other = (now != column.default) & ~((now != now) & (column.default != column.default))  # noqa: PLR0124
        if is_other.any():
            values = now[is_other]
            found.append(Differing(column, rows[is_other], values, column.codes_ahead(values)))
    return found
