"""Where a buyer stands in the club: against SQL, after any batches, and by example."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.errors import ConfigError, LoadError, RuleError
from segengine.schema.answer_settings import MOST_QUESTIONS, answer_trait
from segengine.traits import membership
from tests.ingest.samples import AS_OF, customers, engine, orders
from tests.reference.membership_sql import DEFINITIONS, MEASURES, standings
from tests.traits.histories import Shop, differences, engine_of, traits_of
from tests.traits.test_incremental import Life

NAMES = [trait.name for trait in membership.MEMBERSHIP.traits]
TABLES = ("customers", "orders", "orders", "behaviors", "behaviors", "behaviors", "points")
NAMED = {"answers": {"skin": "肤质"}}
QUESTIONS = {
    "answer_skin": ["肤质"],
    "answer_skin_type": ["skin_type", "Skin type?"],
    "answer_household": ["household"],
}
DAY = timedelta(days=1)


def trait(found: se.Engine, name: str) -> list[Any]:
    return found.table("customers", [name])[name].to_pylist()


def points(*rows: tuple[str | None, int | None]) -> pa.Table:
    """Changes of the balance of buyer 1: kind, amount."""
    kinds, amounts = zip(*rows, strict=True)
    return pa.table(
        {
            "customer_id": [1] * len(rows), "time": [AS_OF] * len(rows),
            "kind": pa.array(kinds, pa.string()), "amount": pa.array(amounts, pa.int64()),
        }
    )  # fmt: skip


def check_ins(*times: datetime) -> pa.Table:
    """Check-ins of buyer 1."""
    count = len(times)
    return pa.table({"customer_id": [1] * count, "time": times, "kind": ["check_in"] * count})


def survey(*rows: tuple[int, float, str | None, str | None], kind: str = "survey") -> pa.Table:
    """Surveys: buyer, days ago, question, answer."""
    ids, days, questions, answers = zip(*rows, strict=True)
    return pa.table(
        {
            "customer_id": ids,
            "time": [AS_OF - each * DAY for each in days],
            "kind": [kind] * len(rows),
            "question": pa.array(questions, pa.string()),
            "answer": pa.array(answers, pa.string()),
        }
    )


# --- against SQL ----------------------------------------------------------------------------------


def drawn_levels(rng: Random) -> tuple[str, list[Decimal]]:
    by = rng.choice(tuple(MEASURES))
    some = rng.sample(("-1.5", "0", "0.5", "1", "2", "3", "99.9999", "150", "1e4"), 3)
    return by, sorted(map(Decimal, some))[: rng.randrange(4)]


def disagreements(seed: int, *, buyers: int = 6, batches: int = 9, rows: int = 8) -> list[str]:
    rng = Random(seed)
    shop = Shop.drawn(rng, buyers=buyers)
    shop.ties = True
    by, thresholds = drawn_levels(rng)
    levels = {"by": by, "thresholds": [float(each) for each in thresholds]}
    found = engine_of(shop, {"levels": levels, **NAMED})
    for table in rng.choices(TABLES, k=batches):
        batch = shop.batch(table, rows)
        found.load(table, batch.to_arrow())
    connection = found.connect(["customers", "orders", "behaviors", "points"])
    there = found.table("customers").column_names
    asked = {name: texts for name, texts in QUESTIONS.items() if name in there}
    expected = standings(connection, shop.as_of, by, thresholds, asked)
    return differences(traits_of(found, [*NAMES, *asked]), expected)


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_standings_equal_their_definitions_in_sql(seed: int) -> None:
    assert disagreements(seed) == []


@settings(max_examples=2)
@given(st.integers(0, 2**32))
def test_standings_of_a_larger_shop_equal_their_definitions_in_sql(seed: int) -> None:
    assert disagreements(seed, buyers=40, batches=12, rows=150) == []


@pytest.mark.prove
def test_standings_equal_their_definitions_in_sql_at_length() -> None:
    assert {seed: found for seed in range(1000) if (found := disagreements(seed))} == {}


def test_every_trait_has_a_definition_in_sql() -> None:
    assert set(DEFINITIONS) == set(NAMES)


# --- incremental equals full ----------------------------------------------------------------------


def answers_of(found: se.Engine) -> dict[object, dict[str, Any]]:
    """The answers of every buyer who gave one, by question's trait."""
    names = [n for n in found.table("customers").column_names if n.startswith("answer_")]
    rows = traits_of(found, names)
    return {one: {n: v for n, v in row.items() if v is not None} for one, row in rows.items()}


