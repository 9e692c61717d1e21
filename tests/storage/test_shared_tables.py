from __future__ import annotations

import pyarrow as pa
import pytest

import segengine as se
from segengine.errors import StoreError
from segengine.following import Following
from segengine.storage.shared_tables import Address
from segengine.tables.arrays import dictionaries_of, places_of
from tests.pages.test_census import random_page
from tests.sharing.test_following import shared


def test_no_array_of_a_follower_is_its_own() -> None:
    engine, _ = random_page(3)
    with shared(engine) as following:
        arena = following._followed.arena
        own = []
        for name, get, _ in places_of(following._tables):
            array = get()
            if array is not None and array.size:
                inside = 0 <= array.ctypes.data - arena._begin < arena.room
                own += [] if inside else [name]
        for name, each in dictionaries_of(following._tables).items():
            for part in each.parts():
                if part.size:
                    inside = 0 <= part.ctypes.data - arena._begin < arena.room
                    own += [] if inside else [name]
        assert own == []


def test_an_append_that_moves_nothing_tells_numbers_alone() -> None:
    engine, _ = random_page(0)
    engine.share()
    shares = engine._tables.gate.shared  # type: ignore[attr-defined]
    ids = engine.table("customers", ["customer_id"])["customer_id"].to_pylist()

    def looked_at(rows: int) -> None:
        engine.append("impressions", pa.table({
            "customer_id": ids[:1] * rows, "time": [engine.as_of] * rows,
            "module": ["m1"] * rows, "kind": ["shown"] * rows,
        }))  # fmt: skip

    looked_at(1)
    before = shares._number
    looked_at(1)
    assert shares._number == before
    looked_at(5_000)
    assert shares._number == before + 1


def test_memory_of_arrays_that_were_moved_is_given_back() -> None:
    engine, _ = random_page(0)
    engine.share()
    arena = engine._tables.gate.shared.arena  # type: ignore[attr-defined]
    ids = engine.table("customers", ["customer_id"])["customer_id"].to_pylist()
    text = isinstance(ids[0], str)
    for step in range(6):
        new = [f"n{step}-{k}" if text else 10**6 * (step + 1) + k for k in range(2_000)]
        engine.append("customers", pa.table({"customer_id": new}))
    arena.sweep()
    held = sum(a.nbytes for _, get, _ in places_of(engine._tables) if (a := get()) is not None)
    texts = {
        id(d): sum(p.nbytes for p in d.parts()) for d in dictionaries_of(engine._tables).values()
    }
    # Each array begins a page.
    assert arena.used < 1.5 * (held + sum(texts.values())) + 4096 * 800


def test_an_address_that_is_none_is_refused_in_words() -> None:
    with pytest.raises(StoreError, match="`nowhere` is no address"):
        Address.read("nowhere")
    with pytest.raises(StoreError, match="is it still there"):
        Following.at("999999999:3:4:5")


def test_a_follower_changes_nothing() -> None:
    engine = se.Engine()
    with shared(engine) as following:
        with pytest.raises(StoreError, match="only the process that writes"):
            following.append("customers", pa.table({"customer_id": [1]}))
        with pytest.raises(StoreError, match="only the process that writes"):
            following.define_page(se.Page("p", []))
