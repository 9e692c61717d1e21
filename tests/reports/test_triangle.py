"""The triangle of first-purchase months, counted again in plain Python."""

from __future__ import annotations

from collections import defaultdict
from datetime import date

from hypothesis import given

from tests.reports.stores import (
    Drawn,
    bought,
    drawn_shops,
    following,
    name_of,
    previous,
    rows,
    shop,
    start,
)


def months_of(drawn: Drawn) -> dict[int, set[date]]:
    """The months each buyer bought in."""
    found = defaultdict(set)
    for buyer, day in drawn.seen(drawn.orders):
        found[buyer].add(start(day, "month"))
    return found


def cells(drawn: Drawn, buyers: set[int]) -> list[tuple[str, int, int, int]]:
    """Month, age, new buyers, and those who bought at that age."""
    bought_in = {b: seen for b, seen in months_of(drawn).items() if b in buyers}
    now = start(drawn.today, "month")
    found = []
    for month in sorted({min(seen) for seen in bought_in.values()}):
        if month < previous(now, "month", 12):
            continue
        new = [b for b, seen in bought_in.items() if min(seen) == month]
        later, age = month, 0
        while later <= now:
            stayed = sum(later in bought_in[b] for b in new)
            found.append((name_of(month, "month"), age, len(new), stayed))
            later, age = following(later, "month"), age + 1
    return found


@given(drawn_shops())
def test_every_cell_is_of_its_months_new_buyers(drawn: Drawn) -> None:
    report = drawn.engine().report("retention")
    found = [tuple(r.values())[:4] for r in rows(report, "triangle")]
    assert found == cells(drawn, set(months_of(drawn)))


@given(drawn_shops())
def test_every_channel_has_a_triangle_and_they_add_up_to_the_whole(drawn: Drawn) -> None:
    report = drawn.engine().report("retention")
    tables = [t for t in report.tables if t.name.startswith("triangle_channel_")]
    channels = {c["customer_id"]: c["acquisition_channel"] for c in drawn.customers}
    sums: dict[tuple[object, ...], int] = defaultdict(int)
    for table in tables:
        named = table.title.rsplit("channel ", 1)[1]
        members = {b for b, c in channels.items() if c == (None if named == "(missing)" else named)}
        assert [row[:4] for row in table.rows] == cells(drawn, members)
        for row in table.rows:
            assert isinstance(row[3], int)
            sums[row[:2]] += row[3]
    if tables:
        assert sums == {(r["month"], r["age"]): r["active"] for r in rows(report, "triangle")}


@given(drawn_shops())
def test_the_first_column_is_everybody(drawn: Drawn) -> None:
    found = rows(drawn.engine().report("retention"), "triangle")
    assert all(r["rate"] == 1.0 for r in found if r["age"] == 0)
    assert all(0 <= r["rate"] <= 1 for r in found)


def test_channels_beyond_eight_share_one_triangle() -> None:
    orders = [row for c in range(1, 12) for row in bought(c, "2024-02-01")]
    customers = [
        {"customer_id": c, "acquisition_channel": None if c == 11 else f"channel {c:02d}"}
        for c in range(1, 12)
    ]
    report = shop(orders, customers=customers).report("retention")
    titles = [t.title.rsplit(": ", 1)[1] for t in report.tables if "_channel_" in t.name]
    assert titles[:2] == ["channel channel 01", "channel channel 02"]
    assert titles[8:] == ["channel (others)", "channel (missing)"]
    assert rows(report, "triangle_channel_9")[0]["buyers"] == 2
    listed = [r["channel"] for r in rows(report, "channels") if r["n"] == 1]
    assert listed[8:] == ["(others)", "(missing)"]


def test_without_channels_there_is_one_triangle_and_a_note() -> None:
    report = shop(bought(1, "2024-02-01")).report("retention")
    assert not [t for t in report.tables if "channel" in t.name]
    assert any("no acquisition channel is known" in note for note in report.notes)
