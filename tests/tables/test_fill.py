"""Category and brand of an event are its own, else its product's, whichever came first."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pyarrow as pa
import pytest

import segengine as se
from tests.ingest.samples import engine, orders
from tests.tables.test_orders import rows

TEXT = pa.string()


def products(*ids: str, **columns: list[str | None]) -> pa.Table:
    return pa.table({"product_id": list(ids)} | {k: pa.array(v, TEXT) for k, v in columns.items()})


def line(number: int, product: str | None, **columns: str | None) -> pa.Table:
    given = {name: pa.array([value], TEXT) for name, value in columns.items()}
    return orders(
        1, order_id=["o"], line_id=[number], product_id=pa.array([product], TEXT), **given
    )


BATCHES = [
    ("products", products("p", "q", category=["c1", None])),
    ("products", products("p", "q", brand=["b1", "b2"])),
    (
        "order_lines",
        pa.concat_tables(
            [
                line(1, "p", category=None),
                line(2, "q", category="own"),
                line(3, "r", category=None),
                line(4, None, category=None),
            ]
        ),
    ),
]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_whichever_comes_first(order: tuple[int, ...]) -> None:
    found = engine()
    for index in order:
        found.append(*BATCHES[index])
    assert rows(found, "order_lines", "category", "brand") == [
        ("c1", "b1"),
        ("own", "b2"),
        (None, None),
        (None, None),
    ]
    assert rows(found, "customers", "category_count", "brand_count") == [(2, 2)]


def filled(**columns: str | None) -> se.Engine:
    found = engine()
    found.load("products", products("p", "q", category=["c1", "c2"], brand=["b1", None]))
    found.load("order_lines", line(1, "p", **columns))
    return found


def test_what_was_filled_follows_its_product() -> None:
    found = filled(category=None)
    found.append("products", products("p", category=["c9"]))
    assert rows(found, "order_lines", "category", "brand") == [("c9", "b1")]
    found.append("products", products("p", category=[None], brand=[None]))
    assert rows(found, "order_lines", "category", "brand") == [(None, None)]
    assert rows(found, "customers", "category_count", "brand_count") == [(0, 0)]
    found.append("products", products("p", category=["c3"]))
    assert rows(found, "order_lines", "category", "brand") == [("c3", None)]


def test_what_was_given_stays() -> None:
    found = filled(category="own", brand="own")
    found.append("products", products("p", category=["c9"], brand=["b9"]))
    assert rows(found, "order_lines", "category", "brand") == [("own", "own")]


def test_an_update_of_the_line_is_filled_anew() -> None:
    found = filled(category="own")
    found.append("order_lines", line(1, "p", category=None))
    assert rows(found, "order_lines", "category", "brand") == [("c1", "b1")]
    found.append("order_lines", line(1, "q"))
    assert rows(found, "order_lines", "category", "brand") == [("c2", None)]
    found.append("order_lines", line(1, "p", category="x", brand="y"))
    assert rows(found, "order_lines", "category", "brand") == [("x", "y")]
    found.append("order_lines", line(1, "nothing", category=None))
    assert rows(found, "order_lines", "category", "brand") == [(None, "y")]


def test_a_price_alone_changes_no_event() -> None:
    found = filled(category=None)
    found.append("products", pa.table({"product_id": ["p", "z"], "price": [1.5, 2.0]}))
    assert rows(found, "order_lines", "category", "brand") == [("c1", "b1")]


@pytest.mark.parametrize("ids", [["p", "q"], [1, 2]])
def test_behaviors_and_tables_of_the_shop_are_filled_too(ids: list[Any]) -> None:
    kind = "BIGINT" if ids == [1, 2] else "VARCHAR"
    tickets = {"product_id": kind, "category": "VARCHAR"}
    found = engine(config={"tables": {"tickets": tickets}})
    found.load("behaviors", orders(1, 1, product_id=ids))
    found.load("tickets", orders(1, 1, product_id=ids))
    found.load("products", pa.table({"product_id": ids, "category": ["c", "d"]}))
    assert rows(found, "behaviors", "category", "brand") == [("c", None), ("d", None)]
    assert rows(found, "tickets", "category") == [("c",), ("d",)]


def test_ids_of_another_type_name_no_product() -> None:
    found = engine(config={"tables": {"tickets": {"product_id": "VARCHAR", "category": "VARCHAR"}}})
    found.load("products", pa.table({"product_id": [0, 1], "category": ["c", "d"]}))
    found.load("tickets", orders(1, 1, product_id=["0", "z"]))
    assert rows(found, "tickets", "category") == [(None,), (None,)]
