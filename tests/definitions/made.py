"""Random definitions: campaigns, pages and segments with any of their options."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

import segengine as se

RULES = ("TRUE", "spent > 30", "spent>30", "spent > 10 AND customer_id <> 3", "city IS NULL")
names = st.sampled_from(["spring", "Neujahr", "春节", "a b", "x.y"])
shares = st.floats(0, 1, allow_nan=False)
payloads = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
clock = st.one_of(
    st.integers(0, 24),
    st.builds(time, st.integers(0, 23), st.integers(0, 59), st.integers(0, 59)),
    st.sampled_from(["09:30", "24:00"]),
)


@st.composite
def rules(draw: st.DrawFn) -> Any:
    """A rule as text or as an expression."""
    text = draw(st.sampled_from(RULES))
    written = [text, se.col("spent") > draw(st.integers(0, 9)), ~se.segment("rich")]
    return draw(st.sampled_from(written))


@st.composite
def windows(draw: st.DrawFn) -> dict[str, datetime]:
    """Both ends, one or none, of a sort of zone each."""
    zone = draw(st.sampled_from([None, UTC, ZoneInfo("Europe/Berlin")]))
    # Not in the hour that clocks go back: there two moments of a zone have one name.
    begin = datetime(2026, 7, 1, tzinfo=zone) + timedelta(minutes=draw(st.integers(0, 10**5)))
    end = begin + timedelta(seconds=draw(st.integers(1, 10**6)))
    kept = draw(st.sampled_from([(), ("starts_at",), ("ends_at",), ("starts_at", "ends_at")]))
    return {key: {"starts_at": begin, "ends_at": end}[key] for key in kept}


@st.composite
def variants(draw: st.DrawFn) -> dict[str, Any]:
    """Arms whose weights add up to 1, some with a payload."""
    weights = draw(st.sampled_from([(1.0,), (0.5, 0.5), (0.25, 0.75, 0.0)]))
    arms = {}
    for place, weight in enumerate(weights):
        payload = draw(payloads)
        arms[f"arm {place}"] = weight if payload is None else (weight, payload)
    return arms


def caps(channels: list[str | None]) -> st.SearchStrategy[se.Cap]:
    """Caps of the class, and on the channels, that may be given."""
    kinds = ["marketing", "care"] if len(channels) > 1 else ["marketing"]
    return st.builds(
        se.Cap, st.integers(0, 5), st.integers(1, 30), channel=st.sampled_from(channels),
        kind=st.sampled_from(kinds),
    )  # fmt: skip


@st.composite
def pools(draw: st.DrawFn) -> se.Pool:
    """A pool of products by number."""
    products = draw(st.permutations(list(range(6))))
    cut = draw(st.integers(0, 3)), draw(st.integers(3, 6))
    rule = st.sampled_from([None, "price > 3", se.col("price") > 3])
    return se.Pool(
        draw(rule), draw(st.integers(1, 12)), products[: cut[0]], tuple(products[cut[1] :]),
        draw(st.booleans()),
    )  # fmt: skip


@st.composite
def campaigns(draw: st.DrawFn) -> se.Campaign:
    """Any campaign."""
    money = st.decimals(0, 10**9, places=draw(st.integers(0, 4)))
    options = st.fixed_dictionaries(
        {},
        optional={
            "exclusions": st.lists(rules(), max_size=2),
            "channel": st.sampled_from(["sms", "email"]),
            "kind": st.sampled_from(["service", "care", "marketing"]),
            "hours": st.lists(st.tuples(clock, clock), max_size=2),
            "priority": st.integers(-3, 3),
            "value": rules(),
            "budget": st.one_of(
                st.integers(0, 10**9),
                st.builds(lambda cost: {"cost": cost}, money),
                st.builds(lambda cost: {"parts": 5, "cost": cost}, money),
            ),
            "variants": variants(),
            "holdout": shares,
            "salt": st.sampled_from(["spring", "salt"]),
            "limit": st.integers(0, 9),
            "order_by": st.sampled_from(["spent DESC", "-spent"]),
            "caps": st.lists(caps([None, "sms"]), max_size=2, unique=True),
            "goal": st.sampled_from(["orders", "behaviors"]),
            "window_days": st.integers(1, 9),
            "text": st.sampled_from(["Dear {nickname|friend}", "{{yes}}"]),
            "payload": payloads,
        },
    )
    return se.Campaign(draw(names), draw(rules()), **draw(options), **draw(windows()))


@st.composite
def modules(draw: st.DrawFn, name: str) -> se.Module:
    """Any module."""
    options = st.fixed_dictionaries(
        {},
        optional={
            "rule": rules(),
            "priority": st.integers(-3, 3),
            "hours": st.lists(st.tuples(clock, clock), max_size=2),
            "variants": variants(),
            "salt": st.sampled_from(["a", "salt"]),
            "holdout": shares,
            "fallback": st.booleans(),
            "cap": caps([None]),
            "decay": st.builds(se.Decay, st.integers(1, 3), st.integers(1, 3), st.integers(1, 30)),
            "pool": pools(),
            "payload": payloads,
        },
    )
    return se.Module(name, **draw(options), **draw(windows()))


@st.composite
def pages(draw: st.DrawFn) -> se.Page:
    """Any page."""
    slots = []
    for slot in draw(st.permutations(["banner", "grid", "foot"]))[: draw(st.integers(0, 3))]:
        inside = draw(st.permutations(["a", "b", "c"]))[: draw(st.integers(0, 3))]
        slots.append(se.Slot(slot, [draw(modules(name)) for name in inside]))
    return se.Page(draw(names), slots, rule=draw(st.none() | rules()))
