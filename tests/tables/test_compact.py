"""Compacted tables answer as those they were made of, and hold nothing of whoever is gone."""

from __future__ import annotations

from random import Random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.ingest.stage import LoadRequest, stage
from segengine.storage.batch_bytes import batch_from_bytes, batch_to_bytes
from tests.storage.test_log import same
from tests.storage.test_snapshot import TABLES, store
from tests.traits.histories import Shop


@settings(max_examples=8)
@given(st.integers(0, 2**32))
def test_compacting_changes_no_answer(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = Random(seed)
    shop = Shop.drawn(rng)
    folder = store(tmp_path_factory.mktemp("any"), as_of=shop.as_of.isoformat())
    with se.Engine.open(folder) as engine:
        for table in rng.choices(
            ["customers", "products", "orders", "order_lines", "behaviors", "messages"], k=8
        ):
            engine.append(table, shop.batch(table).to_arrow(), on_error="skip")
        ids = engine.segment("true").ids().to_pylist()
        for each in rng.sample(ids, k=len(ids) // 3):
            engine.delete_customer(each)
        if ids:
            engine.append("orders", shop.batch("orders").to_arrow(), on_error="skip")
        engine.compact()
        with engine.built_once():
            pass
        last = shop.batch("order_lines").to_arrow()
        engine.append("order_lines", last, on_error="skip")
        after = {name: engine.table(name) for name in TABLES}
    with se.Engine.open(folder) as again:
        for name, table in after.items():
            assert same(again.table(name), table), name


@pytest.mark.parametrize("ids", [[17, 4], ["one-of-a-kind", "other"]])
def test_a_deleted_buyer_is_in_no_file_after_compacting(
    tmp_path_factory: pytest.TempPathFactory, ids: list[int | str]
) -> None:
    folder = store(tmp_path_factory.mktemp("gone"))
    secrets = (b"one-of-a-kind", b"gone@example.org", b"the-only-order", b"seldom-said")
    with se.Engine.open(folder) as engine:
        engine.load(
            "customers",
            pa.table({"customer_id": ids, "email": ["gone@example.org", "stays@example.org"],
                      "tags": [["seldom-said"], ["stays"]]}),
            columns={"email": "email"},
        )  # fmt: skip
        engine.append(
            "orders",
            pa.table({"customer_id": ids, "order_id": ["the-only-order", "stays"],
                      "time": [engine.as_of] * 2}),
        )  # fmt: skip
        engine.delete_customer(ids[0])
        engine.compact()
        engine.append("orders", pa.table({"customer_id": ids[1:], "time": [engine.as_of]}))
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not [each for each in secrets if each in data], path
    with se.Engine.open(folder) as again:
        assert again.segment("order_count = 2").ids().to_pylist() == [ids[1]]
        assert again.table("customers", ["email", "tags"]).to_pylist() == [
            {"email": "stays@example.org", "tags": ["stays"]}
        ]


def test_a_batch_is_the_same_after_it_was_written_down() -> None:
    engine = se.Engine()
    tables = engine._tables
    source = pa.table({
        "customer_id": ["a", "b", "ç"],
        "time": ["2024-01-01", "2024-01-02T03:04:05Z", "2024-02-29"],
        "kind": ["view", None, "cart"], "score": [1.5, None, -0.0],
    })  # fmt: skip
    batch, _ = stage(
        tables, LoadRequest("behaviors", source, columns={"score": "score"}), "Asia/Shanghai"
    )
    again = batch_from_bytes(batch_to_bytes(batch), tables)
    assert (again.table, again.rows) == (batch.table, batch.rows)
    assert again.columns.keys() == batch.columns.keys()
    for name, column in batch.columns.items():
        assert again.columns[name].kind is column.kind
        assert again.columns[name].values.tobytes() == column.values.tobytes(), name
