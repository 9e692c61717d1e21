"""A buyer who is deleted is in no answer; whoever comes later under the same id is somebody new."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest

import segengine as se
from tests.ingest.samples import AS_OF, customers, engine, orders
from tests.tables.test_orders import rows

EVENTS = ("orders", "order_lines", "behaviors", "reviews", "messages", "impressions", "points")


def shop() -> se.Engine:
    found = engine(config={"store": {"channels": ["sms"]}})
    found.load(
        "customers",
        customers(
            1,
            2,
            3,
            nickname=["one", "two", "three"],
            sms_consent=[True] * 3,
            tags=[["a"], ["b"], None],
        ),
    )
    found.load("orders", orders(1, 2, order_id=["a", "b"], amount=[1.0, 2.0], event_id=[1, 2]))
    found.load(
        "order_lines",
        orders(1, 1, 2, order_id=["a", "c", "b"], line_id=[1, 1, 1], amount=[1.0, 2.0, 3.0]),
    )
    found.load("reviews", orders(1, 2, review_id=[1, 2], rating=[1, 5]))
    for table in ("behaviors", "messages", "impressions", "points"):
        found.load(table, orders(1, 2, 1))
    found.define_segment("all", "true")
    found.define_campaign(se.Campaign("c", "true", channel="sms"))
    return found


def test_a_deleted_buyer_is_in_no_answer() -> None:
    found = shop()
    found.delete_customer(1)
    assert found.segment("true").ids().to_pylist() == [2, 3]
    assert found.segment("nickname = 'one'").count() == 0
    assert not found.segment("true").contains(1)
    assert found.audience("c").ids().to_pylist() == [2, 3]
    assert found.audience("c").ledger["entered"][0].as_py() == 2
    for ask in (found.match, found.segment("true").explain, found.delete_customer):
        with pytest.raises(se.UnknownCustomer):
            ask(1)
    assert found.table("customers", ["customer_id"])["customer_id"].to_pylist() == [2, 3]
    for table in EVENTS:
        assert found.table(table, ["customer_id"])["customer_id"].unique().to_pylist() == [2]
    connection = found.connect()
    for table in ("customers", "purchases", *EVENTS):
        query = f"SELECT count(*) FROM {table} WHERE customer_id = 1 OR customer_id IS NULL"
        assert connection.execute(query).fetchone() == (0,)


def test_deleting_changes_nobody_else() -> None:
    found, alone = shop(), shop()
    before = found.table("customers").filter(
        pa.compute.not_equal(found.table("customers")["customer_id"], 1)
    )
    found.delete_customer(1)
    assert found.table("customers").equals(before)
    for engine_ in (found, alone):
        engine_.advance(AS_OF + timedelta(days=1))
    assert found.segment("r_score = 5").count() == 1  # fitted without the one who went


def test_one_who_comes_back_is_new_and_so_are_their_orders() -> None:
    found = shop()
    found.delete_customer(1)
    found.append("orders", orders(1, 3, order_id=["a", "c"], amount=[7.0, 8.0]))
    found.append("order_lines", orders(1, order_id=["a"], line_id=[1], quantity=[5]))
    found.append("reviews", orders(3, review_id=[1], rating=[4]))
    columns = ("customer_id", "nickname", "order_count", "amount_total", "item_count", "tags")
    assert rows(found, "customers", *columns)[1:] == [
        (3, "three", 1, 8, 0, []),
        (1, None, 1, 7, 5, []),
    ]
    assert rows(found, "reviews", "customer_id", "rating") == [(2, 5), (3, 4)]
    assert rows(found, "order_lines", "customer_id", "order_id", "amount") == [
        (2, "b", 3),
        (1, "a", None),
    ]


def test_the_events_of_a_deleted_buyer_do_not_come_back_with_their_ids() -> None:
    found = shop()
    found.delete_customer(1)
    again = orders(1, order_id=["a"], amount=[1.0], event_id=[1])
    assert found.append("orders", again).rows_repeated == 1
    assert not found.segment("true").contains(1)


def test_the_last_buyer_may_go() -> None:
    found = engine()
    found.load("orders", orders("x", order_id=[1]))
    found.delete_customer("x")
    assert found.segment("true").count() == 0
    assert found.table("customers").num_rows == found.table("orders").num_rows == 0
    found.advance(AS_OF + timedelta(days=1))
    found.append("customers", customers("x"))
    assert found.segment("order_count = 0").count() == 1


@pytest.mark.parametrize("customer_id", [99, "1", 1.5, None, True, 2**64, b"1"])
def test_an_id_that_nobody_has_is_unknown(customer_id: object) -> None:
    found = shop()
    version = found.data_version
    with pytest.raises(se.UnknownCustomer, match="unknown customer"):
        found.delete_customer(customer_id)  # type: ignore[arg-type]
    assert found.data_version == version
