"""What is a page: slots in order, and for each the modules that may fill it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from typing import Any

from segengine.audiences.campaign import (
    RuleLike,
    Variant,
    name_mistakes,
    read_hours,
    read_variants,
    refuse,
    share_mistakes,
    text_mistakes,
    window_mistakes,
)
from segengine.errors import DefinitionError, did_you_mean
from segengine.pages.limits import Decay, read_cap, read_decay
from segengine.pages.pool import Pool, read_pool
from segengine.rules.builder import Rule
from segengine.schema.cap_settings import Cap

MOST_PRIORITY = 10**15


@dataclass(frozen=True, slots=True, init=False)
class Module:
    """What may fill a slot.

    rule: for whom; may ask `context.`; None is for everybody. priority: higher first. starts_at,
    ends_at: the window [starts_at, ends_at). hours: (from, to) pairs of the store's clock.
    variants: name -> weight or (weight, payload), weights adding up to 1. holdout: the share
    that does not see it. fallback: shows when no other module wins. pool: products for the
    visitor; where none is left for them, the module does not show. cap: at most so many
    impressions of a visitor, on whatever page. decay: makes room for others where it is shown
    and not clicked. payload: handed out as is.
    """

    name: str
    rule: RuleLike | None
    priority: int
    starts_at: datetime | None
    ends_at: datetime | None
    hours: tuple[tuple[time, time], ...]
    variants: tuple[Variant, ...]
    salt: str
    holdout: float
    fallback: bool
    pool: Pool | None
    cap: Cap | None
    decay: Decay | None
    payload: Any

    def __init__(
        self,
        name: str,
        *,
        rule: RuleLike | None = None,
        priority: int = 0,
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
        hours: Sequence[tuple[Any, Any]] | None = None,
        variants: Mapping[str, Any] | None = None,
        salt: str | None = None,
        holdout: float = 0.0,
        fallback: bool = False,
        pool: Pool | Mapping[str, Any] | None = None,
        cap: Cap | Mapping[str, Any] | None = None,
        decay: Decay | Mapping[str, Any] | None = None,
        payload: Any = None,
    ) -> None:
        place = f"module `{name}`"
        mistakes = [
            *name_mistakes(name),
            *window_mistakes(starts_at, ends_at),
            *share_mistakes("holdout", holdout),
            *text_mistakes(salt=salt),
        ]
        if rule is not None and not isinstance(rule, str | Rule):
            mistakes.append(f"`rule` is a rule's text or an expression, not `{rule}`")
        if not isinstance(priority, int) or isinstance(priority, bool):
            mistakes.append(f"`priority` is a whole number, not `{priority}`")
        elif abs(priority) > MOST_PRIORITY:
            mistakes.append(f"`priority` is within {MOST_PRIORITY:,} of 0, not `{priority}`")
        if not isinstance(fallback, bool):
            mistakes.append(f"`fallback` is true or false, not `{fallback}`")
        found, wrong = read_variants(variants)
        day_parts, also_wrong = read_hours(hours)
        limit, bad_cap = read_cap(cap)
        fading, bad_decay = read_decay(decay)
        products, bad_pool = read_pool(pool)
        wrong += [*also_wrong, *bad_cap, *bad_decay, *bad_pool]
        wrong += _unsayable("`payload`", payload)
        for each in found:
            wrong += _unsayable(f"the payload of variant `{each.name}`", each.payload)
        refuse(place, [*mistakes, *wrong], "module")
        # What the caller does to its own afterwards is no change of the module.
        found = tuple(replace(each, payload=deepcopy(each.payload)) for each in found)
        payload = deepcopy(payload)
        values = {
            "name": name, "rule": rule, "priority": priority, "starts_at": starts_at,
            "ends_at": ends_at, "hours": day_parts, "variants": found,
            "salt": name if salt is None else salt, "holdout": float(holdout),
            "fallback": fallback, "pool": products, "cap": limit, "decay": fading,
            "payload": payload,
        }  # fmt: skip
        for key, each in values.items():
            object.__setattr__(self, key, each)


@dataclass(frozen=True, slots=True, init=False)
class Slot:
    """A place on a page and the modules that may fill it; without modules it stays empty."""

    name: str
    modules: tuple[Module, ...]

    def __init__(self, name: str, modules: Sequence[Module]) -> None:
        mistakes = list(name_mistakes(name))
        if isinstance(modules, str) or not isinstance(modules, Iterable):
            mistakes.append(f"`modules` is a list of modules, not `{modules}`")
            modules = ()
        modules = tuple(modules)
        mistakes += [f"`{_cut(m)}` is no module" for m in modules if not isinstance(m, Module)]
        names = [m.name for m in modules if isinstance(m, Module)]
        mistakes += [f"module `{n}` stands twice" for n in _repeated(names)]
        refuse(f"slot `{name}`", mistakes, "slot")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "modules", modules)


@dataclass(frozen=True, slots=True, init=False)
class Page:
    """A store page: slots in the order they are filled.

    rule: whom the page's modules are for; for anybody else only fallbacks show.
    """

    name: str
    slots: tuple[Slot, ...]
    rule: RuleLike | None

    def __init__(self, name: str, slots: Sequence[Slot], *, rule: RuleLike | None = None) -> None:
        mistakes = list(name_mistakes(name))
        if isinstance(slots, str) or not isinstance(slots, Iterable):
            mistakes.append(f"`slots` is a list of slots, not `{slots}`")
            slots = ()
        slots = tuple(slots)
        mistakes += [f"`{_cut(s)}` is no slot" for s in slots if not isinstance(s, Slot)]
        names = [s.name for s in slots if isinstance(s, Slot)]
        mistakes += [f"slot `{n}` stands twice" for n in _repeated(names)]
        if rule is not None and not isinstance(rule, str | Rule):
            mistakes.append(f"`rule` is a rule's text or an expression, not `{rule}`")
        refuse(f"page `{name}`", mistakes, "page")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "slots", slots)
        object.__setattr__(self, "rule", rule)


def _unsayable(what: str, payload: object) -> list[str]:
    """Why JSON cannot say a payload; dates and times become texts."""
    try:
        json.dumps(payload, allow_nan=False, default=_dated)
    except TypeError as error:
        return [f"{what} must be what JSON can say: {error}"]
    except (ValueError, RecursionError):
        return [f"{what} must be what JSON can say: no NaN, no infinity, nothing within itself"]
    return []


def _dated(value: object) -> str:
    if isinstance(value, date | time):
        return value.isoformat()
    raise TypeError(f"it holds `{_cut(value)}`")


def _cut(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({n for n in names if names.count(n) > 1})


_MODULE_KEYS = (
    "rule", "priority", "starts_at", "ends_at", "hours", "variants", "salt", "holdout",
    "fallback", "pool", "cap", "decay", "payload",
)  # fmt: skip


def page_of(name: str, section: Mapping[str, Any]) -> Page:
    """The page that a `[pages.NAME]` section says; a mistake says in which section it stands."""
    place = f"pages.{name}"
    read = _Reading()
    read.known(section, ("slots", "rule"), place)
    slots = []
    for slot_name, slot in read.section(section.get("slots", {}), f"{place}.slots").items():
        where = f"{place}.slots.{slot_name}"
        inside = read.section(slot, where)
        read.known(inside, ("modules",), where)
        listed = read.section(inside.get("modules", {}), f"{where}.modules")
        made = [read.module(n, each, f"{where}.modules.{n}") for n, each in listed.items()]
        with read.of(where):
            slots.append(Slot(slot_name, [each for each in made if each is not None]))
    with read.of(place):
        page = Page(name, slots, rule=section.get("rule"))
    read.refuse()
    return page


class _Reading:
    """What is wrong with a page's sections, by the place of each: all of it is told at once."""

    def __init__(self) -> None:
        self._wrong: dict[str, list[str]] = {}

    def refuse(self) -> None:
        """Raise `DefinitionError` with every mistake, if there is one."""
        said = [
            f"`{place}` cannot be:\n" + "\n".join(f"  {mistake}" for mistake in mistakes)
            for place, mistakes in self._wrong.items()
        ]
        if said:
            raise DefinitionError("\n".join(said), field=next(iter(self._wrong)))

    @contextmanager
    def of(self, place: str) -> Iterator[None]:
        """What is refused inside is a mistake of this section."""
        try:
            yield
        except DefinitionError as error:
            _, *lines = str(error).splitlines()
            self._wrong.setdefault(place, []).extend(line.strip() for line in lines)

    def section(self, value: object, place: str) -> Mapping[str, Any]:
        """The section at a place, an empty one where there is none."""
        if isinstance(value, Mapping):
            return value
        self._wrong.setdefault(place, []).append(f"must be a section, not `{_cut(value)}`")
        return {}

    def known(self, section: Mapping[str, Any], known: tuple[str, ...], place: str) -> None:
        """Every key of a section is one of these."""
        for key in section:
            if key not in known:
                hint = did_you_mean(key, known) or f"known here: {', '.join(known)}"
                said = f"`{key}` is not a setting; {hint}"
                self._wrong.setdefault(place, []).append(said)

    def module(self, name: str, value: object, place: str) -> Module | None:
        """The module that a section says; None where it cannot be."""
        given = self.section(value, place)
        self.known(given, _MODULE_KEYS, place)
        with self.of(place):
            return Module(name, **{key: given[key] for key in given if key in _MODULE_KEYS})
        return None
