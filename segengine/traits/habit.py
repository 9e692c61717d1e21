"""What does a buyer choose most often: which category, brand, payment, hour, weekday, device?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.schema.kinds import Kind
from segengine.schema.tables import ORDER_LINES, ORDERS
from segengine.traits import habit_loops
from segengine.traits.habit_loops import Tally, Texts
from segengine.traits.trait import Family, Trait
from segengine.traits.work import Work

HABITS = "habit"
SENTENCE = (
    "What a buyer chooses most often, how often, and what they pay for it. A habit that is drawn "
    "from less than `habit.minimum_evidence` is missing. [Habits](habits.md) has the details."
)
_TIES = "most often; of equals the latest, then the smaller text"
_KNOWN = "of those with a known one"
_FEW = "fewer than minimum_evidence"

_TRAITS = (
    Trait("preferred_category", HABITS, Kind.VARCHAR, "habits",
          f"category bought {_TIES}", "", f"{_FEW} purchases with a known category",
          column=(ORDER_LINES, "category")),
    Trait("preferred_category_share", HABITS, Kind.DOUBLE, "habit_shares",
          f"share of the purchases with it, {_KNOWN}", "0 to 1", "preferred_category is"),
    Trait("preferred_brand", HABITS, Kind.VARCHAR, "habits",
          f"brand bought {_TIES}", "", f"{_FEW} purchases with a known brand",
          column=(ORDER_LINES, "brand")),
    Trait("preferred_brand_share", HABITS, Kind.DOUBLE, "habit_shares",
          f"share of the purchases with it, {_KNOWN}", "0 to 1", "preferred_brand is"),
    Trait("preferred_payment", HABITS, Kind.VARCHAR, "habits",
          f"way to pay used {_TIES}", "", f"{_FEW} purchases with a known payment",
          column=(ORDERS, "payment")),
    Trait("preferred_payment_share", HABITS, Kind.DOUBLE, "habit_shares",
          f"share of the purchases with it, {_KNOWN}", "0 to 1", "preferred_payment is"),
    Trait("preferred_hour", HABITS, Kind.BIGINT, "habits",
          "hour of the day, by the store's clock, with the most purchases; of equals the latest",
          "0 to 23", f"{_FEW} purchases", narrow=True),
    Trait("preferred_hour_share", HABITS, Kind.DOUBLE, "habit_shares",
          "share of the purchases within it", "0 to 1", "preferred_hour is"),
    Trait("preferred_weekday", HABITS, Kind.BIGINT, "habits",
          "weekday with the most purchases, 1 is Monday; of equals the latest",
          "1 to 7", f"{_FEW} purchases", narrow=True),
    Trait("preferred_weekday_share", HABITS, Kind.DOUBLE, "habit_shares",
          "share of the purchases on it", "0 to 1", "preferred_weekday is"),
    Trait("preferred_device", HABITS, Kind.VARCHAR, "habits",
          f"device of behaviors used {_TIES}", "", f"{_FEW} behaviors with a known device",
          "behaviors", column=("behaviors", "device")),
    Trait("preferred_device_share", HABITS, Kind.DOUBLE, "habit_shares",
          f"share of the behaviors with it, {_KNOWN}", "0 to 1", "preferred_device is",
          "behaviors"),
    Trait("discount_share", HABITS, Kind.DOUBLE, "habit_shares",
          "1 - amounts / list amounts of purchased lines that have both, before refunds; below 0 "
          "where more was paid than listed", "",
          f"{_FEW} purchases with such a line, or list amounts that come to 0 or less"),
    Trait("promotion_share", HABITS, Kind.DOUBLE, "habit_shares",
          "purchases with a known promotion / purchases", "0 to 1", f"{_FEW} purchases"),
)  # fmt: skip


def _facts(work: Work) -> None:
    for table, tell in ((ORDER_LINES, _items), (ORDERS, _orders), ("behaviors", _devices)):
        if work.has_news_of(table):
            tell(work)


def _items(work: Work) -> None:
    least, history = work.config.habit.minimum_evidence, work.history(ORDER_LINES)
    lines = habit_loops.Lines(
        work.values(ORDER_LINES, "time"), work.values(ORDER_LINES, "is_purchase"),
        work.extra(ORDER_LINES, "order_row"),
        *(written(work, ORDER_LINES, name)
          for name in ("category", "brand", "amount", "list_amount")),
    )  # fmt: skip
    categories, brands = (_texts(work, ORDER_LINES, name) for name in ("category", "brand"))

    def loop(begin: int, end: int) -> None:
        habit_loops.item_habits(
            work.rows[begin:end], np.int64(work.as_of), history.begins[begin:], history.events,
            lines, least, categories, brands, _tally(categories), _tally(brands),
            work.blocks["habits"], work.blocks["habit_shares"],
        )  # fmt: skip

    work.over_buyers(loop)


def _orders(work: Work) -> None:
    least, history = work.config.habit.minimum_evidence, work.history(ORDERS)
    orders = habit_loops.Orders(
        work.values(ORDERS, "time"), work.values(ORDERS, "is_purchase"),
        *(written(work, ORDERS, name) for name in ("payment", "promotion")),
    )  # fmt: skip
    payments = _texts(work, ORDERS, "payment")

    def loop(begin: int, end: int) -> None:
        habit_loops.order_habits(
            work.rows[begin:end], work.clock, history.begins[begin:], history.events,
            orders, least, payments, _tally(payments),
            work.blocks["habits"], work.blocks["habit_shares"],
        )  # fmt: skip

    work.over_buyers(loop)


def _devices(work: Work) -> None:
    habits, shares = work.blocks["habits"], work.blocks["habit_shares"]
    if not work.tables.column("behaviors", "device").is_allocated:
        # Most shops have millions of behaviors; those without a device are not walked.
        habits[habit_loops.DEVICE, work.rows] = -1
        shares[habit_loops.DEVICE, work.rows] = np.nan
        return
    least, history = work.config.habit.minimum_evidence, work.history("behaviors")
    devices = _texts(work, "behaviors", "device")

    def loop(begin: int, end: int) -> None:
        habit_loops.device_habit(
            work.rows[begin:end], np.int64(work.as_of), history.begins[begin:], history.events,
            work.values("behaviors", "time"), work.values("behaviors", "device"),
            least, devices, _tally(devices), habits, shares,
        )  # fmt: skip

    work.over_buyers(loop)


def written(work: Work, table: str, name: str) -> NDArray[Any]:
    """A column of an event table; an empty array where nothing was ever written to it."""
    column = work.tables.column(table, name)
    return work.values(table, name) if column.is_allocated else np.empty(0, column.dtype)


def _texts(work: Work, table: str, name: str) -> Texts:
    return Texts(*work.dictionary(table, name).arrays())


def _tally(texts: Texts) -> Tally:
    """Scratch for one thread: zeroed by the system page by page, as codes are met."""
    codes = len(texts.offsets) - 1
    return Tally(np.zeros((codes, 4), np.int64), np.zeros(codes, np.int32))


HABIT = Family(HABITS, SENTENCE, _TRAITS, facts=_facts, reads=(ORDERS, ORDER_LINES, "behaviors"))
