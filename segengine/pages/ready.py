"""What of a page is worked out before any visitor comes?

Its rules are one matcher, each distinct rule once; its modules a table of whole numbers, slot by
slot, that one loop walks (`fill_loops.py`). It is made anew when a definition changes, never for
what is appended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segengine import days
from segengine.audiences.bucketing import fnv1a, share_limit, variant_table
from segengine.pages import fill_loops as at
from segengine.pages.active import Active, Windows, active_at, windows
from segengine.pages.answer import Placement, Reason, Rejected
from segengine.pages.bound_page import BoundPage, Visitor, bound_page
from segengine.pages.certificate import Reads
from segengine.pages.page import Module, Page
from segengine.pages.pool_candidates import ReadyPool
from segengine.pages.pool_rank import products_for
from segengine.pages.pool_visit import POOL_TRAITS, Visit
from segengine.pages.pools_of_page import PoolsOfPage
from segengine.pages.seen import Watch, Watching
from segengine.pages.visit_loops import fill_page
from segengine.rules.match import Matcher
from segengine.rules.segment import View
from segengine.rules.term import CheckedRule, Term

_REASONS = (
    Reason.MATCHED, Reason.FALLBACK, Reason.NOT_ELIGIBLE, Reason.OUTRANKED, Reason.CAPPED,
    Reason.HELD_OUT, Reason.INACTIVE, Reason.ALREADY_SHOWN,
)  # fmt: skip
"""By the numbers of `fill_loops`."""
_NO_ID = b"-"
_MOST_PLACED = 4_096


@dataclass(frozen=True, slots=True)
class CheckedModule:
    """A module with its rule checked and its windows as instants, ready to be asked."""

    module: Module
    rule: CheckedRule | None
    starts: int
    ends: int
    arms: NDArray[np.int16] | None
    held_out_below: int
    pool: ReadyPool | None = None

    @property
    def rank(self) -> tuple[int, int, str]:
        """Lower comes first."""
        return (-self.module.priority, *self.tie)

    @property
    def tie(self) -> tuple[int, str]:
        """The order among those of one priority; lower comes first."""
        return (0 if self.rule is None else -self.rule.leaves, self.module.name)


@dataclass(slots=True)
class Kept:
    """What follows from the data and the moment alone, kept between decisions.

    Each is replaced as a whole, so that two requests at once at worst both make it.
    """

    active: Active | None = None
    watching: Watching | None = None
    reads: Reads | None = None
    bound: BoundPage | None = None
    placed: dict[bytes, tuple[Placement, ...]] = field(default_factory=dict)
    """Placements by what was chosen: most visitors see what others see."""


@dataclass(frozen=True, slots=True, eq=False)
class CheckedPage:
    """A page whose rules are checked; each slot's candidates stand in their order.

    modules: all candidates, slot by slot, fallbacks last  table: see `fill_loops`
    ends: int32[slots + 1], where each slot's modules begin  names: how many different ones
    rules: distinct rules, the page's own first if it has one  matcher: of these rules
    watches: the modules of caps and decays, by the numbers in the table
    shown: for each module its placement, by variant
    shown_to_all: for each module the placement that all get who see it, None where they differ;
    a last None serves a slot that stays empty
    fertile: uint8[modules] of 0, no pool of theirs is empty
    pools: those of the modules
    """

    page: Page
    rule: CheckedRule | None
    slots: tuple[tuple[str, tuple[CheckedModule, ...]], ...]
    traits: tuple[str, ...]
    modules: tuple[CheckedModule, ...]
    ends: NDArray[np.int32]
    table: NDArray[np.int64]
    names: int
    rules: tuple[CheckedRule, ...]
    matcher: Matcher[Term]
    windows: Windows
    watches: tuple[Watch, ...]
    fades: bool
    shown: tuple[tuple[Placement, ...], ...]
    shown_to_all: tuple[Placement | None, ...]
    fertile: NDArray[np.uint8]
    pools: PoolsOfPage
    kept: Kept = field(default_factory=Kept)

    def active_at(self, as_of: int, zone: days.Zone) -> Active:
        """Which modules are within their windows at a moment; the same until the next border."""
        found = self.kept.active
        if found is None or not found.since <= as_of < found.until:
            found = self.kept.active = active_at(self.windows, as_of, zone)
        return found

    def bound(self, view: View) -> BoundPage:
        """The page ready to be asked for at a view."""
        bound = self.kept.bound
        if bound is None or bound.view is not view:
            bound = self.kept.bound = bound_page(self, view)
        return bound

    def placements(self, chosen: bytes, has_id: bool, visit: Visit | None) -> tuple[Placement, ...]:
        """What each slot shows; the same object as before where no pool ranks products.

        chosen: int32[slots, 2], as `fill_loops.fill_slots` writes it
        """
        kept, key = self.kept.placed, chosen if has_id else _NO_ID + chosen
        if visit is None:
            found = kept.get(key)
            if found is not None:
                return found
        filled = np.frombuffer(chosen, np.int32).tolist()
        made = tuple([
            self.shown_to_all[place] or self._placement(slot, place, bucket, has_id, visit)
            for slot, (place, bucket) in enumerate(zip(filled[::2], filled[1::2], strict=True))
        ])  # fmt: skip
        if visit is None:
            if len(kept) >= _MOST_PLACED:
                kept.clear()
            kept[key] = made
        return made

    def _placement(
        self, slot: int, place: int, bucket: int, has_id: bool, visit: Visit | None
    ) -> Placement:
        """The placement of a winner; a visitor without an id gets the first variant."""
        if place < 0:
            return Placement(self.slots[slot][0], None, None, Reason.EMPTY)
        winner, shown = self.modules[place], self.shown[place]
        arm = winner.arms[bucket] if winner.arms is not None and has_id else 0
        if winner.pool is not None and visit is not None:
            given = shown[arm]
            return Placement(
                given.slot, given.module, given.variant, given.reason,
                products_for(winner.pool, visit), given.payload,
            )  # fmt: skip
        return shown[arm]

    def losers(
        self,
        table: NDArray[np.int64],
        active: NDArray[np.uint8],
        visitor: Visitor,
        barren: NDArray[np.uint8],
        out: NDArray[np.uint8],
    ) -> Rejected:
        """Every module that does not show and why, slot by slot, in the order of each slot.

        All as `visit_loops.fill_page` takes it. table: that of the moment, of which it reads what
        this page keeps and `active`: an answer keeps no data of the store. out: what came of the
        visit.
        """
        del active
        found = []
        count = len(self.modules)
        ranks, outcome = np.empty(count, np.int64), np.empty(count, np.uint8)
        fill_page(table, *visitor, barren, False, ranks, outcome, out.copy())
        ends = self.ends.tolist()
        for (slot, _), begin, end in zip(self.slots, ends[:-1], ends[1:], strict=True):
            places = range(begin, end)
            if self.fades:
                table = self.table
                places = sorted(places, key=lambda place: (
                    int(table[place, at.FALLBACK]), -int(ranks[place]), int(table[place, at.TIE])
                ))  # type: ignore[assignment]  # fmt: skip
            for place in places:
                if outcome[place] > at.FALLEN_BACK:
                    name = self.modules[place].module.name
                    found.append((slot, name, _REASONS[outcome[place]]))
        return tuple(found)


def ready_module(
    module: Module,
    rule: CheckedRule | None,
    zone: days.Zone,
    pool: ReadyPool | None = None,
) -> CheckedModule:
    """The module with everything worked out that no visitor changes."""
    starts, ends = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    if module.starts_at is not None:
        starts = days.micros(module.starts_at, zone)
    if module.ends_at is not None:
        ends = days.micros(module.ends_at, zone)
    arms = variant_table([v.weight for v in module.variants]) if module.variants else None
    below = share_limit(module.holdout) if module.holdout > 0 else 0
    return CheckedModule(module, rule, starts, ends, arms, below, pool)


def ready_page(
    page: Page,
    rule: CheckedRule | None,
    slots: Sequence[tuple[str, Sequence[CheckedModule]]],
    previous: CheckedPage | None = None,
) -> CheckedPage:
    """The page with everything worked out that no visitor changes.

    slots: the candidates of each. previous: the page as it was before, whose compiled rules are
    taken over where they are equal.
    """
    ordered = tuple(
        (name, tuple(sorted(candidates, key=lambda c: c.rank))) for name, candidates in slots
    )
    modules: list[CheckedModule] = []
    ends = [0]
    for _, candidates in ordered:
        modules += _in_order(candidates)
        ends.append(len(modules))
    rules: dict[Term, tuple[int, CheckedRule]] = {}
    for each in (rule, *(m.rule for m in modules)):
        if each is not None:
            rules.setdefault(each.term, (len(rules), each))
    distinct = tuple(each for _, each in rules.values())
    watches: dict[Watch, int] = {}
    table = _table(modules, {term: place for term, (place, _) in rules.items()}, watches)
    pools = PoolsOfPage([m.pool for m in modules])
    shown = tuple(_placements(name, m) for name, of in ordered for m in _in_order(of))
    alike = [None if m.arms is not None or m.pool is not None else of[0]
             for m, of in zip(modules, shown, strict=True)]  # fmt: skip
    return CheckedPage(
        page, rule, ordered, _traits(distinct, pools), tuple(modules),
        np.array(ends, np.int32), table, len({m.module.name for m in modules}), distinct,
        _matcher(distinct, previous),
        windows([(m.starts, m.ends, m.module.hours) for m in modules]),
        tuple(watches), any(m.module.decay is not None for m in modules),
        shown, (*alike, None),
        np.zeros(len(modules), np.uint8), pools,
    )  # fmt: skip


def _in_order(candidates: Sequence[CheckedModule]) -> list[CheckedModule]:
    """Candidates of a slot with the fallbacks last."""
    return sorted(candidates, key=lambda candidate: candidate.module.fallback)


def _placements(slot: str, checked: CheckedModule) -> tuple[Placement, ...]:
    """What a slot shows where a module wins, for each of its variants."""
    module = checked.module
    reason = Reason.FALLBACK if module.fallback else Reason.MATCHED
    if not module.variants:
        return (Placement(slot, module.name, None, reason, (), module.payload),)
    return tuple(
        Placement(slot, module.name, arm.name, reason, (),
                  module.payload if arm.payload is None else arm.payload)
        for arm in module.variants
    )  # fmt: skip


def _matcher(rules: Sequence[CheckedRule], previous: CheckedPage | None) -> Matcher[Term]:
    before = None if previous is None else previous.matcher
    if previous is not None and [r.term for r in previous.rules] == [r.term for r in rules]:
        return previous.matcher
    return Matcher([(rule.term, rule) for rule in rules], before)


def _traits(rules: Sequence[CheckedRule], pools: PoolsOfPage) -> tuple[str, ...]:
    read = {trait for rule in rules for trait in rule.traits}
    return tuple(sorted(read.union(POOL_TRAITS if pools.are_any else ())))


def _table(
    modules: Sequence[CheckedModule], rules: dict[Term, int], watches: dict[Watch, int]
) -> NDArray[np.int64]:
    """The table of modules; `watches` gets what its caps and decays count."""
    table = np.zeros((len(modules), at.WIDTH), np.int64, order="F")
    names: dict[str, int] = {}
    ties = {key: place for place, key in enumerate(sorted({m.tie for m in modules}))}
    for row, checked in zip(table, modules, strict=True):
        module = checked.module
        # The place after the last rule always holds.
        row[at.RULE] = len(rules) if checked.rule is None else rules[checked.rule.term]
        row[at.NAME] = names.setdefault(module.name, len(names))
        row[at.FALLBACK] = module.fallback
        row[at.PRIORITY] = module.priority
        row[at.TIE] = ties[checked.tie]
        row[at.HELD_STATE] = fnv1a(module.salt + ":holdout")
        row[at.HELD_BELOW] = checked.held_out_below
        row[at.ARM_STATE], row[at.VARIES] = fnv1a(module.salt), checked.arms is not None
        row[at.WATCH], row[at.CAP] = -1, -1
        if module.cap is not None:
            row[at.CAP] = module.cap.limit
        if module.decay is not None:
            row[at.FADES], row[at.AFTER] = module.decay.priority, module.decay.after
        if module.cap is not None or module.decay is not None:
            cap_days = 0 if module.cap is None else module.cap.days
            decay_days = 0 if module.decay is None else module.decay.days
            watch = Watch(module.name, cap_days, decay_days)
            row[at.WATCH] = watches.setdefault(watch, len(watches))
    return table
