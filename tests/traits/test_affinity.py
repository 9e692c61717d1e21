"""How much a buyer cares for what: against SQL, after any batches, in rules, and by example."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.schema.affinity_settings import EVIDENCE, AffinitySettings
from segengine.schema.store_config import parse_config
from tests.ingest.samples import AS_OF, customers, engine, orders
from tests.reference.affinity_sql import Affinities, affinities
from tests.traits.histories import Shop, engine_of, same
from tests.traits.test_incremental import Life
from tests.traits.test_interest import agreeing, asked

TABLES = ("products", "order_lines", "order_lines", "behaviors", "behaviors", "behaviors")
KINDS = ("category", "brand")


def scores_of(found: se.Engine) -> Affinities:
    """Every buyer's scores, as the tables keep them."""
    scores: Affinities = {}
    tables = found._tables
    for one in found.segment("TRUE").ids().to_pylist():
        row = tables.customers.row_of(one)
        assert row is not None
        kinds = {kind: tables.affinities.of(kind, row) for kind in KINDS}
        if any(kinds.values()):
            scores[one] = {kind: values for kind, values in kinds.items() if values}
    return scores


def unlike(found: Affinities, expected: Affinities) -> list[str]:
    """`buyer.kind.value: found, expected` for each that is not the same."""
    # Below 1e-300 a float has lost its digits: what is that old counts for nothing.
    flat, wanted = (
        {
            (one, kind, value): score
            for one, kinds in scores.items()
            for kind, values in kinds.items()
            for value, score in values.items()
        }
        for scores in (found, expected)
    )
    return [
        f"{key}: {flat.get(key)}, expected {wanted.get(key)}"
        for key in flat.keys() | wanted.keys()
        if key not in flat
        or key not in wanted
        or not (same(flat[key], wanted[key]) or max(flat[key], wanted[key]) < 1e-300)
    ]


def settings_of(rng: Random) -> dict[str, Any]:
    """Some `[affinity]`; often the default."""
    if rng.random() < 0.4:
        return {}
    chosen = {name: rng.choice((0, 0.5, 1, 7)) for name in EVIDENCE if rng.random() < 0.5}
    if not any({**AffinitySettings().weights, **chosen}.values()):
        chosen["view"] = 1
    return {"half_life_days": rng.choice((20, 45.5, 400)), **chosen}


# --- against SQL ----------------------------------------------------------------------------------


def disagreements(seed: int, *, buyers: int = 6, batches: int = 9, rows: int = 10) -> list[str]:
    rng = Random(seed)
    shop = Shop.drawn(rng, buyers=buyers)
    config = {"affinity": settings_of(rng)}
    found = engine_of(shop, config)
    for _ in range(batches):
        batch = shop.batch(rng.choice(TABLES), rows)
        found.load(batch.table, batch.to_arrow())
    chosen = parse_config(config).affinity
    with asked(found, shop.timezone) as connection:
        expected = affinities(connection, shop.as_of, chosen.half_life_days, chosen.weights)
    return unlike(scores_of(found), expected)


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_scores_equal_their_definition_in_sql(seed: int) -> None:
    assert disagreements(seed) == []


def test_scores_of_a_larger_shop_equal_their_definition_in_sql() -> None:
    assert disagreements(1, buyers=40, batches=6, rows=150) == []


@pytest.mark.prove
def test_scores_equal_their_definition_in_sql_at_length() -> None:
    assert {seed: found for seed in range(500) if (found := disagreements(seed))} == {}


@settings(max_examples=12)
@given(st.integers(0, 2**32))
def test_scores_after_any_batches_equal_those_of_a_fresh_build(seed: int) -> None:
    life = Life(seed, steps=10, rows=6)
    assert unlike(scores_of(life.engine), scores_of(life.fresh())) == []


@settings(max_examples=8)
@given(st.integers(0, 2**32))
def test_scores_lie_in_0_to_1_and_sum_to_1_for_a_buyer_and_a_kind(seed: int) -> None:
    life = Life(seed, steps=8, rows=8)
    for kinds in scores_of(life.engine).values():
        for values in kinds.values():
            assert all(0 <= score <= 1 for score in values.values())
            assert sum(values.values()) == pytest.approx(1, rel=1e-12)


