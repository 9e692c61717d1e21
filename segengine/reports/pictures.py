"""How is a table drawn? As inline SVG, by the kind of its picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from segengine.reports import bars, flows, grids, intervals, lines
from segengine.reports.drawn import Drawn

KINDS: Mapping[str, Callable[[Drawn], str]] = {
    "bars": bars.bars,
    "shares": bars.shares,
    "lines": lines.lines,
    "grid": grids.grid,
    "triangle": grids.triangle,
    "flow": flows.flow,
    "intervals": intervals.intervals,
}


def drawn(table: Mapping[str, Any], timezone: str, currency: str) -> str:
    """The picture of a table of `to_json`; an empty text where it has none or nothing to show."""
    asked = table["picture"]
    if asked is None or not table["rows"]:
        return ""
    names = table["columns"]
    columns = {name: [row[place] for row in table["rows"]] for place, name in enumerate(names)}
    units = dict(zip(names, table["units"], strict=True))
    data = Drawn(table["title"], asked["x"], tuple(asked["y"]), columns, units, timezone, currency)
    values = data.y[1:] if asked["kind"] in ("grid", "triangle", "flow") else data.y
    if not any(n is not None for name in values for n in data.numbers(name)):
        return ""
    return KINDS[asked["kind"]](data)
