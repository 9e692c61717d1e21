"""A text has one code and a code one text, whatever the texts are and however they arrive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segengine.schema.kinds import Kind
from segengine.tables.dictionary import NO_TAGS, Dictionary, list_of_text, text_of_list

words = st.text(max_size=6) | st.sampled_from(["", "\x00", "\x1b", "\x1f", "\x1bi", "é", "😀"])
lists = st.none() | st.lists(st.none() | words, max_size=4)


def forms(values: list[str | None]) -> list[pa.Array | pa.ChunkedArray]:
    """The same texts as Arrow may hold them."""
    plain = pa.array(values, pa.string())
    shifted = pa.concat_arrays([pa.array(["before"]), plain]).slice(1)
    half = len(values) // 2
    return [
        plain,
        plain.cast(pa.large_string()),
        plain.dictionary_encode(),
        shifted,
        shifted.dictionary_encode(),
        pa.chunked_array([plain.slice(0, half), plain.slice(half)], pa.string()),
        pa.chunked_array(
            [plain.slice(0, half).dictionary_encode(), plain.slice(half).dictionary_encode()],
            pa.dictionary(pa.int32(), pa.string()),
        ),
    ]


@given(st.lists(st.none() | words, max_size=30), st.lists(words, max_size=5))
def test_texts_come_back_from_their_codes(values: list[str | None], before: list[str]) -> None:
    for form in forms(values):
        dictionary = Dictionary(Kind.VARCHAR)
        dictionary.encode(pa.array(before, pa.string()))
        codes = dictionary.encode(form)
        texts = dictionary.texts().to_pylist()
        assert [texts[code] if code >= 0 else None for code in codes] == values
        assert len(set(texts)) == len(texts) == dictionary.size
        assert dictionary.find(form).tolist() == codes.tolist()
        assert dictionary.encode(form).tolist() == codes.tolist()


@given(st.lists(words, max_size=8), st.lists(words, max_size=8))
def test_a_text_that_is_not_kept_has_no_code(kept: list[str], asked: list[str]) -> None:
    dictionary = Dictionary(Kind.VARCHAR)
    dictionary.encode(pa.array(kept, pa.string()))
    found = dictionary.find(pa.array(asked, pa.string()))
    assert [code >= 0 for code in found] == [text in kept for text in asked]
    assert dictionary.size == len(set(kept))


@given(st.lists(lists, max_size=12))
def test_lists_come_back_and_sets_have_each_label_once(
    values: list[list[str | None] | None],
) -> None:
    array = pa.array(values, pa.list_(pa.string()))
    dictionary, sets = Dictionary(Kind.TAGS), Dictionary(Kind.TAGS, is_set=True)
    codes, labels = dictionary.encode(array), sets.encode(array)
    kept, kept_sets = dictionary.values().to_pylist(), sets.values().to_pylist()
    assert [kept[code] if code >= 0 else None for code in codes] == values
    assert [kept_sets[code] for code in labels] == [list(dict.fromkeys(v or ())) for v in values]
    for item in {item for value in values for item in value or () if item is not None} | {"x"}:
        expected = [value is not None and item in value for value in values]
        assert dictionary.have_item(item, codes).tolist() == expected


@given(st.lists(st.none() | words, max_size=6))
def test_a_list_and_its_kept_text_are_one(items: list[str | None]) -> None:
    assert list_of_text(text_of_list(items)) == items


def test_no_tags_have_a_code_from_the_start() -> None:
    sets = Dictionary(Kind.TAGS, is_set=True)
    nothing: list[Any] = [None, []]
    assert sets.encode(pa.array(nothing, pa.list_(pa.string()))).tolist() == [NO_TAGS] * 2
    assert sets.encode(pa.nulls(2)).tolist() == [NO_TAGS] * 2
    assert Dictionary(Kind.TAGS).encode(pa.nulls(2)).tolist() == [-1] * 2


def test_a_dictionary_grows_and_is_restored_as_it_was() -> None:
    dictionary = Dictionary(Kind.VARCHAR)
    for begin in range(0, 20_000, 1_000):
        texts = pa.array([f"text {i}" * (i % 3) for i in range(begin, begin + 2_000)])
        dictionary.encode(texts)
    again = Dictionary(Kind.VARCHAR)
    again.restore(dictionary.texts())
    assert again.texts().equals(dictionary.texts())
    assert dictionary.size == 1 + len({i for i in range(21_000) if i % 3})
    some = pa.array(["text 7", "text 8text 8", "text 9", ""])
    assert again.find(some).tolist() == dictionary.find(some).tolist()


def test_what_was_given_out_does_not_change_as_the_dictionary_grows() -> None:
    dictionary = Dictionary(Kind.VARCHAR)
    dictionary.encode(pa.array(["a", "b"]))
    before = dictionary.texts()
    dictionary.encode(pa.array([f"{i}" * 50 for i in range(5000)]))
    assert before.to_pylist() == ["a", "b"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_no_values_have_no_codes(kind: pa.DataType) -> None:
    assert Dictionary(Kind.VARCHAR).encode(pa.array([], kind)).dtype == np.int32


@given(st.lists(st.lists(words, max_size=4), min_size=1, max_size=5), st.lists(words, max_size=5))
def test_codes_of_words_asked_again_are_those_of_now(
    arriving: list[list[str]], asked: list[str]
) -> None:
    dictionary = Dictionary(Kind.VARCHAR)
    for batch in arriving:
        dictionary.encode(pa.array(batch, pa.string()))
        for _ in range(2):
            found = dictionary.codes_of(tuple(asked))
            assert found.tolist() == dictionary.find(pa.array(asked, pa.string())).tolist()


@given(st.lists(lists, min_size=1, max_size=12), st.integers(1, 5), words)
def test_lists_that_hold_an_item_are_found_as_they_come(
    values: list[list[str | None] | None], step: int, item: str
) -> None:
    dictionary = Dictionary(Kind.TAGS, is_set=True)
    for begin in range(0, len(values), step):
        some = values[begin : begin + step]
        codes = dictionary.encode(pa.array(some, pa.list_(pa.string())))
        held = dictionary.holders(item)
        assert len(held) == 1 + dictionary.size
        assert not held[0]
        assert [bool(held[code + 1]) for code in codes] == [item in (v or []) for v in some]
