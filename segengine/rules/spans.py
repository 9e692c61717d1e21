"""From where to where does each node of the parser stand in the text?

The parser notes where names, numbers, texts and most functions stand; brackets and keywords
around them are found among the tokens.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from sqlglot import exp
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from segengine.rules.expr import Position
from segengine.rules.syntax import matches

Span = tuple[int, int]
"""First and last token."""

_BRACKETED = (exp.Paren, exp.Tuple, exp.Array)
_OPENING = {TokenType.L_PAREN, TokenType.L_BRACKET}
_BEFORE: dict[type[exp.Expr], frozenset[TokenType]] = {
    exp.Neg: frozenset({TokenType.DASH}),
    exp.Not: frozenset({TokenType.NOT}),
    exp.Cast: frozenset(
        {TokenType.DATE, TokenType.TIMESTAMP, TokenType.TIMESTAMPTZ, TokenType.TIME}
    ),
}
"""The keyword that such a node begins with."""


class Spans:
    """First and last character of every node under a root."""

    def __init__(self, root: exp.Expr, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._starts = [t.start for t in tokens]
        self._ends = [t.end for t in tokens]
        self._closing = matches(tokens)
        nodes = list(root.walk(bfs=False))
        self._found = self._intervals(nodes)
        for node in reversed(nodes):
            span = self._found.get(id(node))
            if "start" in node.meta:
                span = _joined(span, self._own(node))
            if span is None:
                continue
            span = self._found[id(node)] = self._grown(node, *span)
            if node.parent is not None:
                around = id(node.parent)
                self._found[around] = _joined(self._found.get(around), span)

    def of(self, node: exp.Expr) -> Position | None:
        """Where a node stands, or the nearest node around it that has a place."""
        at: exp.Expr | None = node
        while at is not None and id(at) not in self._found:
            at = at.parent
        if at is None:
            return None
        first, last = self._found[id(at)]
        return self._starts[first], self._ends[last]

    def is_own(self, node: exp.Expr) -> bool:
        """Whether a node stands for more than one node under it does."""
        own = self._found.get(id(node))
        return own is not None and all(
            self._found.get(id(child)) != own for child in node.iter_expressions()
        )

    def _intervals(self, nodes: Sequence[exp.Expr]) -> dict[int, Span]:
        """The spans of INTERVALs, of which the parser notes nothing: they keep their order."""
        kept = [n for n in nodes if isinstance(n, exp.Interval)]
        places = [i for i, t in enumerate(self._tokens) if t.token_type is TokenType.INTERVAL]
        if len(kept) != len(places):
            return {}
        return {id(n): (p, self._end_of_interval(p)) for n, p in zip(kept, places, strict=True)}

    def _end_of_interval(self, place: int) -> int:
        last = place + 1
        if self._kind(last) is TokenType.DASH:
            last += 1
        is_text = self._kind(last) is TokenType.STRING
        last = self._closing.get(last, last)
        named = self._tokens[last + 1].text.upper() if self._kind(last + 1) else ""
        if self._kind(last + 1) is TokenType.VAR and (not is_text or named in _PLAIN_UNITS):
            last += 1
        return min(last, len(self._tokens) - 1)

    def _own(self, node: exp.Expr) -> Span:
        """The token that the parser noted, and for a function all up to its closing bracket."""
        place = max(0, bisect_right(self._starts, node.meta["start"]) - 1)
        if isinstance(node, exp.Func):
            return place, self._closing.get(place + 1, place)
        return place, max(place, bisect_left(self._ends, node.meta["end"]))

    def _kind(self, place: int) -> TokenType | None:
        return self._tokens[place].token_type if 0 <= place < len(self._tokens) else None

    def _grown(self, node: exp.Expr, first: int, last: int) -> Span:
        """With the keyword before the node and the brackets around it."""
        kind = type(node)
        last = min(last, len(self._tokens) - 1)
        before = self._kind(first - 1)
        if isinstance(node, _BRACKETED) and before in _OPENING:
            return first - 1, max(last, self._closing.get(first - 1, last))
        if kind is exp.Case:
            return self._case(first, last)
        if kind is exp.Is and self._kind(last + 1) is TokenType.IS:
            last += 3 if self._kind(last + 2) is TokenType.NOT else 2
        elif kind is exp.In and self._kind(last + 1) is TokenType.R_PAREN:
            last += 1
        elif kind is exp.Cast and self._kind(last + 1) is TokenType.DCOLON:
            last += 2
        elif isinstance(node, exp.Func) and "start" not in node.meta and (
            before is TokenType.L_PAREN
        ):  # fmt: skip
            first, last = first - 2, max(last, self._closing.get(first - 1, last))
        elif before in _BEFORE.get(kind, frozenset()):
            first -= 1
        return max(0, first), min(last, len(self._tokens) - 1)

    def _case(self, first: int, last: int) -> Span:
        """From CASE to its END."""
        for begin in range(first, -1, -1):
            end = self._closing.get(begin, -1)
            if self._kind(begin) is TokenType.CASE and end >= last:
                return begin, end
        return first, last


_PLAIN_UNITS = frozenset(
    f"{unit}{s}" for unit in "YEAR MONTH WEEK DAY HOUR MINUTE SECOND".split() for s in ("", "S")
)


def _joined(one: Span | None, other: Span) -> Span:
    return other if one is None else (min(one[0], other[0]), max(one[1], other[1]))
