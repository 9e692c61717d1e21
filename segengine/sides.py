"""What does one definition come to, in two sets of definitions at one moment?

Of a segment its buyers, of a trait who has which value, of a campaign who is targeted, of a page
for whom its own rule and those of its changed modules hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from segengine.audiences import member_diff as diffs
from segengine.audiences.asking import Asking
from segengine.audiences.audience import Audience, audience
from segengine.audiences.bucketing import Buckets
from segengine.audiences.member_diff import Members, Moved
from segengine.definitions import Definitions
from segengine.errors import SegengineError
from segengine.pages.page import Module
from segengine.rules.frame import Words
from segengine.rules.segment import Looking, View, rows_of
from segengine.rules.term import CheckedRule, Term
from segengine.written import CAMPAIGN, PAGE, SEGMENT, TRAIT, Defined, definition_to_plain


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the store: nothing changes while it lasts.

    looking: opens the store again, for those who ask for more afterwards.
    """

    view: View
    looking: Looking
    buckets: Buckets
    asked: dict[Definitions, Asking] = field(default_factory=dict)

    def audience_of(self, definitions: Definitions, name: str) -> Audience:
        """The audience of a campaign, as these definitions have it."""
        asking = self.asked.get(definitions)
        if asking is None:
            asking = Asking(self.view, definitions.policy(), self.buckets)
            self.asked[definitions] = asking
        return audience(definitions.campaign(name), asking, self.looking)

    def nobody(self) -> Words:
        """The empty bitmap."""
        return np.zeros(self.view.population.customers.words, np.uint64)

    def everybody(self) -> Words:
        """The bitmap of all buyers."""
        customers = self.view.population.customers
        return customers.live[: customers.words].copy()


def find(definitions: Definitions, kind: str, name: str) -> Defined | None:
    """A definition by its name; None where there is none."""
    every: dict[str, Mapping[str, Any]] = {
        SEGMENT: definitions.segments.definitions,
        TRAIT: definitions.segments.traits,
        CAMPAIGN: definitions.campaigns,
        PAGE: definitions.pages,
    }
    found: Defined | None = every[kind].get(name)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """What one kind of definition comes to on both sides."""

    both: Moved
    notes: list[str]
    ledgers: pa.Table | None = None
    modules: pa.Table | None = None


def _of_segment(name: str, before: Definitions, after: Definitions, look: Look) -> Made:
    notes: list[str] = []
    old, new = (
        Members(words)
        for words in _sides(
            SEGMENT, name, before, after, look, notes,
            lambda side: look.view.words(side.segments.rule_of(name)),
        )
    )  # fmt: skip
    return Made(diffs.moved(old, new), notes)


def _sides(
    kind: str, name: str, before: Definitions, after: Definitions, look: Look, notes: list[str],
    words_of: Callable[[Definitions], Words],
) -> tuple[Words, Words]:  # fmt: skip
    """The buyers of both sides; nobody where there is no definition."""
    old = new = look.nobody()
    if find(before, kind, name) is not None:
        try:
            old = words_of(before)
        except SegengineError as error:
            notes.append(_unusable(error))
    if find(after, kind, name) is not None:
        new = words_of(after)
    return old, new


def _unusable(error: SegengineError) -> str:
    return f"the version in force cannot be used, so that nobody is in it: {error}"


def _of_trait(name: str, before: Definitions, after: Definitions, look: Look) -> Made:
    notes: list[str] = []
    rows = rows_of(look.everybody())
    values: dict[Definitions, pa.Array] = {}

    def known(side: Definitions) -> Words:
        side.segments.trait_of(name)
        seen = replace(look.view, declared=side.segments.declared())
        values[side] = seen.values(name, rows)
        return _rows_where(values[side].is_valid(), rows, look)

    old, new = _sides(TRAIT, name, before, after, look, notes, known)
    differs = look.nobody()
    if len(values) == 2:
        differs = _rows_where(_unequal(values[before], values[after]), rows, look)
    return Made(diffs.moved(Members(old), Members(new), differs), notes)


def _unequal(old: pa.Array, new: pa.Array) -> pa.Array:
    """Where both are known and not the same; of two kinds everything is another."""
    if old.type != new.type:
        return pa.compute.and_(old.is_valid(), new.is_valid())
    return pa.compute.not_equal(old, new).fill_null(False)


def _rows_where(mask: pa.Array, rows: Any, look: Look) -> Words:
    chosen = rows[np.asarray(mask.to_numpy(zero_copy_only=False))]
    return diffs.bitmap_of(chosen, look.view.population.customers.words)


def _of_campaign(name: str, before: Definitions, after: Definitions, look: Look) -> Made:
    notes: list[str] = []
    audiences: dict[Definitions, Audience] = {}

    def targeted(side: Definitions) -> Words:
        audiences[side] = look.audience_of(side, name)
        return audiences[side].words

    words = _sides(CAMPAIGN, name, before, after, look, notes, targeted)
    asked = [audiences.get(side) for side in (before, after)]
    old, new = (
        Members(found)
        if each is None or not each.variants
        else Members(found, dict(zip(each.variants, each.arm_bitmaps(), strict=True)))
        for found, each in zip(words, asked, strict=True)
    )
    then = asked[1]
    if then is not None and not then.active:
        notes.append("it would be outside its window now: nothing would be sent")
    ledgers = [None if each is None else each.ledger for each in asked]
    shown = None if ledgers == [None, None] else diffs.side_by_side(ledgers[0], ledgers[1])
    campaigns = [side.campaigns.get(name) for side in (before, after)]
    if None not in campaigns and len({each.aim for each in campaigns if each is not None}) > 1:
        notes.append("messages it has sent already would be judged by another goal: traits of "
                     "their buyers follow")  # fmt: skip
    return Made(diffs.moved(old, new), notes, shown)


