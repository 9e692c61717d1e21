"""How does a value of a report read, on a page and in a terminal?

Values are those of `to_json`: exact decimals are texts, moments are UTC texts, missing is None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from segengine.reports.report import MOMENT, MONEY, SHARE

MISSING = "–"
_HALF_A_CENT = Decimal("0.005")
_STEPS = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))


def number_of(value: Any) -> float | None:
    """A value as a position on an axis; None for what is missing or no number."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    try:
        found = float(Decimal(str(value)))
    except ArithmeticError:
        return None
    return found if abs(found) < float("inf") else None


def row_units(table: Mapping[str, Any], row: Sequence[Any]) -> list[str]:
    """The unit of each value of a row; a column `unit` says it of those without one."""
    units = [str(unit) for unit in table["units"]]
    if "unit" not in table["columns"]:
        return units
    of_row = str(row[table["columns"].index("unit")] or "")
    return [unit or of_row for unit in units]


def is_number(value: Any, unit: str) -> bool:
    """Whether a value stands to the right: numbers, and exact decimals by their unit."""
    if isinstance(value, str):
        return unit == MONEY and number_of(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def read(value: Any, unit: str, timezone: str) -> str:
    """A value for people: `1,234.50`, `12.3 %`, a moment by the store's clock."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if unit == MOMENT:
        return _moment(str(value), timezone)
    if unit == SHARE and (share := number_of(value)) is not None:
        return f"{100 * share:,.1f} %"
    if unit == MONEY and number_of(value) is not None:
        return _money(Decimal(str(value)))
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3g}"
    return str(value)


def read_with_unit(value: Any, unit: str, timezone: str, currency: str) -> str:
    """The same with its unit after it: `4,338 buyers`, `8.50 EUR`."""
    text = read(value, unit, timezone)
    after = {MONEY: currency, SHARE: "", MOMENT: timezone}.get(unit, unit)
    if after.endswith("s") and unit not in (MONEY, MOMENT) and text == "1":
        after = after[:-1]
    return f"{text} {after}" if after and value is not None else text


def short(value: float, unit: str) -> str:
    """A number where there is little room: `1.2 M`, `45 %`."""
    if unit == SHARE:
        percent = 100 * value
        whole = abs(percent) >= 10 or abs(percent - round(percent)) < 1e-9
        return f"{percent:.0f} %" if whole else f"{percent:.1f} %"
    for step, sign in _STEPS:
        if abs(value) >= step:
            part = value / step
            return f"{part:,.0f} {sign}" if abs(part) >= 100 else f"{part:.3g} {sign}"
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.3g}"


def _money(value: Decimal) -> str:
    if value != 0 and abs(value) < _HALF_A_CENT:
        return f"{value.normalize():,f}"
    return f"{value:,.2f}"


def _moment(text: str, timezone: str) -> str:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    local = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(ZoneInfo(timezone))
    return f"{local:%Y-%m-%d %H:%M}"
