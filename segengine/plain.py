"""How does a value look in JSON?

Exact decimals are texts, since a JSON number is a double to most readers; moments are ISO 8601
in UTC; missing is null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any


def plain(value: Any) -> Any:
    """A value in what JSON has: exact decimals as text, moments in UTC."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return str(value)


def iso(at: datetime) -> str:
    """`2011-12-10T00:00:00Z`; a moment without a zone stays without."""
    if at.tzinfo is None:
        return at.isoformat()
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
