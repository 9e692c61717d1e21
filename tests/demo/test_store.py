"""Claims about the demo store: it is reproducible, consistent with itself, and believable."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
import pytest

from segengine.demo import DemoStore, generate

BUYERS = 12_000
CHUNK = 5_000
EVENTS = ("orders", "order_lines", "behaviors", "reviews", "messages", "impressions", "points")


def fingerprint(store: DemoStore, table: str) -> str:
    """A hash of the table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    reader = store.reader(table)
    with pa.ipc.new_stream(sink, reader.schema) as stream:
        for batch in reader:
            stream.write_batch(batch)
    return hashlib.sha256(sink.getvalue()).hexdigest()


@pytest.fixture(scope="module")
def store() -> DemoStore:
    return generate(BUYERS, chunk=CHUNK)


@pytest.fixture(scope="module")
def sql(store: DemoStore) -> Iterator[duckdb.DuckDBPyConnection]:
    """All tables of the store in DuckDB, and its purchases as tables.md defines them."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        for table in store.tables:
            read = store.reader(table).read_all()
            connection.register("read", read)
            connection.execute(f"CREATE TABLE {table} AS SELECT * FROM read")
            connection.unregister("read")
        connection.execute("""
            CREATE TABLE purchases AS
            SELECT * REPLACE (amount - coalesce(refund_amount, 0) AS amount) FROM orders
            WHERE paid_at IS NOT NULL AND closed_at IS NULL
              AND NOT coalesce(refund_amount >= amount, false)
        """)
        yield connection


def value(sql: duckdb.DuckDBPyConnection, query: str) -> float:
    row = sql.execute(query).fetchone()
    assert row is not None
    return float(row[0])


def test_same_arguments_give_the_same_bytes_in_whatever_order_tables_are_read() -> None:
    one, other = generate(3_000, chunk=1_000), generate(3_000, chunk=1_000)
    forwards = {table: fingerprint(one, table) for table in one.tables}
    backwards = {table: fingerprint(other, table) for table in reversed(other.tables)}
    assert forwards == backwards


def test_a_table_read_twice_is_the_same_even_when_another_was_left_half_read() -> None:
    store = generate(3_000, chunk=1_000)
    once = fingerprint(store, "order_lines")
    store.reader("behaviors").read_next_batch()
    assert fingerprint(store, "order_lines") == once


def test_another_seed_gives_another_store() -> None:
    one, other = generate(500), generate(500, seed=7)
    assert all(fingerprint(one, table) != fingerprint(other, table) for table in one.tables)


def test_chunk_size_changes_no_total_by_more_than_a_few_percent() -> None:
    whole, pieces = generate(BUYERS, chunk=BUYERS), generate(BUYERS, chunk=1_100)
    for table in whole.tables:
        assert pieces.reader(table).read_all().num_rows == pytest.approx(
            whole.reader(table).read_all().num_rows, rel=0.08
        )


def test_a_stream_has_one_batch_per_chunk_of_buyers(store: DemoStore) -> None:
    sizes = [batch.num_rows for batch in store.reader("customers")]
    assert sizes == [5_000, 5_000, 2_000]
    assert len(list(store.reader("behaviors"))) == 3


def test_rows_estimate_is_near_the_truth_and_exact_for_customers_and_products(
    store: DemoStore, sql: duckdb.DuckDBPyConnection
) -> None:
    for table in store.tables:
        rows = value(sql, f"SELECT count(*) FROM {table}")
        near = 0 if table in {"customers", "products"} else 0.12
        assert store.rows_estimate(table) == pytest.approx(rows, rel=near, abs=0)


def test_customer_ids_follow_one_another_in_the_order_of_joining(
    sql: duckdb.DuckDBPyConnection,
) -> None:
    assert value(sql, "SELECT count(DISTINCT customer_id) FROM customers") == BUYERS
    assert value(sql, "SELECT min(customer_id) FROM customers") == 1
    assert value(sql, "SELECT max(customer_id) FROM customers") == BUYERS
    assert value(sql, "SELECT corr(customer_id, epoch(joined_at)) FROM customers") > 0.95


def test_ids_of_events_are_unique(sql: duckdb.DuckDBPyConnection) -> None:
    for table, key in (
        ("orders", "order_id"),
        ("order_lines", "(order_id, line_id)"),
        ("reviews", "review_id"),
        ("products", "product_id"),
    ):
        assert value(sql, f"SELECT count(*) - count(DISTINCT {key}) FROM {table}") == 0


def test_lines_sum_to_their_order_exactly(sql: duckdb.DuckDBPyConnection) -> None:
    unequal = """
        SELECT count(*) FROM orders o FULL JOIN (
            SELECT order_id, min(customer_id) AS buyer, min(time) AS at, sum(amount) AS total
            FROM order_lines GROUP BY order_id
        ) l USING (order_id)
        WHERE o.amount IS DISTINCT FROM l.total OR o.customer_id IS DISTINCT FROM l.buyer
           OR o.time IS DISTINCT FROM l.at
    """
    assert value(sql, unequal) == 0


def test_orders_have_one_to_five_lines_numbered_from_one(sql: duckdb.DuckDBPyConnection) -> None:
    odd = """
        SELECT count(*) FROM (
            SELECT count(*) AS n, min(line_id) AS low, max(line_id) AS high
            FROM order_lines GROUP BY order_id
        ) WHERE low <> 1 OR high <> n OR n NOT BETWEEN 1 AND 5
    """
    assert value(sql, odd) == 0


def test_a_line_is_its_products_price_times_quantity_less_a_discount_in_whole_cents(
    sql: duckdb.DuckDBPyConnection,
) -> None:
    wrong = """
        SELECT count(*) FROM order_lines l JOIN products p USING (product_id)
        WHERE l.list_amount <> p.price * l.quantity OR l.amount > l.list_amount OR l.amount <= 0
           OR l.amount * 100 <> floor(l.amount * 100) OR l.category <> p.category
           OR l.brand <> p.brand
    """
    assert value(sql, wrong) == 0


@pytest.mark.parametrize("table", ["order_lines", "behaviors", "reviews"])
def test_every_product_of_an_event_exists_and_was_on_sale(
    sql: duckdb.DuckDBPyConnection, table: str
) -> None:
    stray = f"""
        SELECT count(*) FROM {table} e LEFT JOIN products p USING (product_id)
        WHERE e.product_id IS NOT NULL
          AND (p.product_id IS NULL OR e.time < p.listed_at)
    """
    assert value(sql, stray) == 0


@pytest.mark.parametrize("table", EVENTS)
def test_no_event_is_after_as_of_or_before_its_buyer_joined(
    store: DemoStore, sql: duckdb.DuckDBPyConnection, table: str
) -> None:
    until = store.as_of.isoformat()
    assert value(sql, f"SELECT count(*) FROM {table} WHERE time > '{until}'::TIMESTAMPTZ") == 0
    early = f"""
        SELECT count(*) FROM {table} e LEFT JOIN customers c USING (customer_id)
        WHERE c.customer_id IS NULL OR e.time < c.joined_at
    """
    assert value(sql, early) == 0


def test_statuses_follow_one_another_and_none_is_after_as_of(
    store: DemoStore, sql: duckdb.DuckDBPyConnection
) -> None:
    until = f"'{store.as_of.isoformat()}'::TIMESTAMPTZ"
    steps = [
        "paid_at",
        "shipped_at",
        "arrived_at",
        "delivered_at",
        "confirmed_at",
        "closed_at",
        "refunded_at",
    ]
    late = " OR ".join(f"{step} > {until}" for step in steps)
    wrong = f"""
        SELECT count(*) FROM orders WHERE {late}
           OR paid_at < time OR shipped_at < time OR arrived_at < shipped_at
           OR delivered_at < arrived_at OR confirmed_at < delivered_at OR closed_at < time
           OR (arrived_at IS NOT NULL AND shipped_at IS NULL)
           OR (closed_at IS NOT NULL AND paid_at IS NOT NULL)
           OR (closed_at IS NULL) <> (close_reason IS NULL)
           OR (refunded_at IS NULL) <> (refund_amount IS NULL)
           OR refund_amount > amount OR refunded_at < paid_at
    """
    assert value(sql, wrong) == 0
    shares = "SELECT count(*) FILTER (WHERE {}) / count(*) FROM orders"
    assert 0.04 < value(sql, shares.format("closed_at IS NOT NULL")) < 0.08
    assert 0.02 < value(sql, shares.format("refund_amount > 0")) < 0.06
    assert 0.004 < value(sql, shares.format("refund_amount < amount")) < 0.03


def test_about_a_fifth_of_buyers_never_purchased(sql: duckdb.DuckDBPyConnection) -> None:
    share = value(sql, "SELECT count(DISTINCT customer_id) FROM purchases") / BUYERS
    assert 0.20 < 1 - share < 0.25


def test_buyers_are_uneven_the_top_tenth_brings_more_than_two_fifths_of_sales(
    sql: duckdb.DuckDBPyConnection,
) -> None:
    share = """
        WITH b AS (SELECT sum(amount) AS sales, ntile(10) OVER (ORDER BY sum(amount) DESC) AS tenth
                   FROM purchases GROUP BY customer_id)
        SELECT sum(sales) FILTER (WHERE tenth = 1) / sum(sales) FROM b
    """
    assert value(sql, share) > 0.4
    counts = "(SELECT count(*) AS n FROM purchases GROUP BY customer_id)"
    assert value(sql, f"SELECT count(*) FILTER (WHERE n = 1) / count(*) FROM {counts}") > 0.4
    assert value(sql, f"SELECT max(n) FROM {counts}") >= 36


def test_every_life_stage_is_populated(sql: duckdb.DuckDBPyConnection) -> None:
    stages = sql.execute("""
        WITH p AS (
            SELECT customer_id, count(*) AS n,
                   date_diff('day', max(time)::DATE, DATE '2025-06-30') AS recency,
                   date_diff('day', min(time)::DATE, max(time)::DATE) AS span
            FROM purchases GROUP BY customer_id)
        SELECT CASE WHEN n IS NULL THEN 'prospect' WHEN n = 1 AND recency <= 30 THEN 'new'
                    WHEN n >= 3 AND recency <= 60 AND recency * (n - 1) > 1.5 * span THEN 'at_risk'
                    WHEN recency <= 60 THEN 'active' WHEN recency <= 180 THEN 'sleeping'
                    ELSE 'lapsed' END AS stage, count(*)
        FROM customers LEFT JOIN p USING (customer_id) GROUP BY stage
    """).fetchall()
    found = dict(stages)
    assert set(found) == {"prospect", "new", "at_risk", "active", "sleeping", "lapsed"}
    assert min(found.values()) > 0.004 * BUYERS


def test_singles_day_is_the_best_day_of_its_month(sql: duckdb.DuckDBPyConnection) -> None:
    for year in (2023, 2024):
        best = sql.execute(f"""
            SELECT day(time) FROM orders WHERE year(time) = {year} AND month(time) = 11
            GROUP BY 1 ORDER BY sum(amount) DESC LIMIT 1
        """).fetchone()
        assert best == (11,)


def test_the_shop_grows_and_rests_at_night_and_at_new_year(sql: duckdb.DuckDBPyConnection) -> None:
    spring = "SELECT count(*) FROM orders WHERE month(time) IN (3, 4, 5) AND year(time) = {}"
    assert value(sql, spring.format(2025)) > 1.2 * value(sql, spring.format(2024))
    hours = "SELECT count(*) FROM orders WHERE hour(time) = {}"
    assert value(sql, hours.format(21)) > 10 * value(sql, hours.format(4))
    days = "SELECT count(*) FROM orders WHERE time BETWEEN '{}' AND '{}'"
    feast = value(sql, days.format("2025-01-27 00:00+08", "2025-02-03 00:00+08"))
    after = value(sql, days.format("2025-02-10 00:00+08", "2025-02-17 00:00+08"))
    assert feast < 0.7 * after


def test_buyers_keep_to_their_habits(sql: duckdb.DuckDBPyConnection) -> None:
    for column in ("payment", "channel"):
        own = f"""
            WITH n AS (SELECT customer_id, {column}, count(*) AS k FROM orders GROUP BY ALL),
                 b AS (SELECT max(k) AS best, sum(k) AS orders FROM n GROUP BY customer_id)
            SELECT sum(best) / sum(orders) FROM b WHERE orders >= 5
        """
        assert value(sql, own) > 0.75


def test_late_parcels_are_rated_worse(sql: duckdb.DuckDBPyConnection) -> None:
    rating = """
        SELECT avg(r.rating) FROM reviews r JOIN order_lines l
          ON r.customer_id = l.customer_id AND r.product_id = l.product_id AND r.time > l.time
        JOIN orders o ON o.order_id = l.order_id
        WHERE r.time > o.delivered_at AND o.delivered_at - o.time {} INTERVAL 5 DAY
    """
    assert value(sql, rating.format(">")) < value(sql, rating.format("<=")) - 0.5
    assert value(sql, "SELECT count(*) FILTER (WHERE rating >= 4) / count(*) FROM reviews") > 0.7
    assert value(sql, "SELECT count(*) FROM reviews WHERE rating NOT BETWEEN 1 AND 5") == 0


def test_marketing_goes_only_to_those_who_agreed_and_have_an_address(
    sql: duckdb.DuckDBPyConnection,
) -> None:
    for channel in ("sms", "email"):
        uninvited = f"""
            SELECT count(*) FROM messages m JOIN customers c USING (customer_id)
            WHERE m.channel = '{channel}' AND m.class <> 'service'
              AND (c.{channel}_consent IS NOT TRUE OR NOT c.has_{channel})
        """
        assert value(sql, uninvited) == 0


def test_nobody_is_written_to_after_unsubscribing(sql: duckdb.DuckDBPyConnection) -> None:
    again = """
        WITH gone AS (SELECT customer_id, channel, min(time) AS at FROM messages
                      WHERE kind = 'unsubscribed' GROUP BY ALL)
        SELECT count(*) FROM messages m JOIN gone g USING (customer_id, channel)
        WHERE m.kind = 'sent' AND m.class <> 'service' AND m.time > g.at + INTERVAL 2 DAY
    """
    assert value(sql, "SELECT count(*) FROM messages WHERE kind = 'unsubscribed'") > 0
    assert value(sql, again) == 0


def test_no_balance_of_points_is_ever_negative(sql: duckdb.DuckDBPyConnection) -> None:
    lowest = """
        SELECT min(balance) FROM (
            SELECT sum(CASE kind WHEN 'earn' THEN amount ELSE -amount END) OVER (
                PARTITION BY customer_id ORDER BY time, kind = 'earn' DESC ROWS UNBOUNDED PRECEDING
            ) AS balance FROM points)
    """
    assert value(sql, lowest) >= 0


def test_words_are_those_of_the_tables(sql: duckdb.DuckDBPyConnection) -> None:
    words = {
        "behaviors": "visit view search read cart cart_remove favorite unfavorite follow unfollow "
        "inquiry quote reply check_in claim share vote survey game draw win",
        "messages": "sent delivered opened clicked failed unsubscribed",
        "impressions": "shown clicked",
        "points": "earn spend expire",
    }
    for table, expected in words.items():
        found = {row[0] for row in sql.execute(f"SELECT DISTINCT kind FROM {table}").fetchall()}
        assert found <= set(expected.split())
        assert len(found) > len(expected.split()) * 0.9
    shop = "SELECT count(*) FROM behaviors WHERE kind = 'favorite' AND product_id IS NULL"
    assert value(sql, shop) > 0


def test_money_is_decimal_times_are_utc_text_is_coded_and_tags_are_never_null(
    store: DemoStore,
) -> None:
    lines, customers = store.schema("order_lines"), store.reader("customers").read_all()
    assert lines.field("amount").type == pa.decimal128(18, 4)
    assert lines.field("time").type == pa.timestamp("us", tz="UTC")
    assert lines.field("product_id").type == pa.dictionary(pa.int32(), pa.string())
    assert customers["tags"].type == pa.list_(pa.string())
    assert customers["tags"].null_count == 0
    assert customers["sms_consent"].null_count > 0


@pytest.mark.parametrize("table", ["products", "customers", *EVENTS])
def test_every_batch_is_valid_arrow(store: DemoStore, table: str) -> None:
    for batch in store.reader(table):
        batch.validate(full=True)


@pytest.mark.parametrize("customers", [1, 2, 401])
def test_the_smallest_stores_can_be_read(customers: int) -> None:
    store = generate(customers, chunk=100)
    rows = {table: store.reader(table).read_all().num_rows for table in store.tables}
    assert rows["customers"] == customers
    assert rows["products"] == 400


@pytest.mark.parametrize("timezone", ["America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
def test_another_moment_in_another_timezone_keeps_every_event_within_its_history(
    timezone: str,
) -> None:
    as_of = datetime(2024, 3, 10, 14, 30, 15, 123_456, tzinfo=UTC)
    store = generate(2_000, as_of=as_of, timezone=timezone)
    for table in EVENTS:
        times = store.reader(table).read_all()["time"].to_pylist()
        assert max(times) <= as_of
        assert min(times) > as_of - timedelta(days=732)


def test_config_has_the_segments_the_campaign_and_the_page(store: DemoStore) -> None:
    config = store.config
    assert config["store"]["as_of"] == store.as_of
    assert config["store"]["channels"] == ["sms", "email"]
    assert config["holdout"]["share"] == 0.05
    assert len(config["segments"]) == 6
    assert config["segments"]["complained"]["suppress"] is True
    assert config["campaigns"]["win_back"]["holdout"] == 0.1
    assert len(config["campaigns"]["win_back"]["variants"]) == 2
    slots = config["pages"]["home"]["slots"]
    assert list(slots) == ["banner", "offer", "footer"]
    for slot in slots.values():
        fallbacks = [m for m in slot["modules"].values() if m.get("fallback")]
        assert len(fallbacks) == 1


def test_config_is_new_each_time_so_that_no_reader_changes_anothers(store: DemoStore) -> None:
    store.config["segments"].clear()
    store.config["campaigns"]["win_back"]["variants"].clear()
    assert len(store.config["segments"]) == 6
    assert len(store.config["campaigns"]["win_back"]["variants"]) == 2


def test_what_no_store_can_be_made_from_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="a store needs buyers"):
        generate(0)
    with pytest.raises(ValueError, match="use 1 or more"):
        generate(10, chunk=0)
    with pytest.raises(ValueError, match="has no timezone"):
        generate(10, as_of=datetime(2025, 6, 30))  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match="no table `coupons`; it has `products`"):
        generate(10).reader("coupons")
