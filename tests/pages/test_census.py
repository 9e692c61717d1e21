"""The census of a page is every buyer's page, counted."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pyarrow as pa
import pytest

import segengine as se
from segengine.pages.census_rules import PageRules
from segengine.pages.census_walk import key_of, walk
from tests.reference.random_customers import COLUMNS, buyers_of, random_customers
from tests.reference.random_rules import Options, random_rule, random_world
from tests.reference.rules import rule_text

AS_OF = datetime(2026, 3, 10, 12, tzinfo=UTC)
LOST = ("outranked", "already_shown", "held_out", "capped", "not_eligible", "inactive")
HOURS = (None, None, None, [(time(9), time(18))], [(time(22), time(6))])


@dataclass
class Counted:
    """What asking for each buyer's page comes to."""

    reach: Counter[tuple[str, str]] = field(default_factory=Counter)
    variants: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    lost: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    won_over: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    empty: Counter[str] = field(default_factory=Counter)
    pages: Counter[tuple[Any, ...]] = field(default_factory=Counter)


def counted(engine: se.Engine, name: str, ids: list[Any], context: Mapping[str, str]) -> Counted:
    found = Counted()
    for each in ids:
        answer = engine.page(name, each, context)
        winners = {}
        for place in answer.placements:
            winners[place.slot] = place.module
            if place.module is None:
                found.empty[place.slot] += 1
                continue
            found.reach[place.slot, place.module] += 1
            if place.variant is not None:
                found.variants[place.slot, place.module, place.variant] += 1
        for slot, module, reason in answer.rejected:
            found.lost[slot, module, reason.value.lower()] += 1
            if reason == se.Reason.OUTRANKED:
                found.won_over[slot, module, winners[slot] or ""] += 1
        found.pages[tuple((p.slot, p.module, p.variant) for p in answer.placements)] += 1
    return found


def agree(engine: se.Engine, name: str, context: Mapping[str, str]) -> se.Census:
    """The census, after comparing all of it with every buyer's page."""
    ids = engine.segment("TRUE").ids().to_pylist()
    census, found = engine.page_census(name, context), counted(engine, name, ids, context)
    page = engine.pages[name]
    assert (census.buyers, census.as_of, census.data_version) == (
        len(ids), engine.as_of, engine.data_version
    )  # fmt: skip
    asked = {(slot.name, module.name) for slot in page.slots for module in slot.modules}
    rows = census.modules.to_pylist()
    assert {(row["slot"], row["module"]) for row in rows} == asked
    assert len(rows) == len(asked)
    for row in rows:
        key = row["slot"], row["module"]
        assert row["reach"] == found.reach[key]
        assert {why: row[why] for why in LOST} == {why: found.lost[(*key, why)] for why in LOST}
        assert row["reach"] + sum(row[why] for why in LOST) == len(ids)
        assert row["share"] == (row["reach"] / len(ids) if ids else 0.0)
    variants = census.variants.to_pylist()
    assert {(r["slot"], r["module"], r["variant"]): r["reach"] for r in variants if r["reach"]} == (
        found.variants
    )
    empty = census.empty.to_pylist()
    assert [row["slot"] for row in empty] == [slot.name for slot in page.slots]
    for row in empty:
        assert row["buyers"] == found.empty[row["slot"]]
        shown = sum(r["reach"] for r in rows if r["slot"] == row["slot"])
        assert shown + row["buyers"] == len(ids)
    seen = {module for _, module in found.reach}
    assert set(census.never) == {module for _, module in asked} - seen
    assert census.different_pages == len(found.pages)
    assert {"device", "size"} >= set(census.not_given)
    assert not set(census.not_given) & set(context)
    agree_on_frequent(census, found)
    agree_on_unseen(census, found, asked)
    agree_buyer_by_buyer(engine, name, ids, context)
    return census


def agree_on_frequent(census: se.Census, found: Counted) -> None:
    frequent = census.frequent.to_pylist()
    counts = sorted(found.pages.values(), reverse=True)
    assert [row["buyers"] for row in frequent] == counts[:10]
    told = [tuple((p["slot"], p["module"], p["variant"]) for p in row["placements"])
            for row in frequent]  # fmt: skip
    assert len(set(told)) == len(told)
    assert [found.pages[page] for page in told] == counts[:10]


