"""Which segments are defined, and what does each mean where another names it?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from segengine.errors import DefinitionError, Problem, RuleError, UnknownNameError, did_you_mean
from segengine.rules import expr as e
from segengine.rules.builder import Rule
from segengine.rules.check import MAX_NODES, Vocabulary, check, check_value
from segengine.rules.format import format_expr
from segengine.rules.parse import parse, read
from segengine.rules.syntax import MAX_DEPTH, too_deep
from segengine.rules.term import CheckedRule, Term
from segengine.schema.identifiers import is_column_name, is_definition_name
from segengine.schema.kinds import Kind

_CIRCLE, _NESTED = "definitions go in a circle", "definitions are nested too deeply"


@dataclass(frozen=True, slots=True)
class Definition:
    """A named rule as it was written."""

    name: str
    expr: e.Expr
    text: str
    suppress: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `check` has to say: the place, `error`, `warning` or `note`, and what."""

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
        self.traits: dict[str, Definition] = {}
        self.version = 0
        self._checked: dict[str, CheckedRule] = {}
        self._checked_traits: dict[str, Term] = {}
        self._checked_at: object = None

    def draft(self, version: int) -> SegmentCatalogue:
        """The same definitions, to be changed apart; `version` must be far from all others."""
        made = SegmentCatalogue(self._words, self._words_state)
        made.definitions, made.traits, made.version = self.definitions, self.traits, version
        return made

    def put(self, name: str, rule: str | Rule, *, suppress: bool = False) -> Definition:
        """Add or replace a definition, its form checked; names are looked up when it is asked."""
        _refuse_segment_name(name)
        expr, text = read_rule(rule, f'segment "{name}"')
        definition = Definition(name, expr, text, suppress)
        self.add(definition)
        return definition

    def add(self, segment: Definition) -> None:
        """Add or replace a segment that is read already; only its name is checked."""
        _refuse_segment_name(segment.name)
        self.take(segment, is_trait=False)

    def put_trait(self, name: str, expression: str | Rule) -> None:
        """Add or replace a trait declared in the language, its form checked."""
        self._refuse_trait_name(name)
        expr, text = read_rule(expression, f'trait "{name}"')
        self.add_trait(Definition(name, expr, text))

    def add_trait(self, trait: Definition) -> None:
        """Add or replace a declared trait that is read already; only its name is checked."""
        self._refuse_trait_name(trait.name)
        self.take(trait, is_trait=True)

    def _refuse_trait_name(self, name: object) -> None:
        if not isinstance(name, str) or not is_column_name(name):
            raise DefinitionError(
                f"`{name}` is no trait's name: lower-case letters, digits and _, as `orders_60d`",
                field="traits",
            )
        if name in self._words().traits:
            raise DefinitionError(f"trait `{name}` exists already: it is given or computed",
                                  field="traits")  # fmt: skip

    def take(self, definition: Definition, *, is_trait: bool) -> None:
        """Add or replace a definition as it is, whatever its name."""
        if is_trait:
            self.traits = {**self.traits, definition.name: definition}
        else:
            self.definitions = {**self.definitions, definition.name: definition}
        self.version += 1

    def remove(self, name: str, *, is_trait: bool) -> None:
        """Take a definition away, whoever names it."""
        kept = {k: d for k, d in (self.traits if is_trait else self.definitions).items()
                if k != name}  # fmt: skip
        if is_trait:
            self.traits = kept
        else:
            self.definitions = kept
        self.version += 1

    def adopt(self, other: SegmentCatalogue) -> None:
        """Take over the definitions of a draft; what is known of these stays where none changed."""
        if self.definitions is other.definitions and self.traits is other.traits:
            return
        self.definitions, self.traits = other.definitions, other.traits
        self.version += 1

    def trait_of(self, name: str) -> Term:
        """What a declared trait stands for."""
        definition = self.traits[name]
        words = self.vocabulary(under=(_trait_place(name),))
        place = f'trait "{name}"'
        term = check_value(definition.expr, words, definition.text, place)
        if term.kind is None or term.kind is Kind.TAGS:
            what = "a list" if term.kind is Kind.TAGS else "always missing"
            raise RuleError([Problem(f"a trait has one value, and this is {what}")],
                            definition.text, place)  # fmt: skip
        return term

    def declared(self) -> dict[str, Term]:
        """What each declared trait stands for; one that cannot be is left out."""
        found = {}
        for name in self.traits:
            with suppress(RuleError):
                found[name] = self._trait_term(name, ())
        return found

    def _trait_term(self, name: str, under: tuple[str, ...]) -> Term:
        self._refuse_circle(_trait_place(name), under)
        self._forget_stale()
        if name not in self._checked_traits:
            definition = self.traits[name]
            words = self.vocabulary(under=(*under, _trait_place(name)))
            try:
                found = check_value(definition.expr, words, definition.text, "")
            except RuleError as error:
                raise _within("trait", name, error) from None
            self._checked_traits[name] = found
        return self._checked_traits[name]

    def vocabulary(self, *, context: bool = False, under: tuple[str, ...] = ()) -> Vocabulary:
        """The words a rule may use; `under`: the definitions being looked into."""
        return replace(
            self._words(),
            declared=lambda name: self._trait_term(name, under),
            declared_names=tuple(self.traits),
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
            place = f'segment "{name}"'
            found = check(definition.expr, words, definition.text, place)
            found = self._checked[name] = replace(found, catalogued=True)
        return found

    def state(self) -> object:
        """Changes when a segment or the words that rules may use change."""
        return self.version, self._words_state()

    def _forget_stale(self) -> None:
        state = self.state()
        if state != self._checked_at:
            self._checked, self._checked_traits, self._checked_at = {}, {}, state

    @staticmethod
    def _refuse_circle(name: str, under: tuple[str, ...]) -> None:
        if name in under:
            cycle = " -> ".join([*under[under.index(name) :], name])
            raise RuleError([Problem(f"{_CIRCLE}: {cycle}")])
        if len(under) > MAX_DEPTH:
            raise RuleError([Problem(f"{_NESTED}: at most {MAX_DEPTH} levels are read")])

    def _term(self, name: str, under: tuple[str, ...]) -> Term:
        self._refuse_circle(name, under)
        self._forget_stale()
        definition = self.definitions[name]
        words = self.vocabulary(under=(*under, name))
        try:
            if name not in self._checked:
                found = check(definition.expr, words, definition.text)
                self._checked[name] = replace(found, catalogued=True)
            return self._checked[name].term
        except RuleError as error:
            raise _within("segment", name, error) from None


def _refuse_segment_name(name: object) -> None:
    if not isinstance(name, str) or not is_definition_name(name):
        raise DefinitionError(
            f"`{name}` is no segment's name: printable text without spaces at its ends",
            field="segments",
        )


def _trait_place(name: str) -> str:
    """A trait in a circle of definitions, beside segments, which go by their names."""
    return f"trait {name}"


def _within(kind: str, name: str, error: RuleError) -> RuleError:
    """A mistake in a definition, as whoever names it reads it."""
    first = error.problems[0]
    if first.message.startswith((_CIRCLE, _NESTED)):
        return RuleError([first])
    return RuleError([Problem(f"{kind} `{name}` cannot be: {first.message}", help=first.help)])
