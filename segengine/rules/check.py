"""Expr -> CheckedRule: names are known, kinds agree, and nothing can fail later.

All mistakes of a rule are reported at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import pyarrow as pa

from segengine import days
from segengine.errors import Problem, RuleError, did_you_mean
from segengine.rules import expr as e
from segengine.rules.agree import (
    INT_MAX,
    double,
    exact_money,
    inexact,
    of_kind,
    whole_money,
    wide,
)
from segengine.rules.check_arithmetic import arithmetic_term, lone_interval, minus_term
from segengine.rules.check_calls import call_term
from segengine.rules.check_history import Scope, aggregate_term, over_term, scoped_name
from segengine.rules.check_products import product_name, refused_of_products
from segengine.rules.format import format_expr, shown_expr
from segengine.rules.functions import (
    named,
)
from segengine.rules.many import array_values
from segengine.rules.places import problem_at
from segengine.rules.term import BROKEN, OPAQUE, CheckedRule, Term
from segengine.schema.identifiers import is_text
from segengine.schema.kinds import Kind

MAX_LEVELS = 128
MAX_NODES = 100_000


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a rule may speak of.

    Traits and the columns of event tables and products by kind, constants, segments, traits
    declared in the language, kinds of affinity, and the request or not.
    """

    traits: Mapping[str, Kind]
    zone: days.Zone
    money_scale: int
    constants: Mapping[str, int | float] = field(default_factory=dict)
    events: Mapping[str, Mapping[str, Kind]] = field(default_factory=dict)
    products: Mapping[str, Kind] = field(default_factory=dict)
    affinities: Sequence[str] = ()
    declared: Callable[[str], Term] | None = None
    declared_names: Sequence[str] = ()
    segment: Callable[[str], Term] | None = None
    segment_names: Sequence[str] = ()
    context: bool = False
    of_products: bool = False
    """Whether the rule is over products, whose columns and traits bare names then are."""


def check(expr: e.Expr, vocabulary: Vocabulary, text: str = "", place: str = "") -> CheckedRule:
    """The rule with all kinds known; a `RuleError` lists every mistake."""
    text = text or format_expr(expr)
    checker = Checker(vocabulary, text)
    term = checker.checked(expr)
    if not checker.problems:
        term = checker.condition(term, expr)
    checker.refuse(place)
    return CheckedRule(expr, term, text, e.leaf_count(expr))


def check_value(expr: e.Expr, vocabulary: Vocabulary, text: str, place: str) -> Term:
    """An expression of any kind, such as what an audience is ordered by."""
    checker = Checker(vocabulary, text)
    term = checker.checked(expr)
    checker.refuse(place)
    return term


