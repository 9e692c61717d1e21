"""A template tells every buyer what it would say filled in by hand, or is refused with reasons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import segengine as se
from segengine import days
from segengine.audiences.letters import spread
from segengine.audiences.text import Field, Words, read_template, template_mistakes
from segengine.audiences.text_formats import decimals_of, read_format, written
from segengine.schema.kinds import Kind
from tests.audiences.stores import AS_OF, store
from tests.golden import assert_golden
from tests.reference import text as twin

FOLDER = Path(__file__).parent / "golden"
ZONE = "Asia/Shanghai"

# --- what a template says -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("Hello", [Words("Hello")]),
        ("{a}", [Field("a", at=1)]),
        ("x{a}{b}y", [Words("x"), Field("a", at=2), Field("b", at=5), Words("y")]),
        ("{ a : M/D | no one }", [Field("a", "M/D", "no one", 1)]),
        ("{a:HH:mm|}", [Field("a", "HH:mm", "", 1)]),
        ("{a|b:c}", [Field("a", None, "b:c", 1)]),
        ("{{a}} {{{a}}}", [Words("{a} {"), Field("a", at=9), Words("}")]),
        ("{{{{}}}}", [Words("{{}}")]),
        ("茶{a}", [Words("茶"), Field("a", at=2)]),
    ],
)
def test_a_template_is_words_and_fields(text: str, nodes: list[object]) -> None:
    assert read_template(text) == (tuple(nodes), [])


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip))
def test_words_with_doubled_braces_say_themselves(text: str) -> None:
    doubled = text.replace("{", "{{").replace("}", "}}")
    assert read_template(doubled) == ((Words(text),), [])


@given(st.text("{}|:a｜ \n", max_size=20))
def test_any_text_is_a_template_or_has_mistakes(text: str) -> None:
    nodes, mistakes = read_template(text)
    assert mistakes == template_mistakes(text)
    if not mistakes:
        assert nodes
        assert all(n.name and n.fallback != "|" for n in nodes if isinstance(n, Field))


def test_two_neighbouring_nodes_are_never_both_words() -> None:
    nodes, _ = read_template("a{{b}}c{d}{{e")
    assert nodes == (Words("a{b}c"), Field("d", at=8), Words("{e"))


# --- how values are written -----------------------------------------------------------------------


def say(values: list[Any], kind: Kind, form: str | None, currency: str = "") -> list[str | None]:
    """The values as the engine writes them."""
    types = {
        Kind.BIGINT: pa.int64(), Kind.DOUBLE: pa.float64(), Kind.MONEY: pa.decimal128(18, 4),
        Kind.VARCHAR: pa.large_string(), Kind.TAGS: pa.list_(pa.large_string()),
        Kind.BOOLEAN: pa.bool_(), Kind.DATE: pa.date32(),
        Kind.TIMESTAMP: pa.timestamp("us", "UTC"),
    }  # fmt: skip
    found = read_format(kind, form, currency)
    assert not isinstance(found, str), found
    # A slice of a longer array, as batches are.
    array = pa.array([None, *values, None], types[kind]).slice(1, len(values))
    made: list[str | None] = written(array, found, days.zone(ZONE)).to_pylist()
    return made


def wanted(values: list[Any], form: str | None, decimals: int = 2) -> list[str | None]:
    return [twin.one(value, form, ZONE, decimals) for value in values]


WHOLE = st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-1_100_000, 1_100_000)
MONEY = st.decimals(-(10**13), 10**13, places=4) | st.decimals(-20, 20, places=4)
EPOCHS = st.integers(-(2**31), 7 * 10**9).map(lambda s: datetime.fromtimestamp(s, UTC))


@given(st.lists(st.none() | WHOLE), st.sampled_from([None, ","]))
def test_whole_numbers_are_written_with_all_their_digits(values: list[Any], form: str) -> None:
    assert say(values, Kind.BIGINT, form) == wanted(values, form)


@given(
    st.lists(st.none() | MONEY),
    st.sampled_from([None, ",", ".0", ".1", ".2", ".4", ".6", ",.2", ",.0"]),
    st.sampled_from([("", 2), ("EUR", 2), ("JPY", 0), ("kwd", 3)]),
)
def test_amounts_are_rounded_as_by_hand(
    values: list[Any], form: str | None, currency: tuple[str, int]
) -> None:
    assert say(values, Kind.MONEY, form, currency[0]) == wanted(values, form, currency[1])


@given(
    st.lists(st.none() | st.floats(-1e12, 1e12) | st.floats(-10, 10)),
    st.sampled_from([None, ",", ".0", ".1", ".3", ",.2"]),
)
def test_numbers_with_a_fraction_are_rounded_as_by_hand(
    values: list[Any], form: str | None
) -> None:
    digits = int(form[-1]) if form and "." in form else 2
    # What lies on the border to a hair may go either way.
    values = [
        v for v in values
        if v is None or abs(abs(v) * 10**digits % 1 - 0.5) > 1e-9 * max(1, abs(v))
        or (abs(v) * 10**digits % 1 == 0.5 and abs(v) < 1e6)
    ]  # fmt: skip
    assert say(values, Kind.DOUBLE, form) == wanted(values, form)


def test_numbers_that_have_no_digits_to_write_are_missing() -> None:
    assert say([float("inf"), -1e300, 9e18, float("nan")], Kind.DOUBLE, ".0") == [
        None, None, "9000000000000000000", None
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "form", "currency", "text"),
    [
        ("120", None, "CNY", "120"), ("89.9", None, "CNY", "89.90"), ("0.005", None, "", "0.01"),
        ("-0.004", None, "", "0"), ("-0.005", None, "", "-0.01"),
        ("1234567.8", ",", "", "1,234,567.80"), ("1001000", ",", "", "1,001,000"),
        ("99.995", None, "", "100"), ("99.995", ".2", "", "100.00"),
        ("1500.6", None, "JPY", "1501"),
        ("1.5", None, "KWD", "1.500"), ("1000", ",", "", "1,000"),
        ("0", ".2", "", "0.00"), ("999", ",", "", "999"), ("12.3456", ".6", "", "12.345600"),
    ],
)  # fmt: skip
def test_an_amount_reads_as_shops_write_it(
    value: str, form: str | None, currency: str, text: str
) -> None:
    assert say([Decimal(value)], Kind.MONEY, form, currency) == [text]


@pytest.mark.parametrize(
    ("currency", "decimals"), [("", 2), ("CNY", 2), (" jpy ", 0), ("TND", 3), ("beads", 2)]
)
def test_a_currency_has_its_usual_decimals(currency: str, decimals: int) -> None:
    assert decimals_of(currency) == decimals


@given(
    st.lists(st.none() | EPOCHS),
    st.sampled_from([None, "M月D日", "DD.MM.YY H:mm", "MMM D, YYYY", "MMMM", "HHmm", "YYYY/M/D"]),
)
def test_moments_are_of_the_stores_clock(values: list[Any], form: str | None) -> None:
    assert say(values, Kind.TIMESTAMP, form) == wanted(values, form)


@given(
    st.lists(st.none() | st.dates(date(1, 1, 1))),
    st.sampled_from([None, "M月D日", "DD.MM.YY", "MMM D, YYYY", "MMMM YYYY"]),
)
def test_dates_are_written_whatever_the_timezone(values: list[Any], form: str | None) -> None:
    assert say(values, Kind.DATE, form) == wanted(values, form)


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)


@given(st.lists(st.none() | ANY_TEXT), st.sampled_from([None, "1", "3", "20"]))
def test_texts_are_cut_and_blanks_say_nothing(values: list[Any], form: str | None) -> None:
    assert say(values, Kind.VARCHAR, form) == wanted(values, form)


@given(st.lists(st.none() | st.lists(st.none() | ANY_TEXT, max_size=3)),
       st.sampled_from([None, "、", " & "]))  # fmt: skip
def test_lists_are_joined_without_what_is_missing(values: list[Any], form: str | None) -> None:
    assert say(values, Kind.TAGS, form) == wanted(values, form)


def test_truths_are_the_two_words_given() -> None:
    assert say([True, None, False], Kind.BOOLEAN, "yes / no") == ["yes", None, "no"]
    assert say([True, False], Kind.BOOLEAN, "member/") == ["member", ""]


# --- whole texts ----------------------------------------------------------------------------------

TEMPLATES = (
    "Dear {nickname|friend}, {payload.code} is yours.",
    "{nickname:2|你}{spent:,|0}{balance:,.1|none}{balance|-} {{}}",
    "{last_order.amount|0} {last_order.time:M月D日 HH:mm|never} {last_order.order_id|}",
    "{last_order.payment:3|cash} {last_order.channel|}",
    "{order_count} {amount_total} {average_order_amount|} {r_score|-} {doubled|} {tags|none}",
    "{is_vip:Sir/|} {birthday:MMM D|some day} {payload.percent:.0}% {payload.until:D.M.}",
    "{last_order.gift:gift/no gift|?} {last_order.weight|?} {last_order.refund_amount|0}",
    "no field at all, and none is needed to fill more than seventy characters with it",
)
NICKNAMES = ("Mei", "小明同学", " ", "", "Ana María", "😀", "Bo ")
PAYLOAD = {"code": "ALL", "percent": 12.5, "until": date(2024, 4, 1)}
VARIANTS = {"plain": 0.3, "code": (0.4, {"code": "Ü-20"}), "more": (0.3, {"percent": 20.0})}


def random_store(rng: Random, *, text_ids: bool, **text: Any) -> se.Engine:
    """Buyers with gaps everywhere, and orders: paid or not, refunded, at one moment, to come."""
    ids: list[Any] = [f"b{n}" if text_ids else n for n in range(60)]
    engine = se.Engine(as_of=AS_OF, config={
        "store": {"timezone": ZONE, "currency": "CNY"}, "text": text,
        "traits": {"doubled": "order_count * 2", "never": "coalesce(nickname, 'x')"},
    })  # fmt: skip

    def some(make: Callable[[], Any]) -> list[Any]:
        return [make() if rng.random() < 0.7 else None for _ in ids]

    customers = pa.table({
        "customer_id": ids,
        "nickname": some(lambda: rng.choice(NICKNAMES)),
        "spent": pa.array(some(lambda: rng.randrange(-10**6, 10**7)), pa.int64()),
        "balance": pa.array(some(lambda: Decimal(rng.randrange(10**9)) / 1000),
                            pa.decimal128(18, 4)),
        "is_vip": pa.array(some(lambda: rng.random() < 0.5), pa.bool_()),
        "birthday": pa.array(some(lambda: date(1950, 1, 1) + timedelta(rng.randrange(20_000)))),
        "tags": pa.array(some(lambda: rng.sample(["a", "b", "c"], rng.randrange(3))),
                         pa.list_(pa.string())),
    })  # fmt: skip
    given_columns = {name: name for name in ("spent", "balance", "is_vip")}
    engine.load("customers", customers, columns=given_columns)
    count = 150
    moments = [AS_OF + timedelta(hours=rng.randrange(-900, 40)) for _ in range(20)]
    orders = pa.table({
        "order_id": [f"o{n}" for n in range(count)],
        "customer_id": rng.choices(ids[:45], k=count),
        "time": rng.choices(moments, k=count),
        "paid_at": pa.array([rng.choice([None, AS_OF, AS_OF]) for _ in range(count)],
                            pa.timestamp("us", "UTC")),
        "amount": [rng.choice([None, 0.0, 12.5, 99.999, 1234.0, 0.005]) for _ in range(count)],
        "refund_amount": [rng.choice([None, None, 0.0, 1.25, 12.5]) for _ in range(count)],
        "payment": [rng.choice([None, "alipay", "card"]) for _ in range(count)],
        "channel": [rng.choice([None, "app", "  "]) for _ in range(count)],
        "gift": pa.array([rng.choice([None, True, False]) for _ in range(count)], pa.bool_()),
        "weight": [rng.choice([None, 0.5, 2.0, 3.14159]) for _ in range(count)],
    })  # fmt: skip
    engine.load("orders", orders, columns={"gift": "gift", "weight": "weight"})
    return engine


def values_by_hand(engine: se.Engine) -> dict[Any, dict[str, Any]]:
    """Each buyer's traits, and their last purchase, by the names of fields."""
    found = {row["customer_id"]: row for row in engine.table("customers").to_pylist()}
    doubled = engine.segment("TRUE").table(["doubled"]).to_pylist()
    for row in doubled:
        found[row["customer_id"]]["doubled"] = row["doubled"]
    purchases = engine.table("purchases").to_pylist()
    names = engine.table("purchases").column_names
    for who, values in found.items():
        # In order of arrival: the later one of two at one moment wins.
        own = [row for row in purchases if row["customer_id"] == who]
        last = max(enumerate(own), key=lambda each: (each[1]["time"], each[0]), default=None)
        for name in names:
            values[f"last_order.{name}"] = None if last is None else last[1][name]
        # An average of amounts is written as an amount.
        average = values["average_order_amount"]
        values["average_order_amount"] = None if average is None else Decimal(average)
    return found


