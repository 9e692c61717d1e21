"""Which segments are defined, and what does each mean where another names it?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from segengine.errors import DefinitionError, Problem, RuleError, UnknownNameError, did_you_mean
from segengine.rules import expr as e
from segengine.rules.builder import Rule
from segengine.rules.check import MAX_NODES, Vocabulary, check
from segengine.rules.format import format_expr
from segengine.rules.parse import parse, read
from segengine.rules.syntax import MAX_DEPTH, too_deep
from segengine.rules.term import CheckedRule, Term
from segengine.schema.identifiers import is_definition_name

_CIRCLE, _NESTED = "segments go in a circle", "segments are nested too deeply"


@dataclass(frozen=True, slots=True)
class Definition:
    """A named rule as it was written."""

    name: str
    expr: e.Expr
    text: str
    suppress: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `check` has to say: the place, how bad, and what."""

    place: str
    severity: str
    message: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.place}\n{self.message}"


def read_rule(rule: str | Rule, place: str) -> tuple[e.Expr, str]:
    """A rule given as text or expression, as a node and its text."""
    if isinstance(rule, Rule):
        levels, nodes = e.measured(rule.expr, e.inner)
        if levels > MAX_DEPTH or nodes > MAX_NODES:
            raise RuleError([Problem(too_deep())], "", place)
        return _placed(rule.expr)
    if not isinstance(rule, str):
        where = f"{place}: " if place else ""
        raise DefinitionError(f"{where}a rule is a text or an expression, not `{rule}`",
                              field="rule")  # fmt: skip
    return read(rule, place), rule


def _placed(expr: e.Expr) -> tuple[e.Expr, str]:
    """An expression and its text; read back from there its nodes know where they stand."""
    text = format_expr(expr)
    try:
        found = parse(text)
    except RuleError:
        return expr, text
    return (found if found == expr else expr), text


class SegmentCatalogue:
    """The defined segments.

    `words` gives the vocabulary of the moment, without segments; `words_state` changes with it.
    """

    def __init__(self, words: Callable[[], Vocabulary], words_state: Callable[[], object]) -> None:
        self._words = words
        self._words_state = words_state
        self.definitions: dict[str, Definition] = {}
        self.version = 0
        self._checked: dict[str, CheckedRule] = {}
        self._checked_at: object = None

    def put(self, name: str, rule: str | Rule, *, suppress: bool = False) -> Definition:
        """Add or replace a definition, its form checked; names are looked up when it is asked."""
        if not isinstance(name, str) or not is_definition_name(name):
            raise DefinitionError(
                f"`{name}` is no segment's name: printable text without spaces at its ends",
                field="segments",
            )
        expr, text = read_rule(rule, f'segment "{name}"')
        definition = Definition(name, expr, text, suppress)
        self.definitions = {**self.definitions, name: definition}
        self.version += 1
        return definition

    def define(self, name: str, rule: str | Rule, *, suppress: bool = False) -> None:
        """As `put`; a rule that cannot be leaves the catalogue as it was."""
        before = self.definitions
        self.put(name, rule, suppress=suppress)
        try:
            self.rule_of(name)
        except RuleError:
            self.definitions = before
            self.version += 1
            raise

    def vocabulary(self, *, context: bool = False, under: tuple[str, ...] = ()) -> Vocabulary:
        """The words a rule may use; `under`: the segments being looked into."""
        return replace(
            self._words(),
            segment=lambda name: self._term(name, under),
            segment_names=tuple(self.definitions),
            context=context,
        )

    def rule_of(self, name: str) -> CheckedRule:
        """The checked rule of a segment."""
        definition = self.definitions.get(name)
        if definition is None:
            hint = did_you_mean(name, list(self.definitions))
            raise UnknownNameError(
                f"unknown segment `{name}`" + (f"; {hint}" if hint else ""), field="segment"
            )
        self._forget_stale()
        found = self._checked.get(name)
        if found is None:
            words = self.vocabulary(under=(name,))
            found = check(definition.expr, words, definition.text, f'segment "{name}"')
            self._checked[name] = found
        return found

    def state(self) -> object:
        """Changes when a segment or the words that rules may use change."""
        return self.version, self._words_state()

    def _forget_stale(self) -> None:
        state = self.state()
        if state != self._checked_at:
            self._checked, self._checked_at = {}, state

    def _term(self, name: str, under: tuple[str, ...]) -> Term:
        if name in under:
            cycle = " -> ".join([*under[under.index(name) :], name])
            raise RuleError([Problem(f"{_CIRCLE}: {cycle}")])
        if len(under) > MAX_DEPTH:
            raise RuleError([Problem(f"{_NESTED}: at most {MAX_DEPTH} levels are read")])
        self._forget_stale()
        definition = self.definitions[name]
        words = self.vocabulary(under=(*under, name))
        try:
            if name not in self._checked:
                self._checked[name] = check(definition.expr, words, definition.text)
            return self._checked[name].term
        except RuleError as error:
            first = error.problems[0]
            if first.message.startswith((_CIRCLE, _NESTED)):
                raise RuleError([first]) from None
            raise RuleError(
                [Problem(f"segment `{name}` cannot be: {first.message}", help=first.help)]
            ) from None
