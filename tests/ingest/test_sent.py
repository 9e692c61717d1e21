"""The same rows have the same digest however they lie, others another; a key is for one batch."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.errors import LoadError
from segengine.ingest.report import LoadReport
from segengine.ingest.sent import held, sent_digest
from segengine.storage.log import Change, read_log
from tests.storage.test_snapshot import store

MOMENTS = st.integers(0, 2**31).map(lambda each: datetime.fromtimestamp(each, UTC))
COLUMNS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), st.integers(-5, 5)),
    (pa.uint8(), st.integers(0, 5)),
    (pa.float32(), st.sampled_from([0.5, -1.0, 3.25])),
    (pa.bool_(), st.booleans()),
    (pa.string(), st.text(max_size=3)),
    (pa.large_string(), st.text(max_size=3)),
    (pa.string_view(), st.text(max_size=20)),
    (pa.binary(), st.binary(max_size=3)),
    (pa.binary(2), st.binary(min_size=2, max_size=2)),
    (pa.timestamp("us", "UTC"), MOMENTS),
    (pa.date32(), st.dates()),
    (pa.decimal128(9, 2), st.integers(-9, 9).map(lambda each: Decimal(each) / 100)),
    (pa.list_(pa.string()), st.lists(st.text(max_size=2) | st.none(), max_size=3)),
    (pa.list_(pa.int8(), 2), st.lists(st.integers(0, 3), min_size=2, max_size=2)),
    (pa.struct({"a": pa.int8(), "b": pa.string()}),
     st.fixed_dictionaries({"a": st.integers(0, 3) | st.none(), "b": st.text(max_size=2)})),
    (pa.map_(pa.string(), pa.int8()),
     st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=2)),
    (pa.null(), st.none()),
]  # fmt: skip


def digest(data: Any, table: str = "orders") -> str:
    return sent_digest(table, held(data), Path())


@st.composite
def batches(draw: st.DrawFn) -> tuple[pa.Table, Any]:
    """A table of one column, and the strategy of its values."""
    kind, values = draw(st.sampled_from(COLUMNS))
    rows = draw(st.lists(values | st.none(), max_size=12))
    return pa.table({"v": pa.array(rows, kind)}), values


def over_the_wire(data: pa.Table) -> pa.Table:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, data.schema) as out:
        out.write_table(data, max_chunksize=5)
    with pa.ipc.open_stream(sink.getvalue()) as stream:
        return stream.read_all()


@settings(max_examples=150)
@given(batches(), st.integers(0, 12), st.data())
def test_a_digest_is_of_the_values_however_they_lie(
    batch: tuple[pa.Table, Any], at: int, drawn: st.DataObject
) -> None:
    data, values = batch
    kind = data.schema.field("v").type
    expected = digest(data)
    assert digest(over_the_wire(data)) == expected
    assert digest(pa.concat_tables([data.slice(0, at), data.slice(at)])) == expected
    around = [drawn.draw(values | st.none()) for _ in range(3)]
    longer = pa.array([*around, *data["v"].to_pylist(), *around], kind)
    assert digest(pa.table({"v": longer.slice(3, len(data))})) == expected
    assert digest(data.to_reader(max_chunksize=4)) == expected
    if at < len(data):
        other = drawn.draw(values | st.none())
        rows = data["v"].to_pylist()
        is_same, rows[at] = rows[at] == other, other
        assert (digest(pa.table({"v": pa.array(rows, kind)})) == expected) is is_same


def test_under_a_missing_value_anything_may_lie() -> None:
    valid = pa.array([True, False, True]).buffers()[1]
    one, other = (
        pa.Array.from_buffers(pa.int64(), 3, [valid, pa.array(values, pa.int64()).buffers()[1]])
        for values in ([1, 2, 3], [1, 9, 3])
    )
    assert digest(pa.table({"v": one})) == digest(pa.table({"v": other}))


def test_names_tables_types_order_and_count_are_in_it() -> None:
    base = pa.table({"a": [1, 2], "b": ["x", "y"]})
    others = [
        base.rename_columns(["a", "c"]), base.slice(0, 1), base.select(["b", "a"]),
        base.take([1, 0]), base.set_column(0, "a", pa.array([1, 2], pa.int32())),
        base.select(["a"]), pa.table({"a": [1, 2], "b": ["xy", ""]}),
    ]  # fmt: skip
    found = {digest(each) for each in [base, *others]} | {digest(base, "behaviors")}
    assert len(found) == len(others) + 2
    assert digest(pa.table({"a": [1, 2], "b": pa.array(["x", "y"]).dictionary_encode()})) == digest(
        base
    )


def orders(*ids: int) -> pa.Table:
    return pa.table({"customer_id": ids, "time": ["2024-02-01"] * len(ids)})


@pytest.mark.parametrize("durable", [True, False])
def test_a_key_that_was_used_for_something_else_is_refused(tmp_path: Path, durable: bool) -> None:
    folder = store(tmp_path)
    engine = se.Engine.open(folder) if durable else se.Engine(as_of=se.Engine.open(folder).as_of)
    first = engine.append("orders", orders(1, 2), key="monday/1")
    views = pa.table({"customer_id": [3], "time": ["2024-02-01"], "kind": ["view"]})
    place = ", change 1" if durable else ""
    with pytest.raises(
        LoadError,
        match=rf"the key `monday/1` was used for 2 rows of `orders`{place}, and comes with rows of "
        r"`behaviors` now: nothing was taken in; give each batch a key of its own",
    ):
        engine.append("behaviors", views, key="monday/1")
    with pytest.raises(LoadError, match="comes with other rows now"):
        engine.append("orders", orders(1, 3), key="monday/1")
    # In one group, as of threads, it is no other.
    batches = [se.Append("orders", orders(5), key="2"), se.Append("orders", orders(6), key="2")]
    reports, error = engine.append_each(batches)
    assert len(reports) == 1
    assert "the key `2` was used" in str(error)
    assert (engine.table("orders").num_rows, engine.table("behaviors").num_rows) == (3, 0)
    for again in (orders(1, 2), over_the_wire(orders(1, 2)), orders(1, 2).to_reader(),
                  orders(1, 2).to_batches()[0], pl.from_arrow(orders(1, 2))):  # fmt: skip
        assert engine.append("orders", again, key="monday/1") == first
    engine.close()


def test_files_under_a_key_are_told_apart_by_what_is_in_them(tmp_path: Path) -> None:
    folder = store(tmp_path)
    with se.Engine.open(folder) as engine:
        (folder / "a.csv").write_text("customer_id,time\n1,2024-02-01\n")
        first = engine.append("orders", "a.csv", key="k")
        assert engine.append("orders", "a.csv", key="k") == first
        (folder / "a.csv").write_text("customer_id,time\n2,2024-02-01\n")
        with pytest.raises(LoadError, match="comes with other rows now"):
            engine.append("orders", "a.csv", key="k")


def test_a_frame_that_is_sent_again_is_read_like_its_table(tmp_path: Path) -> None:
    with se.Engine.open(store(tmp_path)) as engine:
        frame = pl.DataFrame({"customer_id": [1, 2], "time": ["2024-02-01", None]})
        kept = engine.append("orders", frame, key="k", on_error="skip")
        assert (kept.rows_loaded, kept.rows_skipped) == (1, 1)
        assert engine.append("orders", frame, key="k", on_error="skip").rows_loaded == 1


def test_keys_of_senders_do_not_meet_and_an_older_one_is_known_to_all(tmp_path: Path) -> None:
    def send(engine: se.Engine, sender: str, rows: pa.Table, key: str = "1") -> Any:
        reports, error = engine.append_each([se.Append("orders", rows, key=key, sender=sender)])
        if error is not None:
            raise error
        return reports[0].offset

    with se.Engine.open(store(tmp_path)) as engine:
        assert [send(engine, who, orders(k)) for k, who in enumerate(("", "till", "web"), 1)] == [
            1, 2, 3,
        ]  # fmt: skip
        assert [send(engine, who, orders(k)) for k, who in enumerate(("", "till", "web"), 1)] == [
            1, 2, 3,
        ]  # fmt: skip
        durable = engine._lasting.durable
        assert durable is not None
        payload = next(read_log(durable.folder, 0)).payload
        receipt = replace(LoadReport("orders", 1, 1), offset=4).to_receipt()
        durable.keep(Change("append", 0, payload, key="before", receipt=receipt))
        assert send(engine, "till", orders(9), "before") == 4
        assert send(engine, "", orders(9), "before") == 4
        with pytest.raises(LoadError, match="was used for 1 row of `orders`, change 4"):
            engine.append("behaviors", orders(9), key="before")