def agree_on_unseen(census: se.Census, found: Counted, asked: set[tuple[str, str]]) -> None:
    unseen = census.unseen.to_pylist()
    wanted = {(slot, module) for slot, module in asked if module in census.never}
    assert {(row["slot"], row["module"]) for row in unseen} == wanted
    for row in unseen:
        key = row["slot"], row["module"]
        assert row["buyers"] == found.lost[(*key, row["reason"].lower())]
        outranked = found.lost[(*key, "outranked")]
        assert (row["reason"] == "OUTRANKED") == (outranked > 0)
        over = {by: n for (slot, module, by), n in found.won_over.items() if (slot, module) == key}
        assert row["by_buyers"] == max(over.values(), default=0)
        assert row["by"] is None if not over else over[row["by"]] == row["by_buyers"]


def agree_buyer_by_buyer(
    engine: se.Engine, name: str, ids: list[Any], context: Mapping[str, str]
) -> None:
    """Each buyer's placements are mixed into 64 bits: those of the page they are shown."""
    with engine._looking() as view:
        checked = engine._definitions.page(name)
        pages = walk(checked, view, context).pages
        hashes = {each: int(pages[view.row_of(each)]) for each in ids}
        begins = checked.ends.tolist()
        place_of = {
            (slot, checked.modules[place].module.name): place - begins[slot] + 1
            for slot in range(len(checked.slots))
            for place in range(begins[slot], begins[slot + 1])
        }
        arms = {
            (module.module.name, arm.name): place
            for module in checked.modules
            for place, arm in enumerate(module.module.variants)
        }
    for each in ids:
        mixed = 0
        for slot, place in enumerate(engine.page(name, each, context).placements):
            if place.module is not None:
                arm = 0 if place.variant is None else arms[place.module, place.variant]
                mixed ^= key_of(slot, place_of[slot, place.module], arm)
        assert hashes[each] == mixed


# --- any page, any store


def random_module(rng: random.Random, name: str, rules: list[str], as_of: datetime) -> se.Module:
    second = timedelta(seconds=1)
    windows = [(None, None)] * 9 + [(as_of, None), (as_of + second, None), (None, as_of)]
    starts_at, ends_at = rng.choice(windows)
    return se.Module(
        name,
        rule=rng.choice([None, None, None, *rules]),
        priority=rng.randrange(4),
        starts_at=starts_at,
        ends_at=ends_at,
        hours=rng.choice(HOURS),
        variants=rng.choice((None, None, {"a": 0.5, "b": 0.5}, {"a": 0.2, "b": 0.3, "c": 0.5})),
        salt=rng.choice((None, "shared")),
        holdout=rng.choice((0.0, 0.0, 0.4)),
        fallback=rng.random() < 0.2,
        cap=rng.choice((None, None, se.Cap(rng.randrange(4), rng.choice((1, 3))))),
        decay=rng.choice((None, None, se.Decay(rng.randrange(1, 3), rng.randrange(1, 3),
                                               rng.choice((1, 2, 9))))),
        pool=rng.choice((None, None, None, se.Pool("price > 15", k=2, ban=["p0"]), se.Pool(k=1))),
    )  # fmt: skip


def load_products(rng: random.Random, engine: se.Engine, ids: list[Any]) -> None:
    """A few products, some out of stock, and who bought them lately."""
    names = [f"p{k}" for k in range(4)]
    engine.load("products", pa.table({
        "product_id": names, "price": [10.0, 20.0, 30.0, 5.0], "category": ["a", "a", "b", "b"],
        "stock": [rng.randrange(2) for _ in names],
    }))  # fmt: skip
    lines = rng.randrange(60)
    engine.load("order_lines", pa.table({
        "customer_id": [rng.choice(ids) for _ in range(lines)],
        "order_id": list(range(lines)),
        "time": [engine.as_of - timedelta(days=rng.randrange(20)) for _ in range(lines)],
        "product_id": [rng.choice(names) for _ in range(lines)],
        "amount": [10.0] * lines,
    }))  # fmt: skip


def random_impressions(
    rng: random.Random, ids: list[Any], names: list[str], as_of: datetime
) -> pa.Table:
    rows = rng.randrange(200)
    return pa.table(
        {
            "customer_id": [rng.choice(ids) for _ in range(rows)],
            # Some are still to come: they are in nobody's count.
            "time": [as_of + timedelta(hours=rng.randrange(-100, 3)) for _ in range(rows)],
            "module": [rng.choice([*names, "another"]) for _ in range(rows)],
            "kind": [rng.choice(["shown"] * 5 + ["clicked", "seen"]) for _ in range(rows)],
        }
    )