# --- by example -----------------------------------------------------------------------------------


def shown(*rows: tuple[str, str | None, float], one: int = 1) -> pa.Table:
    """What a buyer did with things of a category, and how many days ago."""
    return pa.table({
        "customer_id": [one] * len(rows), "kind": [kind for kind, _, _ in rows],
        "category": pa.array([category for _, category, _ in rows], pa.string()),
        "time": [AS_OF - timedelta(days=days) for _, _, days in rows],
    })  # fmt: skip


def bought(*rows: tuple[str, float], **columns: list[Any]) -> pa.Table:
    return pa.table({
        "customer_id": [1] * len(rows), "category": [category for category, _ in rows],
        "order_id": [f"o{k}" for k in range(len(rows))],
        "time": [AS_OF - timedelta(days=days) for _, days in rows], **columns,
    })  # fmt: skip


def having(*rows: tuple[str, str | None, float], config: Mapping[str, Any] | None = None) -> Any:
    found = engine(config={"affinity": dict(config or {})})
    found.load("behaviors", shown(*rows))
    return found


def to(found: se.Engine, value: str, kind: str = "category", one: int = 1) -> float | None:
    """What rules and analysts see, through a declared trait."""
    found.define_trait("asked", f"affinity('{kind}', '{value}')")
    (score,) = found.segment(f"customer_id = {one}").table(["asked"])["asked"].to_pylist()
    return score  # type: ignore[no-any-return]


def test_an_event_counts_by_its_weight() -> None:
    defaults = {"cart": 3, "favorite": 3, "search": 2, "view": 1}
    for kind, weight in defaults.items():
        found = having((kind, "tea", 0), ("view", "milk", 0))
        assert to(found, "tea") == pytest.approx(weight / (weight + 1))
    found = having(("view", "milk", 0))
    found.load("order_lines", bought(("tea", 0)))
    assert to(found, "tea") == pytest.approx(5 / 6)
    found = having(("search", "tea", 0), ("view", "milk", 0), config={"search": 10, "view": 30})
    assert to(found, "tea") == pytest.approx(0.25)


def test_after_a_half_life_an_event_counts_for_half() -> None:
    assert to(having(("view", "tea", 30), ("view", "milk", 0)), "tea") == pytest.approx(1 / 3)
    assert to(having(("view", "tea", 60), ("view", "milk", 0)), "tea") == pytest.approx(1 / 5)
    week = {"half_life_days": 7}
    found = having(("view", "tea", 7), ("view", "milk", 0), config=week)
    assert to(found, "tea") == pytest.approx(1 / 3)
    half_a_day = {"half_life_days": 0.5}
    found = having(("view", "tea", 1), ("view", "milk", 0), config=half_a_day)
    assert to(found, "tea") == pytest.approx(1 / 5)


def test_time_alone_changes_no_share() -> None:
    found = having(("view", "tea", 45), ("cart", "milk", 3))
    before = to(found, "tea")
    found.advance(AS_OF + timedelta(days=3000))
    assert to(found, "tea") == before
    found.advance(AS_OF - timedelta(days=4))
    assert to(found, "tea") == 1.0
    found.advance(AS_OF)
    assert to(found, "tea") == before


def test_what_is_long_gone_fades_to_0_and_not_to_missing() -> None:
    found = having(("view", "tea", 30_000), ("view", "milk", 0), config={"half_life_days": 0.01})
    assert to(found, "tea") == 0.0
    assert to(found, "milk") == 1.0
    old = having(("view", "tea", 40_000), ("view", "milk", 40_000))
    assert to(old, "tea") == 0.5


def test_without_evidence_there_is_no_score_and_without_evidence_of_a_value_it_is_0() -> None:
    found = having(("view", "tea", 1), ("inquiry", "milk", 1), ("view", None, 1),
                   ("cart_remove", "milk", 1))  # fmt: skip
    found.load("customers", customers(2))
    assert to(found, "tea") == 1.0
    assert to(found, "milk") == 0.0
    assert to(found, "never met") == 0.0
    assert to(found, "A", "brand") is None
    assert to(found, "tea", one=2) is None


