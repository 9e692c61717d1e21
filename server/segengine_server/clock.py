"""What time is it? Asked for tokens that expire, and for nothing a store answers."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The moment by this machine's clock."""
    return datetime.now(UTC)
