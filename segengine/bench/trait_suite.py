"""How long does building all traits take, family by family, and what do they hold?

The demo's store with so many buyers is built anew, in place, as often as asked. What several
families read is gathered in the time of the first of them: orders and lines in that of `purchase`.
The purchase traits stand beside a GROUP BY of other engines over the same orders and lines; their
answers are compared first, trait by trait.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from segengine import days
from segengine.bench import trait_rivals
from segengine.bench.optional import NotInstalledError, titled
from segengine.bench.timing import DifferentAnswersError
from segengine.bench.trait_rivals import Deriving, Moment
from segengine.demo import generate
from segengine.engine import Engine
from segengine.traits.catalogue import CATALOGUE, FAMILIES
from segengine.traits.purchase import PURCHASE

OURS = "segengine"
CASE = "all purchase traits"
_TOLERANCE = 1e-9
_OF_ONE = frozenset({"last_order_amount", "first_promotion"})
"""Traits that are a value of one purchase, which ties leave open."""

Say = Callable[[str], None]
Times = dict[str, list[float]]


def trait_suite(
    customers: int, repeats: int, rivals: Sequence[str], say: Say
) -> tuple[dict[str, Any], dict[str, str]]:
    """`traits`: milliseconds and bytes of every family, and the purchase traits of each engine.

    The second is why rivals are absent. Raises `DifferentAnswersError`.
    """
    say(f"making a shop of {customers:,} buyers")
    engine = _shop(customers)
    times = _built(engine, repeats, say)
    engine.prepare()
    families, sizes = _families(engine, times), _sizes(engine)
    names = {OURS: titled("segengine", "segengine")}
    milliseconds: Times = {OURS: times[PURCHASE.name]}
    cannot: dict[str, str] = {}
    absent: dict[str, str] = {}
    expected = engine.table("customers", ["customer_id", *(t.name for t in PURCHASE.traits)])
    moment, tables = _moment(engine), _tables(engine)
    unsure = tied(tables["orders"])
    if len(unsure):
        say(f"{len(unsure):,} buyers have two purchases at one moment: which is last is not asked")
    everything = sum(times["(all)"]) / repeats
    engine.close()
    del engine
    gc.collect()
    for key, kind in trait_rivals.RIVALS.items():
        if key not in rivals:
            continue
        try:
            rival: Deriving = kind(tables, moment)
        except NotInstalledError as error:
            absent[key] = str(error)
            say(f"left out: {key} is {error}")
            continue
        names[key] = rival.name
        rival.derive()
        differences = differing(expected, rival.answer(), unsure)
        if differences:
            raise DifferentAnswersError(f"{CASE}: {rival.name} differs in {', '.join(differences)}")
        say(f"{rival.name} agrees on all {len(PURCHASE.traits)} purchase traits")
        milliseconds[key] = [_timed(rival.derive) for _ in range(repeats)]
        rival.close()
        gc.collect()
    return _result(sizes, names, milliseconds, cannot, families, everything), absent


def _shop(customers: int) -> Engine:
    store = generate(customers)
    engine = Engine(config=store.config)
    with engine.built_once():
        for table in store.tables:
            engine.load(table, store.reader(table))
    return engine


def _built(engine: Engine, repeats: int, say: Say) -> Times:
    """Milliseconds of every family in each build; the first, which compiles, is left out."""
    found: Times = defaultdict(list)
    for turn in range(repeats + 1):
        spent: dict[str, float] = defaultdict(float)
        last, family = time.perf_counter(), ""

        def tell(name: str, done: int, steps: int, spent: dict[str, float] = spent) -> None:
            del done, steps
            nonlocal last, family
            now = time.perf_counter()
            spent[family] += 1000 * (now - last)
            last, family = now, name

        say(f"building all traits: {turn}/{repeats}")
        began = time.perf_counter()
        with engine.built_once(tell):
            pass
        spent["(all)"] = 1000 * (time.perf_counter() - began)
        if turn:
            for name, each in spent.items():
                found[name].append(each)
    found.pop("", None)
    return found


def _timed(derive: Callable[[], int]) -> float:
    began = time.perf_counter()
    derive()
    return 1000 * (time.perf_counter() - began)


def _families(engine: Engine, times: Times) -> list[dict[str, Any]]:
    """Time, traits and bytes of each family, in the order they are built in.

    A family's steps have its name, which need not be that of the page its traits stand on.
    """
    of_trait = {trait.name: family.name for family in FAMILIES for trait in family.traits}
    held: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in engine.memory().to_pylist():
        family = of_trait.get(row["column"]) if row["table"] == "customers" else None
        if row["table"] == "(affinities)":
            family = "affinity"
        if family is not None:
            held[family][0] += row["table"] == "customers"
            held[family][1] += row["values_bytes"]
            held[family][2] += row["scan_codes_bytes"]
    return [
        {
            "family": name,
            "traits": held[name][0],
            "ms": statistics.median(each),
            "ms_min": min(each),
            "values_bytes": held[name][1],
            "scan_codes_bytes": held[name][2],
        }
        for name, each in times.items()
        if name != "(all)"
    ]


def _sizes(engine: Engine) -> dict[str, int]:
    found = {"customers": engine.segment("TRUE").count()}
    for table in ("orders", "order_lines", "behaviors"):
        found[table] = engine.table(table, ["time"]).num_rows
    return found


def _moment(engine: Engine) -> Moment:
    zone = days.zone(engine.timezone)
    today = days.EPOCH_DATE + timedelta(days=zone.day_of(days.micros(engine.as_of, zone)))
    first = (today - days.EPOCH_DATE).days + 1
    since = {
        window: days.moment(zone.start_of_day(first - window)) for window in trait_rivals.WINDOWS
    }
    as_of = engine.as_of.astimezone(ZoneInfo("UTC"))
    return Moment(as_of, today, engine.timezone, since)


def _tables(engine: Engine) -> dict[str, pa.Table]:
    """Orders and lines as they are handed out, texts by code."""
    found = {}
    for name, columns in (
        ("orders", trait_rivals.ORDER_COLUMNS),
        ("order_lines", trait_rivals.LINE_COLUMNS),
    ):
        table = engine.table(name, columns)
        for place, field in enumerate(table.schema):
            if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
                coded = table.column(place).combine_chunks().dictionary_encode()
                table = table.set_column(place, field.name, coded)
        found[name] = table
    return found


def tied(orders: pa.Table) -> pa.Array:
    """The buyers with two purchases at one moment: which is their last, SQL leaves open."""
    bought = orders.filter(pc.fill_null(orders["is_purchase"], False))
    counted = bought.group_by(["customer_id", "time"]).aggregate([([], "count_all")])
    several = counted.filter(pc.greater(counted["count_all"], 1))
    return pc.unique(several["customer_id"])


def differing(expected: pa.Table, found: pa.Table, unsure: pa.Array | None = None) -> list[str]:
    """The names of the traits that differ for a buyer who has orders, or for one who has none.

    expected: of all buyers; who is not in `found` must have no order. found: by customer_id
    unsure: buyers of whom traits of their last or first purchase are not compared
    """
    ordered = expected.sort_by("customer_id")
    known = pc.is_in(ordered["customer_id"], value_set=found["customer_id"].combine_chunks())
    others = ordered.filter(pc.invert(known))
    ours = ordered.filter(known)
    if ours.num_rows != found.num_rows or pc.sum(others["orders_placed_count"]).as_py():
        return ["customer_id"]
    sure = None
    if unsure is not None and len(unsure):
        sure = pc.invert(pc.is_in(found["customer_id"], value_set=unsure))

    def differs(name: str) -> bool:
        if name not in found.column_names:
            return True
        left, right = ours[name], found[name]
        if sure is not None and name in _OF_ONE:
            left, right = left.filter(sure), right.filter(sure)
        return not _same(left, right)

    return [name for name in expected.column_names if differs(name)]


def _same(ours: pa.ChunkedArray, theirs: pa.ChunkedArray) -> bool:
    if pa.types.is_dictionary(theirs.type):
        theirs = theirs.cast(pa.large_string())
    missing, also = pc.is_null(ours), pc.is_null(theirs)
    if not missing.equals(also):
        return False
    if pa.types.is_floating(ours.type):
        near = pc.multiply(pc.abs(ours), _TOLERANCE)
        close = pc.less_equal(pc.abs(pc.subtract(ours, theirs.cast(ours.type))), near)
        return pc.all(close).as_py() is not False
    if pa.types.is_temporal(ours.type):
        ours, theirs = (each.cast(pa.timestamp("us", "UTC")) for each in (ours, theirs))
    return pc.all(pc.equal(ours, theirs.cast(ours.type))).as_py() is not False


def _result(
    sizes: Mapping[str, int],
    names: Mapping[str, str],
    milliseconds: Times,
    cannot: Mapping[str, str],
    families: list[dict[str, Any]],
    everything: float,
) -> dict[str, Any]:
    medians = {key: statistics.median(each) for key, each in milliseconds.items()}
    others = [ms for key, ms in medians.items() if key != OURS]
    speedup = min(others) / medians[OURS] if others else None
    case = {
        "case": CASE,
        "rule": ", ".join(trait.name for trait in PURCHASE.traits),
        "count": sizes["customers"],
        "ms": medians,
        "ms_min": {key: min(each) for key, each in milliseconds.items()},
        "repeats": len(milliseconds[OURS]),
        "speedup": speedup,
        "cannot": dict(cannot),
    }
    return {
        "suite": "traits",
        "sizes": dict(sizes),
        "engines": dict(names),
        "cases": [case],
        "families": families,
        "traits": len(CATALOGUE),
        "all_ms": everything,
        "geometric_mean_ms": medians,
        "times_as_fast": {key: ms / medians[OURS] for key, ms in medians.items() if key != OURS},
        "geometric_mean_speedup": speedup,
    }
