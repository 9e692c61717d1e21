"""An engine that answers what a test tells it to, and says what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from segengine_server.answers import CENSUS_SCHEMAS, LEDGER_SCHEMA, Census, Page, Placement

from segengine.errors import UnknownCustomer, UnknownNameError
from tests.server.fake_campaigns import BILL, TEXTS, FakeCampaigns

AS_OF = datetime(2026, 3, 4, 5, 6, 7, 891011, tzinfo=UTC)
LEDGER = pa.Table.from_pylist(
    [
        {"step": "population", "entered": 9, "dropped": 0, "remaining": 9, "reasons": ""},
        {"step": "rule", "entered": 9, "dropped": 6, "remaining": 3, "reasons": "recency_days: 6"},
    ],
    schema=LEDGER_SCHEMA,
)

_LOST = ("outranked", "already_shown", "held_out", "capped", "not_eligible", "inactive")
_PLACED = {"slot": "banner", "module": None, "variant": None, "reason": "EMPTY"}
_CENSUS: dict[str, list[dict[str, Any]]] = {
    "modules": [{"slot": "banner", "module": "all", "reach": 0, "share": 0.0}
                | dict.fromkeys(_LOST, 0) | {"not_eligible": 3}],
    "variants": [{"slot": "banner", "module": "all", "variant": "b", "reach": 0, "share": 0.0}],
    "empty": [{"slot": "banner", "buyers": 3, "share": 1.0}],
    "unseen": [{"module": "all", "slot": "banner", "reason": "NOT_ELIGIBLE", "buyers": 3,
                "by": None, "by_buyers": 0}],
    "frequent": [{"buyers": 3, "share": 1.0, "placements": [_PLACED]}],
}  # fmt: skip
CENSUS = Census(
    not_given=("entry",),
    buyers=3,
    never=("all",),
    different_pages=1,
    as_of=AS_OF,
    data_version=7,
    **{
        name: pa.Table.from_pylist(rows, schema=CENSUS_SCHEMAS[name])
        for name, rows in _CENSUS.items()
    },
)


@dataclass
class Why:
    """An explanation; its text is a tree."""

    holds: bool
    step: str | None = None
    variant: str | None = None

    def __str__(self) -> str:
        return f"AND: {self.holds}\n  recency_days < 30: {self.holds}"


@dataclass
class Answer:
    """The count of a rule."""

    count: int
    as_of: datetime = AS_OF
    data_version: int = 7


@dataclass
class Segment:
    """A rule; any is taken."""

    engine: FakeEngine
    rule: str

    def answer(self) -> Answer:
        self.engine.work()
        return Answer(self.engine.buyers.num_rows)

    def table(self, columns: Sequence[str]) -> pa.Table:
        self.engine.work()
        return self.engine.buyers.select(["customer_id", *columns])

    def explain(self, customer_id: int | str) -> Why:
        return Why(self.engine.known(customer_id) == 17)


@dataclass
class Audience:
    """The audience of a campaign; `spring` alone is one."""

    engine: FakeEngine
    as_of: datetime = AS_OF
    data_version: int = 7
    ledger: pa.Table = field(default_factory=lambda: LEDGER)

    def count(self) -> int:
        return 3

    def preview(self, count: int) -> pa.Table:
        self.engine.asked.append(("preview", count))
        return TEXTS

    def bill(self) -> pa.Table:
        return BILL

    def table(self, columns: Sequence[str]) -> pa.Table:
        self.engine.work()
        return self.engine.buyers.select(["customer_id", "variant", *columns])

    def explain(self, customer_id: int | str) -> Why:
        targeted = self.engine.known(customer_id) == 17
        return Why(targeted, None if targeted else "consent")


class FakeEngine(FakeCampaigns):
    """Buyers 0 to 9; `error` is raised by every question; `work` waits for `free`, if set."""

    def __init__(self, buyers: int = 10) -> None:
        self.buyers = buyers_table(buyers)
        self.as_of = AS_OF
        self.as_of_is_fixed = True
        self.folder = None
        self.error: Exception | None = None
        self.free: threading.Event | None = None
        self.at_work = threading.Semaphore(0)
        self.ticks = 0
        self.tick_error: Exception | None = None
        self.asked: list[tuple[Any, ...]] = []

    def work(self) -> None:
        self.at_work.release()
        if self.free is not None:
            self.free.wait(20)

    def known(self, customer_id: int | str) -> int | str:
        if customer_id in {404, "nobody"}:
            raise UnknownCustomer(customer_id)
        return customer_id

    def tick(self) -> None:
        self.ticks += 1
        if self.tick_error is not None:
            raise self.tick_error

    def segment(self, rule: str) -> Segment:
        self._heard("segment", rule)
        return Segment(self, rule)

    def audience(self, name: str) -> Audience:
        self._heard("audience", name)
        if name != "spring":
            raise UnknownNameError(f"unknown campaign `{name}`", field="campaign")
        return Audience(self)

    def match(self, customer_id: int | str) -> list[str]:
        self._heard("match", customer_id)
        return ["lapsed", "vip"] if self.known(customer_id) == 17 else []

    def page(self, name: str, customer_id: int | str | None, context: dict[str, str]) -> Page:
        self._heard("page", name, customer_id, context)
        if name != "home":
            raise UnknownNameError(f"unknown page `{name}`", field="page")
        module = None if customer_id is None else f"for {customer_id}"
        reason = "EMPTY" if customer_id is None else "MATCHED"
        banner = Placement("banner", module, None, reason, [], None)
        grid = Placement("grid", "all", "b", "FALLBACK", [], {"title": "春节", "n": [1, None]})
        return Page([banner, grid], AS_OF, 7, None, ["recency_days", "vip"])

    def page_census(
        self, name: str, context: dict[str, str], *, progress: Callable[[int, int], object]
    ) -> Census:
        """Ten steps, each of which waits as all work does."""
        self._heard("page_census", name, context)
        for done in range(10):
            progress(done, 10)
            self.work()
        return CENSUS

    def _heard(self, *question: Any) -> None:
        self.asked.append(question)
        if self.error is not None:
            raise self.error


def buyers_table(rows: int) -> pa.Table:
    """`rows` buyers with columns of each kind."""
    numbers = pa.array(range(rows), pa.int64())
    return pa.table(
        {
            "customer_id": numbers,
            "variant": pa.array(["a", "b"] * (rows // 2) + ["a"] * (rows % 2), pa.string()),
            "region": pa.array([f"r{i % 5}" for i in range(rows)]).dictionary_encode(),
            "spent": pa.array([None if i % 7 == 0 else i / 3 for i in range(rows)], pa.float64()),
            "tags": pa.array([["x"] * (i % 3) for i in range(rows)], pa.list_(pa.string())),
        }
    )
