"""A dry run says what publishing then does, and does nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from tests.audiences.stores import AS_OF, store

RULES = (
    "TRUE", "FALSE", "spent > 30", "spent <= 50", "customer_id % 3 = 0", "segment('rich')",
    "NOT segment('rich')", "twice > 90", "segment('wide') AND twice <= 140", "bucket('x') < 0.5",
)  # fmt: skip
rules = st.sampled_from(RULES)
of_segments = st.sampled_from([rule for rule in RULES if "wide" not in rule and "rich" not in rule])


@st.composite
def campaigns(draw: st.DrawFn) -> se.Campaign:
    """A campaign `spring` of the little store."""
    arms = [None, {"a": 0.5, "b": 0.5}, {"b": 0.3, "c": 0.7}, {"a": 1.0}]
    return se.Campaign(
        "spring",
        draw(rules),
        exclusions=draw(st.lists(rules, max_size=1)),
        channel=draw(st.sampled_from([None, "sms"])),
        kind=draw(st.sampled_from(["marketing", "service"])),
        variants=draw(st.sampled_from(arms)),
        holdout=draw(st.sampled_from([0.0, 0.3])),
        limit=draw(st.sampled_from([None, 0, 5])),
        order_by=draw(st.sampled_from([None, "twice DESC"])),
    )


@st.composite
def pages(draw: st.DrawFn) -> se.Page:
    """A page `home` of the little store."""
    slots = []
    for slot in draw(st.permutations(["top", "foot"]))[: draw(st.integers(1, 2))]:
        names = draw(st.permutations(["a", "b", "c"]))[: draw(st.integers(0, 3))]
        modules = [
            se.Module(
                name,
                rule=draw(st.none() | rules),
                priority=draw(st.integers(0, 1)),
                fallback=draw(st.booleans()),
            )
            for name in names
        ]
        slots.append(se.Slot(slot, modules))
    return se.Page("home", slots, rule=draw(st.none() | rules))


def defined() -> se.Engine:
    engine = store(30, holdout={"share": 0.1})
    engine.define_trait("twice", "spent * 2")
    engine.define_segment("rich", "spent > 50")
    engine.define_segment("wide", "segment('rich') OR customer_id < 9")
    return engine


def members(engine: se.Engine) -> set[Any]:
    return set(engine.audience("spring").ids().to_pylist())


def arms(engine: se.Engine) -> dict[Any, str | None]:
    found = engine.audience("spring").table().to_pylist()
    return {row["customer_id"]: row["variant"] for row in found}


def rows(table: Any) -> dict[Any, tuple[str, str | None, str | None]]:
    return {
        row["customer_id"]: (row["change"], row["before"], row["after"])
        for row in table.to_pylist()
    }


def campaign_law(first: se.Campaign, second: se.Campaign) -> None:
    engine = defined()
    engine.define_campaign(first)
    version, ledger, old = engine.data_version, engine.audience("spring").ledger, arms(engine)
    diff = engine.dry_run(second)
    assert (engine.data_version, len(engine.versions("campaign", "spring"))) == (version, 1)
    assert arms(engine) == old
    engine.define_campaign(second)
    new = arms(engine)
    entered, left, stayed = new.keys() - old.keys(), old.keys() - new.keys(), old.keys() & new
    differs = {who for who in stayed if old[who] != new[who]}
    assert (diff.entered, diff.left, diff.stayed) == (len(entered), len(left), len(stayed))
    assert diff.affected == len(entered) + len(left) + len(differs)
    expected = {who: ("enters", None, new[who]) for who in entered}
    expected |= {who: ("leaves", old[who], None) for who in left}
    expected |= {who: ("differs", old[who], new[who]) for who in differs}
    assert rows(diff.table()) == expected
    assert set(diff.sample_entered) <= entered
    assert len(diff.sample_entered) == min(10, len(entered))
    after = engine.audience("spring").ledger
    for side, said in (("before", ledger), ("after", after)):
        shown = diff.ledgers.select([f"{side}_{name}" for name in said.column_names[1:]])
        assert shown.rename_columns(said.column_names[1:]).equals(said.drop_columns(["step"]))
    moves = diff.variants.to_pylist() if diff.variants is not None else []
    assert sum(move["buyers"] for move in moves) == len(differs)
    assert {(m["before"], m["after"]) for m in moves} == {(old[w], new[w]) for w in differs}
    assert diff.change == ("same" if str(first) == str(second) else "changed")
    assert (diff.as_of, diff.data_version) == (engine.as_of, version)


@settings(max_examples=12)
@given(campaigns(), campaigns())
def test_a_campaign_does_what_its_dry_run_said(first: se.Campaign, second: se.Campaign) -> None:
    campaign_law(first, second)


@pytest.mark.prove
@settings(max_examples=300)
@given(campaigns(), campaigns())
def test_many_campaigns_do_what_their_dry_runs_said(
    first: se.Campaign, second: se.Campaign
) -> None:
    campaign_law(first, second)


def segment_law(rule: str, suppress: bool, wants: list[str]) -> None:
    engine = defined()
    for number, want in enumerate(wants):
        engine.define_campaign(se.Campaign(f"c{number}", want, holdout=0.2))
    engine.define_page(se.Page("home", [se.Slot("top", [se.Module("m", rule=wants[0])])]))

    def answers() -> dict[tuple[str, str], set[Any]]:
        found = {("segment", n): set(engine.segment(f"segment('{n}')").ids().to_pylist())
                 for n in engine.segments.definitions}  # fmt: skip
        for name in engine.campaigns:
            found["campaign", name] = set(engine.audience(name).ids().to_pylist())
        return found

    old = answers()
    module_before = set(engine.segment(wants[0]).ids().to_pylist())
    diff = engine.dry_run("rich", rule, suppress=suppress)
    assert answers() == old
    engine.define_segment("rich", rule, suppress=suppress)
    new = answers()
    said = {(row["kind"], row["name"]): row for row in diff.downstream.to_pylist()}
    page = said.pop(("page", "home"), None)
    assert (page is not None) == any(word in wants[0] for word in ("rich", "wide"))
    if page is not None:
        moved = module_before ^ set(engine.segment(wants[0]).ids().to_pylist())
        assert page["affected"] == len(moved)
        assert page["before"] == page["after"] == 30
    for key in old.keys() - {("segment", "rich")}:
        counts = len(old[key]), len(new[key]), len(new[key] - old[key]), len(old[key] - new[key])
        if key not in said:
            assert old[key] == new[key]
        else:
            row = said[key]
            assert (row["before"], row["after"], row["entered"], row["left"]) == counts
    rich = "segment", "rich"
    assert (diff.entered, diff.left) == (len(new[rich] - old[rich]), len(old[rich] - new[rich]))


@settings(max_examples=12)
@given(of_segments, st.booleans(), st.lists(rules, min_size=1, max_size=3))
def test_what_names_a_segment_does_what_its_dry_run_said(
    rule: str, suppress: bool, wants: list[str]
) -> None:
    segment_law(rule, suppress, wants)


@pytest.mark.prove
@settings(max_examples=300)
@given(of_segments, st.booleans(), st.lists(rules, min_size=1, max_size=3))
def test_many_that_name_a_segment_do_what_its_dry_run_said(
    rule: str, suppress: bool, wants: list[str]
) -> None:
    segment_law(rule, suppress, wants)


def page_law(first: se.Page, second: se.Page) -> None:
    engine = defined()
    engine.define_page(first)
    diff = engine.dry_run(second)

    def eligible(page: se.Page) -> dict[tuple[str, str], set[Any]]:
        return {
            (slot.name, each.name): set(
                engine.segment("TRUE" if each.rule is None else str(each.rule)).ids().to_pylist()
            )
            for slot in page.slots
            for each in slot.modules
        }

    old, new = eligible(first), eligible(second)
    said = {(row["slot"], row["module"]): row for row in diff.modules.to_pylist()}
    for key in old.keys() | new.keys():
        was, then = old.get(key, set()), new.get(key, set())
        row = said.get(key)
        if row is None:
            assert key in old.keys() & new.keys()
            assert was == then
            continue
        counts = row["before"], row["after"], row["entered"], row["left"]
        assert counts == (len(was), len(then), len(then - was), len(was - then))
        assert (row["change"] == "new") == (key not in old)
        assert (row["change"] == "removed") == (key not in new)
    slots = [{slot.name for slot in page.slots} for page in (first, second)]
    named = {row["slot"]: row["change"] for row in diff.modules.to_pylist() if not row["module"]}
    assert {n for n, c in named.items() if c == "new"} == slots[1] - slots[0]
    assert {n for n, c in named.items() if c == "removed"} == slots[0] - slots[1]

    def own(page: se.Page) -> set[Any]:
        rule = "TRUE" if page.rule is None else str(page.rule)
        return set(engine.segment(rule).ids().to_pylist())

    assert diff.entered == len(own(second) - own(first))
    assert diff.left == len(own(first) - own(second))
    assert diff.stayed == len(own(first) & own(second))


@settings(max_examples=12)
@given(pages(), pages())
def test_modules_of_a_page_are_for_whom_its_dry_run_said(first: se.Page, second: se.Page) -> None:
    page_law(first, second)


@pytest.mark.prove
@settings(max_examples=300)
@given(pages(), pages())
def test_modules_of_many_pages_are_for_whom_their_dry_runs_said(
    first: se.Page, second: se.Page
) -> None:
    page_law(first, second)


def test_a_trait_says_who_gets_another_value_and_what_follows() -> None:
    spring = {"segment": "twice > 100", "order_by": "twice"}
    config: dict[str, Any] = {"traits": {"twice": "spent * 2"}, "campaigns": {"spring": spring}}
    engine = store(30, **config)
    other = {"twice": "CASE WHEN spent > 100 THEN spent * 2 WHEN spent > 50 THEN 7 END"}
    (diff,) = engine.dry_run_all({**config, "traits": other})
    assert (diff.kind, diff.name, diff.change) == ("trait", "twice", "changed")
    assert (diff.entered, diff.left, diff.stayed, diff.affected) == (0, 5, 25, 10)
    (row,) = diff.downstream.to_pylist()
    assert (row["kind"], row["before"], row["after"], row["left"]) == ("campaign", 25, 20, 5)
    assert {each["change"] for each in diff.table().to_pylist()} == {"leaves", "differs"}


def test_a_whole_file_is_compared_together_and_changes_nothing() -> None:
    engine = defined()
    engine.define_campaign(se.Campaign("spring", "segment('rich')"))
    version = engine.data_version
    found = engine.dry_run_all({
        "traits": {"twice": "spent * 2"},
        "segments": {"rich": "spent > 70", "new": "segment('rich')"},
        "campaigns": {"spring": {"segment": "segment('new')", "limit": 3}},
    })  # fmt: skip
    assert [(d.kind, d.name, d.change) for d in found] == [
        ("segment", "rich", "changed"),
        ("segment", "wide", "removed"),
        ("segment", "new", "new"),
        ("campaign", "spring", "changed"),
    ]
    # What is removed is not looked at downstream of others; what stays sees all changes at once.
    rich, wide, new, spring = found
    assert [row["name"] for row in rich.downstream.to_pylist()] == ["spring"]
    assert wide.left == wide.affected > 0
    assert (new.entered, new.before) == (rich.stayed, None)
    assert spring.stayed == 3
    assert {each.setting for each in spring.settings} == {"segment", "limit"}
    assert engine.data_version == version == {d.data_version for d in found}.pop()


def test_a_file_that_is_as_the_store_has_nothing_to_say() -> None:
    config: dict[str, Any] = {"segments": {"rich": "spent > 50"}, "traits": {"t": "spent + 1"}}
    assert store(**config).dry_run_all(config) == ()


def test_a_file_with_what_cannot_be_used_is_refused_with_every_mistake() -> None:
    engine = defined()
    with pytest.raises(se.DefinitionError) as refused:
        engine.dry_run_all({
            "segments": {"a": "nope > 3", "b": "segment('a')", "c": "TRUE"},
            "campaigns": {"spring": {"segment": "segment('rich')"}},
        })  # fmt: skip
    said = str(refused.value)
    assert all(place in said for place in ('segment "a"', 'segment "b"', 'campaign "spring"'))
    assert 'segment "c"' not in said


def test_what_can_no_longer_be_used_is_said_downstream() -> None:
    engine = defined()
    engine.define_campaign(se.Campaign("spring", "twice > 100"))
    engine.define_trait("twice", "'much'")
    (row,) = engine.member_diff("trait", "twice", 1).downstream.to_pylist()
    assert (row["name"], row["before"]) == ("spring", None)
    assert "text" in row["error"]
    assert "`spring` could no longer be used" in str(engine.member_diff("trait", "twice", 1))
    file = {"traits": {"twice": "'much'"}, "campaigns": {"spring": {"segment": "twice > 100"}}}
    other = defined()
    other.define_campaign(se.Campaign("spring", "twice > 100"))
    with pytest.raises(se.DefinitionError, match='campaign "spring"'):
        other.dry_run_all(file)


def test_versions_are_compared_as_of_now() -> None:
    engine = defined()
    engine.define_segment("rich", "spent > 90")
    engine.define_segment("rich", "spent > 200")
    diff = engine.member_diff("segment", "rich", 1, 2)
    assert (diff.before, diff.after, diff.entered, diff.left, diff.stayed) == (1, 2, 0, 4, 21)
    assert diff.settings[0].after == "spent > 90"
    now = engine.member_diff("segment", "rich", 1)
    assert (now.before, now.after, now.left) == (1, 3, 15)
    back = engine.member_diff("segment", "rich", 3, 1)
    assert (back.entered, back.left) == (now.left, now.entered)
    assert engine.member_diff("segment", "rich", 3).change == "same"
    assert [row["name"] for row in diff.downstream.to_pylist()] == ["wide"]


def test_a_version_in_force_that_cannot_be_used_is_nobody() -> None:
    engine = store(segments={"rich": "nope > 3"})
    diff = engine.dry_run("rich", "spent > 30")
    assert (diff.entered, diff.left, diff.change) == (5, 0, "changed")
    assert "the version in force cannot be used" in diff.notes[0]
    assert "unknown trait `nope`" in diff.notes[0]


def test_samples_stand_evenly_far_apart_and_are_the_same_each_time() -> None:
    engine = store(100)
    diff = engine.dry_run("all", "TRUE")
    assert diff.sample_entered == (6, 16, 26, 36, 46, 56, 66, 76, 86, 96)
    assert engine.dry_run("all", "TRUE").sample_entered == diff.sample_entered


def test_a_dry_run_is_frozen_but_for_who_is_deleted() -> None:
    engine = store()
    diff = engine.dry_run("rich", "spent > 50")
    before = diff.to_json()
    engine.define_segment("rich", "spent > 10")
    engine.delete_customer(7)
    assert diff.to_json() == before
    assert diff.table()["customer_id"].to_pylist() == [6, 8]
    with pytest.raises(AttributeError):
        diff.entered = 0  # type: ignore[misc]


def test_a_page_that_asks_the_request_is_not_counted() -> None:
    engine = store()
    page = se.Page("home", [se.Slot("top", [se.Module("m", rule="context.device = 'x'")])],
                   rule="context.lang = 'de'")  # fmt: skip
    diff = engine.dry_run(page)
    (slot, row) = diff.modules.to_pylist()
    assert (slot["module"], row["before"], row["after"]) == (None, None, None)
    assert diff.notes == ("its rule asks the request: everybody is counted",)
    assert diff.entered == 8


def test_what_will_not_be_sent_and_what_is_judged_anew_is_noted() -> None:
    engine = store()
    engine.define_campaign(se.Campaign("spring", "TRUE"))
    over = se.Campaign("spring", "TRUE", ends_at=AS_OF, goal="orders")
    notes = engine.dry_run(over).notes
    assert any("outside its window" in note for note in notes)
    assert any("another goal" in note for note in notes)
    assert engine.dry_run(se.Campaign("spring", "TRUE", limit=3)).notes == ()


def test_a_difference_prints_and_is_json() -> None:
    engine = defined()
    engine.define_campaign(se.Campaign("spring", "segment('rich')", variants={"a": 1.0}))
    said = str(engine.dry_run(se.Campaign("spring", "TRUE", variants={"b": 1.0})))
    assert "campaign `spring`: changed, against version 1" in said
    assert 'variants: {"a": 1.0} -> {"b": 1.0}' in said
    assert "; another variant for" in said
    assert "variant a -> b:" in said
    assert "nothing has been changed" in said
    assert "enter, " in str(engine.dry_run("rich", "spent > 3"))
    found = engine.dry_run(se.Campaign("spring", "TRUE")).to_json()
    assert found["ledgers"][0]["before_entered"] == 30
    assert found["variants"] == [{"before": "a", "after": None, "buyers": found["affected"]
                                  - found["entered"] - found["left"]}]  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda e: e.dry_run("rich", "spend > 3"), "unknown trait `spend`"),
        (lambda e: e.dry_run("rich"), "takes a campaign, a page, or a segment's name and rule"),
        (lambda e: e.dry_run(3, "TRUE"), "not `3`"),
        (lambda e: e.dry_run(("rich",)), "takes a campaign"),
        (lambda e: e.dry_run(("rich", "TRUE", "yes")), "`suppress` is true or false, not `yes`"),
        (lambda e: e.dry_run(" ", "TRUE"), "no segment's name"),
        (lambda e: e.dry_run("rich", "segment('wide')"), "circle"),
        (lambda e: e.dry_run(se.Campaign("x", "TRUE", channel="fax")), "unknown channel `fax`"),
        (lambda e: e.dry_run(se.Page("x", [], rule="nope")), "unknown trait `nope`"),
        (lambda e: e.member_diff("segment", "rich", 9), "no version `9`"),
        (lambda e: e.member_diff("segment", "rih", 1), "unknown segment `rih`"),
    ],
)
def test_what_cannot_be_defined_cannot_be_tried(
    ask: Callable[[se.Engine], object], said: str
) -> None:
    with pytest.raises(se.SegengineError, match=said):
        ask(defined())
