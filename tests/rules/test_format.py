"""A rule's text says the same rule: parse(format(e)) == e."""

from __future__ import annotations

from hypothesis import given, settings

from segengine.rules import expr as e
from segengine.rules.format import format_expr
from segengine.rules.parse import parse
from tests.rules.trees import TREES


@settings(max_examples=200)
@given(TREES)
def test_a_rule_printed_and_read_is_the_same_rule(tree: e.Expr) -> None:
    text = format_expr(tree)
    assert parse(text) == tree
    assert format_expr(parse(text)) == text