def payload_of(variant: str | None) -> dict[str, Any]:
    own = VARIANTS.get(variant or "")
    merged = {**PAYLOAD, **(own[1] if isinstance(own, tuple) else {})}
    return {f"payload.{key}": value for key, value in merged.items()}


@pytest.mark.parametrize("seed", range(8))
def test_texts_of_all_buyers_are_those_filled_in_by_hand(seed: int) -> None:
    rng = Random(seed)
    signature, at = rng.choice([("", "start"), ("【茶】", "start"), (" Reply T", "end")])
    encoding = ("ucs2", "gsm7", "utf16")[seed % 3]
    engine = random_store(rng, text_ids=seed % 2 == 0, signature=signature, signature_at=at,
                          encoding=encoding, price_per_part=0.05)  # fmt: skip
    values = values_by_hand(engine)
    assert any(row["last_order.order_id"] is not None for row in values.values())
    for template in TEMPLATES:
        variants = VARIANTS if rng.random() < 0.7 else None
        engine.define_campaign(se.Campaign("c", "TRUE", text=template, payload=PAYLOAD,
                                           variants=variants, holdout=0.1))  # fmt: skip
        audience = engine.audience("c")
        batches = list(audience.texts(batch_rows=7))
        assert [b.num_rows for b in batches[:-1]] == [7] * (len(batches) - 1)
        rows = pa.Table.from_batches(batches).to_pylist()
        assert [row["customer_id"] for row in rows] == audience.ids().to_pylist()
        assert [row["variant"] for row in rows] == audience.table()["variant"].to_pylist()
        for row in rows:
            fields = {**values[row["customer_id"]], **payload_of(row["variant"])}
            said = twin.filled(template, fields, timezone=ZONE, signature=signature,
                               at_end=at == "end")  # fmt: skip
            assert row["text"] == said
            assert row["characters"] == len(said)
            assert row["parts"] == twin.parts_of(said, encoding)
            assert row["cost"] == row["parts"] * Decimal("0.05")
        assert audience.preview(1000).to_pylist() == rows
        bill = audience.bill().to_pylist()
        assert sum(line["buyers"] for line in bill) == len(rows)
        assert sum(line["cost"] for line in bill) == sum(row["cost"] for row in rows)
        for line in bill:
            own = [r for r in rows if (r["variant"], r["parts"])
                   == (line["variant"], line["parts_each"])]  # fmt: skip
            assert line["buyers"] == len(own) > 0
            assert line["parts"] == len(own) * line["parts_each"]


