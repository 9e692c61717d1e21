"""How many events a second does a store take in, lasting and with every trait current?

The demo's store with so many buyers gets a log on disk, with the sync that survives a loss of
power. Batches of 1,000 rows like those it has, of random buyers and of now, are appended table by
table, then orders that change and lines before their orders, then all mixed in the proportions of
the shop, one by one and as a stream of batches that wait, and once more while another thread looks
in all the time. At the end the traits have to equal those that are built of all events at once, and
every row has to be there.
"""

# ruff: noqa: SLF001 - the time of a sync and of the gate is for nobody but this
from __future__ import annotations

import gc
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.appending import Append
from segengine.bench.optional import titled
from segengine.bench.timing import DifferentAnswersError
from segengine.demo import generate
from segengine.engine import Engine
from segengine.traits.build import build_all
from segengine.traits.catalogue import FAMILIES

OURS = "segengine"
ROWS = 1_000
LARGE = 100_000
BATCHES = 30
TOGETHER = 16
MIX = (
    ("orders", 3), ("order_lines", 5), ("behaviors", 10), ("messages", 4), ("points", 3),
    ("reviews", 1), ("impressions", 1),
)  # fmt: skip
"""Batches of each table in a mixture: as many as the demo has rows of it, orders first."""
_LOOK_SECONDS = 0.001

Say = Callable[[str], None]


@dataclass(slots=True)
class Measured:
    """What appends took: seconds of each, rows in all, seconds until their bytes were lasting.

    processor: seconds of processor time, which a busy machine stretches less
    """

    seconds: list[float] = field(default_factory=list)
    rows: int = 0
    kept: float = 0.0
    processor: float = 0.0
    longest_hold: float = 0.0


def ingest_suite(customers: int, say: Say, *, batches: int = BATCHES) -> dict[str, Any]:
    """`ingest`: events a second by table and mixed, the longest change, the share of the log.

    Raises `DifferentAnswersError` where traits are not those of all events built at once.
    """
    say(f"making a shop of {customers:,} buyers")
    store = generate(customers)
    engine = Engine(config=store.config)
    with engine.built_once():
        for table in store.tables:
            engine.load(table, store.reader(table))
    engine.prepare()
    made = Batches(engine)
    with tempfile.TemporaryDirectory(prefix="segengine-ingest-") as folder, engine:
        engine._live_in(Path(folder))
        before = {table: engine._tables.events[table].rows for table, _ in MIX}
        changes = {"orders, refunded": made.refunds,
                   "order lines before their orders": made.early_lines}  # fmt: skip
        for table, _ in MIX:
            engine.append(table, made.batch(table, ROWS))
        for make in changes.values():
            first = make(ROWS)
            engine.append(first.table, first.data)
        say("appending")
        cases = [_by_itself(engine, made, table, batches, ROWS) for table, _ in MIX]
        for name, make in changes.items():
            cases.append(_alike(engine, name, [make(ROWS) for _ in range(batches)]))
        cases.append(_mixed(engine, made, "mixed", batches))
        cases.append(_mixed(engine, made, f"mixed, {TOGETHER} at a time", batches, together=True))
        cases.append(_looked_at(engine, made, batches))
        cases.append(_by_itself(engine, made, "behaviors", 3, LARGE))
        say("building all traits at once, to compare")
        _check(engine, made, before)
    return {
        "suite": "ingest",
        "sizes": {"customers": customers, "rows_a_batch": ROWS},
        "engines": {OURS: titled("segengine", "segengine")},
        "cases": cases,
        "geometric_mean_ms": {OURS: None},
        "times_as_fast": {},
        "geometric_mean_speedup": None,
    }


