"""Of which arrays do a store's tables consist, as far as one buyer's questions go?

Each has a name that is the same in every process, so that a process can lay its tables over the
arrays of another. What is found for all buyers at once is not among them: bitmaps of live rows,
scan codes, the keys of events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from numpy.typing import NDArray

from segengine.schema.kinds import Kind, kind_named
from segengine.schema.tables import CUSTOMERS, PRODUCTS, ColumnSpec
from segengine.tables.column import Column, JoinedColumn
from segengine.tables.dictionary import Dictionary
from segengine.tables.key_index import KeyIndex
from segengine.tables.list_column import ListColumn
from segengine.tables.row_lists import RowLists
from segengine.tables.table import Table
from segengine.tables.tables import Tables

Array = NDArray[Any]
_SHARED = "*"
"""In place of a table: dictionaries that columns of one name share in all tables."""


class Place(NamedTuple):
    """One array: its name, where it is now (None: nothing was ever written), and how it moves."""

    name: str
    get: Callable[[], Array | None]
    put: Callable[[Array | None], None]


class Shape(NamedTuple):
    """What decides which arrays there are: as JSON has it.

    columns: by table, the kind of each that the table keeps itself or finds elsewhere
    identifiers: the kinds of identifiers  answers: traits that came with survey questions
    """

    columns: dict[str, dict[str, str]]
    identifiers: dict[str, str]
    answers: tuple[str, ...]


def all_tables(tables: Tables) -> dict[str, Table]:
    """Every table by its name."""
    return {CUSTOMERS: tables.customers, PRODUCTS: tables.products, **tables.events}


def count_of_shape(tables: Tables) -> tuple[int, ...]:
    """Numbers that differ where shapes do: a store's columns only become more."""
    counts = [len(table.columns) for table in all_tables(tables).values()]
    more = len(tables.identifier_kinds), len(tables.customers.traits), len(tables.shared)
    return (*counts, *more, int(tables.products.rows > 0))


def shape_of(tables: Tables, declared: frozenset[str]) -> Shape:
    """The shape of tables; declared: the blocks of traits that every store has."""
    columns = {
        name: {c.name: c.kind.value for c in table.columns.values()}
        for name, table in all_tables(tables).items()
    }
    kinds = {name: kind.value for name, kind in tables.identifier_kinds.items()}
    answers = tuple(n for n in tables.customers.blocks() if n not in declared)
    return Shape(columns, kinds, answers)


def reshape(tables: Tables, shape: Shape) -> None:
    """Give tables what another process's have and they have not."""
    tables.fix_identifiers({name: Kind(kind) for name, kind in shape.identifiers.items()})
    for name, columns in shape.columns.items():
        table = tables.table(name)
        for column, said in columns.items():
            if column not in table.columns:
                kind = kind_named(said)
                assert kind is not None
                table.add_column(ColumnSpec(column, kind))
    customers = tables.customers
    for name in shape.answers:
        if name not in customers.traits:
            customers.add_block(name, [Column(name, Kind.VARCHAR)])


def dictionaries_of(tables: Tables) -> dict[str, Dictionary]:
    """The dictionary of everything that has one, by its name; several have the same."""
    found = {f"{_SHARED}.{n}.{k.value}": each for (n, k), each in tables.shared.items()}
    for name, column in _coded_columns(tables):
        assert column.dictionary is not None
        found[name] = column.dictionary
    return found


def give_dictionaries(tables: Tables, of: Mapping[str, Dictionary]) -> None:
    """Let everything named have this dictionary, in tables of the same shape."""
    for name, each in of.items():
        table, _, rest = name.partition(".")
        if table == _SHARED:
            shared, _, kind = rest.rpartition(".")
            tables.shared[shared, Kind(kind)] = each
    for name, column in _coded_columns(tables):
        column.dictionary = of[name]


def _coded_columns(tables: Tables) -> Iterator[tuple[str, Column]]:
    for table_name, table in all_tables(tables).items():
        for column in table.columns.values():
            if column.dictionary is not None:
                yield f"{table_name}.{column.name}", column
    for trait in tables.customers.traits.values():
        if trait.dictionary is not None:
            yield f"trait.{trait.name}", trait


def places_of(tables: Tables) -> list[Place]:
    """Every array, but those of dictionaries."""
    customers, found = tables.customers, list[Place]()

    def add(name: str, get: Any, put: Any, key: str) -> None:
        found.append(Place(name, partial(get, key), partial(put, key)))

    for name, table in all_tables(tables).items():
        for column in table.columns.values():
            if not isinstance(column, JoinedColumn):
                place = f"{name}.{column.name}"
                found.append(Place(place, partial(_array, column), partial(_lie, column, table)))
        for extra in table.extras():
            add(f"{name}/{extra}", table.extra, table.set_extra, extra)
    for event in tables.events:
        add(f"heads/{event}", customers.heads, customers.set_heads, event)
    for block in customers.blocks():
        add(f"block/{block}", customers.block, customers.move_block, block)
    found += _places_of_index("customers/index", customers.index)
    # Made before the first product, it would not know what a product_id is.
    if tables.products.rows:
        found += _places_of_index("products/index", tables.product_index())
    for name in sorted(tables.lists()):
        found += _places_of_lists(f"lists/{name}", _lists_of(tables, name))
    return found


def _array(column: Column) -> Array | None:
    return column.values if column.is_allocated and not isinstance(column, ListColumn) else None


def _lie(column: Column, table: Table, array: Array | None) -> None:
    if array is None:
        column.reserve(table.capacity, 0)
    else:
        column.moved(array, table.rows)


def _places_of_index(name: str, index: KeyIndex) -> list[Place]:
    def put(slots: Array | None) -> None:
        assert slots is not None
        index.slots = slots

    return [Place(name, lambda: index.slots, put)]


def _lists_of(tables: Tables, name: str) -> Callable[[], RowLists]:
    # Not by `tables.lists`, which goes through all traits.
    column = tables.customers.traits.get(name)
    if isinstance(column, ListColumn):
        return lambda: column.kept
    return lambda: tables.affinities.kept[name]


def _places_of_lists(name: str, lists: Callable[[], RowLists]) -> list[Place]:
    def get(field: str) -> Array:
        found: Array = getattr(lists().lists, field)
        return found

    def put(field: str, array: Array | None) -> None:
        kept = lists()
        changed: dict[str, Any] = {field: array}
        kept.lists = kept.lists._replace(**changed)

    fields = lists().lists._fields
    return [Place(f"{name}/{each}", partial(get, each), partial(put, each)) for each in fields]
