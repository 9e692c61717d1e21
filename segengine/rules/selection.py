"""Which products, asked as often as one likes?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.days import moment
from segengine.errors import UnknownNameError, did_you_mean
from segengine.kernels import bits
from segengine.rules.changes import nearest
from segengine.rules.evaluate import bitmap
from segengine.rules.explain import ProductExplanation, reason_of
from segengine.rules.plan import plan_rule
from segengine.rules.products import Products
from segengine.rules.segment import Count, Looking, View
from segengine.rules.term import CheckedRule


class Selection:
    """The products a rule holds for: a live question, answered anew by every call."""

    def __init__(self, rule: Callable[[], CheckedRule], looking: Looking) -> None:
        self._rule = rule
        self._looking = looking

    @property
    def rule(self) -> str:
        """The rule's text."""
        return self._rule().text

    def __repr__(self) -> str:
        return f"<products {self.rule}>"

    def answer(self) -> Count:
        """The count together with the moment and the data version it is true for."""
        rule = self._rule()
        with self._looking() as view:
            count = len(_rows(rule, view))
            return Count(count, moment(view.clock.as_of), view.data_version)

    def count(self) -> int:
        """How many products the rule holds for."""
        return self.answer().count

    def ids(self) -> pa.Array:
        """Their product_ids, in the order first loaded."""
        return self.table().column("product_id").combine_chunks()

    def table(self, columns: Sequence[str] = ()) -> pa.Table:
        """Their product_ids and these columns and traits, in the order first loaded."""
        rule = self._rule()
        with self._looking() as view:
            names = list(dict.fromkeys(["product_id", *columns]))
            return product_table(view.population.products, _rows(rule, view), names)

    def explain(self, product_id: int | str) -> ProductExplanation:
        """Why the rule holds for this product or not; `UnknownNameError` for an unknown one."""
        rule = self._rule()
        with self._looking() as view:
            products = view.population.products
            row = products.row_of(product_id)
            if row is None:
                raise UnknownNameError(f"there is no product `{product_id}`", field="product_id")
            block = products.block(slice(row, row + 1), view.clock)
            reason = reason_of(rule.term, block)
            return ProductExplanation(
                product_id, reason.holds is True, reason, nearest(rule.term, block)
            )

    def contains(self, product_id: int | str) -> bool:
        """Whether the rule holds for this product; False for one that is not there."""
        rule = self._rule()
        with self._looking() as view:
            row = view.population.products.row_of(product_id)
            return row is not None and row in _rows(rule, view)


def _rows(rule: CheckedRule, view: View) -> NDArray[np.int64]:
    """The rows of the products a rule holds for, ascending."""
    products = view.population.products
    plan = plan_rule(rule.term, products.domain, view.clock, products.money_scale)
    words = bitmap(plan.root, products, view.clock)
    found = np.empty(int(bits.count_bits(words)), np.int64)
    bits.rows_of(words, found)
    return found[found < products.rows]


def product_table(
    products: Products, rows: NDArray[np.int64] | slice, names: Sequence[str]
) -> pa.Table:
    """Columns and traits of some products, as plain Arrow arrays."""
    known = products.kinds()
    for name in names:
        if name not in known:
            hint = did_you_mean(name, list(known))
            raise UnknownNameError(
                f"table `products` has no column `{name}`" + (f"; {hint}" if hint else ""),
                field="columns",
            )
    scale = products.money_scale
    arrays = [products.trait(name).to_arrow(rows, scale) for name in names]
    return pa.table(arrays, names=list(names))
