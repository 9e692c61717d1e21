"""Are the times of traits those of right answers, and is every family in them?"""

from __future__ import annotations

import pyarrow as pa
import pytest

from segengine.bench import trait_rivals, trait_suite
from segengine.bench.readme import performance
from segengine.bench.run import run
from segengine.bench.timing import DifferentAnswersError
from segengine.traits.catalogue import CATALOGUE, FAMILIES
from segengine.traits.purchase import PURCHASE


@pytest.fixture(scope="module")
def result():
    return run(500, repeats=2, suites=("traits",))


def test_every_family_has_its_time_and_memory(result):
    (suite,) = result["suites"]
    families = {each["family"]: each for each in suite["families"]}
    assert sorted(families) == sorted(family.name for family in FAMILIES)
    assert all(each["ms"] >= each["ms_min"] > 0 for each in families.values())
    assert sum(each["traits"] for each in families.values()) == suite["traits"] == len(CATALOGUE)
    for family in FAMILIES:
        held = families[family.name]
        assert held["traits"] == len(family.traits)
        assert (held["values_bytes"] > 0) == bool(family.traits) or family.name == "affinity"
    assert families["affinity"]["values_bytes"] > 0
    # The medians of the families need not be of one build.
    assert sum(each["ms_min"] for each in families.values()) <= suite["all_ms"]


def test_purchase_traits_stand_beside_those_of_rivals(result):
    (suite,) = result["suites"]
    (case,) = suite["cases"]
    assert set(case["ms"]) == {"segengine", "duckdb", "polars"} - set(result["absent"])
    assert case["rule"].split(", ") == [trait.name for trait in PURCHASE.traits]
    families = {each["family"]: each for each in suite["families"]}
    assert case["ms"]["segengine"] == families["purchase"]["ms"]
    assert "| the purchase traits of 500 buyers | ms |" in performance(result)


def test_a_rival_with_another_answer_is_an_error(monkeypatch):
    class Wrong(trait_rivals.DuckDBTraits):
        def answer(self):
            found = super().answer()
            place = found.schema.get_field_index("orders_30d")
            added = pa.array([row + 1 for row in found.column(place).to_pylist()])
            return found.set_column(place, "orders_30d", added)

    monkeypatch.setattr(trait_rivals, "RIVALS", {"duckdb": Wrong})
    with pytest.raises(DifferentAnswersError, match=r"DuckDB .* differs in orders_30d"):
        run(200, repeats=1, suites=("traits",), engines=("duckdb",))


@pytest.mark.parametrize(
    ("found", "names"),
    [
        ({"customer_id": [1, 3], "orders_placed_count": [2, 1], "gap": [0.5, None]}, []),
        ({"customer_id": [1, 3], "orders_placed_count": [2, 1], "gap": [0.5 + 1e-12, None]}, []),
        ({"customer_id": [1, 3], "orders_placed_count": [2, 1], "gap": [0.501, None]}, ["gap"]),
        ({"customer_id": [1, 3], "orders_placed_count": [2, 1], "gap": [0.5, 0.5]}, ["gap"]),
        ({"customer_id": [1, 3], "orders_placed_count": [2, 1]}, ["gap"]),
        ({"customer_id": [1], "orders_placed_count": [2], "gap": [0.5]}, ["customer_id"]),
        ({"customer_id": [1, 4], "orders_placed_count": [2, 1], "gap": [0.5, None]},
         ["customer_id"]),
    ],
)  # fmt: skip
def test_answers_differ_in_values_missing_values_and_buyers(found, names):
    ours = {"customer_id": [3, 2, 1], "orders_placed_count": [1, 0, 2], "gap": [None, None, 0.5]}
    types = {"gap": pa.float64()}
    expected, given = (
        pa.table({name: pa.array(values, types.get(name)) for name, values in each.items()})
        for each in (ours, found)
    )
    assert trait_suite.differing(expected, given) == names


def test_of_two_purchases_at_one_moment_none_is_asked_to_be_the_last():
    orders = pa.table({
        "customer_id": [1, 1, 1, 2, 2, 3], "time": [5, 7, 7, 7, 8, 7],
        "is_purchase": [True, True, True, True, True, None],
    })  # fmt: skip
    unsure = trait_suite.tied(orders)
    assert unsure.to_pylist() == [1]
    ours = {"customer_id": [1, 2], "orders_placed_count": [3, 2], "last_order_amount": [1.0, 2.0]}
    expected = pa.table(ours)
    other_tie = pa.table(ours | {"last_order_amount": [9.0, 2.0]})
    other_value = pa.table(ours | {"last_order_amount": [9.0, 3.0]})
    assert trait_suite.differing(expected, other_tie) == ["last_order_amount"]
    assert trait_suite.differing(expected, other_tie, unsure) == []
    assert trait_suite.differing(expected, other_value, unsure) == ["last_order_amount"]
