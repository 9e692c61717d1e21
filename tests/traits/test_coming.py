"""What is worked out before a batch is in the tables is what is worked out of it there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine import current
from segengine.tables.events import EventTable
from segengine.tables.key_index import KeyIndex
from segengine.tables.tables import Tables
from segengine.traits.build import worked_out_ahead
from tests.traits.histories import differences, traits_of
from tests.traits.test_changed import refresh_all
from tests.traits.test_incremental import Life

AS_OF = datetime(2024, 5, 20, 12, tzinfo=UTC)
TABLES = ("products", "orders", "order_lines", "behaviors", "messages", "reviews", "points")


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each append, whether its traits were worked out ahead."""
    return noted_by(monkeypatch)


def noted_by(patch: pytest.MonkeyPatch) -> list[bool]:
    found: list[bool] = []

    def noting(*given: Any) -> Any:
        work = worked_out_ahead(*given)
        found.append(work is not None)
        return work

    patch.setattr(current, "worked_out_ahead", noting)
    return found


def lists_of(engine: se.Engine) -> dict[str, list[dict[int, float]]]:
    """What the store keeps as lists of each buyer: open products, and affinities with scores."""
    rows = range(engine._tables.customers.rows)
    found = {}
    for name, kept in engine._tables.lists().items():
        lists = [kept.of(row) for row in rows]
        found[name] = [
            dict(zip(codes.tolist(), scores.tolist() or [0.0] * len(codes), strict=True))
            for codes, scores in lists
        ]
    return found


def lived(seed: int) -> Life:
    """A shop that has lived, with something in every table."""
    life = Life(seed, steps=3, rows=5)
    for table in TABLES:
        batch = life.shop.batch(table, 8)
        life.engine.load(batch.table, batch.to_arrow())
    return life


def appended(life: Life, rng: Random, batches: int) -> Iterator[None]:
    """Append batches of any table, and stop after each."""
    for _ in range(batches):
        batch = life.shop.batch(rng.choice(TABLES), 5)
        if batch.table != "products":
            batch = replace(batch, rows=life.in_time(batch.rows))
        if batch.rows:
            life.engine.append(batch.table, batch.to_arrow())
            yield


def assert_ahead_is_afterwards(seed: int) -> tuple[int, int]:
    """Append batches to a shop that has lived; how many there were, how many worked out ahead."""
    life = lived(seed)
    with pytest.MonkeyPatch.context() as patch:
        noted = noted_by(patch)
        for _ in appended(life, Random(seed), 8):
            before, lists = traits_of(life.engine), lists_of(life.engine)
            refresh_all(life.engine)
            assert differences(before, traits_of(life.engine)) == []
            assert lists == lists_of(life.engine)
    return len(noted), sum(noted)


@settings(max_examples=4)
@given(st.integers(0, 2**32))
def test_traits_that_were_worked_out_ahead_are_those_of_the_tables(seed: int) -> None:
    assert_ahead_is_afterwards(seed)


@pytest.mark.prove
@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_traits_of_many_shops_that_were_worked_out_ahead_are_those_of_the_tables(seed: int) -> None:
    assert_ahead_is_afterwards(seed)


def test_many_of_these_batches_are_worked_out_ahead() -> None:
    found = [assert_ahead_is_afterwards(seed) for seed in (1, 2)]
    batches, ahead = (sum(each) for each in zip(*found, strict=True))
    assert ahead >= batches * 2 // 3


def views(engine: se.Engine, *buyers: int, **columns: list[Any]) -> pa.Table:
    rows = {"customer_id": list(buyers), "time": [engine.as_of] * len(buyers)}
    return pa.table(rows | {"kind": ["view"] * len(buyers)} | columns)


def test_nobody_sees_anything_of_a_batch_while_it_is_worked_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = se.Engine()
    engine.load("behaviors", views(engine, 1, 1, 2))
    seen: list[list[int]] = []

    def looking(*given: Any) -> Any:
        work = worked_out_ahead(*given)
        assert work is not None
        seen.append([engine.segment(f"views_7d = {n}").count() for n in (1, 2, 3)])
        seen.append([engine.segment(f"count(behaviors) = {n}").count() for n in (1, 2, 3)])
        return work

    monkeypatch.setattr(current, "worked_out_ahead", looking)
    engine.append("behaviors", views(engine, 1, 2, 3))
    assert seen == [[1, 1, 0]] * 2
    assert [engine.segment(f"views_7d = {n}").count() for n in (1, 2, 3)] == [1, 1, 1]


