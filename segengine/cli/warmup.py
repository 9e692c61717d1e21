"""What would the first caller wait for? Kernels: compile every one of them now."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segengine.cli.options import AsJson
from segengine.cli.plain import print_json
from segengine.cli.show import console, counted, note, table

if TYPE_CHECKING:
    import pyarrow as pa

    from segengine.demo import DemoStore
    from segengine.engine import Engine

# More than a byte has values, so that some scans must look behind their codes.
BUYERS = 1_500
_IDS = ("customer_id", "order_id", "line_id", "product_id", "review_id")
_ORDERS = ("amount_total DESC", "region", "gap_ratio", "last_order_at", "birthday", "order_count")
_ADDED = {
    "w_flag": "customer_id % 2 = 0",
    "w_whole": "customer_id % 1301",
    "w_double": "customer_id % 1301 * 1.37::DOUBLE",
    "w_money": "(customer_id % 1301 * 0.37)::DECIMAL(10, 2)",
    "w_date": "DATE '1950-01-01' + (customer_id % 1301)::INTEGER",
    "w_time": "TIMESTAMP '2020-01-01 12:00:00' + to_hours(customer_id % 1301)",
    "w_empty": "''",
}
_NUMBERED = "CASE WHEN product_id IS NOT NULL THEN (hash(product_id) >> 2)::BIGINT END"
"""The demo's products go by texts; a shop's may go by numbers."""
_OF_EACH_SORT = (
    *("customer_id", "region", "birthday", "tags", "sms_consent"),
    *("order_count", "r_score", "amount_total", "gap_ratio", "first_order_at"),
    *("lifecycle_stage", "first_promotion"),
)
_CUTS = (
    *(f"w_whole < {n}" for n in range(101, 105)),
    *(f"w_double < {n}.1e0" for n in range(401, 409)),
    *(f"w_money < {n}.1" for n in range(101, 105)),
    *(f"w_date < DATE '1951-05-{n:02}'" for n in range(11, 19)),
)
_OF_EVENTS = (
    *(
        "count(orders) >= 2",
        "count(order_lines) * 2 > 5",
        "count(DISTINCT order_lines.category) > 1",
    ),
    *("sum(order_lines.quantity) > 3", "sum(purchases.amount) > 10", "sum(w_tickets.weight) > 0e0"),
    *("min(orders.time) < now()", "max(orders.amount) > 1", "max(w_tickets.weight) > 0e0"),
    *("min(reviews.rating) <= 3", "avg(orders.amount) > 5", "avg(w_tickets.weight) < 1"),
    *("first(order_lines.category) = 'a'", "last(orders.time) < now()"),
    *("first(w_tickets.weight) > 0e0", "last(orders.amount) > 3", "last(orders.is_purchase)"),
    "count(order_lines) FILTER (WHERE product.price > 5 AND customers.region < 'M') > 1",
    "count(behaviors) FILTER (WHERE product.price > 5 OR customers.member_level > 1) > 1",
)
_AMONG_BUYERS = (
    *("percent_rank(gap_ratio) OVER () > 0.5", "percent_rank(order_count) OVER () > 0.5"),
    "percent_rank(order_count) FILTER (WHERE order_count > 1) OVER (PARTITION BY region) > 0.5",
    "percent_rank(gap_ratio) OVER (PARTITION BY region) > 0.5",
    *("order_count > avg(order_count) OVER ()", "gap_ratio > avg(gap_ratio) OVER ()"),
    "order_count > avg(order_count) OVER (PARTITION BY region)",
    "gap_ratio > median(gap_ratio) OVER (PARTITION BY region)",
    "amount_total > 3 * avg(amount_total) OVER (PARTITION BY city)",
)
_MANY = 140_000
"""Buyers from which on conditions on few values are tables."""
_BY_VALUE = (
    *("few < wide % 97", "few + three > 3", "few * 2 < 5", "wide % 10 = 3", "month(day) = 3"),
    *("lower(word) = 'w7'", "flag OR few % 2 = 1", "three < wide % 5", "three = month(day)"),
    "CASE WHEN lower(letter) = 'a' THEN wide % 7 = 1 ELSE FALSE END",
    "CASE WHEN lower(letter) = 'a' THEN month(day) = 3 ELSE FALSE END",
    *("flag IS DISTINCT FROM (wide % 3 = 1)", "flag IS DISTINCT FROM (month(day) = 1)"),
    *(f"{name} IN ({', '.join(str(7 * k) for k in range(30))})" for name in ("wide", "few", "far")),
    "word IN ('w0', 'w31', 'w62', 'w93', 'w124', 'w155', 'w186', 'w217', 'w248', 'w279', 'w310')",
    f"amount IN ({', '.join(f'{7 * k}.37' for k in range(30))})",
    f"share IN ({', '.join(f'{7 * k}.5e0' for k in range(30))})",
)


def warmup(as_json: AsJson = False) -> None:
    """Compile every kernel into the cache, so that no first question waits; twice is harmless."""
    started = time.perf_counter()
    errors = console(errors=True)
    with errors.status("warming") as line:
        for step in _walk():
            line.update(f"warming: {step}")
            if not errors.is_terminal:
                note(f"warming: {step}")
    from segengine.kernels import jit

    seconds = time.perf_counter() - started
    compiled = jit.specialisations()
    folder = jit.cache_folder()
    if as_json:
        print_json(
            {
                "specialisations": compiled,
                "total": sum(compiled.values()),
                "cache": os.fspath(folder),
                "jit": not jit.JIT_OFF,
                "seconds": round(seconds, 3),
            }
        )
        return
    screen = console()
    if jit.JIT_OFF:
        screen.print("NUMBA_DISABLE_JIT is set: kernels run as plain Python, nothing is compiled")
        return
    rows = [[name, str(n)] for name, n in sorted(compiled.items())]
    screen.print(table(["kernel", "specialisations"], rows, numbers=["specialisations"]))
    screen.print(
        f"{counted(sum(compiled.values()), 'specialisation')} of "
        f"{counted(len(compiled), 'kernel')} in {seconds:.1f} s, kept in {folder}",
        soft_wrap=True,
    )


def _walk() -> Iterator[str]:
    """Every path through a tiny store; says before each step what it is."""
    yield "imports"
    from segengine.demo import generate
    from segengine.engine import Engine

    yield "a store with many buyers"
    _ask_many()
    store = generate(BUYERS)
    for ids in ("numbers", "texts"):
        with tempfile.TemporaryDirectory(prefix="segengine-warmup-") as folder:
            yield f"a store whose ids are {ids}"
            engine = Engine(config=_config(store))
            _load(engine, store, as_text=ids == "texts")
            yield f"rules, audiences and pages, ids are {ids}"
            _ask(engine)
            yield f"events that arrive, ids are {ids}"
            _change(engine, as_text=ids == "texts")
            _ask(engine)
            yield f"the same from a snapshot, ids are {ids}"
            with _from_disk(Path(folder), store, as_text=ids == "texts") as opened:
                _ask(opened)
                _change(opened, as_text=ids == "texts")
                _ask(opened)


def _config(store: DemoStore) -> dict[str, Any]:
    """The demo's settings, and a module of each sort."""
    config = store.config
    config.setdefault("lifecycle", {})["thresholds"] = "fit"
    config["prediction"] = {"most_buyers": 1_000}
    config["tables"] = {"w_tickets": {"topic": "VARCHAR", "weight": "DOUBLE"}}
    for number, order in enumerate(_ORDERS):
        config["campaigns"][f"w_{number}"] = {
            "segment": "TRUE",
            "limit": BUYERS // 3,
            "order_by": order,
            "holdout": 0.1,
            "variants": {"a": 0.5, "b": [0.5, {"text": "b"}]},
            "text": "{nickname|friend} {last_order.amount|0} {payload.text|}",
            "budget": BUYERS // 4,
            "caps": [{"limit": 2, "days": 7}],
            "value": "order_count" if number % 2 else "gap_ratio",
        }
    config["pages"]["warm"] = {
        "rule": "bucket('warm') < 0.9",
        "slots": {
            "one": {
                "modules": {
                    **{f"m_{n}": {"rule": rule} for n, rule in enumerate(_rules_by_hand())},
                    "split": {"variants": {"a": 0.5, "b": 0.5}, "holdout": 0.1},
                    # The demo's impressions are of such names.
                    "season": {"cap": {"limit": 3, "days": 7}, "decay": {"after": 2}},
                }
            },
            "two": {
                "modules": {
                    "pool": {"pool": {"rule": "units_30d >= 0 OR stock > 0"}},
                    "cart": {"priority": 1, "pool": {"open_carts_first": True}},
                }
            },
            "three": {"modules": {"alone": {"variants": {"a": 0.5, "b": 0.5}, "holdout": 0.1}}},
        },
    }
    return config