class Checker:
    """One walk over an expression; a broken part is reported once and then passes as anything."""

    def __init__(self, vocabulary: Vocabulary, text: str) -> None:
        self.words = vocabulary
        self.scope: Scope | None = None
        self._text = text
        self.problems: list[Problem] = []

    def checked(self, expr: e.Expr) -> Term:
        """The term of a whole rule, whose segments written out stay within bounds."""
        try:
            term = self.term(expr)
            levels, nodes = e.measured(term, lambda t: t.args)
        except RecursionError:
            levels, nodes = MAX_LEVELS + 1, 0
        if levels > MAX_LEVELS or nodes > MAX_NODES:
            self.problems.append(Problem(
                f"written out with its segments the rule is too large: at most {MAX_LEVELS} "
                f"levels and {MAX_NODES:,} parts",
            ))  # fmt: skip
        return term

    def refuse(self, place: str) -> None:
        """All mistakes found, in reading order, as one error."""
        if self.problems:
            found = sorted(dict.fromkeys(self.problems), key=lambda p: (p.line, p.column))
            raise RuleError(found, self._text if is_text(self._text) else "", place)

    def wrong(self, expr: e.Expr, message: str, help_: str = "") -> Term:
        """One more mistake, at a node."""
        self.problems.append(problem_at(self._text, expr.at, message, help_))
        return BROKEN

    def condition(self, term: Term, expr: e.Expr) -> Term:
        """The term where a condition is needed."""
        if term.op == "broken" or term.kind is Kind.BOOLEAN:
            return term
        if term.kind is None:
            return Term("const", Kind.BOOLEAN, source=expr)
        return self.wrong(
            expr,
            f"a condition is needed here, and {shown_expr(expr)} is {named(term.kind)}",
            "compare it with something",
        )

    def term(self, expr: e.Expr) -> Term:
        """The term of any node, its mistakes reported."""
        if self.words.of_products:
            refused = refused_of_products(self, expr)
            if refused is not None:
                return refused
        match expr:
            case e.Literal():
                return self._literal(expr)
            case e.Broken(problem=problem):
                self.problems.append(problem)
                return BROKEN
            case e.Name():
                return self._name(expr)
            case e.And() | e.Or():
                parts = tuple(self.condition(self.term(p), p) for p in expr.parts)
                return Term("and" if isinstance(expr, e.And) else "or", Kind.BOOLEAN, parts,
                            source=expr)  # fmt: skip
            case e.Not(operand=operand):
                inner = self.condition(self.term(operand), operand)
                return Term("not", Kind.BOOLEAN, (inner,), source=expr)
            case e.Compare():
                return self._compare(expr.op, expr.left, expr.right, expr)
            case e.DistinctFrom():
                return self._distinct(expr)
            case e.Between():
                return self._between(expr)
            case e.OneOf():
                return self._one_of(expr)
            case e.Aggregate():
                return aggregate_term(self, expr)
            case e.Over():
                return over_term(self, expr)
            case e.Listed():
                return self._array(expr)
            case e.IsNull(operand=operand):
                inner = self.term(operand)
                if inner.op == "broken":
                    return inner
                return Term("is_null", Kind.BOOLEAN, (inner,), source=expr)
            case e.Like():
                return self._like(expr)
            case e.Arithmetic():
                return arithmetic_term(self, expr)
            case e.Minus(operand=operand):
                return minus_term(self, expr, operand)
            case e.Call():
                return call_term(self, expr)
            case e.Case():
                return self._case(expr)
            case e.Cast():
                return self._cast(expr)
            case e.ListOf():
                return self._list(expr)
            case e.Interval():
                return lone_interval(self, expr)
        raise AssertionError(f"a node without a check: {expr!r}")

    def _literal(self, expr: e.Literal) -> Term:
        value = expr.value
        if value is None:
            return Term("const", None, source=expr)
        if isinstance(value, bool):
            return Term("const", Kind.BOOLEAN, value=int(value), source=expr)
        if isinstance(value, int):
            if not -INT_MAX <= value <= INT_MAX:
                return self.wrong(expr, f"{shown_expr(expr)} does not fit in 64 bits")
            return Term("const", Kind.BIGINT, value=value, source=expr)
        if isinstance(value, float | Decimal):
            number = float(value)
            if not math.isfinite(number):
                return self.wrong(expr, f"{shown_expr(expr)} is beyond every number")
            return Term("const", Kind.DOUBLE, value=number, source=expr)
        if isinstance(value, str):
            if not is_text(value):
                return self.wrong(expr, "this is not valid text")
            return Term("const", Kind.VARCHAR, value=value, source=expr)
        if isinstance(value, datetime):
            micros = days.micros(value, self.words.zone)
            return Term("const", Kind.TIMESTAMP, value=micros, source=expr)
        day = (value - days.EPOCH_DATE).days
        return Term("const", Kind.DATE, value=day, source=expr)

    def _name(self, expr: e.Name) -> Term:
        words, name = self.words, expr.name
        if expr.scope == "context":
            if not words.context or self.scope is not None:
                return self.wrong(
                    expr, f"`context.{name}` is known in page rules only",
                    "a segment or campaign has no request to look at",
                )  # fmt: skip
            return Term("context", Kind.VARCHAR, value=name, source=expr)
        if expr.scope == "store":
            if name not in words.constants:
                hint = did_you_mean(name, list(words.constants))
                return self.wrong(expr, f"unknown store constant `store.{name}`",
                                  hint or "constants stand under `[constants]`")  # fmt: skip
            number = words.constants[name]
            kind = Kind.BIGINT if isinstance(number, int) else Kind.DOUBLE
            return Term("const", kind, value=number, source=expr)
        if words.of_products:
            return product_name(self, expr)
        if self.scope is not None and expr.scope != "customers":
            return scoped_name(self, self.scope, expr)
        if expr.scope not in ("", "customers"):
            hint = did_you_mean(expr.scope, ["customers", "context", "store"])
            if expr.scope in words.events:
                hint = f"an event's column stands in an aggregate: `max({expr.scope}.{name})`"
            return self.wrong(expr, f"unknown table `{expr.scope}`", hint)
        if name in words.declared_names:
            return self._declared(expr)
        kind_ = words.traits.get(name)
        if kind_ is None:
            known = [*words.traits, *words.declared_names]
            return self.wrong(expr, f"unknown trait `{name}`", did_you_mean(name, known))
        return Term("column", kind_, value=name, source=expr)

    def _declared(self, expr: e.Name) -> Term:
        """A trait that the store declared in the rule language: what it was declared as."""
        assert self.words.declared is not None
        try:
            inner = self.words.declared(expr.name)
        except RuleError as error:
            return self.wrong(expr, str(error.problems[0].message), error.problems[0].help)
        if self.scope is not None and any(t.op in OPAQUE for t in inner.walk()):
            return self.wrong(expr, f"trait `{expr.name}` is an aggregate itself",
                              "inside FILTER stand columns, traits and products")  # fmt: skip
        return Term("declared", inner.kind, (inner,), expr.name, source=expr)

    def _compare(self, op: str, left: e.Expr, right: e.Expr, expr: e.Expr) -> Term:
        first, second = self.term(left), self.term(right)
        if "broken" in (first.op, second.op):
            return BROKEN
        return self._compared(op, first, second, expr)

    def _compared(self, op: str, first: Term, second: Term, expr: e.Expr) -> Term:
        between = inexact(op, first, second, self.words.money_scale, expr)
        if between is not None:
            return between
        pair = self.agreed((first, second), expr)
        if pair is None:
            return BROKEN
        if pair[0].kind is Kind.TAGS:
            return self._lists(expr)
        return Term(op, Kind.BOOLEAN, pair, source=expr)

    def _lists(self, expr: e.Expr) -> Term:
        return self.wrong(expr, "lists are not compared",
                          "ask list_contains, list_has_any, list_has_all or len")  # fmt: skip

    def _between(self, expr: e.Between) -> Term:
        parts = tuple(self.term(part) for part in (expr.operand, expr.low, expr.high))
        if any(part.op == "broken" for part in parts):
            return BROKEN
        operand, low, high = wide(parts, self.words.money_scale)
        return self._joined("and", operand, ((">=", low), ("<=", high)), expr)

    def _joined(
        self, join: str, operand: Term, tests: Sequence[tuple[str, Term]], expr: e.Expr
    ) -> Term:
        """Comparisons that stand for one leaf; the first that cannot be is its mistake."""
        found = []
        for op, other in tests:
            test = self._compared(op, operand, other, expr)
            if test.op == "broken":
                return BROKEN
            found.append(test)
        return Term(join, Kind.BOOLEAN, tuple(found), source=expr)

    def _distinct(self, expr: e.DistinctFrom) -> Term:
        first, second = self.term(expr.left), self.term(expr.right)
        if "broken" in (first.op, second.op):
            return BROKEN
        pair = self.agreed((first, second), expr)
        if pair is None:
            return BROKEN
        if inexact("=", first, second, self.words.money_scale, expr) is not None:
            # An amount the money scale cannot hold is distinct from every amount.
            found = Term("const", Kind.BOOLEAN, value=1, source=expr)
        elif pair[0].kind is Kind.TAGS:
            return self._lists(expr)
        else:
            found = Term("distinct", Kind.BOOLEAN, pair, source=expr)
        return Term("not", Kind.BOOLEAN, (found,), source=expr) if expr.negated else found

    def _one_of(self, expr: e.OneOf) -> Term:
        operand = self.term(expr.operand)
        options = [self.term(option) for option in expr.options]
        if operand.op == "broken" or any(o.op == "broken" for o in options):
            return BROKEN
        operand, *options = wide((operand, *options), self.words.money_scale)
        if all(o.op == "const" for o in options):
            listed = self._listed(operand, options)
            if listed is not None:
                return Term("in", Kind.BOOLEAN, (operand,), listed, source=expr)
        return self._joined("or", operand, [("=", option) for option in options], expr)

    def _array(self, expr: e.Listed) -> Term:
        operand = self.term(expr.operand)
        if operand.op == "broken":
            return operand
        try:
            values = array_values(expr.values, operand.kind, self.words.money_scale)
        except (pa.ArrowException, ValueError, OverflowError):
            kind = named(operand.kind) if operand.kind else "NULL"
            return self.wrong(
                expr, f"{_told(operand)} is {kind}: an array of {expr.values.type} is not compared "
                "with it", "cast the array to the trait's type",
            )  # fmt: skip
        return Term("in_array", Kind.BOOLEAN, (operand,), values, source=expr)

    def _listed(
        self, operand: Term, options: Sequence[Term]
    ) -> tuple[frozenset[object], bool] | None:
        """The values of an IN-list and whether NULL is one, if they are of the operand's kind."""
        kind = operand.kind
        if kind in (None, Kind.BOOLEAN, Kind.TAGS):
            return None
        values, has_null = set(), False
        for option in options:
            if kind is Kind.MONEY:
                if inexact("=", operand, option, self.words.money_scale, e.Literal(None)):
                    # An amount that the scale cannot hold is no amount.
                    continue
                option = exact_money(option, self.words.money_scale)  # noqa: PLW2901
            if option.kind is not None and option.kind is not kind:
                return None
            has_null |= option.value is None
            values.add(option.value)
        return frozenset(values - {None}), has_null

    def _like(self, expr: e.Like) -> Term:
        operand, pattern = self.term(expr.operand), self.term(expr.pattern)
        if "broken" in (operand.op, pattern.op):
            return BROKEN
        word = "ILIKE" if expr.ignore_case else "LIKE"
        if operand.kind not in (Kind.VARCHAR, None):
            return self.wrong(
                expr.operand, f"{word} compares text, and {shown_expr(expr.operand)} is "
                f"{named(operand.kind)}",
            )  # fmt: skip
        if pattern.kind is None:
            return Term("const", Kind.BOOLEAN, source=expr)
        if pattern.op != "const" or pattern.kind is not Kind.VARCHAR:
            return self.wrong(expr.pattern, f"the pattern of {word} is a text in quotes")
        if len(expr.escape.encode()) > 1:
            return self.wrong(expr, "ESCAPE takes one plain character")
        text = str(pattern.value)
        if expr.escape:
            plain = text.replace(expr.escape * 2, "")
            if any(c not in "%_" for c in _after(plain, expr.escape)):
                return self.wrong(expr.pattern, f"`{expr.escape}` stands before `%`, `_` or itself")
        if operand.kind is None:
            return Term("const", Kind.BOOLEAN, source=expr)
        return Term("like", Kind.BOOLEAN, (operand,), (text, expr.escape, expr.ignore_case),
                    source=expr)  # fmt: skip

    def _case(self, expr: e.Case) -> Term:
        subject = self.term(expr.subject) if expr.subject is not None else None
        conditions = [self._when(subject, c) for c, _ in expr.branches]
        values = [self.term(v) for _, v in expr.branches]
        values.append(self.term(expr.otherwise) if expr.otherwise is not None
                      else Term("const", None))  # fmt: skip
        if any(t.op == "broken" for t in (*conditions, *values)):
            return BROKEN
        agreed = self.agreed(tuple(values), expr)
        if agreed is None:
            return BROKEN
        flat = [part for pair in zip(conditions, agreed[:-1], strict=True) for part in pair]
        return Term("case", agreed[0].kind, (*flat, agreed[-1]), source=expr)

    def _when(self, subject: Term | None, expr: e.Expr) -> Term:
        """The condition of one branch: as written, or that a subject equals it."""
        term = self.term(expr)
        if subject is None:
            return self.condition(term, expr)
        if "broken" in (subject.op, term.op):
            return BROKEN
        return self._compared("=", subject, term, expr)

    def _cast(self, expr: e.Cast) -> Term:
        inner = self.term(expr.operand)
        if inner.op == "broken":
            return inner
        if inner.kind is None:
            return Term("const", expr.kind, source=expr)
        if inner.op != "context":
            return self.wrong(expr, "CAST is for values of `context.`, which are text",
                              "numbers are converted where they meet")  # fmt: skip
        name = "to_bigint" if expr.kind is Kind.BIGINT else "to_double"
        return Term(name, expr.kind, (inner,), source=expr)

    def _list(self, expr: e.ListOf) -> Term:
        items = []
        for item in expr.items:
            if not isinstance(item, e.Literal) or not isinstance(item.value, str | None):
                return self.wrong(item, "a list holds texts in quotes")
            items.append(item.value)
        return Term("const", Kind.TAGS, value=tuple(items), source=expr)

    def agreed(self, terms: tuple[Term, ...], expr: e.Expr) -> tuple[Term, ...] | None:
        """All terms as one kind, or a mistake."""
        scale = self.words.money_scale
        kinds = {t.kind for t in terms} - {None}
        if Kind.MONEY in kinds:
            terms = tuple(exact_money(t, scale) for t in terms)
            kinds = {t.kind for t in terms} - {None}
            if kinds == {Kind.MONEY, Kind.BIGINT}:
                terms = tuple(whole_money(t) for t in terms)
                kinds = {Kind.MONEY}
        if len(kinds) > 1 and all(k is not None and k.is_number for k in kinds):
            return tuple(double(t, scale) for t in terms)
        if kinds == {Kind.DATE, Kind.TIMESTAMP}:
            return tuple(
                t if t.kind is not Kind.DATE
                else Term("to_instant", Kind.TIMESTAMP, (t,), source=t.source)
                for t in terms
            )  # fmt: skip
        if len(kinds) > 1:
            self._disagreement(terms, expr)
            return None
        return of_kind(kinds.pop() if kinds else Kind.BOOLEAN, *terms)

    def _disagreement(self, terms: Sequence[Term], expr: e.Expr) -> None:
        first = next(t for t in terms if t.kind is not None)
        other = next(t for t in terms if t.kind not in (None, first.kind))
        if first.kind is not None and other.kind is not None and first.kind.is_number:
            other = next((t for t in terms if t.kind and not t.kind.is_number), other)
        kinds = {first.kind, other.kind}
        help_ = ""
        if Kind.TAGS in kinds:
            help_ = "ask list_contains, list_has_any, list_has_all or len"
        elif Kind.VARCHAR in kinds and Kind.DATE in kinds:
            help_ = "write a date as DATE '2024-02-29'"
        elif Kind.VARCHAR in kinds and Kind.TIMESTAMP in kinds:
            help_ = "write a time as TIMESTAMP '2024-02-29 18:30:00'"
        elif Kind.VARCHAR in kinds:
            help_ = "text is written in quotes, numbers without"
            given = next((t for t in (first, other) if t.op == "context"), None)
            if given is not None:
                help_ = (
                    "text is written in quotes; "
                    f"`CAST(context.{given.value} AS DOUBLE)` reads a number"
                )
        elif kinds & {Kind.DATE, Kind.TIMESTAMP}:
            help_ = "ask days_since(...) or days_until(...) for a number of days"
        said = " and ".join(f"{_told(t)} is {named(t.kind)}" for t in (first, other) if t.kind)
        compared = isinstance(expr, e.Compare | e.DistinctFrom | e.Between | e.OneOf)
        what = "they are not compared" if compared else "all must be of one kind"
        self.wrong(expr, f"{said}: {what}", help_)


def _told(term: Term) -> str:
    return shown_expr(term.source) if term.source is not None else "this"


def _after(text: str, mark: str) -> list[str]:
    """What follows each mark; an empty text at the end counts as a letter."""
    parts = text.split(mark)[1:]
    return [part[:1] or "x" for part in parts]
