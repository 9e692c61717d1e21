"""What `[pools]` says: defaults, bounds, every mistake at its place."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from segengine.errors import ConfigError
from segengine.schema.pool_settings import PoolSettings
from segengine.schema.store_config import parse_config


def read(**section: Any) -> PoolSettings:
    return parse_config({"pools": section}).pools


def test_an_absent_section_is_the_defaults_and_a_whole_one_is_read() -> None:
    assert parse_config({}).pools == read() == PoolSettings()
    other = {name: value / 2 if isinstance(value, float) else value + 1
             for name, value in asdict(PoolSettings()).items()}  # fmt: skip
    assert asdict(read(**other)) == other


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("recent", -1, "from 0 to 1,000,000"),
        ("view", "much", "finite number"),
        ("half_life_days", 0, "above 0"),
        ("recent_days", 0, "from 1 to 3650"),
        ("just_bought_days", 1.5, "from 0 to 3650"),
        ("most_of_category", 0, "above 0 and up to 1"),
        ("most_of_category", 1.1, "above 0 and up to 1"),
        ("least_orders", 0, "from 1"),
        ("recnt", 3, "did you mean `recent`"),
    ],
)
def test_what_cannot_be_is_told_with_its_place(key: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        read(**{key: value})
    assert f"`pools.{key}`" in str(caught.value)


def test_a_score_of_nothing_is_refused_and_all_mistakes_come_at_once() -> None:
    nothing = dict.fromkeys(
        ("recent", "bought_together", "category", "recent_category", "brand", "price",
         "best_seller"), 0)  # fmt: skip
    with pytest.raises(ConfigError, match="all weights are 0"):
        read(**nothing)
    assert read(**{**nothing, "price": 0.1}).price == 0.1
    with pytest.raises(ConfigError) as caught:
        read(recent=-1, least_orders=0, cart="x")
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("share", "k", "most"), [(0.5, 10, 5), (0.5, 5, 3), (0.5, 1, 1), (0.3, 10, 3), (0.1, 3, 1),
                             (1, 7, 7), (0.7, 10, 7)]
)  # fmt: skip
def test_a_share_of_the_places_is_rounded_up(share: float, k: int, most: int) -> None:
    assert read(most_of_category=share).most_of(k) == most
