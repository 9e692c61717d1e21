"""Does a storefront's own SDK put a buyer where we do?"""

import json
from pathlib import Path

import pytest

from segengine.audiences.bucketing import (
    bucket_ranges,
    choose_variation,
    equal_weights,
    hash_share,
    in_namespace,
)

VECTORS = (
    Path(__file__).resolve().parents[3]
    / "shared" / "suites" / "growthbook" / "bucketing_vectors.json"
)  # fmt: skip


@pytest.fixture(scope="module")
def vectors():
    if not VECTORS.is_file():
        pytest.skip(f"the vectors are not there: {VECTORS}")
    return json.loads(VECTORS.read_text())


def test_every_hash(vectors):
    assert len(vectors["hash"]) > 10
    for seed, value, version, expected in vectors["hash"]:
        assert hash_share(seed, value, version) == expected


def test_every_bucket_range(vectors):
    for name, (count, coverage, weights), expected in vectors["getBucketRange"]:
        found = bucket_ranges(count, coverage, weights)
        assert [list(r) for r in found] == [pytest.approx(r, abs=1e-6) for r in expected], name


def test_every_choice_of_a_variation(vectors):
    for name, share, ranges, expected in vectors["chooseVariation"]:
        assert choose_variation(share, ranges) == expected, name


def test_every_namespace(vectors):
    for name, user, namespace, expected in vectors["inNamespace"]:
        assert in_namespace(user, tuple(namespace)) == expected, name


def test_equal_weights(vectors):
    for count, expected in vectors["getEqualWeights"]:
        assert equal_weights(count) == pytest.approx(expected, abs=1e-8)
