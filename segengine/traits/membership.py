"""Where does a buyer stand in the shop's club: card, level, points and daily check-ins?

The shop's own `member_level` is a given column. The kind of a change of points has the sign: what
is spent or expires is subtracted, whether the source writes it as 5 or as -5; a negative earning
takes one back. Changes of other kinds do not count.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

import numpy as np
from numpy.typing import NDArray

from segengine.schema.kinds import Kind, missing_of
from segengine.schema.tables import CUSTOMERS, ORDERS
from segengine.traits import membership_loops as loops
from segengine.traits.trait import Family, Trait
from segengine.traits.work import Work

_NAME, _CHECK_IN = "membership", "check_in"
_TRAITS = (
    Trait("is_member", _NAME, Kind.BOOLEAN, "club", "a purchase, and member_level from 1 on",
          source="purchases, customers"),
    Trait("is_card_holder", _NAME, Kind.BOOLEAN, "club",
          "card_claimed_at is given, bought or not", source="customers"),
    Trait("check_ins_30d", _NAME, Kind.BIGINT, "club_counts",
          "check-ins on the 30 dates that end today", "check-ins", source="behaviors",
          narrow=True),
    Trait("check_in_streak_days", _NAME, Kind.BIGINT, "club_counts",
          "dates in a row with a check-in, ending today or yesterday", "days",
          source="behaviors", narrow=True),
    Trait("computed_level", _NAME, Kind.BIGINT, "club_counts",
          "how many of `levels.thresholds` the trait `levels.by` has reached", "levels",
          "no levels are set", narrow=True),
    Trait("points_balance", _NAME, Kind.BIGINT, "balances",
          "points earned, less those spent or expired", "points", "beyond 64 bits", "points"),
)  # fmt: skip


def _facts(work: Work) -> None:
    points, behaviors = work.history("points"), work.history("behaviors")
    earn, spend, expire = work.codes("points", "kind", ("earn", "spend", "expire"))
    changes = loops.Points(
        *points, work.values("points", "time"), work.values("points", "kind"),
        work.values("points", "amount"), earn, spend, expire,
    )  # fmt: skip
    (check_in,) = work.codes("behaviors", "kind", (_CHECK_IN,))
    doings = loops.CheckIns(
        *behaviors, work.values("behaviors", "time"), work.values("behaviors", "kind"),
        check_in,
    )  # fmt: skip

    def loop(begin: int, end: int) -> None:
        loops.membership_facts(
            work.rows[begin:end], work.clock, work.since(30),
            changes._replace(begins=points.begins[begin:]),
            doings._replace(begins=behaviors.begins[begin:]),
            work.blocks["balances"], work.blocks["club_counts"],
        )  # fmt: skip

    work.over_buyers(loop)


def _place(work: Work, fitted: None) -> None:
    del fitted
    measure, thresholds = work.trait(work.config.levels.by), _thresholds(work)
    missing = measure.dtype.type(missing_of(measure.dtype, Kind.BIGINT))

    def loop(begin: int, end: int) -> None:
        rows = work.rows[begin:end]
        loops.places_in_club(
            rows, work.trait("order_count"), work.values("customers", "member_level"),
            work.values("customers", "card_claimed_at"), work.blocks["club"],
        )  # fmt: skip
        loops.levels(rows, measure, missing, thresholds, work.blocks["club_counts"][loops.LEVEL])

    work.over_buyers(loop)


def _thresholds(work: Work) -> NDArray[np.int64]:
    """The least whole values, of money the least units, that reach each level."""
    levels = work.config.levels
    unit = 1 if levels.by == "order_count" else 10**work.tables.money_scale
    limits = np.iinfo(np.int64)
    least = (int((Decimal(t) * unit).to_integral_value(ROUND_CEILING)) for t in levels.thresholds)
    return np.array([min(max(each, limits.min + 1), limits.max) for each in least], np.int64)


MEMBERSHIP = Family(
    _NAME,
    "Where a buyer stands in the shop's club, and what they said of themselves.",
    _TRAITS,
    facts=_facts,
    place=_place,
    reads=("points", "behaviors", CUSTOMERS, ORDERS),
    kinds={"behaviors": (_CHECK_IN,)},
)
