"""A page says what `to_json` says, fetches nothing, and lets no text of a store become markup."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import segengine as se
from segengine.reports.catalogue import REPORTS
from segengine.reports.html import to_html
from segengine.reports.reading import read, read_with_unit
from segengine.reports.report import Figure, Picture, Report, Table, to_json
from tests.reports.pages import Page, assert_page_is_its_data
from tests.reports.stores import AS_OF, Drawn, drawn_shops, shop

NAMES = [name for name in REPORTS if name != "campaign"]
"""That of a campaign is about a run, and has tests of its own."""
ASKED: dict[str, tuple[str, ...]] = {
    "profile": ("order_count >= 2",),
    "compare": ("order_count >= 2", "order_count = 1"),
}
NAUGHTY = "</script><b onload=x>&\"'`\u2028 中文 <!--"


def report(**changes: Any) -> Report:
    blank = Report("r", "Title", datetime(2024, 1, 31, 23, tzinfo=UTC), 3, "Asia/Shanghai", "CNY",
                   (), ())  # fmt: skip
    return replace(blank, **changes)


@given(drawn_shops(behaviors=True))
def test_every_report_s_page_is_its_json(drawn: Drawn) -> None:
    engine = drawn.engine()
    for name in NAMES:
        answer = to_json(engine.report(name, *ASKED.get(name, ())))
        assert_page_is_its_data(to_html(answer), answer)


@pytest.mark.parametrize("name", NAMES)
def test_a_store_with_nothing_in_it_has_a_report(name: str) -> None:
    for engine in (
        se.Engine(as_of=AS_OF),
        shop(customers=[{"customer_id": 1}]),
        shop(behaviors=[{"customer_id": 1, "time": AS_OF, "kind": "view"}]),
        shop(orders=[{"customer_id": 1, "time": AS_OF, "amount": Decimal(3)}]),
    ):
        found = engine.report(name, *ASKED.get(name, ()))
        assert_page_is_its_data(to_html(to_json(found)), to_json(found))


def test_text_of_a_store_is_never_markup() -> None:
    given = report(
        title=NAUGHTY, currency=NAUGHTY, notes=(NAUGHTY,),
        figures=(Figure("f", NAUGHTY, NAUGHTY, NAUGHTY, NAUGHTY),),
        tables=tuple(
            Table(f"t{kind}", NAUGHTY, NAUGHTY, (NAUGHTY, "b", "n"),
                  ((NAUGHTY, NAUGHTY, 1), ("x", "y", 2)), Picture(kind, NAUGHTY, y), ("", "", ""))
            for kind, y in (("bars", ("n",)), ("lines", ("n",)), ("shares", ("n",)),
                            ("grid", ("b", "n")), ("triangle", ("b", "n")), ("flow", ("b", "n")))
        ),
    )  # fmt: skip
    text = to_html(to_json(given))
    page = assert_page_is_its_data(text, to_json(given))
    assert "b" not in page.tags
    assert len(page.pictures) == 6
    assert text.count("</script>") == 1


def test_values_read_by_their_unit() -> None:
    asia = "Asia/Shanghai"
    for value, unit, text in (
        (None, "money", "–"), (True, "", "yes"), (0.1234, "share", "12.3 %"), (1234, "", "1,234"),
        ("1234.5000", "money", "1,234.50"), ("0.0010", "money", "0.001"), ("-7", "money", "-7.00"),
        ("1.10", "", "1.10"), ("2024-01-31T23:00:00Z", "moment", "2024-02-01 07:00"),
        (2.0, "", "2.00"), (0.00123, "", "0.00123"), ("west", "money", "west"),
    ):  # fmt: skip
        assert read(value, unit, asia) == text
    assert read_with_unit(1, "buyers", asia, "CNY") == "1 buyer"
    assert read_with_unit(2, "days", asia, "CNY") == "2 days"
    assert read_with_unit("8.5", "money", asia, "CNY") == "8.50 CNY"
    assert read_with_unit(None, "money", asia, "CNY") == "–"


def test_a_row_that_names_its_unit_is_read_by_it() -> None:
    table = Table("t", "T", "f", ("measure", "unit", "value"),
                  (("sales", "money", Decimal("1234.5000")), ("buyers", "buyers", 12)))  # fmt: skip
    page = Page(to_html(to_json(report(tables=(table,)))))
    assert page.cells["t"] == [["sales", "money", "1,234.50"], ["buyers", "buyers", "12"]]


def test_the_head_says_the_moment_by_the_store_s_clock() -> None:
    page = Page(to_html(to_json(report())))
    assert "As of 2024-02-01 07:00 Asia/Shanghai, data version 3, money in CNY." in page.words


_VALUES = st.none() | st.floats(-1e18, 1e18) | st.integers(-(2**63), 2**63 - 1)
_KINDS = ("bars", "lines", "shares", "grid", "triangle", "flow")


@given(
    st.sampled_from(_KINDS),
    st.lists(st.tuples(st.sampled_from(["a", "b", "2024-01", NAUGHTY, None]), st.text(max_size=3),
                       _VALUES, _VALUES), max_size=9),
    st.sampled_from(["", "share", "money"]),
)  # fmt: skip
def test_whatever_the_values_a_picture_is_drawn_or_left_out(
    kind: str, rows: list[tuple[Any, ...]], unit: str
) -> None:
    y = ("n", "m") if kind in ("bars", "lines", "shares") else ("b", "n")
    table = Table("t", "T", "f", ("a", "b", "n", "m"), tuple(rows), Picture(kind, "a", y),
                  ("", "", unit, unit))  # fmt: skip
    text = to_html(to_json(report(tables=(table,))))
    page = Page(text)
    numbers = [v for _, name, v in page.attributes if name in ("x", "y", "width", "height", "d")]
    assert not [v for v in numbers if "nan" in v or "inf" in v or v.startswith("-0.")]
    for tag, name, value in page.attributes:
        if tag == "rect" and name in ("width", "height"):
            assert float(value) >= 0
