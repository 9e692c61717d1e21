"""An Arrow or NumPy array as the list of an IN: every kind, nulls, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from tests.rules.stores import AS_OF, ids, little_store

ZONED = pa.timestamp("us", "Asia/Shanghai")
MONEY = pa.decimal128(18, 4)
FIRST_TIME = datetime(2024, 2, 20, 1, tzinfo=UTC)

ARRAYS: list[tuple[str, pa.Array, set[int]]] = [
    ("visits", pa.array([10, -3, 77], pa.int64()), {1, 3}),
    ("visits", pa.array([10, -3], pa.int8()), {1, 3}),
    ("visits", pa.array([10, 0], pa.uint32()), {1, 2}),
    ("visits", pa.array([10, 0], pa.uint64()), {1, 2}),
    ("visits", pa.array([10.0, -3.0], pa.float64()), {1, 3}),
    ("visits", pa.array([10, 10, 10], pa.int64()), {1}),
    ("visits", pa.array([], pa.int64()), set()),
    ("visits", pa.array([10, 0]).dictionary_encode(), {1, 2}),
    ("visits", pa.array([-(2**63) + 1, 2**63 - 1, 0], pa.int64()), {2}),
    ("rate", pa.array([0.5, -1.25], pa.float64()), {1, 3}),
    ("rate", pa.array([0.5, 0.0], pa.float32()), {1, 2}),
    ("rate", pa.array([-0.0], pa.float64()), {2}),
    ("rate", pa.array([float("nan"), 0.5]), {1}),
    ("rate", pa.array([0, 1], pa.int64()), {2}),
    ("spent", pa.array([Decimal("19.9"), Decimal("-5.25")], MONEY), {1, 3}),
    ("spent", pa.array([Decimal("19.9")], pa.decimal128(5, 1)), {1}),
    ("spent", pa.array([0, 5], pa.int64()), {2}),
    # what the money scale cannot hold is no amount
    ("spent", pa.array([Decimal("19.90001"), Decimal(0)], pa.decimal128(18, 5)), {2}),
    ("city", pa.array(["Hangzhou", "", "nowhere"]), {1, 3}),
    ("city", pa.array(["Shanghai"], pa.large_string()), {2}),
    ("city", pa.array(["Shanghai", "Hangzhou"]).dictionary_encode(), {1, 2}),
    ("city", pa.array([], pa.string()), set()),
    ("birthday", pa.array([date(1992, 2, 29), date(2000, 12, 31)]), {2, 3}),
    ("birthday", pa.array([date(1990, 3, 5)], pa.date64()), {1}),
    ("joined_at", pa.array([AS_OF, FIRST_TIME], pa.timestamp("us", "UTC")), {1, 2}),
    ("joined_at", pa.array([FIRST_TIME], ZONED), {1}),
    ("joined_at", pa.array([AS_OF], pa.timestamp("s", "UTC")), {2}),
    ("joined_at", pa.array([AS_OF], pa.timestamp("ns", "UTC")), {2}),
    ("customer_id", pa.array([4, 2, 99]), {2, 4}),
    ("visits + 1", pa.array([11, 1]), {1, 2}),
    ("lower(city)", pa.array(["hangzhou"]), {1}),
    ("days_since(birthday) % 2", pa.array([0, 1]), {1, 2, 3}),
]


@pytest.fixture(scope="module")
def store() -> se.Engine:
    return little_store()


def left(text: str) -> Any:
    """The expression that a text says."""
    from segengine.rules.parse import parse

    return se.Rule(parse(text))


def one_truth(store: se.Engine, rule: Any) -> set[int | str]:
    """The buyers of a rule, as every way of asking gives them."""
    found = ids(store, rule)
    segment = store.segment(rule)
    assert segment.count() == len(found)
    for who in (1, 2, 3, 4):
        assert segment.contains(who) == segment.explain(who).holds == (who in found)
    return found


@pytest.mark.parametrize(("trait", "array", "found"), ARRAYS,
                         ids=[f"{t} in {a.type}" for t, a, _ in ARRAYS])  # fmt: skip
def test_a_trait_is_found_among_the_values_of_an_array(
    store: se.Engine, trait: str, array: pa.Array, found: set[int]
) -> None:
    known = ids(store, left(f"{trait} IS NOT NULL"))
    chunks = pa.chunked_array([array, array[:1]])
    for given_ in (array, chunks):
        assert one_truth(store, left(trait).is_in(given_)) == found
        assert one_truth(store, ~left(trait).is_in(given_)) == known - found


@pytest.mark.parametrize(("trait", "array", "found"), ARRAYS,
                         ids=[f"{t} in {a.type}" for t, a, _ in ARRAYS])  # fmt: skip
def test_a_null_in_the_array_makes_what_is_not_found_unknown(
    store: se.Engine, trait: str, array: pa.Array, found: set[int]
) -> None:
    plain = array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
    rule = left(trait).is_in(pa.concat_arrays([plain, pa.nulls(1, plain.type)]))
    assert one_truth(store, rule) == found
    assert one_truth(store, ~rule) == set()
    assert one_truth(store, rule.is_null()) == {1, 2, 3, 4} - found


def test_an_array_of_nulls_alone_holds_nothing_of_any_kind(store: se.Engine) -> None:
    for trait in ("visits", "rate", "spent", "city", "birthday", "joined_at"):
        for nulls in (pa.nulls(2), pa.array([], pa.null())):
            try:
                rule = store.segment(~se.col(trait).is_in(nulls))
            except se.RuleError:
                continue
            unknown = len(nulls) > 0
            assert rule.count() == (0 if unknown else 3), (trait, len(nulls))
            assert store.segment(se.col(trait).is_in(nulls)).count() == 0


def test_numpy_and_polars_arrays_are_taken_too(store: se.Engine) -> None:
    assert ids(store, se.col("visits").is_in(np.array([10, 0]))) == {1, 2}
    assert ids(store, se.col("rate").is_in(np.array([0.5]))) == {1}
    assert ids(store, se.col("city").is_in(np.array(["Hangzhou", "x"]))) == {1}
    import polars as pl

    assert ids(store, se.col("visits").is_in(pl.Series([10, -3]))) == {1, 3}
    assert ids(store, se.col("city").is_in(pl.Series(["Shanghai", None]))) == {2}


REFUSED: list[tuple[str, pa.Array]] = [
    ("visits", pa.array(["10"])),
    ("visits", pa.array([10.5])),
    ("visits", pa.array([2**63], pa.uint64())),
    ("visits", pa.array([True])),
    ("visits", pa.array([date(2024, 1, 1)])),
    ("visits", pa.array([AS_OF])),
    ("rate", pa.array(["0.5"])),
    ("rate", pa.array([date(2024, 1, 1)])),
    ("spent", pa.array(["19.9"])),
    ("spent", pa.array([date(2024, 1, 1)])),
    ("spent", pa.array([True])),
    ("city", pa.array([1, 2])),
    ("city", pa.array([["Hangzhou"]])),
    ("city", pa.array([b"Hangzhou"], pa.binary())),
    ("birthday", pa.array(["1990-03-05"])),
    ("birthday", pa.array([AS_OF])),
    ("birthday", pa.array([1, 2])),
    ("joined_at", pa.array([datetime(2024, 3, 1, 12)])),  # noqa: DTZ001 - a time without a zone
    ("joined_at", pa.array([date(2024, 3, 1)])),
    ("joined_at", pa.array([1, 2])),
    ("tags", pa.array(["vip"])),
    ("tags", pa.array([["vip"]])),
    ("is_gold", pa.array([True])),
]


@pytest.mark.parametrize(("trait", "array"), REFUSED,
                         ids=[f"{t} in {a.type}" for t, a in REFUSED])  # fmt: skip
def test_an_array_of_other_values_is_refused_by_name(
    store: se.Engine, trait: str, array: pa.Array
) -> None:
    with pytest.raises(se.RuleError) as caught:
        store.segment(se.col("visits").is_not_null() & se.col(trait).is_in(array))
    (problem,) = caught.value.problems
    assert problem.message.startswith(f"`{trait}` is ")
    assert problem.message.endswith(f"an array of {array.type} is not compared with it")
    assert problem.help == "cast the array to the trait's type"


def test_all_mistakes_beside_an_array_are_said(store: se.Engine) -> None:
    with pytest.raises(se.RuleError) as caught:
        store.segment(se.col("cty").is_in(pa.array(["a"])) & se.col("visits").is_in(pa.array("ab")))
    assert [p.message[:13] for p in caught.value.problems] == ["unknown trait", "`visits` is a"]


def test_an_array_may_be_named_as_a_segment_and_follows_the_data() -> None:
    engine = little_store()
    engine.define_segment("listed", se.col("customer_id").is_in(pa.array([2, 3, 7])))
    assert ids(engine, "segment('listed')") == {2, 3}
    assert engine.match(2) == ["listed"]
    engine.append("customers", pa.table({"customer_id": [7]}))
    assert ids(engine, "segment('listed')") == {2, 3, 7}
    assert ids(engine, "NOT segment('listed')") == {1, 4}


def test_an_array_stands_inside_a_filter_too() -> None:
    engine = little_store()
    engine.load("orders", pa.table({
        "customer_id": [1, 1, 2, 3], "time": [FIRST_TIME] * 4, "amount": [5.0, 6.0, 5.0, 7.0],
        "region": ["n", "s", "n", None],
    }))  # fmt: skip
    some = se.col("region").is_in(pa.array(["n", "x"]))
    assert ids(engine, se.count("orders", where=some) >= 1) == {1, 2}
    assert ids(engine, se.count("orders", where=~some) >= 1) == {1}
    moneys = se.col("amount").is_in(pa.array([5, 7]))
    assert ids(engine, se.count("orders", where=moneys) >= 1) == {1, 2, 3}
    buyers = se.col("customers.visits").is_in(pa.array([10, 0]))
    assert ids(engine, se.count("orders", where=buyers) >= 1) == {1, 2}


VALUES = st.lists(st.none() | st.integers(-6, 6), max_size=40)


@settings(max_examples=15)
@given(VALUES, VALUES, st.sampled_from(["n", "x", "m", "word", "day"]))
def test_an_array_means_what_a_list_means(
    have: list[int | None], listed: list[int | None], trait: str
) -> None:
    """Arrays, and lists of literals, side by side."""
    makes = {
        "n": (lambda v: v, pa.int64()), "x": (lambda v: v / 4, pa.float64()),
        "m": (lambda v: Decimal(v).scaleb(-1), MONEY), "word": (lambda v: f"w{v}", pa.string()),
        "day": (lambda v: date(2000, 1, 10 + v), pa.date32()),
    }  # fmt: skip
    make, kind = makes[trait]
    both = [[None if v is None else make(v) for v in side] for side in (have, listed)]
    engine = se.Engine(as_of=AS_OF)
    table = {"customer_id": pa.array(range(len(have)), pa.int64()), trait: pa.array(both[0], kind)}
    engine.load("customers", pa.table(table), columns={trait: trait})
    if not listed:
        return
    in_array = se.col(trait).is_in(pa.array(both[1], kind))
    in_list = se.col(trait).is_in(both[1])
    for one, other in ((in_array, in_list), (~in_array, ~in_list)):
        assert ids(engine, one) == ids(engine, other)
