"""What another setting would do, before it does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import Any

import numpy as np
import pytest

import segengine as se
from segengine.schema.store_config import StoreConfig
from segengine.tables.row_lists import RowLists
from segengine.traits import preview
from segengine.traits.life_cycle import STAGES
from tests.ingest.samples import AS_OF, engine, state
from tests.traits.histories import Shop, differences, engine_of, traits_of
from tests.traits.test_life_cycle import purchases

STAGED = ["customer_id", "lifecycle_stage"]


def shop(*, config: Mapping[str, Any] | None = None, seed: int = 3) -> se.Engine:
    """A store of sixty buyers with a history of every kind."""
    rng = Random(seed)
    drawn = Shop.drawn(rng, buyers=60)
    found = engine_of(drawn, config)
    for table in ("customers", "products", "orders", "order_lines", "behaviors", "messages") * 2:
        batch = drawn.batch(table, 90)
        found.load(batch.table, batch.to_arrow())
    return found


def stages(found: se.Engine) -> dict[Any, str]:
    rows = found.table("customers", STAGED).to_pylist()
    return {row["customer_id"]: row["lifecycle_stage"] for row in rows}


@pytest.mark.parametrize(
    "changes",
    [
        {"lifecycle": {"active_days": 50}},
        {"lifecycle": {"new_days": 0, "active_days": 0, "sleeping_days": 5}},
        {"lifecycle": {"thresholds": "fit"}},
        {"rfm": {"mode": "fixed", "recency": [1, 2, 3, 4], "orders": [1, 2, 3, 4],
                 "amount": [1, 2.5, 3, 4]}},
        {"habit": {"minimum_evidence": 1}, "response": {"least_messages": 1}},
        {"levels": {"by": "order_count", "thresholds": [1, 2]}},
        {"affinity": {"half_life_days": 1}},
        {},
    ],
)  # fmt: skip
def test_a_preview_is_what_a_store_with_these_settings_would_say(changes: dict[str, Any]) -> None:
    found, after = shop(), shop(config=changes)
    told = found.preview(changes)
    now, then = traits_of(found), traits_of(after)
    expected = Counter(line.partition(".")[2].partition(":")[0] for line in differences(now, then))
    seen = {each.trait: each.buyers for each in told.traits if "(" not in each.trait}
    assert seen == expected
    was, will = stages(found), stages(after)
    pairs = Counter((was[one], will[one]) for one in was)
    assert {(m.before, m.after): m.buyers for m in told.stages} == pairs
    for move in told.moves:
        who = [one for one in was if (was[one], will[one]) == (move.before, move.after)]
        assert list(move.customer_ids) == who[:10]
    assert told.buyers == len(was)
    assert told.fits_after == after.fits.shown


def test_a_preview_changes_nothing() -> None:
    found = engine()
    found.load("orders", purchases([0], [45], [100, 150], [55, 70]))
    before, traits = state(found), traits_of(found)
    config, fits = found.config, found.fits
    told = found.preview({"lifecycle": {"active_days": 50}, "affinity": {"view": 9}})
    assert told.data_version == found.data_version
    assert state(found) == before
    assert traits_of(found) == traits
    assert found.config == config
    assert found.fits is fits
    found.append("orders", purchases([1]))
    assert stages(found)[0] == "active"


def test_who_moves_is_counted_and_named() -> None:
    found = engine()
    found.load("orders", purchases([55, 300], [45], [100, 150], [59], [3]))
    told = found.preview({"lifecycle": {"active_days": 50}})
    assert told.settings == (preview.Change("lifecycle.active_days", 60, 50),)
    assert [(m.before, m.after, m.buyers, m.customer_ids) for m in told.moves] == [
        ("active", "sleeping", 2, (0, 3))
    ]
    assert sum(move.buyers for move in told.stages) == told.buyers == 5
    assert {each.trait for each in told.traits} == {
        "lifecycle_stage", "stage_changed_at", "previous_stage"
    }  # fmt: skip


def test_at_most_ten_buyers_are_named_the_first_in_the_stores_order() -> None:
    found = engine()
    found.load("orders", purchases(*[[55]] * 30))
    (move,) = found.preview({"lifecycle": {"active_days": 50}}).moves
    assert move.buyers == 30
    assert move.customer_ids == tuple(range(10))


def test_keys_that_are_not_named_stay_as_the_store_has_them() -> None:
    config = {"lifecycle": {"new_days": 5, "active_days": 44}}
    told = engine(config=config).preview({"lifecycle": {"sleeping_days": 90}})
    assert told.settings == (preview.Change("lifecycle.sleeping_days", 180, 90),)
    fixed = {"rfm": {"mode": "fixed", "recency": [1, 2.5, 3, 4], "orders": [1, 2, 3, 4],
                     "amount": [1, 2, 3, 4]}}  # fmt: skip
    found = engine(config=fixed)
    assert [c.setting for c in found.preview({"rfm": {"orders": [2, 3, 4, 5]}}).settings] == [
        "rfm.orders"
    ]
    mode = found.preview({"rfm": {"mode": "quintile"}}).settings
    assert [c.setting for c in mode] == ["rfm.mode", "rfm.recency", "rfm.orders", "rfm.amount"]


def test_cuts_from_before_the_last_appends_make_no_difference() -> None:
    found = engine()
    found.load("orders", purchases(*[[k] for k in range(20)]))
    found.append("orders", purchases(*[[k] for k in range(100, 140)]))
    assert [each.family for each in found.preview({}).traits] == []
    names = {each.trait for each in found.preview({"lifecycle": {"active_days": 50}}).traits}
    assert names.isdisjoint({"r_score", "f_score", "m_score", "rfm_cell"})
    found.delete_customer(3)
    assert found.preview({}).buyers == 39 + 20 - 20


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lifecycle": {"activ_days": 50}},
         "`lifecycle.activ_days`: is not a setting; did you mean `active_days`?"),
        ({"lifecycle": {"active_days": -1}}, "`lifecycle.active_days`: must be a whole number"),
        ({"lifecycle": {"active_days": 10}}, "needs new_days <= active_days <= sleeping_days"),
        ({"lifecycle": 3}, "`lifecycle`: must be a section, not `3`"),
        ({"lifecicle": {}}, "`lifecicle`: no trait of buyers depends on it; did you mean"),
        ({"segments": {"vip": "TRUE"}}, "`segments`: no trait of buyers depends on it; a preview"),
        ({"rfm": {"mode": "fixed"}}, "`rfm.recency`: is missing"),
        ([1], "a preview takes sections with settings"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_as_that_of_a_store_toml(changes: Any, said: str) -> None:
    with pytest.raises(se.ConfigError) as caught:
        engine().preview(changes)
    assert said in str(caught.value)


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(se.ConfigError) as caught:
        engine().preview({"lifecycle": {"nwe_days": 1}, "rfm": {"mode": "third"}})
    assert "lifecycle.nwe_days" in str(caught.value)
    assert "rfm.mode" in str(caught.value)


def test_every_section_that_traits_depend_on_can_be_previewed() -> None:
    others = {
        "timezone", "currency", "channels", "as_of", "money_scale", "standing_memory_mb", "load",
        "further_tables", "consent_missing", "holdout_share", "range_mix", "constants", "traits",
        "segments", "campaigns", "pages", "answers", "text", "pools", "caps", "storage",
    }  # fmt: skip
    left = set(StoreConfig.__dataclass_fields__) - others
    assert left == set(preview.SECTIONS)


def test_a_preview_of_an_empty_store_and_of_tomorrow() -> None:
    found = engine()
    assert found.preview({"lifecycle": {"active_days": 50}}).stages == ()
    found.load("orders", purchases([49]))
    assert found.preview({"lifecycle": {"active_days": 50}}).moves == ()
    found.advance(AS_OF + timedelta(days=2))
    (move,) = found.preview({"lifecycle": {"active_days": 50}}).moves
    assert (move.before, move.after) == (STAGES[2], STAGES[4])


def test_a_preview_is_plain_data() -> None:
    found = engine()
    found.load("orders", purchases([55, 300]))
    told = found.preview({"lifecycle": {"active_days": 50}}).to_dict()
    assert told["settings"] == [{"setting": "lifecycle.active_days", "before": 60, "after": 50}]
    assert told["stages"][0]["customer_ids"] == [0]
    assert told["as_of"] == "2024-03-01T12:00:00Z"
    assert told["fits_after"]["lifecycle"]["active_days"] == 50


@pytest.mark.parametrize("scored", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_lists_differ_where_a_code_a_score_or_the_length_does(seed: int, *, scored: bool) -> None:
    rng = np.random.default_rng(seed)
    count = 40
    rows = np.arange(count, dtype=np.int64)

    def drawn() -> list[list[tuple[int, float]]]:
        sizes = rng.integers(0, 4, count)
        return [[(int(rng.integers(3)), float(rng.integers(2))) for _ in range(n)] for n in sizes]

    def put(kept: RowLists, lists: list[list[tuple[int, float]]], at: Any) -> None:
        counts = np.array([len(lists[row]) for row in at], np.int32)
        items = [item for row in at for item in lists[row]]
        codes = np.array([code for code, _ in items], np.int32)
        scores = np.array([score for _, score in items] if scored else [], np.float64)
        if len(at) == count:
            kept.fill(counts, codes, scores)
        else:
            kept.write(np.asarray(at, np.int64), counts, codes, scores)

    one, two = drawn(), drawn()
    two = [b if rng.random() < 0.5 else a for a, b in zip(one, two, strict=True)]
    old, new = RowLists(scored=scored), RowLists(scored=scored)
    put(old, drawn(), range(count))
    put(old, one, range(count))
    put(new, drawn(), range(count))
    for row in rows:
        put(new, two, [row])
    asked = rows[rng.random(count) < 0.7]
    expected = [
        [c for c, _ in one[r]] != [c for c, _ in two[r]] or (scored and one[r] != two[r])
        for r in asked
    ]
    assert preview.lists_differ(old, new, asked).tolist() == expected
