"""Times every engine on every case, answers checked first, in one run on one machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from segengine.bench import match_rules, page_rules
from segengine.bench.campaign_suite import campaign_suite
from segengine.bench.ingest_suite import ingest_suite
from segengine.bench.page_suite import page_suite
from segengine.bench.results import bandwidth, machine, peak_memory_mb, versions
from segengine.bench.suites import (
    ALL_RIVALS,
    MOST_WITH_HISTORY,
    SUITES,
    Result,
    Say,
    history_suite,
    match_suite,
    set_suites,
)
from segengine.bench.trait_suite import trait_suite


def run(
    customers: int = 1_000_000,
    *,
    repeats: int = 9,
    suites: Sequence[str] = SUITES,
    engines: Sequence[str] = ALL_RIVALS,
    rules: int = match_rules.RULES,
    modules: int = page_rules.MODULES,
    pages: int = page_rules.PAGES,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Milliseconds by suite, case and engine (median), their means, and the machine.

    engines: the rivals to be asked, of those that are installed; rules: of the match suite;
    modules: of the pages suite, on so many pages.
    Raises `DifferentAnswersError` when two engines answer differently.
    """
    found: list[Result] = []
    absent: dict[str, str] = {}
    read = bandwidth()
    if "rules" in suites or "catalogue" in suites:
        results, left_out = set_suites(customers, repeats, engines, suites, say)
        found += results
        absent |= left_out
    if "history" in suites:
        result, left_out = history_suite(customers, repeats, engines, say)
        found.append(result)
        absent |= left_out
    if "match" in suites:
        result, left_out = match_suite(rules, repeats, engines, say)
        found.append(result)
        absent |= left_out
    if "traits" in suites:
        buyers = min(customers, MOST_WITH_HISTORY)
        result, left_out = trait_suite(buyers, repeats, engines, say)
        found.append(result)
        absent |= left_out
    if "pages" in suites:
        found.append(page_suite(customers, modules, pages, say))
    if "campaigns" in suites:
        found.append(campaign_suite(customers, repeats, say))
    if "ingest" in suites:
        found.append(ingest_suite(customers, say))
    return {
        "repeats": repeats,
        "machine": machine(),
        "versions": versions(),
        "read_bandwidth_gb_per_s": read,
        "peak_memory_mb": peak_memory_mb(),
        "suites": found,
        "absent": absent,
    }