def test_a_weight_of_0_is_no_evidence() -> None:
    found = having(("view", "tea", 0), ("cart", "milk", 1), config={"view": 0})
    assert to(found, "tea") == 0.0
    assert to(found, "milk") == 1.0
    assert to(having(("view", "tea", 0), config={"view": 0}), "tea") is None


def test_only_what_was_bought_counts_as_bought() -> None:
    found = having(("view", "milk", 0))
    found.load("order_lines", bought(("tea", 0), is_purchase=[False]))
    assert to(found, "tea") == 0.0
    paid = orders(1, time=AS_OF, order_id=["o0"], is_purchase=[True])
    found.append("orders", paid)
    found.append("order_lines", bought(("tea", 0), line_id=[7], is_purchase=[True]))
    assert to(found, "tea") == pytest.approx(5 / 6)
    refunded = orders(1, time=AS_OF, order_id=["o0"], is_purchase=[False])
    found.append("orders", refunded)
    found.append("order_lines", bought(("tea", 0), line_id=[7], is_purchase=[False]))
    assert to(found, "tea") == 0.0


def test_what_has_no_category_of_its_own_takes_that_of_its_product() -> None:
    found = engine()
    seen = orders(1, 1, time=AS_OF, kind=["view", "view"], product_id=["p", "q"])
    found.load("behaviors", seen)
    assert to(found, "tea") is None
    found.load("products", pa.table({"product_id": ["p"], "category": ["tea"], "brand": ["A"]}))
    assert (to(found, "tea"), to(found, "A", "brand")) == (1.0, 1.0)
    found.append("products", pa.table({"product_id": ["q"], "category": ["milk"]}))
    assert to(found, "tea") == 0.5
    found.append("products", pa.table({"product_id": ["p"], "category": ["milk"]}))
    assert (to(found, "tea"), to(found, "milk")) == (0.0, 1.0)


def test_what_happens_after_as_of_is_not_seen_before() -> None:
    found = having(("view", "tea", 1), ("cart", "milk", -0.1), ("cart", "milk", -2))
    assert to(found, "milk") == 0.0
    found.advance(AS_OF + timedelta(hours=3))
    near = to(found, "milk")
    assert near is not None
    assert 0.7 < near < 0.8
    found.advance(AS_OF + timedelta(days=3))
    further = to(found, "milk")
    assert further is not None
    assert near < further < 0.9


def test_a_buyer_with_thousands_of_values_has_a_score_for_each() -> None:
    count = 3000
    found = having(*[("view", f"c{k % (count // 2)}", 0) for k in range(count)])
    found.load("behaviors", shown(("view", "c7", 0), one=2))
    assert to(found, "c7") == pytest.approx(2 / count)
    assert to(found, "c7", one=2) == 1.0
    found.append("behaviors", shown(*[("view", f"d{k}", 0) for k in range(1000)]))
    assert to(found, "d999") == pytest.approx(1 / (count + 1000))
    assert sum(scores_of(found)[1]["category"].values()) == pytest.approx(1)


# --- in rules -------------------------------------------------------------------------------------


def test_rules_ids_match_and_explain_agree_after_every_batch() -> None:
    found = having(("view", "tea", 5), ("cart", "milk", 2))
    for one, category in ((2, "tea"), (3, "milk"), (4, None)):
        found.load("behaviors", shown(("view", category, 1), one=one))
    rules = {
        "affinity('category', 'tea') > 0.3": [2],
        "affinity('category', 'tea') < 0.3": [1, 3],
        "affinity('category', 'tea') = 0": [3],
        "affinity('category', 'tea') IS NULL": [4],
        "affinity('category', 'tea') >= affinity('category', 'milk')": [2],
        "affinity('brand', 'tea') IS NOT NULL": [],
        "affinity('category', 'never met') = 0": [1, 2, 3],
    }
    assert {rule: agreeing(found, rule) for rule in rules} == rules
    found.append("behaviors", shown(*[("favorite", "tea", 0)] * 9))
    found.append("behaviors", shown(("view", "never met", 0), one=5))
    assert agreeing(found, "affinity('category', 'tea') > 0.3") == [1, 2]
    assert agreeing(found, "affinity('category', 'never met') = 1") == [5]
    found.delete_customer(2)
    assert agreeing(found, "affinity('category', 'tea') > 0.3") == [1]
    assert agreeing(found, "affinity('category', 'tea') IS NULL") == [4]
    found.advance(AS_OF + timedelta(days=1))
    assert agreeing(found, "affinity('category', 'tea') > 0.3") == [1]