def test_what_is_given_of_known_and_new_buyers_is_worked_out_ahead_too() -> None:
    engines = se.Engine(as_of=AS_OF), se.Engine(as_of=AS_OF)
    rule = "is_member OR is_card_holder OR intent_stage = 'never'"
    for engine, is_ahead in zip(engines, (True, False), strict=True):
        visits = {"customer_id": list(range(40)), "time": [engine.as_of] * 40}
        engine.load("behaviors", pa.table(visits | {"kind": ["visit"] * 40}))
        paid = {"customer_id": list(range(30)), "time": [engine.as_of] * 30, "amount": [2.0] * 30}
        engine.load("orders", pa.table(paid))
        with pytest.MonkeyPatch.context() as patch:
            if not is_ahead:
                patch.setattr(current, "worked_out_ahead", lambda *_: None)
            noted = noted_by(patch) if is_ahead else []
            claimed = pa.array([AS_OF, *[None] * 4] * 16, pa.timestamp("us", "UTC"))
            for first in (0, 20, 90):
                ids = [(7 * k) % 80 + first for k in range(80)]
                given: dict[str, Any] = {
                    "customer_id": ids, "member_level": [k % 3 for k in range(80)],
                    "card_claimed_at": claimed,
                    "tags": [["never"] if k % 11 == 0 else ["other"] for k in range(80)],
                }  # fmt: skip
                engine.append("customers", pa.table(given))
                engine.segment(rule).count()
            assert noted == ([True] * 3 if is_ahead else [])
    assert engines[0].segment(rule).ids() == engines[1].segment(rule).ids()
    assert 0 < engines[0].segment(rule).count() < engines[0].segment("TRUE").count() == 170
    assert differences(traits_of(engines[0]), traits_of(engines[1])) == []
    before = traits_of(engines[0])
    refresh_all(engines[0])
    assert differences(before, traits_of(engines[0])) == []


@pytest.mark.parametrize("table", ["behaviors", "orders", "messages"])
def test_buyers_who_come_with_a_batch_are_worked_out_ahead_too(table: str) -> None:
    engines = se.Engine(as_of=AS_OF), se.Engine(as_of=AS_OF)
    rules = ("recency_days IS NULL", "views_7d >= 1", "amount_total > 20", "messages_30d = 2")
    for engine, is_ahead in zip(engines, (True, False), strict=True):
        with pytest.MonkeyPatch.context() as patch:
            if not is_ahead:
                patch.setattr(current, "worked_out_ahead", lambda *_: None)
            noted = noted_by(patch) if is_ahead else []
            for first in (0, 0, 30, 45):
                ids = [k % 70 + first for k in range(90)]
                rows: dict[str, list[Any]] = {"customer_id": ids, "time": [engine.as_of] * 90}
                more: dict[str, dict[str, list[Any]]] = {
                    "behaviors": {"kind": ["view"] * 90, "device": ["phone"] * 90},
                    "orders": {"amount": [float(k) for k in range(90)]},
                    "messages": {"kind": ["sent"] * 90, "channel": ["sms"] * 90},
                }
                engine.append(table, pa.table(rows | more[table]))
                # Scans make codes, which the buyers to come have to have too.
                for rule in rules:
                    engine.segment(rule).count()
            assert noted == ([False, True, True, True] if is_ahead else [])
    assert engines[0].segment("TRUE").count() == 115
    assert differences(traits_of(engines[0]), traits_of(engines[1])) == []
    assert lists_of(engines[0]) == lists_of(engines[1])
    for rule in rules:
        kept, built = (engine.segment(rule).ids().to_pylist() for engine in engines)
        assert kept == built
    before = traits_of(engines[0])
    refresh_all(engines[0])
    assert differences(before, traits_of(engines[0])) == []


