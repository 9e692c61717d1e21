"""Which traits are there, and what exactly does each mean?

The one list from which the engine, `segengine traits` and the documentation are made. A family
that comes later adds its traits here and its loop beside the others.
"""

from __future__ import annotations

from dataclasses import dataclass

from segengine.schema.kinds import Kind


@dataclass(frozen=True, slots=True)
class Trait:
    """A computed trait. `block` and the order within it are those of the loops' outputs."""

    name: str
    family: str
    kind: Kind
    block: str
    definition: str
    unit: str = ""
    missing: str = "never"
    source: str = "purchases"


STAGES = ("prospect", "new", "active", "at_risk", "sleeping", "lapsed")
TRADE_GROUPS = ("potential", "traded", "repeat")
INTENTS = ("not_now", "hesitating", "interested", "quoted_no_reply", "never")
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

WORDS = {
    "lifecycle_stage": STAGES,
    "previous_stage": STAGES,
    "trade_group": TRADE_GROUPS,
    "intent_stage": INTENTS,
    "value_tier": TIERS,
    "rfm_cell": CELLS,
    "rfm_group": GROUPS,
}
"""The values of text traits by code."""

_NONE = "no purchase"
_COUNTS = (
    ("order_count", "purchases", "purchases", "never"),
    ("orders_placed_count", "orders placed, paid or not", "orders", "never"),
    ("recency_days", "dates from the last purchase to today", "days", _NONE),
    ("orders_7d", "purchases on the 7 dates that end today", "purchases", "never"),
    ("orders_30d", "purchases on the 30 dates that end today", "purchases", "never"),
    ("orders_90d", "purchases on the 90 dates that end today", "purchases", "never"),
    ("orders_365d", "purchases on the 365 dates that end today", "purchases", "never"),
    ("category_count", "different known categories bought", "categories", "never"),
    ("brand_count", "different known brands bought", "brands", "never"),
    ("promotions_count", "different known promotions bought under", "promotions", "never"),
)
_MONEY = "net of refunds"
_WIDES = (
    ("item_count", Kind.BIGINT, "quantities of all purchased lines, summed", "items", "never"),
    ("amount_total", Kind.MONEY, f"amounts of all purchases, {_MONEY}", "money", "never"),
    ("gross_amount_total", Kind.MONEY, "amounts of all purchases before refunds", "money",
     "never"),
    ("last_order_amount", Kind.MONEY, f"amount of the last purchase, {_MONEY}", "money", _NONE),
    ("max_order_amount", Kind.MONEY, f"greatest amount of a purchase, {_MONEY}", "money", _NONE),
    ("amount_7d", Kind.MONEY, f"amounts on the 7 dates that end today, {_MONEY}", "money",
     "never"),
    ("amount_30d", Kind.MONEY, f"amounts on the 30 dates that end today, {_MONEY}", "money",
     "never"),
    ("amount_90d", Kind.MONEY, f"amounts on the 90 dates that end today, {_MONEY}", "money",
     "never"),
    ("amount_365d", Kind.MONEY, f"amounts on the 365 dates that end today, {_MONEY}", "money",
     "never"),
    ("first_order_at", Kind.TIMESTAMP, "moment of the first purchase", "instant", _NONE),
    ("second_order_at", Kind.TIMESTAMP, "moment of the second purchase", "instant",
     "fewer than 2 purchases"),
    ("last_order_at", Kind.TIMESTAMP, "moment of the last purchase", "instant", _NONE),
)  # fmt: skip
_RATIOS = (
    ("average_order_amount", f"amount_total / purchases with a known amount, {_MONEY}", "money",
     _NONE),
    ("average_gap_days", "dates from first to last purchase / (order_count - 1)", "days",
     "fewer than 2 purchases"),
    ("gap_ratio", "recency_days / average_gap_days", "",
     "fewer than 2 purchases, or all on one date"),
)  # fmt: skip


def _catalogue() -> tuple[Trait, ...]:
    life = "life cycle"
    bigint, varchar = Kind.BIGINT, Kind.VARCHAR
    purchase = [
        Trait(n, "purchase", bigint, "counts", d, u, m, "orders" if u == "orders" else "purchases")
        for n, d, u, m in _COUNTS
    ]
    purchase += [Trait(n, "purchase", k, "wides", d, u, m) for n, k, d, u, m in _WIDES]
    purchase += [Trait(n, "purchase", Kind.DOUBLE, "ratios", d, u, m) for n, d, u, m in _RATIOS]
    return (
        *purchase,
        Trait("first_promotion", "purchase", varchar, "codes",
              "promotion of the earliest purchase that has one", "", "no such purchase"),
        Trait("r_score", "RFM", bigint, "scores",
              "5 - the number of recency cuts below recency_days; the most recent score 5",
              "1 to 5", _NONE),
        Trait("f_score", "RFM", bigint, "scores",
              "1 + the number of order cuts below order_count", "1 to 5", _NONE),
        Trait("m_score", "RFM", bigint, "scores",
              "1 + the number of amount cuts below amount_total", "1 to 5", _NONE),
        Trait("rfm_cell", "RFM", varchar, "rfm", "the three scores, such as `545`", "", _NONE),
        Trait("rfm_group", "RFM", varchar, "rfm",
              "each score high when above the mean score of buyers with a purchase: important_ "
              "(m high) or general_, then value (r, f high), develop (r), keep (f), win_back",
              "", _NONE),
        Trait("value_tier", "RFM", varchar, "rfm",
              "low, middle, high by thirds of amount_365d among those above 0", "",
              "amount_365d not above 0"),
        Trait("lifecycle_stage", life, varchar, "codes",
              "prospect: no purchase; new: one, within new_days; at_risk: within active_days but "
              "gap_ratio above 1.5 with 3 or more; active: within active_days; sleeping: within "
              "sleeping_days; lapsed: longer"),
        Trait("stage_changed_at", life, Kind.TIMESTAMP, "wides",
              "latest moment up to as_of at which lifecycle_stage, with today's thresholds, "
              "changed", "instant", "prospect"),
        Trait("previous_stage", life, varchar, "codes", "lifecycle_stage before that moment", "",
              "prospect"),
        Trait("trade_group", life, varchar, "codes",
              "potential, traded, repeat: 0, 1, 2 or more purchases"),
        Trait("intent_stage", life, varchar, "intent",
              "never: tagged `never`; else by the last 30 dates: quoted_no_reply: a quote, no "
              "reply or order since; interested: cart or favourite; hesitating: inquiry or 3 or "
              "more views of one product; not_now: visits and none of these", "",
              "none of these", "behaviors, orders, tags"),
    )  # fmt: skip


CATALOGUE = _catalogue()
BY_NAME = {trait.name: trait for trait in CATALOGUE}
BLOCK_ORDER = {
    "counts": [name for name, *_ in _COUNTS],
    "wides": [*(name for name, *_ in _WIDES), "stage_changed_at"],
    "ratios": [name for name, *_ in _RATIOS],
    "codes": ["first_promotion", "lifecycle_stage", "previous_stage", "trade_group"],
    "scores": ["r_score", "f_score", "m_score"],
    "rfm": ["rfm_cell", "rfm_group", "value_tier"],
    "intent": ["intent_stage"],
}
