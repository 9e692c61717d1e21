"""What does the demo ask its store? The questions of a shop's day, with the time each took."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from segengine.cli.options import saved
from segengine.cli.page import page_json, placement_json
from segengine.cli.serving import serving

if TYPE_CHECKING:
    from segengine_server import Client

    from segengine.engine import Engine
    from segengine.pages.decide import PageAnswer

_T = TypeVar("_T")

SEGMENTS_SHOWN = 5
TIMES, MOST_MS = 15, 1_000.0
SCORES = range(1, 6)
DEVICES = ("mobile", "desktop")
ABOUT_A_BUYER = (
    *("lifecycle_stage", "rfm_cell", "order_count", "amount_total", "recency_days"),
    *("value_tier", "last_order_at"),
)


def timed(ask: Callable[[], _T], times: int = 1) -> tuple[_T, float]:
    """An answer, and the milliseconds it took: the median of so many times, or of a second's."""
    taken: list[float] = []
    while not taken or (len(taken) < times and sum(taken) < MOST_MS):
        started = time.perf_counter()
        answer = ask()
        taken.append(1_000 * (time.perf_counter() - started))
    return answer, round(statistics.median(taken), 3)


def ask_segments(engine: Engine) -> list[dict[str, Any]]:
    """The first segments of the store: the first time with all preparation, then as new."""
    found = []
    wanted = [d for d in engine.segments.definitions.values() if not d.suppress]
    for definition in wanted[:SEGMENTS_SHOWN]:
        segment = engine.segment(saved(definition.name))
        _, first_ms = timed(segment.count)
        count, ms = timed(segment.count, TIMES)
        found.append(
            {
                "name": definition.name,
                "rule": definition.text,
                "count": count,
                "ms": ms,
                "first_ms": first_ms,
            }
        )
    return found


def ask_new_rule(engine: Engine) -> dict[str, Any]:
    """A rule of eight predicates, another one each time: read, checked, planned and counted."""

    def rule(k: int) -> str:
        return (
            f"recency_days <= {200 + k} AND order_count >= 2 AND amount_total > {50 + k}.5 "
            f"AND f_score >= 2 AND average_order_amount > {10 + k}.25 AND orders_365d >= 1 "
            "AND (lifecycle_stage = 'active' OR value_tier = 'high')"
        )

    engine.segment(rule(0)).count()
    taken = []
    for k in range(1, TIMES + 1):
        count, ms = timed(lambda k=k: engine.segment(rule(k)).count())  # type: ignore[misc]
        taken.append(ms)
    return {"rule": rule(TIMES), "count": count, "ms": round(statistics.median(taken), 3)}


def ask_rfm(engine: Engine) -> list[dict[str, int]]:
    """How many buyers each pair of recency and frequency scores has."""
    return [
        {"r_score": r, "f_score": f, "count": count}
        for r in reversed(SCORES)
        for f in SCORES
        for count in [engine.segment(f"r_score = {r} AND f_score = {f}").count()]
    ]


def ask_lifecycle(engine: Engine) -> dict[str, int]:
    """How many buyers are at each stage, in the order of a buyer's life."""
    from segengine.traits.life_cycle import STAGES

    return {s: engine.segment(f"lifecycle_stage = '{s}'").count() for s in STAGES}


def ask_over_grpc(engine: Engine, campaign: str | None, page: str | None) -> dict[str, Any]:
    """A campaign's ledger and a buyer's page from a real server, asked by its client."""
    from segengine_server import Client

    answers: dict[str, Any] = {"times": TIMES}
    with serving(engine) as target, Client(target, timeout=120.0) as client:
        answers["server"] = target
        if campaign is not None:
            answers["audience"] = _ask_campaign(engine, client, campaign)
        if page is not None:
            answers["page"] = _ask_page(engine, client, page)
    return answers


def _ask_campaign(engine: Engine, client: Client, campaign: str) -> dict[str, Any]:
    _, first_ms = timed(lambda: client.count(campaign=campaign))
    count, ms = timed(lambda: client.count(campaign=campaign), TIMES)
    return {
        "campaign": campaign,
        "count": count.count,
        "ledger": count.ledger.to_pylist(),
        "variants": engine.audience(campaign).arms,
        "as_of": count.as_of,
        "data_version": count.data_version,
        "ms": ms,
        "first_ms": first_ms,
    }


def _ask_page(engine: Engine, client: Client, page: str) -> dict[str, Any]:
    """The page as the server answers it; the losers, who stay behind there, from the engine."""
    customer_id, visit, here = interesting(engine, page)
    there, ms = timed(lambda: client.page(page, customer_id, visit), TIMES)
    answer = page_json(here, customer_id, visit)
    answer |= {"placements": [placement_json(p) for p in there.placements], "ms": ms}
    if customer_id is not None:
        answer["segments"], answer["match_ms"] = timed(lambda: client.match(customer_id), TIMES)
        answer["buyer"] = _about(engine, customer_id)
    return answer


def interesting(engine: Engine, page: str) -> tuple[int | str | None, dict[str, str], PageAnswer]:
    """The buyer, among some hundred, and the device for which the most slots of a page match."""
    best: tuple[int, int | str | None, dict[str, str], PageAnswer] | None = None
    for customer_id in [*_candidates(engine), None]:
        for device in DEVICES:
            visit = {"device": device}
            answer = engine.page(page, customer_id, visit)
            matched = sum(p.reason == "MATCHED" for p in answer.placements)
            if best is None or matched > best[0]:
                best = matched, customer_id, visit, answer
        if best is not None and best[0] == len(best[3].placements):
            break
    assert best is not None
    return best[1:]


def _candidates(engine: Engine) -> Iterator[int | str]:
    """Some buyers of each segment, then some others."""
    rules = [saved(name) for name in engine.segments.definitions]
    for rule in [*rules, "order_count >= 1", "TRUE"]:
        ids = engine.segment(rule).ids()
        step = max(1, len(ids) // 40)
        for place in range(0, len(ids), step):
            yield ids[place].as_py()


def _about(engine: Engine, customer_id: int | str) -> Mapping[str, Any]:
    """What the store knows about one buyer."""
    quoted = "'" + customer_id.replace("'", "''") + "'" if isinstance(customer_id, str) else ""
    rule = f"customer_id = {quoted or customer_id}"
    rows: list[dict[str, Any]] = engine.segment(rule).table(ABOUT_A_BUYER).to_pylist()
    return {name: value for name, value in rows[0].items() if name != "customer_id"}