def _rules_by_hand() -> list[str]:
    return [
        "segment('champions') OR NOT segment('complained')",
        "recency_days BETWEEN 3 AND 300 AND (orders_7d + orders_30d) * 2 < 9",
        "r_score IN (1, 3, 5) AND NOT (gap_ratio > 1.5e0 OR amount_total / order_count > 3)",
        "amount_total - amount_7d > 3 * average_order_amount OR order_count // 2 = 1",
        "coalesce(region, city, '-') <> '-' AND city < 'M' AND nickname LIKE '%a%'",
        "list_has_any(tags, ['staff', 'vip']) OR list_has_all(tags, []) OR 'vip' = region",
        "first_order_at > now() - INTERVAL 90 DAY OR hour(last_order_at) = 3",
        "CASE WHEN order_count > 3 THEN 'a' ELSE region END = 'a'",
        "sms_consent AND email_consent IS NOT NULL AND sms_consent IS DISTINCT FROM has_sms",
        "nullif(member_level, 2) IS NULL AND least(orders_7d, orders_30d) = 0",
        "NOT list_contains(tags, 'nobody') AND len(tags) = 0",
        "affinity('category', 'skincare') > 0.3 OR list_contains(open_cart_products, '1')",
    ]


def _rules_of(field: pa.Field) -> list[str]:
    """Comparisons of each form with a column of this type."""
    import pyarrow as pa

    name, kind = field.name, field.type
    if pa.types.is_boolean(kind):
        return [name, f"NOT {name}", f"{name} IS NULL"]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [f"list_contains({name}, 'vip')", f"len({name}) > 1"]
    low, high = "'a'", "'z'"
    if pa.types.is_integer(kind):
        low, high = "1", "70"
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        low, high = "0.5", "70.25"
    elif pa.types.is_date(kind):
        low, high = "DATE '1980-02-29'", "DATE '2000-01-01'"
    elif pa.types.is_timestamp(kind):
        low, high = "TIMESTAMP '2024-07-01 00:00:00'", "TIMESTAMP '2025-05-01 00:00:00'"
    return [
        f"{name} = {low}",
        f"{name} < {high}",
        f"{name} BETWEEN {low} AND {high}",
        f"{name} NOT IN ({low}, {high})",
        f"{name} IS NULL OR NOT {name} > {low}",
        f"{name} IS DISTINCT FROM {high}",
    ]