def test_the_last_order_is_that_of_the_traits() -> None:
    engine = random_store(Random(5), text_ids=False)
    engine.define_campaign(se.Campaign("c", "order_count > 0",
                                       text="{last_order.amount:.4|-} {last_order_amount:.4|-} "
                                       "{last_order.time|-}|{last_order_at|-}"))  # fmt: skip
    texts = [text for batch in engine.audience("c").texts() for text in batch["text"].to_pylist()]
    assert len(texts) > 20
    for text in texts:
        amounts, moments = text.split(" ", 2)[:2], text.split(" ", 2)[2].split("|")
        assert amounts[0] == amounts[1]
        assert moments[0] == moments[1]


def text_of(engine: se.Engine, text: str, **campaign: Any) -> list[str]:
    engine.define_campaign(se.Campaign("c", campaign.pop("segment", "TRUE"), text=text, **campaign))
    found: list[str] = engine.audience("c").preview(100)["text"].to_pylist()
    return found


def test_an_order_that_arrives_is_the_last_order_at_once() -> None:
    engine = store(2)
    order = {"customer_id": [1], "order_id": [9], "time": [AS_OF], "amount": [5.5]}
    engine.define_campaign(se.Campaign("c", "TRUE", text="{last_order.amount|none}"))
    before = engine.audience("c")
    engine.append("orders", pa.table(order))
    assert before.preview()["text"].to_pylist() == ["5.50", "none"]
    engine.append("orders", pa.table({**order, "refund_amount": [2.0]}))
    assert before.preview()["text"].to_pylist() == ["3.50", "none"]
    assert text_of(engine, "{last_order.order_id|}") == ["9", ""]


