"""How do other processes see the tables of the one that writes?

Its arrays lie in an arena that they map, and are changed where they are. What a change moved, and
how many rows and texts there are now, is told while all readers are kept out; a reader takes it up
when its next turn begins. An append that moves nothing tells a few dozen numbers.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.errors import StoreError
from segengine.schema.kinds import Kind
from segengine.storage.arena import Arena, ReadArena
from segengine.storage.turns import FREE, ReaderTurns, WriterTurns
from segengine.tables.arrays import (
    Place,
    Shape,
    all_tables,
    count_of_shape,
    dictionaries_of,
    give_dictionaries,
    places_of,
    reshape,
    shape_of,
)
from segengine.tables.column import aligned
from segengine.tables.dictionary import Dictionary
from segengine.tables.events import EventTable
from segengine.tables.tables import Tables

_LAYOUT = slice(FREE, FREE + 3)
"""Where the layout is, how long, and which one it is."""
Said = Mapping[str, tuple[object, Callable[[], bytes]]]
"""What else readers are told, by name: its bytes, made anew where what stands beside is another
object, or another tuple."""


class Address(NamedTuple):
    """Where a reader finds what a writer shares: three files of a process."""

    process: int
    arena: int
    turns: int
    queue: int

    def __str__(self) -> str:
        return ":".join(map(str, self))

    @classmethod
    def read(cls, text: str) -> Address:
        """The address that a text is."""
        try:
            return cls(*map(int, text.split(":")))
        except (TypeError, ValueError):
            raise StoreError(f"`{text}` is no address of shared tables", field="workers") from None

    def path(self, file: int) -> str:
        """The path of an open file of the writer."""
        return f"/proc/{self.process}/fd/{file}"


class SharedTables:
    """The writer's side: tables whose arrays lie in an arena."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._declared = frozenset(tables.customers.blocks())
        self.arena, self.turns = Arena(), WriterTurns()
        self.address = Address(os.getpid(), self.arena.file, self.turns.file, self.turns.queue)
        self._told: dict[str, NDArray[Any] | None] = {}
        """What readers were told of each place: kept, so that it stays where it is."""
        self._places: list[Place] = []
        self._owners: dict[str, Dictionary] = {}
        self._keys: dict[int, tuple[str, Dictionary]] = {}
        self._names = itertools.count()
        self._counts: tuple[int, ...] = ()
        self._said: dict[str, tuple[object, NDArray[Any], int]] = {}
        self._serials = itertools.count()
        self._layout: NDArray[Any] = np.empty(0, np.uint8)
        self._numbers: NDArray[np.int64] = np.empty(0, np.int64)
        self._number = 0

    def begin(self) -> None:
        """Keep readers out."""
        self.turns.begin()

    def end(self, moment: Sequence[int], said: Said) -> None:
        """Tell what has changed, and let readers in.  moment: int64 of the caller's."""
        told = False
        try:
            self._tell(moment, said)
            told = True
        finally:
            self.turns.end(told=told)

    def _tell(self, moment: Sequence[int], said: Said) -> None:
        is_new = self._follow_shape()
        is_new |= self._move_arrays()
        for name, (of, make) in said.items():
            before = self._said.get(name)
            if before is None or not _is_same(before[0], of):
                self._said[name] = of, self._bytes(make()), next(self._serials)
                is_new = True
        numbers = [*moment, *_numbers_of(self._tables), *(
            each.size for _, each in self._keys.values()
        )]  # fmt: skip
        if is_new:
            self._numbers = self.arena.array(len(numbers), np.dtype(np.int64))
            self._write_layout()
        self._numbers[:] = numbers
        self.arena.sweep()

    def _follow_shape(self) -> bool:
        """Find places and dictionaries anew where there may be others; whether there were."""
        owners = dictionaries_of(self._tables)
        counts = count_of_shape(self._tables)
        is_same = counts == self._counts and owners == self._owners
        if is_same:
            return False
        self._counts, self._owners = counts, owners
        keys = {}
        for each in owners.values():
            if id(each) not in keys:
                known = self._keys.get(id(each))
                # A name is given once: readers keep what they found out of a dictionary by it.
                keys[id(each)] = known or (str(next(self._names)), each)
        self._keys = keys
        self._places = places_of(self._tables)
        for key, each in keys.values():
            self._places += _places_of_texts(f"dictionary/{key}", each)
        names = {place.name for place in self._places}
        self._told = {name: a for name, a in self._told.items() if name in names}
        return True

    def _move_arrays(self) -> bool:
        """Let every array lie in the arena; whether any is another than was told."""
        moved, told, arena = False, self._told, self.arena
        for name, get, put in self._places:
            array = get()
            if name in told and array is told[name]:
                continue
            moved = True
            if array is not None and arena.offset_of(array) is None:
                copy = arena.array(array.size, array.dtype).reshape(array.shape)
                copy[...] = array
                put(copy)
                array = get()
            told[name] = array
        return moved

    def _bytes(self, said: bytes) -> NDArray[Any]:
        array = self.arena.array(len(said), np.dtype(np.uint8))
        array[:] = np.frombuffer(said, np.uint8)
        return array

    def _write_layout(self) -> None:
        offset_of = self.arena.offset_of
        keys = {each: [key, each.kind.value, each.is_set] for key, each in self._keys.values()}
        layout = {
            "shape": shape_of(self._tables, self._declared)._asdict(),
            "capacities": {n: t.capacity for n, t in all_tables(self._tables).items()},
            "arrays": {
                name: None if a is None else [offset_of(a), a.dtype.str, *a.shape]
                for name, a in self._told.items()
            },
            "dictionaries": list(keys.values()),
            "owners": {name: keys[each][0] for name, each in self._owners.items()},
            "numbers": [offset_of(self._numbers), len(self._numbers)],
            "said": {
                # Its bytes may come to lie where others were: it is known by its number.
                name: [offset_of(array), len(array), serial]
                for name, (_, array, serial) in self._said.items()
            },
        }
        self._layout = self._bytes(json.dumps(layout).encode())
        self._number += 1
        begin = offset_of(self._layout)
        assert begin is not None
        self.turns.numbers[_LAYOUT] = begin, len(self._layout), self._number

    def close(self) -> None:
        """Let go of the files; readers that have them open see no more changes."""
        self.turns.close()
        self.arena.close()


