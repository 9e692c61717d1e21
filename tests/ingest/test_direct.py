"""What is taken as it is comes to the same as what DuckDB reads of it, whatever it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.errors import SegengineError
from segengine.ingest import direct, sources
from tests.ingest.samples import AS_OF, LONG_AGO, engine, orders, state

EDGES = [0, 1, -1, 127, -128, 2**31 - 1, -(2**31), 2**53, 10**14, 2**63 - 1, -(2**63) + 1, -(2**63)]
WHOLE = st.sampled_from(EDGES) | st.integers(-(10**6), 10**6)
FLOATS = st.sampled_from([0.0, -0.0, 0.00005, 2.5, float("nan"), float("inf"), 1e14, 1e300]) | (
    st.integers(-(10**7), 10**7).map(lambda n: n / 100_000)
)
TEXTS = st.sampled_from(["", "a", "b", "É", "a\x00b", "1"]) | st.text(max_size=3)
MOMENTS = st.sampled_from(
    [-(2**62), -62_135_596_800_000_000, 0, 253_402_300_799_999_999, 2**62]
) | (st.integers(1_600_000_000, 1_709_294_400).map(lambda n: n * 10**6))
DAYS = st.sampled_from([-719_162, -719_163, 2_932_896, 2_932_897, 0]) | st.integers(0, 20_000)
DECIMALS = st.decimals("-99999999999999999999.99999", "99999999999999999999.99999", places=5) | (
    st.decimals("-1000", "1000", places=2)
)
FORMS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), WHOLE),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float64(), FLOATS),
    (pa.float32(), st.floats(width=32)),
    (pa.bool_(), st.booleans()),
    (pa.string(), TEXTS),
    (pa.large_string(), TEXTS),
    (pa.list_(pa.string()), st.lists(st.none() | TEXTS, max_size=3)),
    (pa.timestamp("us", "UTC"), MOMENTS),
    (pa.timestamp("us", "Asia/Shanghai"), MOMENTS),
    (pa.timestamp("us"), st.integers(1_600_000_000, 1_700_000_000).map(lambda n: n * 10**6)),
    (pa.timestamp("ns", "UTC"), st.integers(0, 1_700_000_000 * 10**9)),
    (pa.date32(), DAYS),
    (pa.decimal128(38, 5), DECIMALS),
    (pa.decimal128(10, 2), st.decimals("-99999999.99", "99999999.99", places=2)),
    (pa.null(), st.none()),
]
SOUND = dict(FORMS[:1] + FORMS[4:5] + FORMS[6:8] + FORMS[9:11] + FORMS[14:15] + FORMS[16:17])
NAMES = {
    "orders": "order_id event_id paid_at amount refund_amount payment is_purchase other",
    "order_lines": "order_id line_id product_id category quantity amount is_purchase other",
    "customers": "nickname birthday joined_at member_level tags Region other",
    "products": "category price cost stock tags listed_at",
    "reviews": "review_id rating PRODUCT_ID",
}


@st.composite
def batches(draw: st.DrawFn) -> tuple[str, pa.Table]:
    """A table of ours with some columns, most of a type that suits them, some of any."""
    name = draw(st.sampled_from(list(NAMES)))
    count = draw(st.integers(1, 5))
    key = "customer_id" if name != "products" else "product_id"
    columns: dict[str, pa.Array] = {}
    ids = st.lists(st.integers(1, 9), min_size=count, max_size=count, unique=True)
    columns[key] = pa.array(draw(ids), draw(st.sampled_from([pa.int64(), pa.int32()])))
    if name not in ("customers", "products"):
        at: st.SearchStrategy[datetime | None] = st.sampled_from(
            [LONG_AGO, AS_OF, LONG_AGO + timedelta(microseconds=1)]
        )
        if draw(st.integers(0, 9)) == 0:
            at = at | st.none() | st.just(AS_OF + timedelta(minutes=3))
        columns["time"] = pa.array(
            draw(st.lists(at, min_size=count, max_size=count)), pa.timestamp("us", "UTC")
        )
    for each in draw(st.lists(st.sampled_from(NAMES[name].split()), max_size=5, unique=True)):
        form, values = draw(st.sampled_from(FORMS + 2 * list(SOUND.items())))
        cells = draw(st.lists(st.none() | values, min_size=count, max_size=count))
        columns[each] = _array(cells, form)
    table = pa.table(columns)
    if draw(st.booleans()):
        table = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    return name, table


def _array(cells: list[Any], form: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(form) or pa.types.is_date(form):
        inner = pa.int32() if pa.types.is_date(form) else pa.int64()
        return pa.array(cells, inner).view(form)
    if pa.types.is_decimal(form):
        return pa.array(cells, form)
    return pa.array(cells, form)


def outcome(engine: se.Engine, name: str, table: pa.Table, how: str, act: str) -> object:
    """What taking a batch says, or the error."""
    try:
        report = getattr(engine, act)(name, table, on_error=how)
    except SegengineError as error:
        return str(error)
    return replace(report, seconds=0.0)


def both(given: list[tuple[str, pa.Table]], how: str, act: str) -> tuple[list[object], ...]:
    """Outcomes and the state at the end: taken as it is where that can be, and always read."""
    found = []
    for most in (direct.MOST_ROWS, 0):
        with patch.object(direct, "MOST_ROWS", most):
            one = engine("Europe/Berlin")
            said: list[object] = [outcome(one, *each, how, act) for each in given]
            found.append([*said, shown(one)])
    return tuple(found)


def shown(engine: se.Engine) -> str:
    """The state as text, in which a missing number is one too."""
    return repr(state(engine) | {"reviews": engine.table("reviews").to_pylist()})


@settings(max_examples=40, deadline=None)
@given(st.lists(batches(), min_size=1, max_size=2), st.sampled_from(["refuse", "skip"]))
def test_what_is_taken_as_it_is_comes_to_what_is_read(
    given: list[tuple[str, pa.Table]], how: str
) -> None:
    as_it_is, read = both(given, how, "append")
    assert as_it_is == read


@pytest.mark.prove
@settings(max_examples=3_000, deadline=None)
@given(
    st.lists(batches(), min_size=1, max_size=3), st.sampled_from(["refuse", "skip"]),
    st.sampled_from(["append", "load"]),
)  # fmt: skip
def test_what_is_taken_as_it_is_comes_to_what_is_read_at_length(
    given: list[tuple[str, pa.Table]], how: str, act: str
) -> None:
    as_it_is, read = both(given, how, act)
    assert as_it_is == read


def test_amounts_in_doubles_are_rounded_as_they_are_when_read() -> None:
    rng = np.random.default_rng(5)
    halves = (rng.integers(-(10**9), 10**9, 1_000) + 0.5) / 10_000
    amounts = [*halves, *np.nextafter(halves, np.inf), *np.nextafter(halves, -np.inf)]
    amounts += [*rng.normal(0, 1e6, 1_000), 99_999_999_999_999.5, 5e-324, -5e-5, float("nan")]
    batch = orders(*range(len(amounts)), amount=amounts)
    as_it_is, read = both([("orders", batch)], "refuse", "append")
    assert as_it_is == read


def events(**columns: Any) -> pa.Table:
    return pa.table({"customer_id": [1, 2], "time": [LONG_AGO, AS_OF], **columns})


def test_events_of_our_types_are_not_asked_of_duckdb(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("a source was opened")

    store = engine()
    store.load("orders", orders(1, 2, order_id=[1, 2], amount=[Decimal("3.5"), None]))
    monkeypatch.setattr(sources, "_locked", refused)
    store.append("behaviors", events(kind=["view", None], product_id=["a", "b"], unheard=[1, 2]))
    store.append("orders", events(order_id=[7, 8], amount=[1.005, None], paid_at=[LONG_AGO, None]))
    birthdays = [date(1990, 2, 28), None]
    added = pa.table({"customer_id": [1, 3], "birthday": birthdays, "tags": [["a", "a"], []]})
    store.append("customers", added.to_batches()[0])
    assert store.segment("list_contains(tags, 'a') AND birthday < DATE '1991-01-01'").count() == 1
    assert store.segment("orders_placed_count = 2").count() == 2
    with pytest.raises(AssertionError, match="opened"):
        store.append("orders", events(amount=["1.5", "2"]))


def test_a_bad_row_is_told_with_its_value_as_when_read() -> None:
    store = engine()
    late = datetime(2024, 3, 1, 13, tzinfo=UTC)
    report = store.append(
        "orders",
        pa.table({"customer_id": [1, None, 3], "time": [LONG_AGO, LONG_AGO, late],
                  "amount": [float("inf"), 1.0, 2.0]}),
        on_error="skip",
    )  # fmt: skip
    assert (report.rows_read, report.rows_loaded) == (3, 0)
    reasons = {(p.column, p.reason) for p in report.problems}
    assert {("customer_id", "is null"), ("amount", "is infinite")} <= reasons
