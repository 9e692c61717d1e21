"""Which traits does a portrait of a segment show, and in which of two ways?

A trait with few values is a share of buyers for each (`CATEGORIES`), a quantity is its mean and
median (`NUMBERS`). Columns that the shop added, and traits it declared, are shown by their type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segengine.errors import ReportError, UnknownNameError, did_you_mean
from segengine.schema.tables import CUSTOMERS, catalogue
from segengine.traits.catalogue import BY_NAME

AGE_BAND = "age_band"
"""Made here of `birthday`; no trait, since rules compare the birthday itself."""
CATEGORIES = tuple(
    """
    gender age_band region city acquisition_channel credit_level member_level computed_level
    is_member is_card_holder lifecycle_stage trade_group intent_stage rfm_group value_tier
    is_transacted is_interested price_band preferred_category preferred_brand preferred_payment
    preferred_hour preferred_weekday preferred_device first_promotion low_response is_lost_cause
    tags
    """.split()
)
_ENDINGS = ("_consent",)
_BEGINNINGS = ("answer_",)
NUMBERS = tuple(
    """
    recency_days order_count amount_total amount_365d average_order_amount average_gap_days
    gap_ratio item_count category_count brand_count promotions_count discount_share
    promotion_share visits_30d views_30d carts_30d open_carts_count messages_30d response_rate
    refund_rate unpaid_orders_count bad_reviews_count points_balance check_ins_30d p_alive
    expected_orders_90d expected_amount_90d lifetime_value
    """.split()
)
_NEVER = {"customer_id", "nickname", "birthday", "joined_at", "card_claimed_at"}
"""Columns of every store that are neither: a share for each would be a list of buyers."""
ALWAYS = ("customer_id", "amount_total", "order_count")
"""What sizes and sales are made of."""


def reads(
    known: Mapping[str, Sequence[str]], options: Mapping[str, Any]
) -> dict[str, tuple[str, ...]]:
    """The columns of `customers` that a portrait needs: those of the traits it shows, and sales.

    The option `traits` is a list of names, or a text with commas. An unknown one is an
    `UnknownNameError`, all of them at once.
    """
    there = known[CUSTOMERS]
    chosen = options.get("traits")
    names = shown(there) if chosen is None else listed(chosen)
    unknown = [n for n in names if n not in there and n != AGE_BAND]
    if unknown:
        lines = []
        for name in unknown:
            hint = did_you_mean(name, [*there, AGE_BAND])
            lines.append(f"unknown trait `{name}`" + (f"; {hint}" if hint else ""))
        raise UnknownNameError("\n".join(lines), field="traits")
    columns = (name if name in there else "birthday" for name in names)
    return {CUSTOMERS: tuple(dict.fromkeys((*ALWAYS, *columns)))}


def listed(traits: object) -> list[str]:
    """The names in the option `traits`, each once."""
    names = traits.split(",") if isinstance(traits, str) else traits
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ReportError(
            f"`traits`: must be names of traits, such as `gender,city`, not `{traits}`",
            field="traits",
        )
    found = list(dict.fromkeys(name.strip().lower() for name in names if name.strip()))
    if not found:
        raise ReportError("`traits`: names no trait; leave it out for all", field="traits")
    return found


def shown(there: Sequence[str]) -> list[str]:
    """The traits shown where nobody says which, those of a store: first the categories."""
    categories = [c for c in CATEGORIES if (c if c != AGE_BAND else "birthday") in there]
    patterned = [n for n in there if n.endswith(_ENDINGS) or n.startswith(_BEGINNINGS)]
    numbers = [n for n in NUMBERS if n in there]
    return list(dict.fromkeys((*categories, *patterned, *numbers, *added(there))))


def added(there: Sequence[str]) -> list[str]:
    """The columns that the shop added, and its declared traits."""
    given = {column.name for column in catalogue()[CUSTOMERS].columns}
    return [
        n
        for n in there
        if n not in given and n not in BY_NAME and n not in _NEVER and not n.startswith("has_")
    ]
