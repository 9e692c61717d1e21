"""Cells divide all buyers, and the rule of some cells selects just their buyers."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.errors import ReportError
from segengine.reports.cells import FEW, Cell, cells_of, rule_of

COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "size": (pa.int64(), st.integers(-40, 40)),
    "weight": (pa.float64(), st.floats(-9, 9, allow_nan=False)),
    "paid": (pa.decimal128(18, 2), st.integers(-9_999, 9_999).map(lambda n: Decimal(n) / 100)),
    "label": (pa.string(), st.sampled_from([*"abcdefghijklmnopqrstuvwxyz", "it's", "茶"])),
    "is_gold": (pa.bool_(), st.booleans()),
    "born": (pa.date32(), st.integers(0, 90).map(lambda n: date(1990, 1, 1) + timedelta(days=n))),
    "seen": (
        pa.timestamp("us", "UTC"),
        st.integers(0, 90).map(lambda n: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=n)),
    ),
}


def has_rule(cell: Cell) -> bool:
    return all(rule is not None for rule in cell.rules)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.data())
def test_the_rule_of_some_cells_selects_their_buyers_and_no_others(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(list(COLUMNS)), min_size=1, max_size=2, unique=True))
    count = data.draw(st.integers(1, 60))
    columns = {
        n: pa.array(data.draw(st.lists(st.none() | COLUMNS[n][1], min_size=count, max_size=count)),
                    COLUMNS[n][0])
        for n in names
    }  # fmt: skip
    engine = se.Engine()
    ids = pa.array(range(count), pa.int64())
    engine.load("customers", pa.table({"customer_id": ids, **columns}),
                columns={n: n for n in names})  # fmt: skip
    table = engine.table("customers", ["customer_id", *names])
    found = cells_of({n: table[n].combine_chunks() for n in names})
    assert len(found.places) == count
    kept = [k for k in range(len(found.cells)) if data.draw(st.booleans())]
    chosen = [found.cells[k] for k in kept if has_rule(found.cells[k])]
    rule = rule_of([found.cells[k] for k in kept], names)
    assert (rule is None) is (not chosen)
    if rule is None:
        return
    wanted = {
        who
        for who, place in enumerate(found.places.tolist())
        if any(found.cells[place] is cell for cell in chosen)
    }
    assert set(engine.segment(str(rule)).ids().to_pylist()) == wanted


def test_few_values_have_a_cell_each_and_read_as_one_condition() -> None:
    found = cells_of({"region": pa.array(["s", "n", None, "n", "w"])})
    assert [cell.labels for cell in found.cells] == [("n",), ("s",), ("w",), ("(missing)",)]
    assert str(rule_of(found.cells[:2], ["region"])) == "region IN ('n', 's')"
    assert str(rule_of(found.cells[2:], ["region"])) == "region = 'w' OR region IS NULL"


def test_numbers_of_which_most_are_the_least_one_have_it_as_a_cell_and_four_of_the_others() -> None:
    found = cells_of({"size": pa.array([0] * 300 + list(range(1, 41)))})
    sizes = [found.places.tolist().count(k) for k in range(len(found.cells))]
    assert sizes == [300, 10, 10, 10, 10]
    assert str(rule_of(found.cells[:1], ["size"])) == "size < 1"


def test_many_numbers_are_five_parts_of_about_the_same_size() -> None:
    found = cells_of({"size": pa.array(range(100))})
    sizes = [found.places.tolist().count(k) for k in range(len(found.cells))]
    assert sizes == [20] * 5
    assert str(rule_of(found.cells[1:2], ["size"])) == "size >= 20 AND size < 40"


def test_many_texts_leave_a_cell_without_a_rule() -> None:
    found = cells_of({"label": pa.array([f"t{k}" for k in range(FEW + 5)] + ["t3"])})
    assert len(found.cells) == FEW
    (others,) = [cell for cell in found.cells if not has_rule(cell)]
    assert others.labels == ("(others)",)
    assert rule_of([others], ["label"]) is None


def test_a_list_makes_no_cells() -> None:
    with pytest.raises(ReportError, match="`tags` is a list"):
        cells_of({"tags": pa.array([["a"]])})
