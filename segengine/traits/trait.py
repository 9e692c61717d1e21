"""What is a trait, and what is a family of them?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from segengine.schema.kinds import Kind
from segengine.traits.work import TraitSettings, Work

NO_PURCHASE = "no purchase"


@dataclass(frozen=True, slots=True)
class Trait:
    """A computed trait, and where the loop of its family writes it.

    Traits of one `block` are the rows of one matrix, in the order of the catalogue; they are of
    one array type. `narrow`: whole numbers in 32 bits. A text trait has either its `words` by
    code, or the texts of another `column` (table, name). A list has no block: it holds values of
    the column `items` (table, name).
    """

    name: str
    family: str
    kind: Kind
    block: str
    definition: str
    unit: str = ""
    missing: str = "never"
    source: str = "purchases"
    narrow: bool = False
    words: tuple[str, ...] = ()
    column: tuple[str, str] | None = None
    items: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Family:
    """Traits that are derived together.

    facts: events -> the blocks of the buyers of a work. fit: what the facts of all buyers come
    to, such as cut points; frozen, with `shown` for operators. place: facts against that fit ->
    blocks. A load and a new date run all three, an append `facts` and `place`.

    reads: the tables that facts and place come from, those of other families' traits included;
    an append to another table leaves the family alone. reads_also: further ones, as settings say.
    kinds: of a table, the only kinds of events that count; an append of others leaves it alone too.
    """

    name: str
    sentence: str
    traits: tuple[Trait, ...]
    facts: Callable[[Work], None] | None = None
    fit: Callable[[Work], Any] | None = None
    place: Callable[[Work, Any], None] | None = None
    reads: tuple[str, ...] = ()
    reads_also: Callable[[TraitSettings], tuple[str, ...]] | None = None
    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def read_by(self, settings: TraitSettings) -> tuple[str, ...]:
        """Every table that the family reads."""
        also = () if self.reads_also is None else self.reads_also(settings)
        return (*self.reads, *also)

    def has_news(self, work: Work) -> bool:
        """Whether something may be another since the traits were made."""
        return any(
            work.has_news_of_kinds(table, self.kinds[table])
            if table in self.kinds
            else work.has_news_of(table)
            for table in self.read_by(work.settings)
        )