def changed(seed: int) -> list[str]:
    by, thresholds = drawn_levels(Random(seed))
    levels = {"by": by, "thresholds": [float(each) for each in thresholds]}
    life = Life(seed, steps=12, rows=6, config={"levels": levels, **NAMED})
    fresh = life.fresh()
    found = differences(traits_of(life.engine, NAMES), traits_of(fresh, NAMES))
    ours, theirs = answers_of(life.engine), answers_of(fresh)
    return found + [f"answers: {ours}, expected {theirs}"] * (ours != theirs)


@settings(max_examples=8)
@given(st.integers(0, 2**32))
def test_standings_after_any_batches_equal_those_of_a_fresh_build(seed: int) -> None:
    assert changed(seed) == []


@pytest.mark.prove
def test_standings_after_any_batches_equal_those_of_a_fresh_build_at_length() -> None:
    assert {seed: found for seed in range(300) if (found := changed(seed))} == {}


# --- members and levels ---------------------------------------------------------------------------


def test_a_member_has_bought_and_has_a_level_from_1_on() -> None:
    found = engine()
    found.load("customers", customers(1, 2, 3, 4, member_level=[1, 0, None, 2]))
    found.load("orders", orders(1, 2, 3))
    assert trait(found, "is_member") == [True, False, False, False]
    found.append("orders", orders(4))
    found.append("customers", customers(1, 3, member_level=[0, 1]))
    assert trait(found, "is_member") == [False, False, True, True]
    assert found.segment("is_member").ids().to_pylist() == [3, 4]


def test_a_card_holder_has_claimed_a_card_and_need_not_have_bought() -> None:
    found = engine()
    found.load("customers", customers(1, 2, card_claimed_at=[AS_OF, None]))
    assert trait(found, "is_card_holder") == [True, False]


def test_a_store_without_levels_and_cards_has_neither() -> None:
    found = engine()
    found.load("orders", orders(1))
    assert found.table("customers", NAMES).to_pylist() == [{
        "is_member": False, "is_card_holder": False, "check_ins_30d": 0,
        "check_in_streak_days": 0, "computed_level": None, "points_balance": 0,
    }]  # fmt: skip


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ({"thresholds": [100, 1000]}, [1, 0, 2, 0]),
        ({"by": "amount_total", "thresholds": [100, 1000]}, [1, 2, 2, 0]),
        ({"by": "order_count", "thresholds": [1, 2]}, [1, 1, 2, 0]),
        ({"by": "order_count", "thresholds": [0.5, 1e300]}, [1, 1, 1, 0]),
        ({"by": "amount_total", "thresholds": [-5, 99.99995]}, [2, 2, 2, 1]),
        ({"thresholds": []}, [None] * 4),
    ],
)
def test_a_level_is_the_number_of_thresholds_reached(
    levels: dict[str, Any], expected: list[int | None]
) -> None:
    found = engine(config={"levels": levels})
    long_ago = AS_OF - 400 * DAY
    found.load("customers", customers(1, 2, 3, 4))
    found.load("orders", orders(1, 3, 3, amount=[100.0, 500.0, 500.0]))
    found.load("orders", orders(2, time=long_ago, amount=[5000.0]))
    assert trait(found, "computed_level") == expected


def test_levels_that_cannot_be_are_named() -> None:
    for wrong in ([3, 3], [2, 1], "1", list(range(101)), [None]):
        with pytest.raises(ConfigError, match=r"levels\.thresholds"):
            se.Engine(config={"levels": {"thresholds": wrong}})
    with pytest.raises(ConfigError, match=r"levels\.by"):
        se.Engine(config={"levels": {"by": "recency_days"}})


# --- points ---------------------------------------------------------------------------------------


def test_the_kind_has_the_sign_of_what_is_spent_or_expires() -> None:
    found = engine()
    found.load("points", points(("earn", 100), ("spend", 30), ("spend", -20), ("expire", -1)))
    assert trait(found, "points_balance") == [49]
    found.append("points", points(("earn", -9), ("gift", 1000), (None, 7), ("earn", None)))
    assert trait(found, "points_balance") == [40]
    found.append("points", points(("spend", 100)))
    assert trait(found, "points_balance") == [-60]