class Batches:
    """Rows as the store has them, of other buyers, of now and with ids of their own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rng = np.random.default_rng(11)
        self._ids = engine.segment("TRUE").ids()
        self._like = {table: self._sample(table) for table, _ in MIX}
        self._ordered = pa.table({})
        """The orders that were sent last."""
        self._number = count(10**15)
        self.sent = dict.fromkeys(self._like, 0)

    def _sample(self, table: str) -> pa.Table:
        found = self._engine.table(table)
        given = [name for name in found.column_names if found[name].null_count < len(found)]
        rows = self._rng.integers(0, len(found), min(len(found), 2 * LARGE))
        return found.select(given).take(pa.array(rows)).combine_chunks()

    def batch(self, table: str, rows: int) -> pa.Table:
        """A batch that was never sent; order lines belong to the orders before them."""
        like = self._like[table]
        first = int(self._rng.integers(0, len(like)))
        found = like.take(pa.array((np.arange(rows) + first) % len(like)))
        buyers = self._ids.take(pa.array(self._rng.integers(0, len(self._ids), rows)))
        now = pa.array([self._engine.as_of] * rows, pa.timestamp("us", "UTC"))
        new: dict[str, Any] = {"customer_id": buyers, "time": now}
        if table == "orders":
            new["order_id"] = self._numbers("orders", rows)
        elif table == "reviews" and "review_id" in like.column_names:
            new["review_id"] = self._numbers("reviews", rows, "review_id")
        elif table == "order_lines":
            places = pa.array(np.sort(self._rng.integers(0, len(self._ordered), rows)))
            for name in ("customer_id", "order_id"):
                new[name] = self._ordered[name].take(places).combine_chunks()
            new["line_id"] = self._numbers("order_lines", rows, "line_id")
        for name in found.column_names:
            kind = found.schema.field(name).type
            if name.endswith("_at") and pa.types.is_timestamp(kind):
                new[name] = now if name == "paid_at" else pa.nulls(rows, kind)
        for name in ("event_id", "is_purchase"):
            if name in found.column_names:
                found = found.drop_columns([name])
        for name, values in new.items():
            if name in found.column_names:
                place = found.column_names.index(name)
                found = found.set_column(place, name, values)
        if table == "orders":
            self._ordered = found.select(["customer_id", "order_id"])
        self.sent[table] += rows
        return found

    def refunds(self, rows: int) -> Append:
        """Orders that are there, now refunded: none comes, each changes."""
        like = self._like["orders"].select(["order_id", "customer_id", "time", "amount"])
        like = like.take(pa.array(self._rng.permutation(len(like))[: 2 * rows]))
        keys = like["order_id"].combine_chunks().dictionary_encode().indices.to_numpy()
        found = like.take(pa.array(np.sort(np.unique(keys, return_index=True)[1])[:rows]))
        now = pa.array([self._engine.as_of] * len(found), pa.timestamp("us", "UTC"))
        return Append("orders", found.append_column("refunded_at", now))

    def early_lines(self, rows: int) -> Append:
        """Lines of orders that nobody has told of yet, two of each."""
        found = self.batch("order_lines", rows)
        pairs = pa.array(np.arange(rows) // 2)
        orders = self._numbers("orders", rows)
        for name, values in (
            ("customer_id", found["customer_id"].combine_chunks()), ("order_id", orders)
        ):  # fmt: skip
            found = found.set_column(found.column_names.index(name), name, values.take(pairs))
        self.sent["orders"] += (rows + 1) // 2
        return Append("order_lines", found)

    def _numbers(self, table: str, rows: int, name: str = "order_id") -> pa.Array:
        numbers = [next(self._number) for _ in range(rows)]
        kind = self._like[table].schema.field(name).type
        return pa.array(numbers if pa.types.is_integer(kind) else map(str, numbers), kind)

    def mixed(self, batches: int) -> list[Append]:
        """So many batches in the proportions of the shop, spread evenly."""
        total = sum(weight for _, weight in MIX)
        due = dict.fromkeys(dict(MIX), 0.0)
        found = []
        for _ in range(batches):
            for table, weight in MIX:
                due[table] += weight / total
            table = max(due, key=lambda each: due[each])
            due[table] -= 1
            found.append(Append(table, self.batch(table, ROWS)))
        return found


@contextmanager
def _measuring(engine: Engine) -> Iterator[Measured]:
    """Measure what the log and the gate take meanwhile."""
    found, durable, gate = Measured(), engine._lasting.durable, engine._tables.gate
    assert durable is not None
    keep_all = durable.keep_all

    def timed(*given: Any) -> int:
        began = time.perf_counter()
        number = keep_all(*given)
        found.kept += time.perf_counter() - began
        return number

    durable.keep_all = timed  # type: ignore[method-assign,assignment]
    gc.collect()
    gate.forget_holds()
    try:
        yield found
    finally:
        del durable.keep_all
        found.longest_hold = gate.longest_hold


def _append(engine: Engine, batches: Sequence[Append], found: Measured) -> None:
    began, worked = time.perf_counter(), time.process_time()
    reports, error = engine.append_each(batches)
    found.seconds.append(time.perf_counter() - began)
    found.processor += time.process_time() - worked
    if error is not None:
        raise error
    for each, report in zip(batches, reports, strict=True):
        if report.rows_loaded != len(each.data):
            raise DifferentAnswersError(f"{each.table}: {len(each.data)} rows, taken in {report}")
        found.rows += report.rows_loaded


def _by_itself(
    engine: Engine, made: Batches, table: str, batches: int, rows: int
) -> dict[str, Any]:
    given = [Append(table, made.batch(table, rows)) for _ in range(batches)]
    return _alike(engine, table if rows == ROWS else f"{table}, {rows:,} rows a batch", given)


def _alike(engine: Engine, name: str, given: Sequence[Append]) -> dict[str, Any]:
    """Batches of one sort, one by one."""
    with _measuring(engine) as found:
        for each in given:
            _append(engine, [each], found)
    return _case(name, found)


def _mixed(
    engine: Engine, made: Batches, name: str, batches: int, *, together: bool = False
) -> dict[str, Any]:
    given, step = made.mixed(2 * batches), TOGETHER if together else 1
    with _measuring(engine) as found:
        for first in range(0, len(given), step):
            _append(engine, given[first : first + step], found)
    return _case(name, found)


def _looked_at(engine: Engine, made: Batches, batches: int) -> dict[str, Any]:
    """The mixture, while a thread asks of one buyer after another, and how long that waits."""
    given, waits, over = made.mixed(2 * batches), [], threading.Event()
    ids = engine.segment("TRUE").ids()
    segment = engine.segment("order_count >= 2 AND recency_days < 90")
    rng = np.random.default_rng(13)

    def look() -> None:
        while not over.wait(_LOOK_SECONDS):
            buyer = ids[int(rng.integers(0, len(ids)))].as_py()
            began = time.perf_counter()
            segment.contains(buyer)
            waits.append(time.perf_counter() - began)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        with _measuring(engine) as found:
            for each in given:
                _append(engine, [each], found)
    finally:
        over.set()
        watcher.join()
    half, most, longest = 1e3 * np.percentile(waits or [0.0], (50, 99, 100))
    return _case("mixed, looked at", found) | {
        "looks": len(waits), "look_p50_ms": round(float(half), 3),
        "look_p99_ms": round(float(most), 3), "look_longest_ms": round(float(longest), 3),
    }  # fmt: skip


def _case(name: str, found: Measured) -> dict[str, Any]:
    seconds = np.array(found.seconds)
    half, most = np.percentile(seconds, (50, 99))
    total = float(seconds.sum())
    return {
        "case": name, "rule": "", "count": found.rows, "ms": {OURS: float(half) * 1e3},
        "ms_min": {OURS: float(seconds.min()) * 1e3}, "repeats": len(seconds), "speedup": None,
        "cannot": {}, "events_per_second": round(found.rows / total),
        "p99_ms": round(float(most) * 1e3, 2), "log_share": round(found.kept / total, 3),
        "longest_hold_ms": round(found.longest_hold * 1e3, 2),
        "processor_us_an_event": round(1e6 * found.processor / found.rows, 1),
    }  # fmt: skip


def _check(engine: Engine, made: Batches, before: dict[str, int]) -> None:
    """Raise where a row is missing, or a trait is not what all events at once come to.

    What is fitted to all buyers is left out: a build fits it anew.
    """
    tables = engine._tables
    for table, rows in before.items():
        if tables.events[table].rows - rows != made.sent[table]:
            raise DifferentAnswersError(
                f"{table}: {made.sent[table]} rows were sent, "
                f"{tables.events[table].rows - rows} are there"
            )
    blocks, lists, _ = build_all(tables, engine._current.settings, engine._current.as_of)
    customers, rows = tables.customers, tables.customers.rows
    for family in FAMILIES:
        if family.fit is not None:
            continue
        for trait in family.traits:
            if not trait.block:
                continue
            block, place = customers.place_of(trait.name)
            ours, built = customers.block(block)[place, :rows], blocks[block][place, :rows]
            wrong = np.flatnonzero(_differ(ours, built))
            if len(wrong):
                row = int(wrong[0])
                raise DifferentAnswersError(
                    f"{trait.name}: {len(wrong)} buyers differ from a rebuild, such as row {row}: "
                    f"{ours[row]}, rebuilt {built[row]}"
                )
    for name, kept in tables.lists().items():
        for row in range(0, rows, max(1, rows // 5000)):
            (codes, scores), (built_codes, built_scores) = kept.of(row), lists[name].of(row)
            if not (_are_like(codes, built_codes) and _are_like(scores, built_scores)):
                raise DifferentAnswersError(f"{name}: the list of row {row} is not a rebuilt one")


def _are_like(ours: NDArray[Any], built: NDArray[Any]) -> bool:
    return len(ours) == len(built) and not _differ(ours, built).any()


def _differ(ours: NDArray[Any], built: NDArray[Any]) -> NDArray[np.bool_]:
    if ours.dtype.kind != "f":
        return np.asarray(ours != built)
    return ~np.isclose(ours, built, rtol=1e-9, atol=0.0, equal_nan=True)
