"""How does a ledger look? A step a line, and a bar of those who are left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from segengine.cli.show import bar, table

if TYPE_CHECKING:
    from rich.table import Table


def ledger_table(steps: Sequence[Mapping[str, Any]]) -> Table:
    """The steps of an audience; the bars compare with those whom the rule left in.

    Against all buyers the interesting steps would all have bars of nothing.
    """
    from rich.text import Text

    wanted = next((s["remaining"] for s in steps if s["step"] == "rule"), 0)
    rows = []
    for step in steps:
        is_whole = step["step"] == "population"
        left = wanted if is_whole else step["remaining"]
        style = "dim" if is_whole or not step["dropped"] else "none"
        rows.append(
            [
                Text(step["step"], style=style),
                Text(f"{step['entered']:,}", style=style),
                Text(f"-{step['dropped']:,}" if step["dropped"] else "", style="red"),
                Text(f"{step['remaining']:,}", style="bold"),
                Text("" if is_whole else bar(left, wanted), style="cyan"),
                Text(step["reasons"], style=style),
            ]
        )
    return table(
        ["step", "entered", "dropped", "remaining", "", "reasons"],
        rows,
        numbers=["entered", "dropped", "remaining"],
    )