def orders(engine: se.Engine) -> None:
    """An order with its amount and another of which there are lines alone."""
    known = {"customer_id": [1], "time": [engine.as_of], "amount": [5.0]}
    engine.load("orders", pa.table(known | {"order_id": ["given"]}))
    engine.load("order_lines", pa.table(known | {"order_id": ["derived"], "line_id": [1]}))


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("orders", {"order_id": ["new"], "amount": [3.0]}),
        ("orders", {"order_id": [None], "amount": [3.0]}),
        ("order_lines", {"order_id": ["given"], "line_id": [1], "amount": [3.0]}),
    ],
)
def test_new_orders_and_lines_of_orders_with_an_amount_are_worked_out_ahead(
    ahead: list[bool], table: str, rows: dict[str, list[Any]]
) -> None:
    engine = se.Engine()
    orders(engine)
    line = {"customer_id": [1], "time": [engine.as_of], **rows}
    types = {"order_id": pa.array(rows["order_id"], pa.string())}
    engine.append(table, pa.table(line | types))
    assert ahead == [True]
    before = traits_of(engine)
    refresh_all(engine)
    assert differences(before, traits_of(engine)) == []


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("behaviors", {"kind": ["view"], "device": ["never told before"]}),
        ("reviews", {"review_id": ["r1"], "rating": [2]}),
        ("orders", {"order_id": ["given"], "amount": [3.0]}),
        ("orders", {"order_id": ["derived"], "amount": [3.0]}),
        ("order_lines", {"order_id": ["derived"], "line_id": [1], "amount": [3.0]}),
        ("order_lines", {"order_id": ["derived"], "line_id": [2], "amount": [3.0]}),
        ("order_lines", {"order_id": ["never seen"], "line_id": [2], "amount": [3.0]}),
    ],
)
def test_what_changes_orders_or_columns_is_worked_out_ahead_too(
    ahead: list[bool], table: str, rows: dict[str, list[Any]]
) -> None:
    engine = se.Engine()
    engine.load("behaviors", views(engine, 1))
    first = {"customer_id": [1], "time": [engine.as_of], "review_id": ["r1"], "rating": [5]}
    engine.load("reviews", pa.table(first))
    orders(engine)
    engine.append(table, pa.table({"customer_id": [1], "time": [engine.as_of], **rows}))
    assert ahead == [True]
    before = traits_of(engine)
    refresh_all(engine)
    assert differences(before, traits_of(engine)) == []


def bought(engine: se.Engine, **products: list[str | None]) -> None:
    """Three buyers and a product each, of which the events say no more than which it is."""
    known = {"product_id": ["p", "q", "r"], "price": [1.0, 2.0, 3.0]}
    engine.load("products", pa.table(known | products))
    lines = {"customer_id": [1, 2, 3], "time": [engine.as_of] * 3, "amount": [1.0] * 3}
    of = {"product_id": ["p", "q", "r"], "order_id": [1, 2, 3], "line_id": [1, 1, 1]}
    engine.load("order_lines", pa.table(lines | of))


@pytest.mark.parametrize(
    ("products", "is_ahead", "lips"),
    [
        ({"product_id": ["q", "new"], "category": ["lips", "eyes"]}, True, [1, 2]),
        ({"product_id": ["p"], "category": ["eyes"]}, True, []),
        ({"product_id": ["new"], "category": ["lips"]}, False, [1]),
        ({"product_id": ["p", "q"], "category": ["lips", "skin"]}, False, [1]),
        ({"product_id": ["p"], "price": [9.0]}, False, [1]),
        ({"product_id": ["p", "r"], "category": [None, "lips"]}, True, [3]),
    ],
)
def test_what_events_take_of_products_is_found_and_worked_out_ahead(
    ahead: list[bool], products: dict[str, list[Any]], is_ahead: bool, lips: list[int]
) -> None:
    """Where it is nothing, there is nothing to be worked out."""
    engine = se.Engine()
    bought(engine, category=["lips", "skin", None])
    asked = engine.segment("count(order_lines) FILTER (WHERE category = 'lips') = 1")
    assert asked.ids().to_pylist() == [1]
    engine.append("products", pa.table(products))
    assert ahead == [is_ahead]
    assert asked.ids().to_pylist() == lips
    before, lists = traits_of(engine), lists_of(engine)
    refresh_all(engine)
    assert differences(before, traits_of(engine)) == []
    assert lists == lists_of(engine)


