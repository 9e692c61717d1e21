"""How is a definition written down, and what does such a writing mean?

As `store.toml` has it: a campaign is its `[campaigns.NAME]` section, a page its `[pages.NAME]`, a
segment `{rule, suppress}`, a declared trait `{expression}`. Settings that are as they would be
anyway are left out, so that equal definitions are written alike. Moments are ISO 8601, those with a
zone in UTC; all but payloads, which are as they were given, is what JSON has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

from segengine.audiences.campaign import Campaign, RuleLike, Variant, campaign_of, refuse
from segengine.errors import DefinitionError, did_you_mean
from segengine.pages.page import Module, Page, Slot, page_of
from segengine.plain import iso
from segengine.rules import expr as e
from segengine.rules.builder import Rule
from segengine.rules.catalogue import Definition, read_rule
from segengine.rules.format import format_expr

SEGMENT, TRAIT, CAMPAIGN, PAGE = "segment", "trait", "campaign", "page"
KINDS = (SEGMENT, TRAIT, CAMPAIGN, PAGE)
Defined = Definition | Campaign | Page
Plain = dict[str, Any]

_MOMENTS = ("starts_at", "ends_at")
_ARRAYS = "arrays"
_RULES = {SEGMENT: "rule", TRAIT: "expression"}


def kind_of(kind: object) -> str:
    """`kind` itself, where it is a kind of definition."""
    if kind in KINDS:
        return str(kind)
    hint = did_you_mean(str(kind), KINDS) or f"there are {', '.join(KINDS)}"
    raise DefinitionError(f"`{kind}` is no kind of definition; {hint}", field="kind")


def definition_to_plain(kind: str, definition: Defined) -> Plain:
    """A definition as the section of `store.toml` that would define it.

    A rule that was given as an expression is its text. An Arrow array in a rule has no text: its
    fingerprint stands under `arrays`, so that other arrays are told apart, and the writing cannot
    be read back.
    """
    if isinstance(definition, Definition):
        written: Plain = {_RULES[kind]: definition.text}
        if definition.suppress:
            written["suppress"] = True
        arrays = _arrays(definition.expr)
    elif isinstance(definition, Campaign):
        written = _options(definition, Campaign(definition.name, ""))
        written["segment"] = _plain(definition.segment)
        rules = (definition.segment, *definition.exclusions, definition.value)
        arrays = _arrays_of(*rules)
    else:
        written = {"slots": {slot.name: _slot(slot) for slot in definition.slots}}
        if definition.rule is not None:
            written["rule"] = _plain(definition.rule)
        modules = [module for slot in definition.slots for module in slot.modules]
        pools = [module.pool for module in modules if module.pool is not None]
        rules_of = (each.rule for each in modules), (each.rule for each in pools)
        arrays = _arrays_of(definition.rule, *rules_of[0], *rules_of[1])
    if arrays:
        written[_ARRAYS] = arrays
    return written


def definition_from_plain(kind: str, name: str, written: Mapping[str, Any]) -> Defined:
    """The definition that a section means; a `DefinitionError` has every mistake in it.

    Moments may be texts, as JSON has them, or moments.
    """
    kind_of(kind)
    place = f"{kind} `{name}`"
    if not isinstance(written, Mapping):
        raise DefinitionError(f"{place} is a section with settings, not `{written}`", field=kind)
    if _ARRAYS in written:
        raise DefinitionError(
            f"{place} has a rule with an array of values, which has no text to be read from; "
            "define it anew with the array",
            field=kind,
        )
    if kind == CAMPAIGN:
        return campaign_of(name, _with_moments(written))
    if kind == PAGE:
        return page_of(name, _page_with_moments(written))
    return _definition(kind, name, written, place)


def expressions_given(definition: Defined) -> list[e.Expr]:
    """The expressions of a definition that were not, or may not have been, given as text."""
    if isinstance(definition, Definition):
        return [definition.expr] if format_expr(definition.expr) == definition.text else []
    if isinstance(definition, Campaign):
        rules: list[object] = [definition.segment, *definition.exclusions, definition.value]
    else:
        modules = [module for slot in definition.slots for module in slot.modules]
        pools = [each.pool.rule for each in modules if each.pool is not None]
        rules = [definition.rule, *(each.rule for each in modules), *pools]
    return [rule.expr for rule in rules if isinstance(rule, Rule)]


def _definition(kind: str, name: str, written: Mapping[str, Any], place: str) -> Definition:
    """The segment or trait that a section means."""
    key = _RULES[kind]
    known = (key, "suppress") if kind == SEGMENT else (key,)
    mistakes = [
        f"`{each}` is not a setting; {did_you_mean(each, known) or 'known: ' + ', '.join(known)}"
        for each in written
        if each not in known
    ]
    suppress = written.get("suppress", False)
    if not isinstance(suppress, bool):
        mistakes.append(f"`suppress` is true or false, not `{suppress}`")
    if not isinstance(written.get(key), str):
        mistakes.append(f"`{key}` is a rule's text" if key == "rule" else f"`{key}` is a text")
    refuse(place, mistakes, kind)
    expr, text = read_rule(written[key], f'{kind} "{name}"')
    return Definition(name, expr, text, suppress)


def _options(definition: Any, default: Any) -> Plain:
    """What of a definition differs from one of its name that was given nothing."""
    found: Plain = {}
    for each in fields(definition):
        value, usual = getattr(definition, each.name), getattr(default, each.name)
        if value is usual:
            continue
        if each.name == "payload":
            found["payload"] = value
            continue
        plain = _plain(value)
        if plain != _plain(usual):
            found[each.name] = plain
    return found


def _slot(slot: Slot) -> Plain:
    modules = {m.name: _options(m, Module(m.name)) for m in slot.modules}
    return {"modules": modules}


def _plain(value: Any) -> Any:
    """A setting as it is written."""
    if isinstance(value, Rule):
        return str(value)
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, time):
        return value.isoformat("auto" if value.second or value.microsecond else "minutes")
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, tuple | list):
        if value and all(isinstance(each, Variant) for each in value):
            return {each.name: _weight(each) for each in value}
        return [_plain(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return _record(value)
    return value


def _record(value: Any) -> Plain:
    """The settings of a part, such as a cap, that are given."""
    found = {}
    for each in fields(value):
        plain = _plain(getattr(value, each.name))
        if plain != _plain(each.default):
            found[each.name] = plain
    return found


def _weight(variant: Variant) -> Any:
    return variant.weight if variant.payload is None else [variant.weight, variant.payload]


def _number(value: Decimal) -> int | float | Decimal:
    """Money as TOML has it, where a TOML number is exactly that."""
    if value == value.to_integral_value():
        return int(value)
    return float(value) if Decimal(str(float(value))) == value else value


def _with_moments(written: Mapping[str, Any]) -> Plain:
    """The section with its texts of moments read; what is none is left to be refused."""
    found = dict(written)
    for name in _MOMENTS:
        if isinstance(found.get(name), str):
            found[name] = _moment(found[name])
    return found


def _page_with_moments(written: Mapping[str, Any]) -> Plain:
    """The page with the moments of its modules read; what is no section is left to be refused."""
    if not isinstance(written.get("slots"), Mapping):
        return dict(written)
    slots = {}
    for name, slot in written["slots"].items():
        slots[name] = slot
        if isinstance(slot, Mapping) and isinstance(slot.get("modules"), Mapping):
            modules = {
                key: _with_moments(module) if isinstance(module, Mapping) else module
                for key, module in slot["modules"].items()
            }
            slots[name] = {**slot, "modules": modules}
    return {**written, "slots": slots}


def _moment(text: str) -> datetime | str:
    try:
        read = datetime.fromisoformat(text)
        return read if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return text


def _arrays_of(*rules: RuleLike | None) -> list[str]:
    return [found for rule in rules if isinstance(rule, Rule) for found in _arrays(rule.expr)]


def _arrays(expr: e.Expr) -> list[str]:
    """A fingerprint of each array in a rule, with the condition it stands in."""
    found, pending = [], [expr]
    while pending:
        node = pending.pop()
        if isinstance(node, e.Listed):
            found.append(f"{format_expr(node)}: {_fingerprint(node.values)}")
        pending += e.inner(node)
    return found


def _fingerprint(values: pa.Array) -> str:
    batch = pa.record_batch([values], names=["values"])
    return hashlib.sha256(batch.serialize().to_pybytes()).hexdigest()[:16]
