"""What does the README say about speed? Tables made from a saved result, never by hand.

The result comes from `segengine bench --out docs/bench.json`, the tables from
`python -m segengine.bench.readme docs/bench.json README.md`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
OURS = "segengine"
WORK = {
    "rules": "a new rule over {customers:,} buyers",
    "catalogue": "a defined segment of {customers:,} buyers",
    "history": "a new rule over {order_lines:,} order lines of {customers:,} buyers",
    "match": "{rules:,} rules, one buyer",
    "traits": "the purchase traits of {customers:,} buyers",
}
NOTABLE = (
    "eight predicates, one OR",
    "one whole number, selective",
    "whole number in 100",
    "text in 100",
    "any of three tags",
    "best tenth of those with orders",
    "one category in 30 days",
    "sum over a year",
)
"""Shapes shown on their own, beside the one of each suite that gains least."""

Result = Mapping[str, Any]


def performance(result: Result) -> str:
    """A saved result as Markdown: means by suite, some shapes, one buyer, and the machine."""
    alone = ("match", "traits")
    about_sets = [
        suite
        for suite in result["suites"]
        if suite["suite"] in WORK and suite["suite"] not in alone
    ]
    of_one_case = [suite for suite in result["suites"] if suite["suite"] in alone]
    parts = []
    if about_sets:
        parts += [_means(about_sets), _shapes(about_sets)]
    parts += [_one_case(suite) for suite in of_one_case]
    return "\n\n".join([*parts, _how(result)])


def with_performance(readme: str, result: Result) -> str:
    """The text of a README with the tables between its two marks."""
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        raise ValueError(f"needs `{BEGIN}` and `{END}`, each once")
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{performance(result)}\n{END}{after}"


def _means(suites: Sequence[Result]) -> str:
    """A line a suite: the geometric mean over its shapes."""
    engines = _engines(suites)
    rows = [
        [
            WORK[suite["suite"]].format(**suite["sizes"]),
            str(len(suite["cases"])),
            *(_ms(suite["geometric_mean_ms"].get(key)) for key in engines),
            _times(suite["geometric_mean_speedup"]),
        ]
        for suite in suites
    ]
    return _table(
        ["geometric mean, ms", "shapes", *engines.values(), "times as fast as the fastest other"],
        rows,
    )


def _shapes(suites: Sequence[Result]) -> str:
    """A line a notable shape, and the one of each suite that gains least."""
    engines = _engines(suites)
    rows = []
    for suite in suites:
        if suite["suite"] == "catalogue":
            continue
        compared = [case for case in suite["cases"] if case["speedup"]]
        least = min(compared, key=lambda case: float(case["speedup"]), default=None)
        for case in suite["cases"]:
            if case["case"] not in NOTABLE and case is not least:
                continue
            gains_least = " (gains least)" if case is least else ""
            rows.append([
                f"{case['case']}{gains_least}",
                f"{case['count']:,}",
                *(_ms(case["ms"].get(key)) for key in engines),
                _times(case["speedup"]),
            ])  # fmt: skip
    return _table(["shape, ms", "buyers found", *engines.values(), "times as fast"], rows)


def _one_case(suite: Result) -> str:
    """A line an engine, for a suite of one case."""
    means, times = suite["geometric_mean_ms"], suite["times_as_fast"]
    rows = [
        [name, _ms(means.get(key)), "" if key == OURS else _times(times.get(key))]
        for key, name in suite["engines"].items()
    ]
    work = WORK[suite["suite"]].format(**suite["sizes"])
    return _table([work, "ms", "segengine is so many times as fast"], rows)


def _engines(suites: Sequence[Result]) -> dict[str, str]:
    return {key: name for suite in suites for key, name in suite["engines"].items()}


def _how(result: Result) -> str:
    """Under which conditions the times were taken."""
    machine = result["machine"]
    said = (
        f"A time is the median of {result['repeats']} turns, each with a new rule (a defined "
        "segment: the same ones again), from text to count; the engines take turns in one "
        "process, and all answers are compared. "
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']:g} GB, "
        f"{machine['system']}, Python {machine['python']}; "
        f"memory is read at {result['read_bandwidth_gb_per_s']:.1f} GB/s."
    )
    for suite in result["suites"]:
        memory = suite.get("memory")
        if memory is not None:
            said += (
                f" A row of `{memory['table']}` takes {memory['bytes_per_row']:g} bytes, "
                f"{memory['scan_code_bytes_per_row']:g} of them scan codes."
            )
    return said


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join([_line(head), _line(["---", *["---:"] * (len(head) - 1)]), *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _ms(milliseconds: float | None) -> str:
    """Three digits that say something; a dash where an engine cannot."""
    if milliseconds is None:
        return "-"
    decimals = 1 if milliseconds >= 10 else 2 if milliseconds >= 0.1 else 4
    return f"{milliseconds:.{decimals}f}"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.1f}"


def main(arguments: Sequence[str]) -> None:
    """Write the tables of a result into a README: `RESULT.json README.md`."""
    if len(arguments) != 2:
        sys.exit("usage: python -m segengine.bench.readme RESULT.json README.md")
    result, readme = (Path(name) for name in arguments)
    text = with_performance(
        readme.read_text(encoding="utf-8"), json.loads(result.read_text(encoding="utf-8"))
    )
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