def test_nobody_sees_a_product_while_what_events_take_of_it_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = se.Engine()
    bought(engine, category=["lips", "skin", None])
    seen: list[list[int]] = []
    rules = "category = 'eyes'", "product_id = 'new'"

    def looking(*given: Any) -> Any:
        work = worked_out_ahead(*given)
        seen.append([engine.products(rule).count() for rule in rules])
        seen.append([engine.segment("affinity('category', 'eyes') > 0").count()])
        return work

    monkeypatch.setattr(current, "worked_out_ahead", looking)
    given = {"product_id": ["p", "new"], "category": ["eyes", "eyes"]}
    engine.append("products", pa.table(given))
    assert seen == [[0, 0], [0]]
    assert [engine.products(rule).count() for rule in rules] == [2, 1]
    assert engine.segment("affinity('category', 'eyes') > 0").count() == 1


@pytest.mark.parametrize("products", [["p", "q"], ["q", "p"], ["q", None], ["q", "unknown"]])
@pytest.mark.parametrize("is_there", [True, False])
def test_of_a_key_that_a_batch_gives_twice_the_last_product_stays(
    tmp_path: Path, products: list[str | None], is_there: bool
) -> None:
    """Live, loaded, and once the log is played again."""
    rule, seen = "affinity('category', 'lips') > 0", []
    key = {"customer_id": [1, 1], "time": [AS_OF] * 2, "order_id": [1, 1], "line_id": [1, 1]}
    batch = pa.table(key | {"product_id": products, "amount": [1.0, 1.0]})
    known = pa.table({"product_id": ["p", "q"], "category": ["lips", "eyes"]})
    line = {name: values[:1] for name, values in key.items()} | {"product_id": ["q"]}
    loaded = se.Engine(as_of=AS_OF)
    (tmp_path / "store.toml").write_text(f"[store]\nas_of = {AS_OF.isoformat()}\n")
    with se.Engine.open(tmp_path) as appended:
        for engine in (loaded, appended):
            engine.load("products", known)
            if is_there:
                engine.load("order_lines", pa.table(line))
            else:
                engine.load("order_lines", pa.table(line | {"line_id": [2], "product_id": ["p"]}))
        loaded.load("order_lines", batch)
        appended.append("order_lines", batch)
        seen += [appended.table("order_lines").to_pylist(), appended.segment(rule).count()]
    with se.Engine.open(tmp_path) as again:
        seen += [again.table("order_lines").to_pylist(), again.segment(rule).count()]
    assert seen == 2 * [loaded.table("order_lines").to_pylist(), loaded.segment(rule).count()]


def test_a_question_of_what_is_no_survey_is_none_and_worked_out_ahead(ahead: list[bool]) -> None:
    engine = se.Engine()
    engine.load("behaviors", views(engine, 1, question=["size"], answer=["m"]))
    engine.append("behaviors", views(engine, 1, question=["colour"], answer=["red"]))
    assert ahead == [True]
    assert not [name for name in engine._tables.customers.traits if name.startswith("answer_")]


def kept_bytes(tables: Tables) -> dict[tuple[str, str], bytes | int]:
    """All that tables hold, down to what is never shown."""
    customers, found = tables.customers, {}
    for name, table in {
        "customers": customers,
        "products": tables.products,
        **tables.events,
    }.items():
        for column in table.columns.values():
            if column.is_allocated:
                found[name, column.name] = column.values.tobytes()
        for extra in table.extras():
            found[name, extra] = table.extra(extra).tobytes()
        found[name, "rows"], found[name, "given"] = table.rows, len(table.given)
        if isinstance(table, EventTable):
            found[name, "heads"] = customers.heads(name).tobytes()
            found[name, "latest"], found[name, "updates"] = (
                table.latest,
                table.update_ids.keys.tobytes(),
            )
            for index, slots in table.indexes().items():
                found[name, index] = slots.slots.tobytes()
    for block, matrix in customers.blocks().items():
        found["block", block] = matrix.tobytes()
    for name, lists in tables.lists().items():
        found["list", name] = b"".join(each.tobytes() for each in lists.lists)
    found["customers", "index"] = customers.index.slots.tobytes()
    found["products", "index"] = tables.product_index().slots.tobytes()
    found["products", "revision"] = tables.products_revision
    return found


