"""Buckets are those that the GrowthBook SDKs publish, fair, and independent of each other."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

import segengine as se
from segengine.audiences import bucketing as ours
from segengine.kernels import hashing
from tests.reference import bucketing as theirs

VECTORS = Path(__file__).parents[3] / "shared/suites/growthbook/bucketing_vectors.json"
IDS = 40_000


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    if not VECTORS.exists():
        pytest.skip(f"there is no {VECTORS}: ../shared is absent")
    found: dict[str, Any] = json.loads(VECTORS.read_text())
    return found


def test_every_published_vector_holds(vectors: dict[str, Any]) -> None:
    for seed, value, version, share in vectors["hash"]:
        assert ours.hash_share(seed, value, version) == share
    for name, (count, coverage, weights), expected in vectors["getBucketRange"]:
        flat = [edge for pair in ours.bucket_ranges(count, coverage, weights) for edge in pair]
        assert flat == pytest.approx([edge for pair in expected for edge in pair], abs=1e-8), name
    for name, share, ranges, expected in vectors["chooseVariation"]:
        assert ours.choose_variation(share, ranges) == expected, name
    for name, user, namespace, expected in vectors["inNamespace"]:
        assert ours.in_namespace(user, tuple(namespace)) == expected, name
    for count, expected in vectors["getEqualWeights"]:
        assert ours.equal_weights(count) == pytest.approx(expected, abs=1e-8)


def test_every_published_hash_is_what_a_rule_reads(vectors: dict[str, Any]) -> None:
    published = [(seed, value, share) for seed, value, version, share in vectors["hash"]
                 if version == 2]  # fmt: skip
    engine = se.Engine()
    engine.load(
        "customers", pa.table({"customer_id": sorted({value for _, value, _ in published})})
    )
    for seed, value, share in published:
        rule = se.call("bucket", seed) == share
        assert value in engine.segment(rule).ids().to_pylist()
        assert engine.segment(rule).contains(value)


@given(st.text(max_size=10), st.integers(-(2**63) + 1, 2**63 - 1) | st.text(max_size=10))
def test_one_id_has_the_bucket_of_its_text(salt: str, customer_id: int | str) -> None:
    share = theirs.bucket(salt, str(customer_id))
    assert ours.bucket_of(salt, customer_id) / 10_000 == share


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.1, 0.2, 0.7), (1.0,), (0.0, 1.0),
                                     (1 / 3, 1 / 3, 1 / 3), (0.3333, 0.6667)])  # fmt: skip
def test_the_table_of_variants_is_the_published_choice_for_every_bucket(
    weights: tuple[float, ...],
) -> None:
    table = ours.variant_table(weights)
    ranges = theirs.bucket_ranges(len(weights), 1.0, weights)
    for bucket in range(10_000):
        chosen = theirs.choose_variation(bucket / 10_000, ranges)
        assert table[bucket] == (chosen if chosen >= 0 else len(weights) - 1)


@pytest.mark.parametrize("share", [0.0, 0.00005, 0.0001, 0.1, 0.15, 0.3, 0.7, 0.9999, 1.0])
def test_a_share_takes_the_buckets_below_it(share: float) -> None:
    assert ours.share_limit(share) == sum(bucket / 10_000 < share for bucket in range(10_000))


@pytest.fixture(scope="module", params=["numbers", "texts"])
def crowd(request: pytest.FixtureRequest) -> se.Engine:
    """Many buyers, and a campaign with a holdout, a global one, and uneven variants."""
    engine = se.Engine(config={"holdout": {"share": 0.2}})
    ids = list(range(IDS))
    texts = [f"客{i}" for i in ids]
    engine.load("customers", pa.table({"customer_id": texts if request.param == "texts" else ids}))
    engine.define_campaign(se.Campaign(
        "spring", "TRUE", variants={"a": 0.2, "b": 0.3, "c": 0.5}, holdout=0.25
    ))  # fmt: skip
    return engine


def within(hits: int, of: int, share: float) -> bool:
    """No further from the expected number than 4 standard deviations."""
    return abs(hits - of * share) <= 4 * math.sqrt(of * share * (1 - share))


def test_holdouts_and_variants_take_their_shares(crowd: se.Engine) -> None:
    audience = crowd.audience("spring")
    kept = {row["step"]: row["remaining"] for row in audience.ledger.to_pylist()}
    assert within(kept["global_holdout"], IDS, 0.8)
    assert within(kept["holdout"], kept["limit"], 0.75)
    arms = Counter(audience.table()["variant"].to_pylist())
    for name, share in (("a", 0.2), ("b", 0.3), ("c", 0.5)):
        assert within(arms[name], audience.count(), share)


def chance(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> float:
    """How likely independent divisions of the same buyers are this far from it (chi-square)."""
    table = [[int(((first == one) & (second == other)).sum()) for other in np.unique(second)]
             for one in np.unique(first)]  # fmt: skip
    return float(chi2_contingency(table, correction=False).pvalue)


def test_holdouts_variants_and_campaigns_are_independent(crowd: se.Engine) -> None:
    """Of 28 pairs, at 1 in 10,000 each: one crowd in 350 would fail, and this one is fixed."""
    buckets = crowd._buckets
    divisions = {
        "global": buckets.of("global:holdout") < 2000,
        "holdout": buckets.of("spring:holdout") < 2500,
        "other holdout": buckets.of("autumn:holdout") < 2500,
        "small holdout": buckets.of("spring2:holdout") < 500,
        "arms": ours.variant_table([0.2, 0.3, 0.5])[buckets.of("spring")],
        "other arms": ours.variant_table([0.5, 0.5])[buckets.of("autumn")],
        "neighbour's arms": ours.variant_table([0.5, 0.5])[buckets.of("spring2")],
        "a rule": buckets.of("x") < 5000,
    }
    for one, other in combinations(divisions, 2):
        assert chance(divisions[one], divisions[other]) > 1e-4, (one, other)
    assert chance(divisions["holdout"], buckets.of("spring:holdout") < 5000) < 1e-100


def test_a_holdout_and_a_shared_salt_do_not_tilt_the_arms(crowd: se.Engine) -> None:
    """Arms are the same shares of the held-out, of those who are not, and of another campaign."""
    arms = ours.variant_table([0.2, 0.3, 0.5])[crowd._buckets.of("spring")]
    for share in (500, 2500, 9000):
        held = crowd._buckets.of("spring:holdout") < share
        assert chance(held, arms) > 1e-4
    crowd.define_campaign(se.Campaign(
        "shared", "TRUE", variants={"x": 0.2, "y": 0.3, "z": 0.5}, holdout=0.4, salt="spring"
    ))  # fmt: skip
    first = crowd.audience("spring").table()
    second = dict(zip(*crowd.audience("shared").table().to_pydict().values(), strict=True))
    names = {"a": "x", "b": "y", "c": "z"}
    for who, arm in zip(*first.to_pydict().values(), strict=True):
        assert second.get(who, names[arm]) == names[arm]
    # The smaller holdout lies within the larger: who is held out of one salt is of the other.
    assert set(second) <= set(first["customer_id"].to_pylist())
    counts = Counter(second.values())
    for name, share in (("x", 0.2), ("y", 0.3), ("z", 0.5)):
        assert within(counts[name], len(second), share)


def test_arms_are_counted_as_they_are_listed(crowd: se.Engine) -> None:
    audience = crowd.audience("spring")
    assert audience.arms == dict(sorted(Counter(audience.table()["variant"].to_pylist()).items()))
    crowd.define_campaign(se.Campaign("plain", "TRUE"))
    assert crowd.audience("plain").arms == {}


def test_an_arm_stays_when_buyers_come_and_a_salt_moves_it(crowd: se.Engine) -> None:
    rows = crowd.audience("spring").table().to_pylist()
    before = {row["customer_id"]: row["variant"] for row in rows}
    crowd.define_campaign(se.Campaign(
        "spring 2", "TRUE", variants={"a": 0.2, "b": 0.3, "c": 0.5}, holdout=0.25, salt="spring"
    ))  # fmt: skip
    again = crowd.audience("spring 2").table().to_pylist()
    assert {row["customer_id"]: row["variant"] for row in again} == before
    crowd.define_campaign(se.Campaign("spring 3", "TRUE", variants={"a": 0.2, "b": 0.3, "c": 0.5}))
    moved = {r["customer_id"]: r["variant"] for r in crowd.audience("spring 3").table().to_pylist()}
    both = [who for who in before if who in moved]
    stayed = sum(before[who] == moved[who] for who in both)
    assert within(stayed, len(both), 0.2**2 + 0.3**2 + 0.5**2)


def test_buckets_follow_buyers_who_come_later() -> None:
    engine = se.Engine()
    for begin in range(0, 500, 100):
        engine.append("customers", pa.table({"customer_id": list(range(begin, begin + 100))}))
        found = set(engine.segment("bucket('s') < 0.3").ids().to_pylist())
        assert found == {i for i in range(begin + 100) if ours.bucket_of("s", i) < 3000}


def test_kept_bitmaps_of_holdouts_follow_buyers_who_come_later() -> None:
    engine = se.Engine()
    engine.define_campaign(se.Campaign("c", "TRUE", holdout=0.3, variants={"a": 0.4, "b": 0.6}))
    given = []
    for end in (1, 63, 64, 65, 127, 200, 500):
        begin = engine.audience("c").ledger["entered"][0].as_py()
        engine.append("customers", pa.table({"customer_id": list(range(begin, end))}))
        audience = engine.audience("c")
        held = {i for i in range(end) if ours.bucket_of("c:holdout", i) < 3000}
        assert set(audience.held_out().to_pylist()) == held
        assert audience.arms["a"] == sum(
            ours.bucket_of("c", i) < 4000 for i in range(end) if i not in held
        )
        given.append((audience, audience.ledger, audience.arms))
    assert all((a.ledger, a.arms) == (ledger, arms) for a, ledger, arms in given)


def test_a_holdout_of_few_is_the_same_as_that_of_all() -> None:
    engine = se.Engine()
    engine.load("customers", pa.table({"customer_id": list(range(1000))}))
    engine.define_campaign(se.Campaign("few", "customer_id < 100", holdout=0.3))
    wanted = {i for i in range(100) if ours.bucket_of("few:holdout", i) < 3000}
    for _ in range(3):
        assert set(engine.audience("few").held_out().to_pylist()) == wanted
    engine.define_campaign(se.Campaign("few", "TRUE", holdout=0.3))
    wanted = {i for i in range(1000) if ours.bucket_of("few:holdout", i) < 3000}
    assert set(engine.audience("few").held_out().to_pylist()) == wanted


def test_of_a_holdout_of_few_those_alone_are_hashed_who_were_not_before() -> None:
    engine = se.Engine()
    buckets = engine._buckets
    hashed: list[int] = []
    of_rows = buckets.of_rows

    def counting(salt: str, rows: np.ndarray) -> np.ndarray:
        hashed.append(len(rows))
        return of_rows(salt, rows)

    buckets.of_rows = counting  # type: ignore[method-assign]
    for end, begin, last, expected in (
        (1000, 0, 100, 100), (1000, 0, 100, 0), (1000, 50, 150, 50), (1100, 60, 130, 0),
        (1100, 1050, 1100, 50), (6000, 10, 1200, 1000),
    ):  # fmt: skip
        engine.append("customers", pa.table({"customer_id": list(range(end))}))
        rule = f"customer_id BETWEEN {begin} AND {last - 1}"
        engine.define_campaign(se.Campaign("few", rule, holdout=0.3))
        hashed.clear()
        engine.audience("few").ledger  # noqa: B018 - it asks
        assert sum(hashed) == expected
        wanted = {i for i in range(begin, last) if ours.bucket_of("few:holdout", i) < 3000}
        assert set(engine.audience("few").held_out().to_pylist()) == wanted


@given(st.lists(st.integers(-(2**63) + 1, 2**63 - 1), max_size=40), st.text(max_size=4))
def test_many_ids_have_the_buckets_of_their_texts(ids: list[int], salt: str) -> None:
    edges = [sign * 10**power + step for power in range(19) for sign in (1, -1) for step in (-1, 0)]
    every = np.array([*ids, *edges, 2**32 - 1, 2**32, 2**63 - 1, -(2**63) + 1], np.int64)
    found = np.empty(len(every), np.int16)
    seed = np.frombuffer(salt.encode(errors="surrogatepass"), np.uint8)
    hashing.bucket_numbers(seed, every, found)
    assert found.tolist() == [ours.bucket_of(salt, int(one)) for one in every]


def test_only_so_many_salts_are_kept() -> None:
    engine = se.Engine()
    engine.load("customers", pa.table({"customer_id": list(range(100))}))
    for number in range(200):
        expected = sum(ours.bucket_of(f"s{number}", i) < 5000 for i in range(100))
        assert engine.segment(f"bucket('s{number}') < 0.5").count() == expected
    assert engine._buckets.nbytes() <= 64 * 2 * 101