def test_a_balance_beyond_64_bits_is_missing_and_one_that_comes_back_is_exact() -> None:
    most = 2**63 - 1
    found = engine()
    found.load("points", points(("earn", most), ("earn", 1)))
    assert trait(found, "points_balance") == [None]
    found.append("points", points(("spend", 2)))
    assert trait(found, "points_balance") == [most - 1]
    found.append("points", points(*[("expire", most)] * 3))
    assert trait(found, "points_balance") == [None]


def test_points_after_as_of_are_not_there_yet() -> None:
    found = engine()
    later = points(("earn", 5)).set_column(1, "time", [[AS_OF + DAY]])
    found.load("points", later)
    assert trait(found, "points_balance") == [0]
    found.advance(AS_OF + DAY)
    assert trait(found, "points_balance") == [5]


# --- check-ins ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days_ago", "streak", "last_30d"),
    [
        ([], 0, 0),
        ([0], 1, 1),
        ([1, 2], 2, 2),
        ([2, 3], 0, 2),
        ([0, 1, 3], 2, 3),
        ([0, 0, 1], 2, 3),
        (range(29, 31), 0, 1),
        (range(63), 63, 30),
        (range(64), 64, 30),
        (range(65), 65, 30),
        (range(1, 64), 63, 29),
        (range(1, 65), 64, 29),
        (range(1, 66), 65, 29),
        ([*range(64), *range(65, 99)], 64, 30),
        (range(400), 400, 30),
    ],
)
def test_a_streak_ends_today_or_yesterday(
    days_ago: Sequence[int], streak: int, last_30d: int
) -> None:
    found = engine()
    found.load("customers", customers(1))
    if days_ago:
        found.load("behaviors", check_ins(*(AS_OF - each * DAY for each in days_ago)))
    assert trait(found, "check_in_streak_days") == [streak]
    assert trait(found, "check_ins_30d") == [last_30d]


def test_a_streak_is_of_the_stores_dates_over_midnight_and_clock_changes() -> None:
    # In Berlin 31 March 2024 had 23 hours; 22:30 UTC is the next date from then on.
    times = [datetime(2024, 3, day, 22, 45, tzinfo=UTC) for day in (29, 30, 31)]
    found = se.Engine(timezone="Europe/Berlin", as_of=datetime(2024, 3, 31, 23, tzinfo=UTC))
    found.load("behaviors", check_ins(*times))
    assert trait(found, "check_in_streak_days") == [1]  # 29 and 30 March, then 1 April
    found.append("behaviors", check_ins(datetime(2024, 3, 31, 10, tzinfo=UTC)))
    assert trait(found, "check_in_streak_days") == [4]
    found.advance(datetime(2024, 4, 2, 23, tzinfo=UTC))
    assert trait(found, "check_in_streak_days") == [0]
    found.advance(datetime(2024, 4, 2, 10, tzinfo=UTC))
    assert trait(found, "check_in_streak_days") == [4]


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("skin_type", "answer_skin_type"),
        ("Skin type?", "answer_skin_type"),
        ("  How many, in all?! ", "answer_how_many_in_all"),
        ("2nd child", "answer_2nd_child"),
        ("肤质 type", "answer_type"),
        ("肤质", None),
        ("?", None),
        ("", None),
        ("x" * 121, "answer_" + "x" * 121),
        ("x" * 122, None),
    ],
)
def test_a_question_names_its_trait(question: str, name: str | None) -> None:
    assert answer_trait(question, {}) == name


def test_the_last_answer_by_time_then_arrival_counts() -> None:
    found = engine()
    found.load("behaviors", survey((1, 5, "skin", "dry"), (1, 9, "skin", "oily")))
    assert trait(found, "answer_skin") == ["dry"]
    found.append("behaviors", survey((1, 5, "skin", "mixed")))
    assert trait(found, "answer_skin") == ["mixed"]
    found.append("behaviors", survey((1, 6, "skin", "late"), (1, 1, "skin", None)))
    assert trait(found, "answer_skin") == ["mixed"]


def test_a_new_question_is_a_word_of_the_rules_at_once() -> None:
    found = engine()
    found.load("customers", customers(1, 2))
    with pytest.raises(RuleError, match="answer_skin"):
        found.segment("answer_skin = 'dry'")
    found.append("behaviors", survey((2, 1, "Skin?", "dry")))
    segment = found.segment("answer_skin = 'dry'")
    assert segment.ids().to_pylist() == [2]
    found.define_segment("dry", "answer_skin = 'dry'")
    assert found.match(2) == ["dry"]
    found.append("behaviors", survey((1, 2, "skin", "dry"), (2, 0, "skin", "oily")))
    assert segment.ids().to_pylist() == [1]
    assert found.match(2) == []
    assert found.segment("answer_skin LIKE '%y'").count() == 2
    assert "answer_skin" in found.memory()["column"].to_pylist()
    found.append("customers", customers(*range(3, 300)))
    assert found.segment("answer_skin IS NULL").count() == 297