def test_names_of_traits_and_orders_may_be_in_capitals_and_keys_of_payloads_may_not() -> None:
    engine = store(1)
    assert text_of(engine, "{Spent|} {LAST_ORDER.Amount|0}") == ["10 0"]
    with pytest.raises(se.DefinitionError, match=r"did you mean `payload.code`"):
        text_of(engine, "{payload.Code}", payload={"code": 1})


def test_payloads_lead_inwards_and_a_variants_key_hides_the_campaigns() -> None:
    engine = store(200)
    texts = text_of(
        engine, "{payload.offer.code} {payload.kept} {payload.list} {payload.b:y/n}",
        payload={"offer": {"code": "X"}, "kept": 7, "list": ["p", "q"], "b": True},
        variants={"a": 0.5, "b": (0.5, {"offer": {"code": "Y"}})},
    )  # fmt: skip
    assert set(texts) == {"X 7 p, q y", "Y 7 p, q y"}


def test_nothing_that_a_format_writes_is_no_reason_to_fall_back() -> None:
    engine = store(1)
    said = text_of(engine, "{payload.b:yes/|none}{has_sms:/no|none}!", payload={"b": False})
    assert said == ["!"]


def test_what_is_never_missing_needs_no_fallback() -> None:
    engine = store(1, traits={"carts": "count(behaviors)", "name": "coalesce(nickname, 'friend')",
                              "maybe": "spent + 1"})  # fmt: skip
    said = text_of(engine, "{customer_id} {order_count} {amount_total} {carts} {name}")
    assert said == ["1 0 0 0 friend"]
    for name in ("maybe", "nickname", "recency_days", "tags", "last_order.amount"):
        with pytest.raises(se.DefinitionError, match=rf"`{{{name}}}` .* may be missing"):
            text_of(engine, f"{{{name}}}")
        assert len(text_of(engine, f"{{{name}|}}!")) == 1


