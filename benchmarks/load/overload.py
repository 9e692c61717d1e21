"""What becomes of pages when three times as many are asked for as can be decided?

1. The most that a server does that refuses nobody is found, closed loop; then the sustainable
   rate: the highest of some shares of it, open loop, at which hardly anybody is refused, or ended
   by gRPC, and p99 stays under a bound.
2. At that rate, and at three times it, a client of gRPC asks for pages at a steady rate beside the
   load: its calls tell what h2load cannot, how those that were let in fared, and those refused.
3. Then at that rate again: the server is as it was.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from benchmarks.load.h2load import QUIET_SECONDS, Loaded, NoLoadError
from benchmarks.load.mix import beside, told
from benchmarks.load.processes import say
from benchmarks.load.served import Server, peak_of, shop_served

SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
TIMES = 3.0
PROBES_PER_SECOND = 100.0


def measure_overload(
    folder: Path, customers: int, modules: int, seconds: float, most_ms: float
) -> dict[str, Any]:
    """The sustainable rate, and what three times as much does; seconds: of each load."""
    peak = peak_of(folder, customers, modules, seconds)
    with shop_served(folder, customers, modules) as page:
        page.load(1.0)
        rate = _sustainable(page, peak, seconds, most_ms)
        say(f"sustainable: {rate:,.0f} a second; a client of gRPC looks closely")
        once = _looked_at(page, rate, seconds)
        say(f"{TIMES:g} times as many: {TIMES * rate:,.0f} a second")
        thrice = _looked_at(page, TIMES * rate, seconds)
        say("and as before")
        after = _looked_at(page, rate, seconds)
    found = {
        "customers": customers,
        "modules": modules,
        "peak_per_second": round(peak),
        "sustainable_per_second": round(rate),
        "at_once": once,
        "at_three_times": thrice,
        "afterwards": after,
    }
    for what in ("p50_ms", "p99_ms"):
        let_in = [each["let_in"].get(what) for each in (once, thrice)]
        if None not in let_in:
            found[f"let_in_{what}_against_once"] = round(let_in[1] / let_in[0], 3)
    return found


def _sustainable(page: Server, peak: float, seconds: float, most_ms: float) -> float:
    for share in SHARES:
        load = page.load(seconds / 2, share * peak)
        # Those that gRPC ended are in no count of the server's.
        lost = load.ended.get("RESOURCE_EXHAUSTED", 0) + load.untaken
        refused = lost / max(1, load.requests)
        say(f"{share:.0%} of {peak:,.0f} a second: p99 {load.ms(99):.1f} ms, "
            f"{refused:.2%} refused")  # fmt: skip
        if refused < 0.001 and load.ms(99) <= most_ms and not load.failed:
            return share * peak
    raise NoLoadError(
        f"no rate down to {SHARES[-1]:.0%} of {peak:,.0f} a second has a p99 of {most_ms:g} ms; "
        "the machine is busy with other things, or `--most-ms` is too little"
    )


def _looked_at(page: Server, rate: float, seconds: float) -> dict[str, Any]:
    message = base64.b64encode(page.messages[0]).decode()
    with beside("probe", page.target, page.token, rate=PROBES_PER_SECOND, message=message,
                after=QUIET_SECONDS) as probe:  # fmt: skip
        load = page.load(seconds, rate)
        seen = told(probe)
    ended = load.ended
    return {
        "sent_per_second": round((load.requests + load.failed) / seconds),
        "answered_per_second": round(ended.get("OK", 0) / seconds),
        "ended": ended,
        "ended_untaken": max(0, load.requests + sum(each["calls"] for each in seen.values())
                             - sum(ended.values())),
        "streams_broken": load.failed,
        "all": {"p50_ms": round(load.ms(50), 3), "p99_ms": round(load.ms(99), 3)},
        "cpu_us_per_request": _cpu_us(load),
        "let_in": seen.get("OK", {}),
        "refused": seen.get("RESOURCE_EXHAUSTED", {}),
        "others": {code: figures["calls"] for code, figures in seen.items()
                   if code not in ("OK", "RESOURCE_EXHAUSTED")},
    }  # fmt: skip


def _cpu_us(load: Loaded) -> int | None:
    return round(load.cpu_us) if load.requests else None
