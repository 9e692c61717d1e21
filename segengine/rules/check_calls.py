"""Calls of the language's functions: are they known, and do their arguments fit?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segengine.errors import RuleError, did_you_mean
from segengine.rules import expr as e
from segengine.rules.format import shown_expr
from segengine.rules.functions import AGREEING, ALIASES, KNOWN, SIGNATURES, named, wrong_count
from segengine.rules.term import BROKEN, Term
from segengine.schema.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segengine.rules.check import Checker


def call_term(checker: Checker, expr: e.Call) -> Term:
    """A function of the language, or `segment`."""
    name = ALIASES.get(expr.name, expr.name)
    if name == "segment":
        return _segment(checker, expr)
    if name in AGREEING:
        return _agreeing(checker, expr, name)
    signature = SIGNATURES.get(name)
    if signature is None:
        hint = did_you_mean(expr.name, KNOWN)
        return checker.wrong(expr, f"unknown function `{expr.name}`", hint)
    args = [checker.term(arg) for arg in expr.args]
    if any(arg.op == "broken" for arg in args):
        return BROKEN
    message, help_ = wrong_count(name, len(args))
    if message:
        return checker.wrong(expr, message, help_)
    for arg, allowed, written in zip(args, signature.args, expr.args, strict=True):
        if arg.kind is not None and arg.kind not in allowed:
            wanted = " or ".join(dict.fromkeys(named(k) for k in Kind if k in allowed))
            return checker.wrong(
                written,
                f"`{name}` takes {wanted} here, and {shown_expr(written)} is {named(arg.kind)}",
                f"for example `{signature.example}`",
            )
    if name in ("bucket", "affinity"):
        return _keyed(checker, expr, name, args)
    if any(arg.kind is None for arg in args) and signature.args:
        kind = signature.result or Kind.BIGINT
        return Term("const", kind, source=expr)
    result = signature.result or args[0].kind
    return Term(name, result, tuple(args), source=expr)


def _keyed(checker: Checker, expr: e.Call, name: str, args: Sequence[Term]) -> Term:
    """A value of the buyer that texts alone choose: bucket and affinity."""
    if checker.scope is not None:
        return checker.wrong(expr, f"`{name}` does not stand inside FILTER")
    if any(arg.op != "const" or arg.value is None for arg in args):
        what = "the salt of `bucket` is a text" if name == "bucket" else (
            "the kind and the value of `affinity` are texts")  # fmt: skip
        return checker.wrong(expr, f"{what} in quotes")
    key = tuple(str(arg.value) for arg in args)
    if name == "affinity" and key[0] not in checker.words.affinities:
        known = list(checker.words.affinities)
        hint = did_you_mean(key[0], known) or "known: " + ", ".join(known)
        return checker.wrong(expr.args[0], f"there is no affinity to a `{key[0]}`", hint)
    return Term(name, Kind.DOUBLE, value=key, source=expr)


def _segment(checker: Checker, expr: e.Call) -> Term:
    name = expr.args[0].value if len(expr.args) == 1 and isinstance(
        expr.args[0], e.Literal) else None  # fmt: skip
    if not isinstance(name, str):
        return checker.wrong(expr, "`segment` takes a name in quotes",
                          "for example `segment('vip')`")  # fmt: skip
    if checker.words.segment is None or name not in checker.words.segment_names:
        hint = did_you_mean(name, list(checker.words.segment_names))
        return checker.wrong(expr, f"unknown segment `{name}`", hint)
    try:
        inner = checker.words.segment(name)
    except RuleError as error:
        return checker.wrong(expr, str(error.problems[0].message), error.problems[0].help)
    if checker.scope is not None:
        return checker.wrong(expr, "`segment` does not stand inside FILTER",
                          "join it to the aggregate's comparison by AND")  # fmt: skip
    return Term("segment", Kind.BOOLEAN, (inner,), name, source=expr)


def _agreeing(checker: Checker, expr: e.Call, name: str) -> Term:
    args = [checker.term(arg) for arg in expr.args]
    if any(arg.op == "broken" for arg in args):
        return BROKEN
    message, help_ = wrong_count(name, len(args))
    if message:
        return checker.wrong(expr, message, help_)
    agreed = checker.agreed(tuple(args), expr)
    if agreed is None:
        return BROKEN
    if agreed[0].kind is Kind.TAGS and name != "coalesce":
        return checker.wrong(expr, f"`{name}` does not take lists")
    return Term(name, agreed[0].kind, agreed, source=expr)
