"""What does a rule over products not know? What is a buyer's: events, places, buckets, segments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segengine.errors import did_you_mean
from segengine.rules import expr as e
from segengine.rules.term import Term
from segengine.schema.tables import PRODUCTS

if TYPE_CHECKING:
    from segengine.rules.check import Checker

_OF_BUYERS = {
    "segment": "a segment is of buyers",
    "bucket": "`bucket` is of buyers",
    "affinity": "`affinity` is of buyers",
}


def refused_of_products(checker: Checker, expr: e.Expr) -> Term | None:
    """The mistake of a node that only a rule over buyers has; None for any other node."""
    match expr:
        case e.Aggregate(table=table):
            return checker.wrong(
                expr, f"a rule over products has no buyer whose `{table}` it could look at",
                "products have traits of their own, such as `units_30d`",
            )  # fmt: skip
        case e.Over():
            return checker.wrong(expr, "OVER is known in rules over buyers only")
        case e.Call(name=name) if name in _OF_BUYERS:
            return checker.wrong(
                expr, f"{_OF_BUYERS[name]}, and this is a rule over products"
            )  # fmt: skip
    return None


def product_name(checker: Checker, expr: e.Name) -> Term:
    """A name in a rule over products: `price`, `product.price` or `products.price`."""
    known = checker.words.products
    if expr.scope not in ("", "product", PRODUCTS):
        return checker.wrong(
            expr, f"`{expr.scope}.{expr.name}` does not stand in a rule over products",
            "a product's column or trait stands alone, or as `products.name`",
        )  # fmt: skip
    kind = known.get(expr.name)
    if kind is None:
        hint = did_you_mean(expr.name, list(known))
        return checker.wrong(expr, f"products have no column `{expr.name}`", hint)
    return Term("column", kind, value=expr.name, source=expr)
