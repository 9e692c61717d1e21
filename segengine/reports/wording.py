"""What do all reports call the same thing?"""

from __future__ import annotations

MISSING, OTHERS = "(missing)", "(others)"
"""The row of values that are not known, and the one of those that are not shown by themselves."""
SALES = "sales: net amount of purchases"
PER_BUYER = "sales per buyer = sales / distinct buyers with a purchase"
PER_ORDER = "sales per order = sales / orders"
NOTHING_BOUGHT = "no purchase up to this moment: there is nothing to count"
ONE_A_DAY = "a buyer's purchases of one date count as one order"


def said(part: object, whole: object) -> str:
    """A rate's two numbers, as they stand beside its formula."""
    return f"{part:,} / {whole:,}"
