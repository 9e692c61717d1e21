"""Ten thousand rules of five conditions, one buyer: answers first, then times."""

# ruff: noqa: SLF001 - the kernel is called with what the engine calls it with
from __future__ import annotations

import numpy as np
import pytest

from segengine.bench import match_rules
from segengine.bench.matchers import MATCHING_RIVALS, SegengineMatcher
from segengine.kernels import matching


@pytest.fixture(scope="module")
def work():
    return match_rules.workload()


@pytest.fixture(scope="module")
def expected(work):
    """Per buyer the names of the rules, as plain Python finds them."""
    python = MATCHING_RIVALS["python"](work)
    buyers = work.buyers(50)
    return [python.match(row + 1, buyer) for row, buyer in enumerate(buyers)]


@pytest.fixture(scope="module")
def engine(work, expected):
    found = SegengineMatcher(work)._engine
    assert [found.match(row + 1) for row in range(len(expected))] == expected
    return found


def test_the_names_of_one_buyers_segments(benchmark, engine, expected):
    buyer = _with_a_hundred(expected)
    assert benchmark(engine.match, buyer + 1) == expected[buyer]


def test_the_matching_kernel(benchmark, engine, expected):
    buyer = _with_a_hundred(expected)
    matcher = engine._segment_matcher._current.matcher
    bound, layout = matcher._bound, matcher._bound.layout
    row = engine._tables.customers.row_of(buyer + 1)
    scratch = layout.take_scratch()
    call = (
        *(row, bound.traits, layout.edges, layout.rows, layout.unsure_of, layout.unsure),
        *(layout.conjunctions, layout.leaves_of, layout.leaves, layout.bounds, layout.settled),
        *(scratch.state, scratch.words, scratch.out),
    )

    def match():
        scratch.words[:] = layout.request.every
        return matching.match_row(*call)

    assert benchmark(match) == len(expected[buyer])


def _with_a_hundred(expected):
    """The buyer with the most matches up to 100."""
    sizes = np.array([len(names) for names in expected])
    return int(np.argmax(np.where(sizes <= 100, sizes, 0)))
