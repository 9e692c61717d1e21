"""Where does all stand that a page reads, at one moment of the data?

Made when the page is first asked for after a change of data, definitions or moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine import days
from segengine.kernels.memory import address_of, write_places
from segengine.pages import visit_loops as at
from segengine.pages.certificate import Crossing, met_by_columns, reads_of, standing
from segengine.pages.seen import IMPRESSIONS, Watching, watching
from segengine.rules.match import Bound
from segengine.rules.segment import View
from segengine.tables.column import Column
from segengine.tables.customers import NOBODY

if TYPE_CHECKING:
    from segengine.pages.ready import CheckedPage

_MOST_MOMENTS = 1_024


class Visitor(NamedTuple):
    """Who asks, as `visit_loops.visit_page` takes it."""

    number: int
    text: NDArray[np.uint8]
    size: int


# Written to by nobody, as is the text of an id; but all are of one type, so that one loop serves.
_NO_TEXT = np.zeros(1, np.uint8)
_NO_ID = Visitor(0, _NO_TEXT, -1)


def visitor_of(customer_id: int | str | None) -> Visitor:
    """A visitor by their id, whatever it is; None for one without."""
    if type(customer_id) is int and -(2**63) <= customer_id < 2**63:
        return Visitor(customer_id, _NO_TEXT, at.DIGITS)
    if customer_id is None:
        return _NO_ID
    said = str(customer_id).encode(errors="surrogatepass")
    return Visitor(0, np.frombuffer(bytearray(said + b"\0"), np.uint8), len(said))


@dataclass(frozen=True, slots=True, eq=False)
class BoundPage:
    """A page at one view, see `visit_loops`.

    rules: those of the page, None for a page without  active: see `Active`
    kept: what else the table has addresses of
    crossings: times that now() meets and that no column holds
    finds: whether the loop finds a buyer whose id is a number
    size: bytes of what comes out  rules_at: where in it the rules are
    unpack: the row, the instant, then the bytes of what is chosen
    moments: instants as they are told
    """

    view: View
    rules: Bound | None
    table: NDArray[np.int64]
    active: NDArray[np.uint8]
    kept: tuple[Any, ...]
    crossings: tuple[Crossing, ...]
    as_of: datetime
    finds: bool
    size: int
    rules_at: int
    unpack: Struct
    moments: dict[int, datetime | None]

    def moment(self, until: int) -> datetime | None:
        """An instant as it is told; None for one that no calendar has."""
        try:
            return self.moments[until]
        except KeyError:
            pass
        found = days.moment(until) if until <= days.LAST_INSTANT else None
        if len(self.moments) >= _MOST_MOMENTS:
            self.moments.clear()
        self.moments[until] = found
        return found


def bound_page(checked: CheckedPage, view: View) -> BoundPage:
    """The page at a view, with what a visit looks at."""
    kept, clock, population = checked.kept, view.clock, view.population
    if kept.reads is None:
        terms = [rule.term for rule in checked.rules]
        kept.reads = reads_of(terms, population.customers.traits, capped=bool(checked.watches))
    reads, stands = kept.reads, standing(kept.reads, view)
    columns, crossings = met_by_columns(reads.crossings, population)
    active = checked.active_at(clock.as_of, clock.zone)
    rules = checked.matcher.bound(view) if checked.rules else None
    table = np.zeros(at.WIDTH, np.int64)
    table[at.RULE_COUNT], table[at.HAS_RULE] = len(checked.rules), checked.rule is not None
    table[at.NAMES], table[at.IN_ORDER] = checked.names, not checked.fades
    table[at.FILLS] = not checked.pools.are_any
    table[at.AS_OF], table[at.UNTIL] = clock.as_of, min(active.until, stands.until)
    table[at.SEEN], table[at.NOBODY] = len(checked.watches), NOBODY
    met, times = _met(columns)
    ahead, events = _ahead(view, stands.ahead)
    places: dict[int, NDArray[Any]] = {
        at.MODULES: checked.table, at.SLOTS: checked.ends, at.ACTIVE: active.bits,
        at.BARREN: checked.fertile, at.MET: met, at.AHEAD: ahead,
    }  # fmt: skip
    if rules is not None:
        places[at.RULES] = rules.table
    if checked.watches:
        kept.watching = watching(checked.watches, view, kept.watching)
        table[at.SHOWN], table[at.CLICKED] = kept.watching.shown, kept.watching.clicked
        places |= _impressions(view, kept.watching)
    lookup = population.customers.lookup()
    if lookup is not None:
        places[at.KEYS], places[at.PLACES] = lookup
    write_places(table, places)
    chosen = 2 * len(checked.slots)
    rules_at = at.HEAD_BYTES + 4 * chosen + 8 * len(checked.watches)
    return BoundPage(
        view, rules, table, active.bits, (places, times, events), crossings,
        days.moment(clock.as_of), lookup is not None, rules_at + len(checked.rules) + 1,
        rules_at, Struct(f"=qq{4 * chosen}s"), {},
    )  # fmt: skip


def _impressions(view: View, watched: Watching) -> dict[int, NDArray[Any]]:
    """What is read of impressions; nothing where there are none."""
    events = view.population.events_of(IMPRESSIONS)
    if not events.rows:
        return {}
    heads, previous, times = events.chains()
    columns = events.table.columns
    return {
        at.WATCHES: watched.table, at.HEADS: heads, at.PREVIOUS: previous, at.TIMES: times,
        at.MODULE_CODES: columns["module"].values, at.KIND_CODES: columns["kind"].values,
    }  # fmt: skip


def _ahead(view: View, names: Sequence[str]) -> tuple[NDArray[np.int64], list[Any]]:
    """The event tables with rows that lie ahead, and what has to stay."""
    found, kept = np.zeros((len(names), at.AHEAD_WIDTH), np.int64), []
    for row, name in zip(found, names, strict=True):
        heads, previous, times = view.population.events_of(name).chains()
        write_places(row, {
            at.LATER_HEADS: heads, at.LATER_PREVIOUS: previous, at.LATER_TIMES: times,
        })  # fmt: skip
        kept += [heads, previous, times]
    return found, kept


def _met(columns: Sequence[tuple[Column, int]]) -> tuple[NDArray[np.int64], list[Any]]:
    """The columns of times that now() meets, each with its span, and what has to stay."""
    found, kept = np.zeros((len(columns), at.MET_WIDTH), np.int64), []
    for row, (column, span) in zip(found, columns, strict=True):
        values, stride = column.standing()
        row[:] = address_of(values), stride, column.missing, span
        kept.append(values)
    return found, kept