def _load(engine: Engine, store: DemoStore, *, as_text: bool) -> None:
    import pyarrow as pa

    for name in store.tables:
        whole = store.reader(name).read_all()
        columns = {i: f"CAST({i} AS VARCHAR)" for i in _IDS if i in whole.column_names and as_text}
        if "product_id" in whole.column_names and not as_text:
            columns["product_id"] = _NUMBERED
        if name == "customers":
            columns |= _ADDED
        engine.load(name, whole, columns=columns)
    one = pa.table({"customer_id": ["1"] if as_text else [1], "topic": ["late"], "weight": [0.5]})
    engine.load("w_tickets", one, columns={"time": "TIMESTAMPTZ '2025-01-01 00:00:00+00'"})


def _from_disk(folder: Path, store: DemoStore, *, as_text: bool) -> Engine:
    """The same store, written and opened again: its arrays are mapped files."""
    from segengine.audiences.campaign import campaign_of
    from segengine.engine import Engine
    from segengine.pages.page import page_of
    from segengine.schema.store_config import FILE_NAME

    (folder / FILE_NAME).write_text(
        f'[store]\ntimezone = "{store.timezone}"\nchannels = ["sms", "email"]\n'
        f"as_of = {store.as_of.isoformat()}\n"
        '[tables.w_tickets]\ntopic = "VARCHAR"\nweight = "DOUBLE"\n',
        encoding="utf-8",
    )
    with Engine.open(folder) as engine:
        _load(engine, store, as_text=as_text)
    opened, config = Engine.open(folder), _config(store)
    for name, rule in config["segments"].items():
        saved = rule if isinstance(rule, dict) else {"rule": rule}
        opened.define_segment(name, **saved)
    for name, section in config["campaigns"].items():
        opened.define_campaign(campaign_of(name, section))
    for name, section in config["pages"].items():
        opened.define_page(page_of(name, section))
    return opened