def test_a_signature_stands_where_the_store_says_and_counts() -> None:
    at_start = store(1, text={"signature": "【Shop】"})
    at_end = store(1, text={"signature": " -Shop", "signature_at": "end"})
    assert text_of(at_start, "Hi") == ["【Shop】Hi"]
    assert text_of(at_end, "Hi") == ["Hi -Shop"]
    for size, parts in ((64, 1), (65, 2)):
        text_of(at_start, "x" * size)
        assert at_start.audience("c").bill()["parts_each"].to_pylist() == [parts]


def test_an_empty_audience_has_no_text_and_no_bill() -> None:
    engine = store(3)
    assert text_of(engine, "{spent|}", segment="spent > 999") == []
    audience = engine.audience("c")
    assert audience.preview().column_names == [
        "customer_id", "variant", "text", "characters", "parts", "cost"
    ]  # fmt: skip
    assert audience.bill().num_rows == 0
    assert [batch.num_rows for batch in audience.texts()] == [0]


def test_a_campaign_without_a_text_says_so() -> None:
    engine = store(1)
    engine.define_campaign(se.Campaign("c", "TRUE"))
    for ask in (
        engine.audience("c").preview,
        engine.audience("c").texts,
        engine.audience("c").bill,
    ):
        with pytest.raises(se.DefinitionError, match="campaign `c` has no `text`"):
            ask()


@given(st.integers(0, 500), st.integers(0, 40))
def test_a_preview_is_spread_over_all(count: int, asked: int) -> None:
    places = spread(count, asked)
    assert len(places) == min(count, asked)
    assert (np.diff(places) > 0).all()
    if len(places):
        assert places[0] >= 0
        assert places[-1] < count
        gaps = np.diff([-1 - places[0], *places, 2 * count - 1 - places[-1]])
        assert gaps.max() - gaps.min() <= 2


# --- budgets --------------------------------------------------------------------------------------


def reached_by(
    engine: se.Engine, budget: Any, **campaign: Any
) -> tuple[set[int], Mapping[str, Any]]:
    """Who is left by the limit step, and that step."""
    options = {"text": "{word|}", "order_by": "spent DESC", **campaign}
    engine.define_campaign(se.Campaign("c", "TRUE", budget=budget, **options))
    audience = engine.audience("c")
    ledger = audience.ledger.to_pylist()
    for before, after in pairwise(ledger):
        assert before["remaining"] == after["entered"] == after["dropped"] + after["remaining"]
    ids = engine.table("customers", ["customer_id"])["customer_id"].to_pylist()
    left = {i for i in ids if audience.explain(i).step in (None, "holdout")}
    return left, next(step for step in ledger if step["step"] == "limit")