def said_at(address: Address) -> dict[str, bytes]:
    """What a writer says beside its tables, before they are followed."""
    found: dict[str, bytes] = {}
    arena, turns = _opened(address)
    try:
        turns.begin()
        try:
            begin, size, _ = turns.numbers[_LAYOUT].tolist()
            layout = json.loads(_bytes_at(arena, begin, size))
            found = {name: _bytes_at(arena, *place[:2]) for name, place in layout["said"].items()}
        finally:
            turns.end()
    finally:
        turns.close()
        arena.close()
    return found


def _bytes_at(arena: ReadArena, begin: int, size: int) -> bytes:
    return arena.array(begin, np.dtype(np.uint8), (size,)).tobytes()


def _opened(address: Address) -> tuple[ReadArena, ReaderTurns]:
    try:
        arena = ReadArena(address.path(address.arena))
        return arena, ReaderTurns(address.path(address.turns), address.path(address.queue))
    except OSError as error:
        raise StoreError(
            f"the tables of process {address.process} cannot be opened: {error.strerror}; is it "
            "still there?",
            field="workers",
        ) from error


class FollowedTables:
    """A reader's side: new, empty tables that are laid over those of a writer.

    hear: told the caller's numbers, and the bytes of what else is said where they are others
    """

    def __init__(
        self,
        tables: Tables,
        address: Address,
        hear: Callable[[Sequence[int], Mapping[str, bytes]], None],
    ) -> None:
        self._tables, self._hear = tables, hear
        self.arena, self.turns = _opened(address)
        self._number = 0
        self._laid: dict[str, list[Any] | None] = {}
        self._dictionaries: dict[str, Dictionary] = {}
        self._sizes: list[tuple[Dictionary, NDArray[np.int64]]] = []
        self._numbers: NDArray[np.int64] = np.empty(0, np.int64)
        self._said: dict[str, list[int]] = {}

    def follow(self) -> None:
        """Take up what was told; called in a turn after something has changed."""
        begin, size, number = self.turns.numbers[_LAYOUT].tolist()
        said: dict[str, bytes] = {}
        if number != self._number:
            layout = json.loads(_bytes_at(self.arena, begin, size))
            self._lie_over(layout)
            for name, place in layout["said"].items():
                if self._said.get(name) != place:
                    said[name] = _bytes_at(self.arena, *place[:2])
            self._said = layout["said"]
            self._number = number
        tables = self._tables
        numbers = self._numbers.tolist()
        sizes = numbers[len(numbers) - len(self._sizes) :] if self._sizes else []
        for (dictionary, offsets), texts in zip(self._sizes, sizes, strict=True):
            dictionary.grown_to(offsets, texts)
        own = len(_numbers_of(tables))
        first = len(numbers) - len(sizes) - own
        _take_numbers(tables, numbers[first : first + own])
        _forget_codes(tables)
        self._hear(numbers[:first], said)

    def _lie_over(self, layout: Mapping[str, Any]) -> None:
        tables = self._tables
        shape = layout["shape"]
        reshape(tables, Shape(shape["columns"], shape["identifiers"], tuple(shape["answers"])))
        kept = self._dictionaries
        self._dictionaries = {
            key: kept.get(key) or Dictionary(Kind(kind), is_set=is_set)
            for key, kind, is_set in layout["dictionaries"]
        }
        owners = {name: self._dictionaries[key] for name, key in layout["owners"].items()}
        give_dictionaries(tables, owners)
        for name, table in all_tables(tables).items():
            table.capacity = layout["capacities"][name]
        arrays: dict[str, list[Any] | None] = layout["arrays"]
        # Before the arrays: the place of an index is there with the first product.
        begin, count = layout["numbers"]
        self._numbers = self.arena.array(begin, np.dtype(np.int64), (count,))
        own = len(_numbers_of(tables))
        first = count - len(self._dictionaries) - own
        _take_numbers(tables, self._numbers[first : first + own].tolist())
        self._sizes = []
        for key, each in self._dictionaries.items():
            offsets, data, slots = (
                self._array(arrays[f"dictionary/{key}/{part}"]) for part in _PARTS
            )
            each.lie_in(offsets, data, slots)
            self._sizes.append((each, offsets))
        for name, _, put in places_of(tables):
            if name not in arrays:
                raise StoreError(
                    f"the process that writes shares no `{name}`; start the server anew with one "
                    "version",
                    field="workers",
                )
            said = arrays[name]
            if name not in self._laid or self._laid[name] != said:
                put(None if said is None else self._array(said))
        self._laid = arrays

    def _array(self, said: list[Any] | None) -> NDArray[Any]:
        assert said is not None
        offset, dtype, *shape = said
        if not all(shape):
            return aligned(0, np.dtype(dtype)).reshape(shape)
        return self.arena.array(offset, np.dtype(dtype), tuple(shape))

    def close(self) -> None:
        """Let go of the writer's files."""
        self.turns.close()
        self.arena.close()