def _ask_many() -> None:
    """Conditions that only many buyers make worth a table."""
    import numpy as np
    import pyarrow as pa

    from segengine.engine import Engine

    number = np.arange(_MANY)
    engine = Engine()
    columns = {
        "few": number // 3 % 50,
        "three": number // 7 % 3,
        "wide": number % 1301,
        "far": number * 7,
        "flag": number % 2 == 0,
        "day": pa.array(number % 900, pa.int32()).cast(pa.date32()),
        "word": pa.array([f"w{k}" for k in range(1301)]).take(pa.array(number % 1301)),
        "letter": pa.array(["A", "b", "c"]).take(pa.array(number % 3)),
        "amount": pa.array(number % 1301 * 1.37).cast(pa.decimal128(18, 4), safe=False),
        "share": number % 1301 * 0.5,
    }
    table = pa.table({"customer_id": number, **columns})
    engine.load("customers", table, columns={name: name for name in columns})
    for rule in _BY_VALUE:
        engine.segment(rule).count()


def _ask(engine: Engine) -> None:
    """Every kind of question, over every kind of column."""
    from segengine.rules.functions import AGGREGATES, POPULATION, SIGNATURES

    engine.prepare()
    everybody = engine.segment("TRUE")
    ids = everybody.ids().to_pylist()
    schema = engine.table("customers").schema
    columns = [*_ADDED, *_OF_EACH_SORT]
    rules = [rule for name in columns for rule in _rules_of(schema.field(name))]
    examples = [f"({signature.example}) IS NOT NULL" for signature in SIGNATURES.values()]
    examples += [*AGGREGATES.values(), *POPULATION.values()]
    rules += [*_CUTS, *_OF_EVENTS, *_AMONG_BUYERS]
    for rule in [*rules, *_rules_by_hand(), *examples]:
        segment = engine.segment(rule)
        segment.count()
        segment.contains(ids[0])
    segment.explain(ids[0])
    _explore(engine)
    everybody.table(schema.names)
    engine.match(ids[0])
    for name in engine.campaigns:
        audience = engine.audience(name)
        audience.table(["region"])
        audience.explain(ids[0])
    for way in ("priority", "value"):
        engine.plan_campaigns(list(engine.campaigns), by=way)
    for name in engine.pages:
        for customer_id in (ids[0], ids[-1], None):
            engine.page(name, customer_id, {"device": "mobile"})
        engine.page_census(name, {"device": "mobile"})
    for product_id in engine.products("TRUE").ids()[:1].to_pylist():
        engine.bought_together(product_id)
    engine.connect().close()
    engine.memory()


def _explore(engine: Engine) -> None:
    """Curves by code and by value, narrow and wide; near misses, overlaps, findings."""
    for trait in ("order_count", "w_whole", "w_double", "w_money", "w_date", "w_time"):
        value = {"w_date": "today()", "w_time": "now()"}.get(trait, "100")
        engine.segment(f"{trait} <= {value} OR w_flag").curve(trait)
    engine.segment("w_whole > 100 AND w_whole < 900").curve("w_whole", leaf=1)
    engine.segment("w_whole > 100 AND w_flag").near_misses()
    engine.overlap()
    engine.check()


def _change(engine: Engine, *, as_text: bool) -> None:
    """New events of old and new buyers, a buyer who goes, a day that ends and comes back."""
    import pyarrow as pa

    before = engine.as_of
    at = before - timedelta(hours=1)
    buyers = [engine.segment("TRUE").ids()[0].as_py(), "-1" if as_text else -1]
    order_ids = ["o-1", "o-2"] if as_text else [-1, -2]
    shared = {"customer_id": buyers, "time": [at, at]}
    lines = {**shared, "order_id": order_ids, "quantity": [1, 2], "amount": [5.0, 6.5]}
    engine.append("order_lines", pa.table(lines))
    engine.append("orders", pa.table({**shared, "order_id": order_ids, "refund_amount": [5.0, 0]}))
    bought = {"order_id": ["o-3"] if as_text else [-3], "amount": [5.0]}
    engine.append("orders", pa.table({"customer_id": buyers[:1], "time": [at], **bought}))
    seen = {"kind": ["cart", "view"], "event_id": [-1, -2]}
    for _ in range(2):
        engine.append("behaviors", pa.table({**shared, **seen}))
    sent = {"channel": ["sms", "sms"], "kind": ["delivered", "unsubscribed"]}
    engine.append("messages", pa.table({**shared, **sent}))
    engine.append("customers", pa.table({"customer_id": buyers, "city": ["Brno", None]}))
    engine.delete_customer(buyers[1])
    engine.advance(before + timedelta(days=1))
    engine.advance(before + timedelta(days=1, minutes=1))
    # A page whose visitor has events ahead is bounded by the next of them.
    engine.advance(before - timedelta(hours=2))
    engine.page("warm", buyers[0])
    engine.advance(before)
