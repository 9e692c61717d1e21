"""What is a share, or an average, and what is it of nothing?

Each is one division of doubles; of nothing it is missing, never 0.
"""

from __future__ import annotations

from decimal import Decimal


def ratio(part: int, whole: int) -> float | None:
    """A part of a whole; None of nothing."""
    return part / whole if whole else None


def average(sales: Decimal, count: int) -> float | None:
    """Sales for each of so many; None for none."""
    return float(sales) / count if count else None


def share_of_sales(part: Decimal, whole: Decimal) -> float | None:
    """A part of all sales; None where refunds and negative amounts leave nothing above 0."""
    return float(part) / float(whole) if whole > 0 else None