_PARTS = ("offsets", "data", "slots")


def _is_same(before: object, now: object) -> bool:
    return before is now or (isinstance(now, tuple) and before == now)


def _places_of_texts(name: str, dictionary: Dictionary) -> list[Place]:
    """The three arrays of a dictionary."""

    def place(part: int) -> Place:
        def put(array: NDArray[Any] | None) -> None:
            parts: list[Any] = list(dictionary.parts())
            parts[part] = array
            dictionary.lie_in(*parts)

        return Place(f"{name}/{_PARTS[part]}", lambda: dictionary.parts()[part], put)

    return [place(part) for part in range(len(_PARTS))]


def _numbers_of(tables: Tables) -> list[int]:
    """What of tables are numbers."""
    found = [tables.as_of, tables.products_revision]
    for table in all_tables(tables).values():
        found.append(table.rows)
        if isinstance(table, EventTable):
            found.append(int(table.latest))
    return found


def _take_numbers(tables: Tables, numbers: Sequence[int]) -> None:
    """Let tables have the numbers of others of their shape."""
    rest = iter(numbers)
    tables.as_of, tables.products_revision = next(rest), next(rest)
    for table in all_tables(tables).values():
        table.rows = next(rest)
        if isinstance(table, EventTable):
            table.latest = next(rest)


def _forget_codes(tables: Tables) -> None:
    for table in all_tables(tables).values():
        for column in table.columns.values():
            if column.has_codes:
                column.forget_codes()
    for trait in tables.customers.traits.values():
        if trait.has_codes:
            trait.forget_codes()