def random_page(seed: int) -> tuple[se.Engine, dict[str, str]]:
    rng = random.Random(seed)
    world = random_world(rng)
    table = random_customers(
        rng, rng.choice((1, 40, 130)), timezone=world.timezone, as_of=world.as_of,
        text_ids=rng.random() < 0.3,
    )  # fmt: skip
    buyers, ids = buyers_of(table), table.column("customer_id").to_pylist()
    engine = se.Engine(timezone=world.timezone, as_of=world.as_of)
    engine.load("customers", table, columns={name: name for name in COLUMNS})
    names = [f"m{k}" for k in range(9)]
    engine.load("impressions", random_impressions(rng, ids, names, world.as_of))
    if rng.random() < 0.5:
        load_products(rng, engine, ids)
    some = [rule_text(random_rule(rng, COLUMNS, buyers, world, Options(depth=2))) for _ in range(4)]
    engine.define_segment("saved", some[0])
    rules = [*some, f"({some[0]}) AND ({some[1]})", "segment('saved') AND bucket('x') < 0.7",
             "context.device = 'mobile'", f"({some[1]}) OR NOT context.device = 'mobile'",
             "CAST(context.size AS BIGINT) >= 2", "count(impressions) >= 2",
             f"count(impressions) >= 2 AND ({some[2]})"]  # fmt: skip
    slots = []
    for slot in ("top", "middle", "end")[: rng.randrange(1, 4)]:
        chosen = rng.sample(names, rng.randrange(len(names)))
        slots.append(se.Slot(slot, [random_module(rng, n, rules, world.as_of) for n in chosen]))
    engine.define_page(se.Page("p", slots, rule=rng.choice([None, None, None, "TRUE", *rules])))
    context = {"device": rng.choice(("mobile", "tv")), "size": rng.choice(("1", "2", "many"))}
    return engine, {key: context[key] for key in context if rng.random() < 0.7}


def census_is_every_page(seed: int) -> None:
    engine, context = random_page(seed)
    agree(engine, "p", context)


@pytest.mark.parametrize("seed", range(40))
def test_a_census_is_every_buyers_page_counted(seed: int) -> None:
    census_is_every_page(seed)


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(1000, 1400))
def test_many_random_censuses_are_every_buyers_page_counted(seed: int) -> None:
    census_is_every_page(seed)


# --- what a shop asks


def store(buyers: int = 10) -> se.Engine:
    engine = se.Engine(as_of=AS_OF)
    table = pa.table({"customer_id": range(buyers), "spent": range(buyers)})
    engine.load("customers", table, columns={"spent": "spent"})
    return engine


def shown(customer_id: int, module: str, hours: float = 1, kind: str = "shown") -> dict[str, Any]:
    at = AS_OF - timedelta(hours=hours)
    return {"customer_id": customer_id, "time": at, "module": module, "kind": kind}


def test_a_module_that_nobody_sees_says_what_stands_in_its_way() -> None:
    engine = store()
    modules = [
        se.Module("rich", rule="spent >= 4", priority=3),
        se.Module("some", rule="spent >= 2", priority=2),
        se.Module("beaten", rule="spent >= 3"),
        se.Module("impossible", rule="spent > 100"),
        se.Module("over", ends_at=AS_OF),
        se.Module("held", rule="spent = 0", holdout=1.0, priority=9),
        se.Module("capped", rule="spent = 1", cap=se.Cap(0, 1), priority=9),
        se.Module("rest", fallback=True),
    ]
    engine.define_page(se.Page("p", [se.Slot("s", modules)]))
    census = agree(engine, "p", {})
    reach = dict(zip(*(census.modules.column(n).to_pylist() for n in ("module", "reach")),
                     strict=True))  # fmt: skip
    assert {name: n for name, n in reach.items() if n} == {"rich": 6, "some": 2, "rest": 2}
    assert census.never == ("capped", "held", "beaten", "impossible", "over")
    assert [tuple(row.values())[2:] for row in census.unseen.to_pylist()] == [
        ("CAPPED", 1, None, 0), ("HELD_OUT", 1, None, 0), ("OUTRANKED", 7, "rich", 6),
        ("NOT_ELIGIBLE", 10, None, 0), ("INACTIVE", 10, None, 0),
    ]  # fmt: skip


