"""What do families work on when few buyers have news? An excerpt of those buyers.

What they find stands beside what the tables hold; `compare` finds what is another, `write_back`
takes that over. Most traits of a buyer stay as they were, and cost nothing there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.tables.customers import CustomerTable, Differing
from segengine.tables.excerpt import Excerpt
from segengine.tables.row_lists import ListRoom, RowLists
from segengine.tables.tables import Tables
from segengine.traits.coming import Coming
from segengine.traits.work import History, TraitSettings, Work


class SomeBuyers(Work):
    """A few buyers, numbered 0, 1, 2, ...: their traits, and their events numbered the same way.

    As of any work, arrays by table and column have an entry for each row of the table, but the
    tables are those of these buyers alone. `write_back` is called with the gate closed, `compare`
    before, while traits and lists are as they will be then.
    buyers: int64[n], rows of the customers, ascending; those who come with a batch ahead are last
    ahead: a batch that has yet to be applied, and is to be when `write_back` is called
    """

    def __init__(
        self,
        tables: Tables,
        settings: TraitSettings,
        as_of: int,
        buyers: NDArray[np.int64],
        *,
        changed: frozenset[str] | None,
        ahead: Coming | None = None,
    ) -> None:
        self.buyers, self._ahead = buyers, ahead
        self._customers = tables.customers
        self._excerpt = Excerpt(
            tables, buyers, None if ahead is None else (ahead.batch, ahead.place)
        )
        self._given = _Given(self._customers, self._excerpt.known)
        places = np.arange(len(buyers), dtype=np.int64)
        super().__init__(
            self._excerpt.tables, settings, as_of, places, self._given, all_rows=False,
            changed=changed,
        )  # fmt: skip
        self._found: list[
            tuple[RowLists, NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]
        ] = []
        self._differing: list[Differing] = []
        self._room: list[ListRoom | None] = []
        self._before: list[object] = []

    @property
    def is_in_place(self) -> bool:
        """The matrices in use take over what is found; none is made while somebody looks."""
        return self._ahead is None

    @property
    def only_adds(self) -> bool:
        """As of any work; many a batch that is worked out ahead does."""
        return self._ahead is not None and self._ahead.only_adds

    def has_news_of_kinds(self, table: str, kinds: tuple[str, ...]) -> bool:
        """As of any work; of a batch ahead it is told by its rows."""
        if self._ahead is None or not self.only_adds or table != self._ahead.batch.table:
            return super().has_news_of_kinds(table, kinds)
        batch = self._ahead.batch
        if "kind" not in batch.columns:
            return False
        codes = self.codes(table, "kind", kinds)
        return bool(np.isin(batch.values("kind"), codes).any())

    def rows_of(self, table: str, events: NDArray[np.int32]) -> NDArray[np.int32]:
        """The rows of the table that these events are, or will be."""
        return self._excerpt.rows_of(table, events)

    def _gathered(self, table: str) -> History:
        return History(*self._excerpt.history(table))

    def give_lists(
        self,
        name: str,
        counts: NDArray[np.int32],
        codes: NDArray[np.int32],
        scores: NDArray[np.float64],
    ) -> None:
        """As of any work; kept until they are written back."""
        self._found.append((self._lists[name], counts, codes, scores))

    def compare(self) -> None:
        """Find what is another now, and make room for it; everybody may look meanwhile."""
        customers = self._customers
        # A new row is at its defaults, which are not what nobody has.
        any_new = len(self.buyers) > 0 and bool(self.buyers[-1] >= customers.rows)
        self._differing = [
            each
            for name in list(self._given if any_new else self._given.copies)
            for each in customers.differing(name, self.buyers, self._given[name])
        ]
        rows = int(self.buyers[-1]) + 1 if len(self.buyers) else 0
        self._room = [lists.room(rows, len(codes)) for lists, _, codes, _ in self._found]

    def write_back(self) -> None:
        """Take over what `compare` has found.

        Memory that is no longer used stays as long as this does: to give it back takes time too.
        """
        self._customers.put(self._differing)
        for (lists, counts, codes, scores), room in zip(self._found, self._room, strict=True):
            if room is not None:
                self._before.append(lists.take_room(room))
            lists.write(self.buyers, counts, codes, scores)


class _Given(MutableMapping[str, NDArray[Any]]):
    """The traits of some buyers by block, each copied when it is first asked for: T[traits, n]."""

    def __init__(self, customers: CustomerTable, buyers: NDArray[np.int64]) -> None:
        self._customers, self._buyers = customers, buyers
        self._names: Mapping[str, NDArray[Any]] = customers.blocks()
        self.copies: dict[str, NDArray[Any]] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        kept = self.copies.get(name)
        if kept is None:
            if name not in self._names:
                raise KeyError(name)
            kept = self.copies[name] = self._names[name].take(self._buyers, axis=1)
        return kept

    def __setitem__(self, name: str, matrix: NDArray[Any]) -> None:
        """A block that came meanwhile."""
        self._names = self._customers.blocks()
        self.copies[name] = matrix.take(self._buyers, axis=1)

    def __delitem__(self, name: str) -> None:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
