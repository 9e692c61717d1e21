"""An interval is drawn from its low to its high, around 0, with its value on it."""

from __future__ import annotations

import re
from typing import Any

from segengine.reports.pictures import drawn
from segengine.reports.report import SHARE, Picture, Report, Table, to_json
from tests.reports.stores import AS_OF


def svg(*rows: tuple[Any, ...]) -> str:
    table = Table(
        "lift", "Lift", "f", ("arm", "lift", "low", "high"), rows,
        Picture("intervals", "arm", ("lift", "low", "high")), ("", SHARE, SHARE, SHARE),
    )  # fmt: skip
    found = to_json(Report("x", "X", AS_OF, 1, "UTC", "", (), (table,)))["tables"][0]
    return drawn(found, "UTC", "")


def places(text: str) -> list[tuple[float, float, float]]:
    """From, value and to of each interval, in pixels."""
    lines = re.findall(r'<line x1="([\d.]+)" x2="([\d.]+)" y1="([\d.]+)" y2="\3" stroke=', text)
    dots = re.findall(r'<circle cx="([\d.]+)"', text)
    return [(float(a), float(c), float(b)) for (a, b, _), c in zip(lines, dots, strict=True)]


def test_value_lies_between_the_ends_and_0_is_on_the_axis() -> None:
    text = svg(("all", 0.02, -0.01, 0.05), ("a", 0.04, 0.01, 0.07))
    found = places(text)
    assert len(found) == 2
    assert all(low < value < high for low, value, high in found)
    (axis,) = {float(x) for x in re.findall(r'<line x1="([\d.]+)"[^>]*class="axis"', text)}
    assert found[0][0] < axis < found[0][1]
    assert axis < found[1][0]
    assert "all: 2.0 %, from -1.0 % to 5.0 %" in text


def test_an_arm_without_a_value_is_left_out_and_an_open_end_is_at_the_value() -> None:
    found = places(svg(("all", 0.02, None, 0.05), ("none", None, None, None)))
    assert len(found) == 1
    assert found[0][0] == found[0][1] < found[0][2]


def test_nothing_known_draws_nothing() -> None:
    assert svg(("none", None, None, None)) == ""