def wordy(sizes: list[int], **config: Any) -> se.Engine:
    """Buyers 1, 2, ... with a word of so many characters each; spent falls with the id."""
    engine = se.Engine(as_of=AS_OF, config=config)
    ids = list(range(1, len(sizes) + 1))
    table = pa.table({"customer_id": ids, "word": ["x" * size for size in sizes],
                      "spent": [-i for i in ids]})  # fmt: skip
    engine.load("customers", table, columns={"word": "word", "spent": "spent"})
    return engine


@pytest.mark.parametrize("seed", range(10))
def test_a_budget_is_spent_in_the_order_of_the_limit(seed: int) -> None:
    rng = Random(seed)
    sizes = [rng.choice([0, 5, 70, 71, 134, 135, 400]) for _ in range(40)]
    engine = wordy(sizes, text={"price_per_part": 0.5})
    parts = [twin.parts_of("x" * size, "ucs2") for size in sizes]
    for most in (0, 1, sum(parts) // 3, sum(parts) - 1, sum(parts), 10**6):
        count = twin.within_budget(parts, most)
        spent = sum(parts[:count])
        for budget in (most, {"parts": most}, {"cost": most / 2}, {"parts": most, "cost": most}):
            left, step = reached_by(engine, budget)
            assert left == set(range(1, count + 1))
            assert step["reasons"] == f"{spent:,} of {most:,} parts, by spent DESC"
        limit = rng.randrange(len(sizes))
        left, step = reached_by(engine, most, limit=limit)
        assert left == set(range(1, min(limit, count) + 1))
        assert step["reasons"].startswith(f"at most {limit}, ")
        backwards = twin.within_budget(parts[::-1], most)
        left, _ = reached_by(engine, most, order_by="spent")
        assert left == set(range(len(sizes) - backwards + 1, len(sizes) + 1))


def test_whoever_no_longer_fits_ends_a_budget_though_a_shorter_text_would_fit() -> None:
    engine = wordy([5, 400, 5])
    assert reached_by(engine, 3)[0] == {1}


def test_a_budget_and_a_bill_are_counted_over_many_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segengine.audiences.letters.BATCH_ROWS", 7)
    sizes = [5, 71, 140] * 10
    engine = wordy(sizes)
    assert reached_by(engine, 20)[0] == set(range(1, 11))
    reached_by(engine, 60)
    bill = engine.audience("c").bill().to_pylist()
    assert [(line["parts_each"], line["buyers"]) for line in bill] == [(1, 10), (2, 10), (3, 10)]
    with pytest.raises(se.DefinitionError, match="`batch_rows` is a whole number from 1, not `0`"):
        engine.audience("c").texts(batch_rows=0)


def test_those_held_out_are_paid_for_so_that_both_arms_are_alike() -> None:
    engine = wordy([5] * 1000)
    left, step = reached_by(engine, 200, holdout=0.3)
    assert left == set(range(1, 201))
    assert step["remaining"] == 200
    sent = engine.audience("c").bill()["parts"].to_pylist()
    assert 110 < sum(sent) < 170


def test_a_budget_of_nothing_reaches_nobody_and_none_reaches_all() -> None:
    engine = wordy([5] * 10)
    assert reached_by(engine, 0)[0] == set()
    left, step = reached_by(engine, None)
    assert left == set(range(1, 11))
    assert step["reasons"] == "none"


def test_without_a_text_every_message_is_one_part() -> None:
    engine = wordy([400] * 10, text={"price_per_part": 0.25})
    assert reached_by(engine, 4, text=None)[0] == {1, 2, 3, 4}
    assert reached_by(engine, {"cost": 1.6}, text=None)[0] == set(range(1, 7))


def test_parts_of_a_budget_are_those_of_a_buyers_own_variant() -> None:
    engine = wordy([0] * 300)
    variants = {"short": 0.5, "long": (0.5, {"more": "y" * 71})}
    options = {"text": "{payload.more|}{word|}", "variants": variants, "payload": {"more": "y"}}
    left, _ = reached_by(engine, 10**6, **options)
    arms = {row["customer_id"]: row["variant"] for row in engine.audience("c").table().to_pylist()}
    assert left == set(arms) == set(range(1, 301))
    parts = [2 if arms[who] == "long" else 1 for who in range(1, 301)]
    left, _ = reached_by(engine, 200, **options)
    assert left == set(range(1, twin.within_budget(parts, 200) + 1))


def test_a_buyer_beyond_the_budget_is_told_so() -> None:
    engine = wordy([5] * 4)
    reached_by(engine, 3)
    said = str(engine.audience("c").explain(4))
    assert said == "campaign `c`: `4` is dropped at limit (3 of 3 parts, by spent DESC)"


# --- bad input ------------------------------------------------------------------------------------

BAD: dict[str, dict[str, Any]] = {
    "an unknown field": {"text": "{nicknam|x} {last_order.amont|x} {xyz|x} {last_order|x}"},
    "no fallback": {"text": "{nickname} {last_order.amount}"},
    "braces that do not balance": {"text": "a } b {c d {e"},
    "a brace inside a field": {"text": "{a|{b}} }"},
    "an empty text": {"text": ""},
    "a text of blanks": {"text": " \n"},
    "no text": {"text": 5},
    "half a character": {"text": "\ud83d"},
    "a field of nothing": {"text": "{} {|x} {:,}"},
    "a field of the wrong form": {"text": "{nickname:|x} {nickname|x|y} {nickname｜x} {spent：,}"},
    "formats of other kinds": {
        "text": "{spent:.2|} {nickname:M/D|} {birthday:HH:mm|} {joined_at:dd.mm.yyyy|} "
                "{joined_at:-|} {amount_total:2} {sms_consent|} {sms_consent:y/n/?|} "
                "{average_order_amount:x|}",
    },
    "a payload that does not have it": {
        "text": "{payload.code} {payload.cod|x} {payload.only} {payload.void} {payload.map|}",
        "payload": {"code": "X", "void": None, "map": {"a": 1}},
        "variants": {"a": 0.5, "b": (0.5, {"only": 1})},
    },
    "no payload": {"text": "{payload.code|x} {payload|x}"},
    "an empty word in the payload": {"text": "{payload.code}", "payload": {"code": " "}},
    "a budget below nothing": {"text": "x", "budget": -1},
    "a budget of money without a price": {"text": "x", "budget": {"cost": 5}},
    "a text and a budget and a limit": {"text": "{", "budget": {"cots": 5}, "limit": -1},
}  # fmt: skip


def test_mistakes_of_a_text_read_as_they_were_found_good() -> None:
    engine = store(1)
    engine.define_campaign(se.Campaign("c", "TRUE", text="before"))
    told = []
    for what, options in BAD.items():
        with pytest.raises(se.DefinitionError) as caught:
            engine.define_campaign(se.Campaign("c", "TRUE", **options))
        told.append(f"{what}\n{caught.value}\n")
        assert engine.audience("c").preview()["text"].to_pylist() == ["before"]
    assert_golden(FOLDER / "text_mistakes.txt", "\n".join(told))


def test_a_text_of_the_store_file_is_checked_when_it_is_asked_for() -> None:
    engine = se.Engine(as_of=AS_OF, config={
        "campaigns": {"c": {"segment": "TRUE", "text": "{word}"}}, "traits": {"broken": "nope + 1"},
    })  # fmt: skip
    assert "`{word}` at character 1 is unknown" in str(engine.check()[-1])
    with pytest.raises(se.DefinitionError, match="unknown trait `nope`"):
        engine.define_campaign(se.Campaign("d", "TRUE", text="{broken|x}"))


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"signature": 5}, "`text.signature`: must be text"),
        ({"signature_at": "top"}, "`text.signature_at`: must be one of start, end"),
        ({"encoding": "utf8"}, "`text.encoding`: must be one of ucs2, utf16, gsm7"),
        ({"price_per_part": 0}, "must be a price above 0"),
        ({"price_per_part": -0.1}, "must be a price above 0"),
        ({"price_per_part": 0.0000001}, "at most 6 decimals"),
        ({"price_per_part": "0.05"}, "must be a finite number"),
        ({"singature": "x"}, "did you mean `signature`"),
    ],
)  # fmt: skip
def test_settings_of_texts_that_cannot_be_are_said(section: dict[str, Any], said: str) -> None:
    with pytest.raises(se.ConfigError) as caught:
        se.Engine(config={"text": section})
    assert said in str(caught.value)
