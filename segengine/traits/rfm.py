"""How recently, how often and for how much does a buyer buy, beside all others?"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from segengine.schema.kinds import Kind
from segengine.schema.tables import ORDERS
from segengine.traits import purchase_loops, rfm_loops
from segengine.traits.quantiles import quantiles
from segengine.traits.rfm_loops import Cuts
from segengine.traits.trait import NO_PURCHASE, Family, Trait
from segengine.traits.work import Work

TIERS = ("low", "middle", "high")
CELLS = tuple(f"{r}{f}{m}" for r in range(1, 6) for f in range(1, 6) for m in range(1, 6))
GROUPS = (
    "general_win_back",
    "important_win_back",
    "general_keep",
    "important_keep",
    "general_develop",
    "important_develop",
    "general_value",
    "important_value",
)
"""By recency high (4), frequency high (2), money high (1)."""

_TRAITS = (
    Trait("r_score", "RFM", Kind.BIGINT, "scores",
          "5 - the number of recency cuts below recency_days; the most recent score 5",
          "1 to 5", NO_PURCHASE, narrow=True),
    Trait("f_score", "RFM", Kind.BIGINT, "scores",
          "1 + the number of order cuts below order_count", "1 to 5", NO_PURCHASE, narrow=True),
    Trait("m_score", "RFM", Kind.BIGINT, "scores",
          "1 + the number of amount cuts below amount_total", "1 to 5", NO_PURCHASE, narrow=True),
    Trait("rfm_cell", "RFM", Kind.VARCHAR, "rfm", "the three scores, such as `545`", "",
          NO_PURCHASE, words=CELLS),
    Trait("rfm_group", "RFM", Kind.VARCHAR, "rfm",
          "each score high when above the mean score of buyers with a purchase: important_ "
          "(m high) or general_, then value (r, f high), develop (r), keep (f), win_back",
          "", NO_PURCHASE, words=GROUPS),
    Trait("value_tier", "RFM", Kind.VARCHAR, "rfm",
          "low, middle, high by thirds of amount_365d among those above 0", "",
          "amount_365d not above 0", words=TIERS),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RfmFit:
    """Cut points and mean scores; `shown` are the cuts as operators read them."""

    buyers: int
    cuts: Cuts
    shown: dict[str, tuple[float, ...]]


def _fit(work: Work) -> RfmFit:
    """Cut points over the buyers with a purchase, then the mean scores that follow from them."""
    fitted = _fit_cuts(work)
    _place(work, fitted)
    scores = work.blocks["scores"][:, : len(work.rows)]
    scored = scores[0] != np.iinfo(np.int32).min
    if not scored.any():
        return fitted
    means = scores[:, scored].mean(axis=1, dtype=np.float64)
    return RfmFit(fitted.buyers, fitted.cuts._replace(means=means), fitted.shown)


def _fit_cuts(work: Work) -> RfmFit:
    settings, count = work.config.rfm, len(work.rows)
    counts, wides = work.blocks["counts"][:, :count], work.blocks["wides"][:, :count]
    order_count, recency = counts[purchase_loops.ORDER_COUNT], counts[purchase_loops.RECENCY]
    amount, yearly = wides[purchase_loops.AMOUNT], wides[purchase_loops.AMOUNT_365D]
    buyers = (order_count > 0) & (amount != np.iinfo(np.int64).min)
    unit = 10**work.tables.money_scale
    if settings.mode == "fixed":
        exact = {
            "recency": [Fraction(c) for c in settings.recency],
            "orders": [Fraction(c) for c in settings.orders],
            "amount": [Fraction(c * unit) for c in settings.amount],
        }
    else:
        exact = {
            "recency": quantiles(recency[buyers], 5),
            "orders": quantiles(order_count[buyers], 5),
            "amount": quantiles(amount[buyers], 5),
        }
    exact["tier"] = quantiles(yearly[yearly > 0], 3)
    floors = {
        name: np.array([cut.numerator // cut.denominator for cut in cuts], np.int64)
        for name, cuts in exact.items()
    }
    scaled = {"recency": 1, "orders": 1, "amount": unit, "tier": unit}
    shown = {n: tuple(float(c / scaled[n]) for c in cuts) for n, cuts in exact.items()}
    return RfmFit(int(buyers.sum()), Cuts(**floors, means=np.zeros(3)), shown)


def _place(work: Work, fitted: RfmFit) -> None:
    counts, wides = work.blocks["counts"], work.blocks["wides"]

    def loop(begin: int, end: int) -> None:
        rfm_loops.rfm_facts(
            work.rows[begin:end], fitted.cuts,
            counts[purchase_loops.ORDER_COUNT], counts[purchase_loops.RECENCY],
            wides[purchase_loops.AMOUNT], wides[purchase_loops.AMOUNT_365D],
            work.blocks["scores"], work.blocks["rfm"],
        )  # fmt: skip

    work.over_buyers(loop)


RFM = Family(
    "RFM",
    "Recency, frequency and money, each scored from 1 to 5. 5 is always best.",
    _TRAITS,
    fit=_fit,
    place=_place,
    reads=(ORDERS,),
)
