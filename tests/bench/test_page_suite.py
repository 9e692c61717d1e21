"""Pages of a large shop are measured, and every sort of them is compared first."""

import pytest

from segengine.bench import page_suite
from segengine.bench.timing import DifferentAnswersError


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def result(told):
    return page_suite.page_suite(400, 96, 2, told.append, calls=40)


def test_every_sort_of_page_has_its_times(result):
    assert result["sizes"] == {"customers": 400, "modules": 96, "pages": 2}
    of_calls = [case for case in result["cases"] if "p50_us" in case]
    assert [case["case"] for case in of_calls] == [
        "a page", "a page with caps and decays", "a page with a pool of 10,000 products",
        "a page with pools of products", "a page after an append",
    ]  # fmt: skip
    for case in of_calls:
        assert 0 < case["p50_us"] <= case["p99_us"]


def test_answers_are_compared_before_they_are_timed(result, told):
    compared = [line for line in told if "asking rule by rule" in line]
    assert [int(line.split(": ")[1].split()[0]) for line in compared] == [20, 20, 20]


def test_a_page_that_differs_is_no_result(monkeypatch):
    monkeypatch.setattr(page_suite, "_may_show", lambda *_: False)
    with pytest.raises(DifferentAnswersError, match="rule by rule"):
        page_suite.page_suite(100, 16, 1, lambda _: None, calls=20)