def _of_page(name: str, before: Definitions, after: Definitions, look: Look) -> Made:
    notes: list[str] = []
    if name in after.pages:
        after.page(name)

    def own(side: Definitions) -> Words:
        page = side.pages[name]
        if page.rule is None:
            return look.everybody()
        rule = side.rule(page.rule, f'page "{name}"', context=True)
        if rule.term.reads_context:
            notes.append("its rule asks the request: everybody is counted")
            return look.everybody()
        return look.view.words(rule)

    old, new = _sides(PAGE, name, before, after, look, notes, own)
    rows, among, anybody = _modules(name, before, after, look)
    differs = (among & old & new) | anybody
    both = diffs.moved(Members(old), Members(new), differs)
    return Made(both, list(dict.fromkeys(notes)), None, diffs.table_of_rows(rows, diffs.MODULES))


@dataclass(frozen=True, slots=True)
class Placed:
    """A module where it stands, with its rule; rule None: for everybody."""

    module: Module
    written: Mapping[str, Any]
    rule: CheckedRule | None

    @property
    def term(self) -> Term | None:
        """What its rule means; two that are equal hold for the same buyers."""
        return None if self.rule is None else self.rule.term

    def words(self, look: Look) -> Words | None:
        """For whom the rule holds; None where it asks the request."""
        if self.rule is None:
            return look.everybody()
        return None if self.rule.term.reads_context else look.view.words(self.rule)


def _modules(
    name: str, before: Definitions, after: Definitions, look: Look
) -> tuple[list[dict[str, Any]], Words, Words]:
    """A row for each slot and module that is another, and for whom a rule's answer is another.

    First among those for whom the page's own rule holds; then of fallbacks, which are for anybody.
    """
    old, new = (slots_of(side, name) for side in (before, after))
    rows: list[dict[str, Any]] = []
    among, anybody = look.nobody(), look.nobody()
    kept = [[slot for slot in side if slot in old and slot in new] for side in (old, new)]
    moved = {a for a, b in zip(*kept, strict=True) if a != b}
    for slot in dict.fromkeys([*new, *old]):
        change = "new" if slot not in old else "removed" if slot not in new else "moved"
        if change != "moved" or slot in moved:
            rows.append({"slot": slot, "change": change, "settings": ""})
        sides = old.get(slot, {}), new.get(slot, {})
        for module in dict.fromkeys([*sides[1], *sides[0]]):
            pair = sides[0].get(module), sides[1].get(module)
            row, differs = _module(*pair, look)
            if row is None:
                continue
            rows.append({"slot": slot, "module": module, **row})
            if any(each is not None and each.module.fallback for each in pair):
                anybody |= differs
            else:
                among |= differs
    return rows, among, anybody


def slots_of(definitions: Definitions, name: str) -> dict[str, dict[str, Placed]]:
    """The modules of each slot of a page; those whose rule cannot be used are for nobody."""
    page = definitions.pages.get(name)
    if page is None:
        return {}
    written = definition_to_plain(PAGE, page)["slots"]
    found: dict[str, dict[str, Placed]] = {}
    for slot in page.slots:
        found[slot.name] = {}
        for module in slot.modules:
            rule = None
            if module.rule is not None:
                where = f'page "{name}", slot "{slot.name}", module "{module.name}"'
                try:
                    rule = definitions.rule(module.rule, where, context=True)
                except SegengineError:
                    continue
            plain = written[slot.name]["modules"][module.name]
            found[slot.name][module.name] = Placed(module, plain, rule)
    return found


def _module(
    old: Placed | None, new: Placed | None, look: Look
) -> tuple[dict[str, Any] | None, Words]:
    """What changes for one module of a slot; None where nothing does."""
    nobody = look.nobody()
    if old is not None and new is not None and old.written == new.written and old.term == new.term:
        return None, nobody
    change = "removed" if new is None else "new" if old is None else "changed"
    said = ""
    if old is not None and new is not None:
        settings = diffs.settings_changed(old.written, new.written)
        said = ", ".join(each.setting for each in settings) or "what its rule names"
    then = nobody if new is None else new.words(look)
    is_same = old is not None and new is not None and old.term == new.term
    was = then if is_same else nobody if old is None else old.words(look)
    row: dict[str, Any] = {"change": change, "settings": said}
    if was is None or then is None:
        return row, nobody
    entered, left = then & ~was, was & ~then
    row |= {"before": diffs.size(was), "after": diffs.size(then)}
    row |= {"entered": diffs.size(entered), "left": diffs.size(left)}
    return row, entered | left


_KINDS: dict[str, Callable[[str, Definitions, Definitions, Look], Made]] = {
    SEGMENT: _of_segment, TRAIT: _of_trait, CAMPAIGN: _of_campaign, PAGE: _of_page,
}  # fmt: skip


def made_of(kind: str, name: str, before: Definitions, after: Definitions, look: Look) -> Made:
    """What a definition comes to on both sides; raises what asking the later one would."""
    return _KINDS[kind](name, before, after, look)