def test_a_module_in_two_slots_is_seen_once_by_each_buyer() -> None:
    engine = store(200)
    slots = [
        se.Slot("a", [se.Module("few", rule="spent < 3", priority=1), se.Module("most")]),
        se.Slot("b", [se.Module("few"), se.Module("most", priority=2)]),
        se.Slot("c", [se.Module("few"), se.Module("most")]),
    ]
    engine.define_page(se.Page("p", slots))
    rows = agree(engine, "p", {}).modules.to_pylist()
    found = {(row["slot"], row["module"]): (row["reach"], row["already_shown"]) for row in rows}
    assert found == {
        ("a", "few"): (3, 0), ("a", "most"): (197, 0), ("b", "most"): (3, 197),
        ("b", "few"): (197, 3), ("c", "few"): (0, 200), ("c", "most"): (0, 200),
    }  # fmt: skip


def test_what_was_seen_and_not_clicked_makes_room_buyer_by_buyer() -> None:
    engine = store()
    rows = [shown(1, "new"), shown(2, "new"), shown(2, "new"), shown(3, "new"),
            shown(3, "new", 0.5, "clicked"), shown(4, "new", 24 * 9)]  # fmt: skip
    engine.append("impressions", pa.Table.from_pylist(rows))
    modules = [
        se.Module("new", priority=2, decay=se.Decay(1, 1, 7)),
        se.Module("old", rule="spent > 0", priority=1),
        se.Module("least", rule="spent < 5"),
    ]
    engine.define_page(se.Page("p", [se.Slot("s", modules)]))
    reach = {row["module"]: row["reach"] for row in agree(engine, "p", {}).modules.to_pylist()}
    # 1 has another at the same priority with more conditions, 2 likewise.
    assert reach == {"new": 8, "old": 2, "least": 0}


def test_progress_is_told_of_every_module_and_may_end_the_census() -> None:
    engine = store()
    slot = [se.Module(f"m{k}") for k in range(3)]
    engine.define_page(se.Page("p", [se.Slot("a", slot), se.Slot("b", slot)]))
    told: list[tuple[int, int]] = []
    engine.page_census("p", progress=lambda done, of: told.append((done, of)))
    assert told == [(k, 6) for k in range(7)]

    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    before = engine.data_version
    with pytest.raises(KeyboardInterrupt):
        engine.page_census("p", progress=stop)
    engine.load("customers", pa.table({"customer_id": [77]}))
    assert engine.data_version > before


def test_a_page_without_slots_and_a_store_without_buyers_have_a_census() -> None:
    engine = store()
    engine.define_page(se.Page("bare", []))
    engine.define_page(se.Page("empty", [se.Slot("s", [])]))
    assert agree(engine, "bare", {}).different_pages == 1
    assert agree(engine, "empty", {}).empty.to_pylist() == [
        {"slot": "s", "buyers": 10, "share": 1.0}
    ]
    nobody = se.Engine(as_of=AS_OF)
    nobody.define_page(se.Page("p", [se.Slot("s", [se.Module("m"), se.Module("n", rule="TRUE")])]))
    census = agree(nobody, "p", {})
    assert (census.buyers, census.different_pages, census.never) == (0, 0, ("n", "m"))
    assert census.frequent.num_rows == 0


def test_a_buyer_who_is_deleted_is_in_no_census() -> None:
    engine = store()
    engine.define_page(se.Page("p", [se.Slot("s", [se.Module("m", cap=se.Cap(1, 7))])]))
    engine.append("impressions", pa.Table.from_pylist([shown(3, "m"), shown(4, "m")]))
    assert agree(engine, "p", {}).modules.to_pylist()[0]["capped"] == 2
    engine.delete_customer(3)
    census = agree(engine, "p", {})
    assert (census.buyers, census.modules.to_pylist()[0]["capped"]) == (9, 1)


def test_bitmaps_are_kept_within_their_budget_and_the_answer_is_the_same() -> None:
    engine = store(3_000)
    rules = [f"spent > {k} AND spent % 7 = {k % 3}" for k in range(12)]
    modules = [se.Module(f"m{k}", rule=rule, priority=k) for k, rule in enumerate(rules)]
    engine.define_page(se.Page("p", [se.Slot("a", modules), se.Slot("b", modules)]))
    with engine._looking() as view:
        checked = engine._definitions.page("p")
        asked = [*range(len(checked.rules))] * 2
        held, found = [], []
        for budget in (0, 400, 1 << 20):
            words = PageRules(checked.rules, asked, view, {}, budget)
            found.append([])
            most = 0
            for place in asked:
                found[-1].append(words.words(place).tobytes())
                most = max(most, words.held)
            held.append(most)
            assert words.held == 0
    assert found[0] == found[1] == found[2]
    assert held[0] == 0 < held[1] <= 400 < held[2]
