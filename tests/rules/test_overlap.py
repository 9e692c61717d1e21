"""Overlap counts what two segments share, exactly."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pyarrow as pa
import pytest

import segengine as se
from segengine.rules.overlap import overlap
from tests.reference.rules import rule_text
from tests.rules.agreement import case
from tests.rules.stores import AS_OF, ids, little_store


@pytest.mark.parametrize(("seed", "rows"), [(400, 0), (401, 65), (402, 300)])
def test_a_pair_counts_the_buyers_of_both(seed: int, rows: int) -> None:
    found = case(seed, rows)
    names = [f"s{place}" for place in range(7)]
    for name, rule in zip(names, found.rules(7), strict=True):
        found.engine.define_segment(name, rule_text(rule))
    members = {name: ids(found.engine, f"segment('{name}')") for name in names}
    assert found.engine.overlap(names).to_pylist() == [
        {"left": left, "right": right, "count": len(members[left] & members[right])}
        for left, right in combinations_with_replacement(names, 2)
    ]


@pytest.mark.parametrize("words", [0, 1, 255, 256, 257, 3 * (1 << 13) + 5])
def test_counts_are_those_of_numpy_whatever_the_blocks_and_threads(words: int) -> None:
    rng = np.random.default_rng(words)
    bitmaps = rng.integers(0, 1 << 64, (4, words), np.uint64)
    bitmaps[3] = ~np.uint64(0)
    counted = overlap(list("abcd"), bitmaps)["count"].to_pylist()
    assert counted == [
        int(np.bitwise_count(bitmaps[left] & bitmaps[right]).sum())
        for left, right in combinations_with_replacement(range(4), 2)
    ]


def test_pairs_stand_in_the_order_given_each_once() -> None:
    store = little_store()
    store.define_segment("gold", "is_gold")
    store.define_segment("busy", "visits >= 0")
    table = store.overlap(["gold", "busy", "gold"])
    assert table.schema.types == [pa.string(), pa.string(), pa.int64()]
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("gold", "gold", 2), ("gold", "busy", 1), ("busy", "busy", 2),
    ]  # fmt: skip
    assert store.overlap(["busy"]).num_rows == 1
    assert store.overlap([]).num_rows == 0


def test_all_segments_are_meant_when_none_is_named() -> None:
    store = little_store()
    assert store.overlap().num_rows == 0
    store.define_segment("gold", "is_gold")
    store.define_segment("busy", "visits >= 0")
    assert store.overlap() == store.overlap(["gold", "busy"])


def test_deleted_buyers_are_shared_by_nobody() -> None:
    store = little_store()
    store.define_segment("all", "TRUE")
    store.delete_customer(1)
    assert store.overlap(["all"])["count"].to_pylist() == [3]


def test_what_cannot_be_compared_says_why() -> None:
    store = little_store()
    store.define_segment("gold", "is_gold")
    with pytest.raises(se.UnknownNameError, match="unknown segment `glod`; did you mean `gold`"):
        store.overlap(["glod"])
    with pytest.raises(se.DefinitionError, match=r"a list of segments, not one name: `\['gold'"):
        store.overlap("gold")
    many = se.Engine(as_of=AS_OF, config={"segments": {f"s{n}": "TRUE" for n in range(257)}})
    with pytest.raises(se.DefinitionError, match="at most 256 segments at once, and these are 257"):
        many.overlap()