def test_only_a_survey_asks() -> None:
    found = engine()
    found.load("behaviors", survey((1, 1, "colour", "red"), kind="vote"))
    assert "answer_colour" not in found.table("customers").column_names
    assert found.survey_questions == {}


def test_a_question_whose_text_gives_no_name_is_noted_and_may_be_given_one() -> None:
    rows = survey((1, 1, "肤质", "dry"), (1, 1, "skin", "oily"))
    found = engine()
    found.load("behaviors", rows)
    assert found.survey_questions == {"肤质": None, "skin": "answer_skin"}
    note = [each for each in found.check() if "肤质" in each.place]
    assert [each.severity for each in note] == ["note"]
    assert "[answers]" in note[0].message
    found = engine(config={"answers": {"type": "肤质"}})
    assert "answer_type" in found.table("customers").column_names
    found.load("behaviors", rows)
    assert trait(found, "answer_type") == ["dry"]
    assert found.check() == []


def test_questions_that_give_one_name_share_a_trait() -> None:
    found = engine()
    found.load("behaviors", survey((1, 3, "Skin?", "dry"), (1, 2, "skin", "oily")))
    assert trait(found, "answer_skin") == ["oily"]
    assert found.survey_questions == {"Skin?": "answer_skin", "skin": "answer_skin"}


def test_an_answer_after_as_of_is_not_given_yet() -> None:
    found = engine()
    found.load("behaviors", survey((1, -1, "skin", "dry"), (1, 1, "skin", "oily")))
    assert trait(found, "answer_skin") == ["oily"]
    found.advance(AS_OF + DAY)
    assert trait(found, "answer_skin") == ["dry"]
    found.advance(AS_OF)
    assert trait(found, "answer_skin") == ["oily"]


def test_no_more_questions_than_the_limit_have_a_trait() -> None:
    found = engine(config={"answers": {"last": "Which?"}})
    asked = [(1, 1.0, f"q{k}", str(k)) for k in range(MOST_QUESTIONS + 3)]
    found.load("behaviors", survey(*asked))
    found.append("behaviors", survey((1, 1, "Which?", "this")))
    names = [n for n in found.table("customers").column_names if n.startswith("answer_")]
    assert len(names) == MOST_QUESTIONS
    assert trait(found, "answer_last") == ["this"]
    assert found.survey_questions[f"q{MOST_QUESTIONS - 2}"] == f"answer_q{MOST_QUESTIONS - 2}"
    assert found.survey_questions[f"q{MOST_QUESTIONS - 1}"] is None
    assert len(found.check()) == 4


def test_a_column_that_the_shop_gave_is_no_answer() -> None:
    found = engine()
    found.load("customers", customers(1, answer_skin=["given"]),
               columns={"answer_skin": "answer_skin"})  # fmt: skip
    found.append("behaviors", survey((1, 1, "skin", "dry"), (1, 1, "hair", "long")))
    assert trait(found, "answer_skin") == ["given"]
    with pytest.raises(LoadError, match="answer_hair"):
        found.load("customers", customers(1, answer_hair=["x"]),
                   columns={"answer_hair": "answer_hair"})  # fmt: skip


def test_answers_are_there_again_when_a_store_is_opened(tmp_path: Path) -> None:
    (tmp_path / "store.toml").write_text("[store]\nas_of = 2024-03-01T12:00:00Z\n")
    with se.Engine.open(tmp_path) as found:
        found.load("behaviors", survey((1, 1, "skin", "dry"), (2, 1, "hair", "long")))
    with se.Engine.open(tmp_path) as found:
        assert found.segment("answer_skin = 'dry'").ids().to_pylist() == [1]
        found.delete_customer(2)
        assert trait(found, "answer_hair") == [None]


def test_answers_that_cannot_be_named_so_are_told() -> None:
    for wrong in ({"Skin": "x"}, {"a": "x", "b": "x"}, {"a": ""}, {"a": 3},
                  {f"q{k}": f"{k}" for k in range(MOST_QUESTIONS + 1)}):  # fmt: skip
        with pytest.raises(ConfigError, match="answers"):
            se.Engine(config={"answers": wrong})