@pytest.mark.parametrize("seed", range(3))
def test_what_is_worked_out_ahead_writes_nothing_into_the_tables(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    life = lived(seed)
    seen: list[bool] = []

    def looking(tables: Tables, *given: Any) -> Any:
        before = kept_bytes(tables)
        work = worked_out_ahead(tables, *given)
        after = kept_bytes(tables)
        seen.append(work is not None)
        # A column that was never written is made when it is read: it holds its default.
        assert {key: after[key] for key in before} == before
        return work

    monkeypatch.setattr(current, "worked_out_ahead", looking)
    for _ in appended(life, Random(seed), 12):
        pass
    assert sum(seen) >= 4


def test_a_question_that_is_new_is_worked_out_of_the_tables(ahead: list[bool]) -> None:
    engine = se.Engine()
    engine.load("behaviors", views(engine, 1))
    survey = {"kind": ["survey"], "question": ["size"], "answer": ["m"]}
    for _ in range(2):
        row = {"customer_id": [1], "time": [engine.as_of], **survey}
        engine.append("behaviors", pa.table(row))
    assert ahead == [False, True]
    assert engine.segment("answer_size = 'm'").count() == 1


def test_lines_of_no_order_are_not_those_of_an_order_whose_buyer_is_gone(ahead: list[bool]) -> None:
    engine = se.Engine()
    gone = list(range(30))
    known = {"customer_id": gone, "time": [engine.as_of] * 30, "amount": [5.0] * 30}
    engine.load("orders", pa.table(known | {"order_id": gone}))
    line = {"customer_id": [99], "time": [engine.as_of], "line_id": [1], "amount": [2.0]}
    engine.load("order_lines", pa.table(line | {"order_id": [500]}))
    for buyer in gone:
        engine.delete_customer(buyer)
    # Their orders have no id either, and the index still knows places of theirs.
    engine.append("order_lines", pa.table(line | {"order_id": pa.array([None], pa.int64())}))
    assert ahead == [True]
    assert engine.segment("order_count = 2").ids().to_pylist() == [99]
    before = traits_of(engine)
    refresh_all(engine)
    assert differences(before, traits_of(engine)) == []


@pytest.mark.parametrize("table", ["customers", "orders", "order_lines", "behaviors"])
def test_no_key_is_looked_up_again_of_rows_that_are_placed(
    monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    engine = se.Engine(as_of=AS_OF)
    product = {"product_id": ["p"], "category": ["c"]}
    engine.load("products", pa.table(product))
    known: dict[str, list[Any]] = {"customer_id": [1], "time": [AS_OF], "amount": [5.0]}
    of: dict[str, dict[str, list[Any]]] = {
        "customers": {"customer_id": [1], "member_level": [2]},
        "orders": known,
        "order_lines": known | {"line_id": [1], "product_id": ["p"]},
        "behaviors": {"customer_id": [1], "time": [AS_OF], "kind": ["view"], "product_id": ["p"]},
    }
    for name in {"orders", table}:
        with_order = {"order_id": [7]} if name.startswith("order") else {}
        engine.append(name, pa.table(of[name] | with_order))
    is_ahead: list[bool] = []

    def looked_up(*_: Any) -> Any:
        raise AssertionError("a key is looked up again")

    def without_keys(*given: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(KeyIndex, "find", looked_up)
            work = worked_out_ahead(*given)
        is_ahead.append(work is not None)
        return work

    monkeypatch.setattr(current, "worked_out_ahead", without_keys)
    more = {"orders": {"order_id": [8]}, "order_lines": {"order_id": [7], "line_id": [2]}}
    engine.append(table, pa.table(of[table] | more.get(table, {})))
    assert is_ahead == [True]
