"""What is measured? Suites, each a list of cases with every engine's time.

The suite of traits is a file of its own.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from segengine.bench import match_rules
from segengine.bench.case import Case
from segengine.bench.engines import RIVALS, Counting, Segengine
from segengine.bench.engines.of_segengine import Catalogue
from segengine.bench.history_cases import HISTORY
from segengine.bench.matchers import MATCHING_RIVALS, Matching, SegengineMatcher
from segengine.bench.optional import NotInstalledError
from segengine.bench.order_lines import buyers_and_lines
from segengine.bench.population import population
from segengine.bench.results import memory_of
from segengine.bench.rule_cases import RULES
from segengine.bench.timing import Asked, Times, check, timed

Say = Callable[[str], None]
Result = dict[str, Any]

SUITES = ("rules", "catalogue", "history", "match", "traits")
FURTHER = ("pages", "campaigns", "ingest")
"""Measured where they are named, not by default: they have no rivals."""
ALL_RIVALS = (*RIVALS, *MATCHING_RIVALS)
OURS = "segengine"
MOST_WITH_HISTORY = 5_000_000
"""Buyers of the suites with events, however many the others have: 25 M order lines."""
DEFINED = 3
"""Rules of each shape in the catalogue."""
QUESTIONS_A_TURN = 3
"""An engine in use is warm; the first question of a turn pays for what the others left in cache."""
BUYERS_A_TURN = 20


def set_suites(
    customers: int, repeats: int, rivals: Sequence[str], suites: Sequence[str], say: Say
) -> tuple[list[Result], dict[str, str]]:
    """`rules` and `catalogue`: new rules over the buyers, then the same ones as segments.

    New rules come first, as a defined segment's leaves may answer for a new rule's too. The
    rivals, who know no segments, are timed once and stand in both.
    """
    say(f"making {customers:,} buyers")
    engines, absent = _loaded({"customers": population(customers)}, rivals, say)
    ours = engines[OURS]
    assert isinstance(ours, Segengine)
    asked = _checked(RULES, engines, say)
    if "rules" not in suites:
        for each in asked:
            each.cannot.setdefault(OURS, "not asked for")
    times = _timed("rules", asked, repeats, say)
    names = {key: engine.name for key, engine in engines.items()}
    sizes = {"customers": customers}
    results = []
    if "rules" in suites:
        results.append(_result("rules", sizes, names, asked, times))
        results[0]["memory"] = memory_of(ours.engine, "customers", customers)
    if "catalogue" in suites:
        segments = _segments(ours, asked, say)
        standing = _timed("catalogue", segments, repeats, say)
        for mine, of_rivals in zip(segments, asked, strict=True):
            mine.cannot.update({k: v for k, v in of_rivals.cannot.items() if k != OURS})
        both = [
            Times({**_ours_of(own), **{k: v for k, v in other.by_engine.items() if k != OURS}})
            for own, other in zip(standing, times, strict=True)
        ]
        results.append(_result("catalogue", sizes, names, segments, both))
    _close(engines)
    return results, absent


def history_suite(
    customers: int, repeats: int, rivals: Sequence[str], say: Say
) -> tuple[Result, dict[str, str]]:
    """`history`: new rules over the order lines."""
    buyers = min(customers, MOST_WITH_HISTORY)
    say(f"making {buyers:,} buyers and their order lines")
    tables = buyers_and_lines(buyers)
    sizes = {name: len(table) for name, table in tables.items()}
    engines, absent = _loaded(tables, rivals, say)
    del tables
    ours = engines[OURS]
    assert isinstance(ours, Segengine)
    asked = _checked(HISTORY, engines, say)
    times = _timed("history", asked, repeats, say)
    names = {key: engine.name for key, engine in engines.items()}
    result = _result("history", sizes, names, asked, times)
    result["memory"] = memory_of(ours.engine, "order_lines", sizes["order_lines"])
    _close(engines)
    return result, absent


def match_suite(
    rules: int, repeats: int, rivals: Sequence[str], say: Say
) -> tuple[Result, dict[str, str]]:
    """`match`: which of many rules hold for one buyer; a time is one call."""
    say(f"making {rules:,} rules")
    work = match_rules.workload(rules)
    engines: dict[str, Matching] = {}
    absent = {}
    kinds = {SegengineMatcher.key: SegengineMatcher, **MATCHING_RIVALS}
    for key, kind in kinds.items():
        if key != OURS and key not in rivals:
            continue
        try:
            engines[key] = kind(work)
        except NotInstalledError as error:
            absent[key] = str(error)
            say(f"left out: {key} is {error}")
            continue
        say(f"{rules:,} rules in {engines[key].name}")
    buyers = work.buyers(match_rules.BUYERS)

    def ask(engine: Matching, k: int) -> object:
        row = k % len(buyers)
        return engine.match(row + 1, buyers[row])

    asks = {key: partial(ask, engine) for key, engine in engines.items()}
    asked = Asked(
        f"{rules:,} rules of {match_rules.CONDITIONS} conditions, one buyer",
        lambda k: f"buyer {k}",
        asks,
        turn=BUYERS_A_TURN,
    )
    check(asked, (0, 5, 6, 7))
    say("all engines agree on every buyer")
    times = _timed("match", [asked], repeats, say)
    sizes = {"rules": rules, "traits": len(match_rules.TRAITS)}
    names = {key: engine.name for key, engine in engines.items()}
    return _result("match", sizes, names, [asked], times), absent


def _loaded(
    tables: Mapping[str, pa.Table], rivals: Sequence[str], say: Say
) -> tuple[dict[str, Counting], dict[str, str]]:
    """This engine and the rivals that are here, and why others are not."""
    engines: dict[str, Counting] = {}
    absent = {}
    kinds = {Segengine.key: Segengine, **RIVALS}
    for key, kind in kinds.items():
        if key != OURS and key not in rivals:
            continue
        try:
            engines[key] = kind(tables)
        except NotInstalledError as error:
            absent[key] = str(error)
            say(f"left out: {key} is {error}")
            continue
        say(f"loaded into {engines[key].name}")
    gc.collect()
    return engines, absent


def _checked(cases: Iterable[Case], engines: Mapping[str, Counting], say: Say) -> list[Asked]:
    """Every case with its answers compared."""
    found = []
    for case in cases:
        asks = {key: partial(engine.count, case) for key, engine in engines.items()}
        asked = Asked(case.name, case.rule, asks, turn=QUESTIONS_A_TURN)
        check(asked)
        for key, reason in asked.cannot.items():
            say(f"{case.name}: {engines[key].name} cannot: {reason}")
        found.append(asked)
    say(f"all engines agree on {len(found)} shapes of rule")
    return found


def _segments(ours: Segengine, asked: Sequence[Asked], say: Say) -> list[Asked]:
    """The cases once more, as segments of the store, their answers compared."""
    catalogue = Catalogue(ours)
    found = []
    for case, before in zip(RULES, asked, strict=True):
        mine = Asked(case.name, case.rule, {OURS: _cycled(catalogue, case)}, count=before.count)
        try:
            for k in range(DEFINED):
                catalogue.define(case, k)
        except Exception as error:  # the rule is one we cannot answer yet
            mine.cannot[OURS] = str(error).splitlines()[0]
        found.append(mine)
    ours.engine.prepare()
    for case, mine, before in zip(RULES, found, asked, strict=True):
        check(mine, range(DEFINED))
        if mine.cannot:
            say(f"{case.name}: no segment: {mine.cannot[OURS]}")
        elif mine.count != before.count:
            check(Asked(case.name, case.rule, {**mine.asks, **before.asks}, cannot=before.cannot))
    say(f"{DEFINED * len(RULES)} segments are defined")
    return found


def _cycled(catalogue: Catalogue, case: Case) -> Callable[[int], object]:
    return lambda k: catalogue.count(case, k % DEFINED)


def _timed(suite: str, asked: Sequence[Asked], repeats: int, say: Say) -> list[Times]:
    times = []
    gc.collect()
    for place, each in enumerate(asked, 1):
        say(f"timing {suite} {place}/{len(asked)}: {each.name}")
        times.append(timed(each, repeats))
    return times


def _ours_of(times: Times) -> dict[str, Sequence[float]]:
    return {OURS: times.by_engine[OURS]} if OURS in times.by_engine else {}


def _close(engines: dict[str, Counting]) -> None:
    for engine in engines.values():
        engine.close()
    engines.clear()
    gc.collect()


def _result(
    suite: str,
    sizes: Mapping[str, int],
    engines: Mapping[str, str],
    asked: Sequence[Asked],
    times: Sequence[Times],
) -> Result:
    """A suite as it is saved: milliseconds by case and engine, null where one cannot."""
    cases = [_row(a, t, engines) for a, t in zip(asked, times, strict=True)]
    rivals = [key for key in engines if key != OURS]
    speedups = [case["speedup"] for case in cases if case["speedup"]]
    return {
        "suite": suite,
        "sizes": dict(sizes),
        "engines": dict(engines),
        "cases": cases,
        "geometric_mean_ms": {
            key: _mean([c["ms"][key] for c in cases if c["ms"][key] is not None])
            for key in engines
        },
        "times_as_fast": {
            key: _mean([c["ms"][key] / c["ms"][OURS] for c in cases
                        if c["ms"][key] is not None and c["ms"][OURS] is not None])
            for key in rivals
        },
        "geometric_mean_speedup": _mean(speedups),
    }  # fmt: skip


def _row(asked: Asked, times: Times, engines: Mapping[str, str]) -> Result:
    medians, least = times.medians(), times.least()
    others = [ms for key, ms in medians.items() if key != OURS]
    ours = medians.get(OURS)
    return {
        "case": asked.name,
        "rule": asked.question(0),
        "count": asked.count,
        "ms": {key: medians.get(key) for key in engines},
        "ms_min": {key: least.get(key) for key in engines},
        "repeats": min((len(each) for each in times.by_engine.values()), default=0),
        "speedup": min(others) / ours if others and ours else None,
        "cannot": asked.cannot,
    }


def _mean(values: Sequence[float]) -> float | None:
    return statistics.geometric_mean(values) if values else None
