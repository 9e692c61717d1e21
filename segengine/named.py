"""Which segments and traits does a definition name, and who names this one?

Read from what is written, so that a definition that cannot be used at the moment names what it
names. Only what stands in it itself: not what those name in their turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from segengine.audiences.campaign import Campaign
from segengine.audiences.limit import read_order
from segengine.audiences.text import Field, read_template
from segengine.definitions import Definitions
from segengine.errors import RuleError
from segengine.rules import expr as e
from segengine.rules.builder import Rule
from segengine.rules.catalogue import Definition
from segengine.rules.lint import segments_named
from segengine.rules.parse import parse
from segengine.versions import everything
from segengine.written import SEGMENT, TRAIT, Defined

Key = tuple[str, str]
"""Kind and name of a definition."""
_OF_BUYERS: tuple[str, ...] = ("", "customers")
"""Scopes in which a name may be a trait's."""


def named_by(given: Defined, among: Iterable[Key] | None = None) -> set[Key]:
    """The segments and, where there are such, the declared traits that a definition names.

    Every name that could be a trait's is in it, also those of columns. among: only these are
    looked for; a rule that has none of their words is not read.
    """
    words = None if among is None else [name.replace("'", "''").lower() for _, name in among]
    found: set[Key] = set()
    for expr in _expressions(given, words):
        found |= {(SEGMENT, name) for name in segments_named(expr)}
        found |= {(TRAIT, name) for name in _names(expr)}
    if isinstance(given, Campaign) and given.text is not None:
        nodes, _ = read_template(given.text)
        found |= {(TRAIT, node.name.lower()) for node in nodes if isinstance(node, Field)}
    return found


def users_of(keys: Iterable[Key], definitions: Definitions) -> dict[Key, list[Key]]:
    """Who names each of these: kind and name of every other definition that does."""
    found: dict[Key, list[Key]] = {key: [] for key in keys}
    if not any(kind in (SEGMENT, TRAIT) for kind, _ in found):
        return found
    for kind, name, given in everything(definitions):
        for key in named_by(given, found) & found.keys():
            if key != (kind, name):
                found[key].append((kind, name))
    return found


def reached_from(keys: Iterable[Key], definitions: Definitions) -> list[Key]:
    """Every definition that names one of these, directly or through others; not these."""
    begun = set(keys)
    if not any(kind in (SEGMENT, TRAIT) for kind, _ in begun):
        return []
    names = {(kind, name): named_by(given) for kind, name, given in everything(definitions)}
    reached, more = set(begun), True
    while more:
        found = {key for key, named in names.items() if key not in reached and named & reached}
        reached, more = reached | found, bool(found)
    return [key for key in names if key in reached and key not in begun]


def _expressions(given: Defined, words: list[str] | None) -> Iterator[e.Expr]:
    """Every expression in a definition that can be read; of texts those with one of the words."""
    if isinstance(given, Definition):
        yield given.expr
        return
    rules: list[str | Rule | None]
    if isinstance(given, Campaign):
        order = None if given.order_by is None else read_order(given.order_by)[0]
        rules = [given.segment, *given.exclusions, given.value, order, given.goal]
    else:
        rules = [given.rule, *(m.rule for slot in given.slots for m in slot.modules)]
    for rule in dict.fromkeys(each for each in rules if isinstance(each, str)):
        if words is None or any(word in rule.lower() for word in words):
            with suppress(RuleError):
                yield parse(rule)
    yield from (rule.expr for rule in rules if isinstance(rule, Rule))


def _names(expr: e.Expr) -> Iterator[str]:
    """The names in an expression that may be traits of the buyer."""
    pending = [(expr, _OF_BUYERS)]
    while pending:
        node, scopes = pending.pop()
        if isinstance(node, e.Name) and node.scope in scopes:
            yield node.name.lower()
        # In an aggregate a bare name is a column of the event.
        inside = _OF_BUYERS[1:] if isinstance(node, e.Aggregate) else scopes
        pending += [(each, inside) for each in e.inner(node)]
