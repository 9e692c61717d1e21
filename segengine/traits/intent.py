"""How far has a buyer come towards an order within the last 30 dates?"""

from __future__ import annotations

import numpy as np

from segengine.schema.kinds import Kind
from segengine.schema.tables import CUSTOMERS, ORDERS
from segengine.traits import intent_loops
from segengine.traits.trait import Family, Trait
from segengine.traits.work import Work

INTENTS = ("not_now", "hesitating", "interested", "quoted_no_reply", "never")
_MEANINGS = {
    "visit": intent_loops.VISIT,
    "view": intent_loops.VIEW,
    "cart": intent_loops.CART,
    "favorite": intent_loops.FAVORITE,
    "inquiry": intent_loops.INQUIRY,
    "quote": intent_loops.QUOTE,
    "reply": intent_loops.REPLY,
}
assert INTENTS[intent_loops.NEVER] == "never"

_TRAITS = (
    Trait("intent_stage", "life cycle", Kind.VARCHAR, "intent",
          "never: tagged `never`; else by the last 30 dates: quoted_no_reply: a quote, no "
          "reply or order since; interested: cart or favourite; hesitating: inquiry or 3 or "
          "more views of one product; not_now: visits and none of these", "",
          "none of these", "behaviors, orders, tags", words=INTENTS),
)  # fmt: skip


def _facts(work: Work) -> None:
    quoted = np.int32(intent_loops.QUOTED_NO_REPLY)
    is_only_orders = work.only_adds and not work.has_news_of("behaviors", CUSTOMERS)
    if is_only_orders and not (work.blocks["intent"][0] == quoted).any():
        # A new order is a reply, and nothing else here.
        return
    kinds, lists = work.dictionary("behaviors", "kind"), work.dictionary("customers", "tags")
    meaning = np.zeros(1 + kinds.size, np.int8)
    found = kinds.codes_of(tuple(_MEANINGS))
    for code, meant in zip(found, _MEANINGS.values(), strict=True):
        if code >= 0:
            meaning[code + 1] = meant
    never, tags = lists.holders("never"), work.values("customers", "tags")
    product = work.tables.column("behaviors", "product_id")
    behaviors, orders = work.history("behaviors"), work.history(ORDERS)

    def loop(begin: int, end: int) -> None:
        intent_loops.intent_facts(
            work.rows[begin:end], work.clock, work.since(intent_loops.DAYS),
            behaviors.begins[begin:], behaviors.events,
            work.values("behaviors", "time"), work.values("behaviors", "kind"),
            work.values("behaviors", "product_id"), product.dtype.type(product.missing), meaning,
            orders.begins[begin:], orders.events, work.values(ORDERS, "time"),
            tags, never, work.blocks["intent"][0],
        )  # fmt: skip

    work.over_buyers(loop)


INTENT = Family("intent", "", _TRAITS, facts=_facts, reads=("behaviors", ORDERS, CUSTOMERS))