def test_a_new_date_is_built_beside_readers_who_see_one_state_or_the_other() -> None:
    found = having(("view", "tea", 1), ("cart", "milk", -1))
    told: set[tuple[int, int]] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            told.add((
                found.segment("affinity('category', 'tea') = 1").count(),
                found.segment("affinity('category', 'tea') < 1").count(),
            ))  # fmt: skip

    reader = threading.Thread(target=read)
    reader.start()
    for step in range(6):
        found.advance(AS_OF + timedelta(days=2 * (step % 2 == 0)))
    stop.set()
    reader.join()
    # Between the two questions the date may change; within one it does not.
    assert told <= {(1, 0), (0, 1), (1, 1), (0, 0)}
    assert to(found, "tea") == 1.0


def test_scores_that_come_and_go_leave_nothing_behind() -> None:
    found = having(("view", "tea", 1))
    found.load("behaviors", shown(("view", "milk", 1), one=2))

    def grow(times: int) -> int:
        for k in range(times):
            one = 1 + k % 2
            found.append("behaviors", shown(("view", f"c{k % 20}", 0), one=one))
        return found._tables.affinities.nbytes()

    before = grow(100)
    assert grow(400) <= 2 * before


def test_the_store_shows_what_scores_take_and_opens_with_them(tmp_path: Any) -> None:
    (tmp_path / "store.toml").write_text("[store]\nas_of = 2024-03-01T12:00:00Z\n")
    with se.Engine.open(tmp_path) as found:
        found.load("behaviors", shown(("view", "tea", 1), ("cart", "milk", 2)))
        before = scores_of(found)
        held = {row["table"]: row["total_bytes"] for row in found.memory().to_pylist()}
        assert held["(affinities)"] > 0
    with se.Engine.open(tmp_path) as again:
        assert scores_of(again) == before


# --- settings and stores with little --------------------------------------------------------------


def test_settings_are_read_and_each_mistake_is_named() -> None:
    found = parse_config({"affinity": {"half_life_days": 7.5, "view": 0, "cart": 4}}).affinity
    assert found == AffinitySettings(half_life_days=7.5, view=0.0, cart=4.0)
    assert parse_config({}).affinity == AffinitySettings()
    for value in (0, -3, 40_000, "30", float("inf"), True):
        with pytest.raises(se.ConfigError, match=r"`affinity.half_life_days`: must be"):
            parse_config({"affinity": {"half_life_days": value}})
    with pytest.raises(se.ConfigError, match=r"above 0 .* not `0`; a small one, such as 0.1"):
        se.Engine(config={"affinity": {"half_life_days": 0}})
    with pytest.raises(se.ConfigError) as caught:
        parse_config({"affinity": {"view": -1, "cart": "much", "visit": 3}})
    for place in ("affinity.view", "affinity.cart", "affinity.visit"):
        assert f"`{place}`" in str(caught.value)
    with pytest.raises(se.ConfigError, match="all weights are 0"):
        parse_config({"affinity": dict.fromkeys(EVIDENCE, 0)})


def test_a_store_with_little_has_no_scores() -> None:
    found = engine()
    assert found.segment("affinity('category', 'tea') >= 0").count() == 0
    found.load("customers", customers(1))
    assert to(found, "tea") is None
    found.load("orders", orders(1, time=AS_OF, amount=[3.0]))
    found.load("behaviors", orders(1, time=AS_OF, kind=["view"], product_id=[5]))
    assert to(found, "tea") is None
    found.load("order_lines", bought(("tea", 0)))
    assert to(found, "tea") == 1.0


def test_the_score_of_one_row_is_that_of_all_rows() -> None:
    life = Life(7, steps=14, rows=8)
    kept, rows = life.engine._tables.affinities, life.engine._tables.customers.rows
    for kind in KINDS:
        for value in ("a", "b", "c", "d"):
            everyone = kept.scores(kind, value, rows + 5)
            one_by_one = [kept.score(kind, value, row) for row in range(rows + 5)]
            assert np.array_equal(everyone, one_by_one, equal_nan=True)
