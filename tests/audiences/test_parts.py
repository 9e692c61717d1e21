"""A text has as many parts as it is billed for, and a budget reaches whom it pays for."""

from __future__ import annotations

import string
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segengine.audiences.budget import MOST, Budget, reached, read_budget
from segengine.audiences.parts import BASIC, EXTENSION, cost_of, count_parts
from segengine.schema.text_settings import ENCODINGS
from tests.reference import text as twin

ONE, TWO = st.sampled_from(sorted(twin.GSM_ONE)), st.sampled_from(sorted(twin.GSM_TWO))
ANY = st.characters(exclude_categories=["Cs"])
FEW = st.sampled_from("a€é茶😀{")


def parts(texts: list[str], encoding: str = "ucs2") -> list[int]:
    return count_parts(pa.array(texts, pa.large_string()), encoding).parts.tolist()


def long_texts(chars: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts of up to some parts, many of them near a boundary."""
    boundary = st.sampled_from([70, 134, 160, 306, 459]).flatmap(
        lambda n: st.integers(max(0, n // 2 - 2), n + 2)
    )
    size = boundary | st.integers(0, 500)
    return size.flatmap(lambda n: st.builds(
        lambda head, fill, tail: (head + fill * n)[:n] + tail,
        st.text(chars, max_size=12), chars, st.text(chars, max_size=4),
    ))  # fmt: skip


@given(st.lists(long_texts(ONE | TWO | ANY | FEW), max_size=6), st.sampled_from(ENCODINGS))
def test_parts_are_those_of_laying_characters_one_after_the_other(
    texts: list[str], encoding: str
) -> None:
    assert parts(texts, encoding) == [twin.parts_of(text, encoding) for text in texts]


@given(st.lists(long_texts(ANY | FEW), max_size=5), st.sampled_from(ENCODINGS))
def test_every_character_counts_as_one_character(texts: list[str], encoding: str) -> None:
    counted = count_parts(pa.array(texts, pa.large_string()), encoding)
    assert counted.characters.tolist() == [len(text) for text in texts]


@pytest.mark.parametrize(
    ("size", "wanted"),
    [(0, 1), (1, 1), (70, 1), (71, 2), (134, 2), (135, 3), (201, 3), (202, 4), (67_000, 1000)],
)
@pytest.mark.parametrize("char", ["a", "茶", "é", "😀", "\n", "{"])
def test_seventy_characters_are_one_part_and_then_sixty_seven_each(
    size: int, wanted: int, char: str
) -> None:
    assert parts([char * size]) == [wanted]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3), ("", 1),
        ("€" * 80, 1), ("€" * 81, 2), ("a" * 158 + "€", 1), ("a" * 159 + "€", 2),
        # 153 septets are odd: 76 of two fit into a part, and the last is not torn.
        ("€" * 152, 2), ("€" * 153, 3),
        ("a" * 152 + "€" + "a" * 152, 3), ("a" * 151 + "€" + "a" * 153, 2),
        ("茶" + "a" * 69, 1), ("茶" + "a" * 70, 2), ("a" * 160 + "ê", 3),
    ],
)  # fmt: skip
def test_gsm7_counts_septets_and_another_character_makes_it_ucs2(text: str, wanted: int) -> None:
    assert parts([text], "gsm7") == [wanted]


@pytest.mark.parametrize(
    ("text", "wanted"), [("😀" * 35, 1), ("😀" * 36, 2), ("😀" * 66, 2), ("😀" * 67, 3),
                         ("a" * 68 + "😀", 1), ("a" * 69 + "😀", 2), ("茶" * 70, 1)]
)  # fmt: skip
def test_utf16_counts_two_beyond_the_first_plane_and_tears_none(text: str, wanted: int) -> None:
    assert parts([text], "utf16") == [wanted]
    assert parts([text]) <= [wanted]


def test_the_alphabet_of_gsm_has_its_127_characters_and_ten_more() -> None:
    assert len(BASIC) == len(set(BASIC)) == 127
    assert len(EXTENSION) == len(set(EXTENSION)) == 10
    assert not set(BASIC) & set(EXTENSION)
    assert set(string.printable) - set(BASIC) - set(EXTENSION) == set("`\t\v")


@given(long_texts(ANY | ONE | FEW), st.text(ANY, max_size=3), st.sampled_from(["ucs2", "utf16"]))
def test_a_longer_text_has_no_fewer_parts(text: str, more: str, encoding: str) -> None:
    assert parts([text], encoding) <= parts([text + more], encoding)


@given(st.lists(long_texts(FEW), min_size=3, max_size=6), st.sampled_from(ENCODINGS))
def test_a_slice_of_texts_counts_as_its_texts(texts: list[str], encoding: str) -> None:
    whole = pa.array(texts, pa.large_string())
    sliced = count_parts(whole.slice(1, len(texts) - 2), encoding)
    assert sliced.parts.tolist() == parts(texts, encoding)[1:-1]
    assert count_parts(whole.slice(0, 0), encoding).parts.tolist() == []


def test_many_texts_on_all_threads_count_as_one_by_one() -> None:
    sizes = np.arange(300_000) % 150
    texts = pa.array(["茶" * size for size in range(150)], pa.large_string()).take(pa.array(sizes))
    wanted = np.array([twin.parts_of("茶" * size, "ucs2") for size in range(150)])
    assert (count_parts(texts, "ucs2").parts == wanted[sizes]).all()


def test_a_cost_is_exact_and_unknown_without_a_price() -> None:
    counts = np.array([3, 1, 0, 3])
    assert cost_of(counts, Decimal("0.045")).to_pylist() == [
        Decimal("0.135"), Decimal("0.045"), 0, Decimal("0.135")
    ]  # fmt: skip
    assert cost_of(counts, None).to_pylist() == [None] * 4
    assert cost_of(np.empty(0, np.int64), Decimal("0.1")).to_pylist() == []


@given(st.lists(st.integers(1, 5), max_size=30), st.integers(0, 80))
def test_a_budget_reaches_the_first_whom_it_pays_for(each: list[int], most: int) -> None:
    assert reached(np.array(each, np.int32), most) == twin.within_budget(each, most)


@given(st.decimals(0, 10_000, places=4), st.decimals("0.000001", 100, places=6))
def test_a_budget_of_money_pays_for_whole_parts_exactly(cost: Decimal, price: Decimal) -> None:
    most = Budget(cost=cost).most_parts(price)
    assert most * price <= cost < (most + 1) * price
    assert Budget(7, cost).most_parts(price) == min(7, most)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (None, None), (0, Budget(0)), (10_000, Budget(10_000)), ({"parts": 5}, Budget(5)),
        ({"cost": 500}, Budget(cost=Decimal(500))), ({"cost": 0.1}, Budget(cost=Decimal("0.1"))),
        ({"parts": 3, "cost": Decimal("1.5")}, Budget(3, Decimal("1.5"))),
        ({"cost": 0}, Budget(cost=Decimal(0))), (MOST, Budget(MOST)),
    ],
)  # fmt: skip
def test_a_budget_is_read_as_parts_or_money(said: object, wanted: Budget | None) -> None:
    assert read_budget(said) == (wanted, [])


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (-1, "whole number of parts from 0, not `-1`"), (2.5, "not `2.5`"), (True, "not `True`"),
        ("500", "not `500`"), ({}, "`budget` is empty"), ({"part": 3}, "did you mean `parts`?"),
        ({"euros": 3}, "give `parts` or `cost`"), ({"parts": None}, "needs a number"),
        ({"cost": -0.5}, "amount of money from 0, not `-0.5`"), ({"cost": "5"}, "not `5`"),
        ({"cost": float("nan")}, "not `nan`"), ({"parts": MOST + 1}, "whole number of parts"),
        ({"cost": float("inf")}, "not `inf`"), ([3], "not `[3]`"),
    ],
)  # fmt: skip
def test_a_budget_that_cannot_be_is_said(said: object, why: str) -> None:
    found, wrong = read_budget(said)
    assert found is None
    assert any(why in line for line in wrong), wrong
