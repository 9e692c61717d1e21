"""What would publishing a definition change, before it is published?

A draft of everything defined gets the new definition, checked as `define` would, and both are asked
at one moment: the definition itself, and whatever names it. Nobody else sees the draft.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from segengine import days
from segengine.audiences import member_diff as diffs
from segengine.audiences.bucketing import Buckets
from segengine.audiences.campaign import Campaign
from segengine.audiences.member_diff import MemberDiff
from segengine.definitions import Definitions
from segengine.errors import DefinitionError, SegengineError
from segengine.pages.page import Page
from segengine.publish import Catalogue, Wanted
from segengine.rules.builder import Rule
from segengine.rules.catalogue import Definition, read_rule
from segengine.rules.segment import Looking
from segengine.rules.term import Term
from segengine.schema.store_config import StoreConfig
from segengine.sides import Look, find, made_of, slots_of
from segengine.versions import everything
from segengine.written import (
    CAMPAIGN,
    KINDS,
    PAGE,
    SEGMENT,
    TRAIT,
    Defined,
    definition_to_plain,
)

_SERVICE = "service"
"""Messages of this kind are not suppressed."""


Numbers = tuple[int | None, int | None]
"""The versions of both sides, where they have one."""


def asked(
    definition: object, rule: str | Rule | None, *, suppress: bool
) -> tuple[str, str, Defined]:
    """Kind, name and definition of what somebody wants to try."""
    if isinstance(definition, Campaign):
        return CAMPAIGN, definition.name, definition
    if isinstance(definition, Page):
        return PAGE, definition.name, definition
    if isinstance(definition, tuple) and rule is None and len(definition) in (2, 3):
        definition, rule, suppress = (*definition, suppress)[:3]
    if not isinstance(definition, str) or rule is None:
        raise DefinitionError(
            f"a dry run takes a campaign, a page, or a segment's name and rule, not `{definition}`",
            field="definition",
        )
    if not isinstance(suppress, bool):
        raise DefinitionError(f"`suppress` is true or false, not `{suppress}`", field="suppress")
    expr, text = read_rule(rule, f'segment "{definition}"')
    return SEGMENT, definition, Definition(definition, expr, text, suppress)


def put(definitions: Definitions, kind: str, name: str, given: Defined) -> None:
    """Define as the engine does, with all checks."""
    definitions.put(kind, name, given)
    definitions.checked(kind, name)


@dataclass(frozen=True, slots=True)
class Trying:
    """What is in force, for whoever tries something else; nothing changes.

    Whoever asks holds the writer, so that nobody defines anything meanwhile. All differences of one
    answer are seen at one data version.
    """

    catalogue: Catalogue
    looking: Looking
    buckets: Buckets

    def one(self, kind: str, name: str, given: Defined) -> MemberDiff:
        """One definition as it would be; refused as `define` would refuse it."""
        draft = self.catalogue.definitions.draft()
        put(draft, kind, name, given)
        return self._differences([(kind, name)], self.catalogue.definitions, draft)[0]

    def file(self, config: StoreConfig, *, whole: bool) -> tuple[MemberDiff, ...]:
        """Each definition that differs in another `store.toml`.

        whole=False: what it does not define stays. Refused where anything could no longer be used.
        """
        before = self.catalogue.definitions
        after = self.catalogue.with_file(config) if whole else before.draft_of(config, whole=False)
        refuse_unsound(before, after)
        return self._differences(changed(before, after), before, after)

    def together(self, wanted: Sequence[Wanted]) -> tuple[MemberDiff, ...]:
        """Several definitions, each with all the others as they would be."""
        after = self.catalogue.draft(wanted)
        keys = sorted(((w.kind, w.name) for w in wanted), key=lambda k: KINDS.index(k[0]))
        return self._differences(keys, self.catalogue.definitions, after)

    def versions(self, kind: str, name: str, before: int, after: int | None) -> MemberDiff:
        """One version of a definition against another, None: the one in force."""
        versions, sides = self.catalogue.versions, []
        for number in (before, after):
            side = self.catalogue.definitions
            if number is not None:
                side = side.draft()
                put(side, kind, name, versions.one(kind, name, number).defined())
            sides.append(side)
        numbers = before, versions.of(kind, name)[-1].version if after is None else after
        return self._differences([(kind, name)], *sides, numbers=numbers)[0]

    def _differences(
        self,
        names: Sequence[tuple[str, str]],
        before: Definitions,
        after: Definitions,
        *,
        numbers: Numbers | None = None,
    ) -> tuple[MemberDiff, ...]:
        with self.looking() as view:
            look = Look(view, self.looking, self.buckets)
            newest = (self.catalogue.versions.in_force(kind, name) for kind, name in names)
            return tuple(
                compared(
                    kind, name, before, after, look,
                    numbers or (None if version is None else version.version, None),
                )
                for (kind, name), version in zip(names, newest, strict=True)
            )  # fmt: skip


def compared(
    kind: str, name: str, before: Definitions, after: Definitions, look: Look, numbers: Numbers
) -> MemberDiff:
    """What a definition comes to in one set of definitions, and in another.

    What is in force and can no longer be used addresses nobody, and a note says so. Raises what
    asking for the other would: `RuleError`, `DefinitionError`, `ConfigError`.
    """
    old, new = find(before, kind, name), find(after, kind, name)
    made = made_of(kind, name, before, after, look)
    writings = [None if each is None else definition_to_plain(kind, each) for each in (old, new)]
    change = diffs.CHANGED
    if old is None or new is None:
        change = diffs.REMOVED if new is None else diffs.NEW
    elif writings[0] == writings[1]:
        change = diffs.SAME
    both, population = made.both, look.view.population
    affected = both.entered | both.left | both.differs
    return MemberDiff(
        kind, name, change, *numbers,
        diffs.size(both.entered), diffs.size(both.left), diffs.size(both.stayed),
        diffs.size(affected),
        diffs.sample(both.entered, population), diffs.sample(both.left, population),
        diffs.settings_changed(*writings, leave_out="slots"),
        made.ledgers, diffs.variants_moved(both) if kind == CAMPAIGN else None, made.modules,
        _downstream(kind, name, before, after, look),
        tuple(made.notes), days.moment(look.view.clock.as_of), look.view.data_version,
        both, look.looking,
    )  # fmt: skip


def changed(before: Definitions, after: Definitions) -> list[tuple[str, str]]:
    """Kind and name of everything that is written otherwise, is new or is gone."""
    sides = [
        {(k, n): definition_to_plain(k, given) for k, n, given in everything(side)}
        for side in (before, after)
    ]
    names = dict.fromkeys([*sides[0], *sides[1]])
    found = [key for key in names if sides[0].get(key) != sides[1].get(key)]
    return sorted(found, key=lambda key: KINDS.index(key[0]))


def refuse_unsound(before: Definitions, after: Definitions) -> None:
    """A `DefinitionError` with everything that cannot be used after, and could before."""
    known = {(each.place, each.message) for each in before.findings()}
    wrong = [each for each in after.findings() if (each.place, each.message) not in known]
    if wrong:
        raise DefinitionError("\n".join(f"{each.place}: {each.message}" for each in wrong),
                              field=wrong[0].place)  # fmt: skip


def _downstream(
    kind: str, name: str, before: Definitions, after: Definitions, look: Look
) -> pa.Table:
    """What names a segment or trait, directly or through others, and what it comes to."""
    rows: list[dict[str, Any]] = []
    if kind in (SEGMENT, TRAIT):
        suppresses = kind == SEGMENT and any(
            isinstance(each, Definition) and each.suppress
            for each in (find(side, SEGMENT, name) for side in (before, after))
        )
        for of, other, given in everything(before):
            if (of, other) == (kind, name) or find(after, of, other) is None:
                continue
            is_bound = suppresses and isinstance(given, Campaign) and given.kind != _SERVICE
            if is_bound or any((kind, name) in _named(side, of, other) for side in (before, after)):
                rows.append({"kind": of, "name": other, **_outcome(of, other, before, after, look)})
    return diffs.table_of_rows(rows, diffs.DOWNSTREAM)


def _outcome(
    kind: str, name: str, before: Definitions, after: Definitions, look: Look
) -> dict[str, Any]:
    """The counts of a definition on both sides, or why it can no longer be used."""
    try:
        both = made_of(kind, name, before, after, look).both
    except SegengineError as error:
        return {"error": str(error)}
    return {
        "before": diffs.size(both.before.words),
        "after": diffs.size(both.after.words),
        "entered": diffs.size(both.entered),
        "left": diffs.size(both.left),
        "affected": diffs.size(both.entered | both.left | both.differs),
    }


def _named(definitions: Definitions, kind: str, name: str) -> set[tuple[str, str]]:
    """The segments and traits that a definition names, directly or through others."""
    try:
        terms = list(_terms(definitions, kind, name))
    except SegengineError:
        return set()
    kinds = {"segment": SEGMENT, "declared": TRAIT}
    return {(kinds[t.op], t.value) for term in terms for t in term.walk() if t.op in kinds}


def _terms(definitions: Definitions, kind: str, name: str) -> Iterator[Term]:
    """Every condition and expression that decides whom a definition is about."""
    if kind == SEGMENT:
        yield definitions.segments.rule_of(name).term
    elif kind == TRAIT:
        yield definitions.segments.trait_of(name)
    elif kind == CAMPAIGN:
        checked = definitions.campaign(name)
        yield from (rule.term for rule in (checked.rule, *checked.exclusions))
        if checked.order_by is not None:
            yield checked.order_by
    else:
        page = definitions.page(name)
        if page.rule is not None:
            yield page.rule.term
        for slot in slots_of(definitions, name).values():
            yield from (each.term for each in slot.values() if each.term is not None)
