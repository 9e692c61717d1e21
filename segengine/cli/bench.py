"""Is it as fast as it says, beside other engines on this machine?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from segengine.cli.files import check_out, write_table
from segengine.cli.options import AsJson
from segengine.cli.outcome import FailedError, InputError
from segengine.cli.plain import print_json
from segengine.cli.show import console, note, size, table

Customers = Annotated[
    int, typer.Option("--customers", metavar="N", min=1, help="How many buyers to make.")
]
Repeats = Annotated[
    int, typer.Option("--repeats", metavar="N", min=1, help="New rules timed per case.")
]
Suites = Annotated[
    list[str] | None,
    typer.Option(
        "--suite",
        metavar="NAME",
        help="rules, catalogue, history, match or traits, by default all of these; or pages, "
        "campaigns or ingest.",
    ),
]
Engines = Annotated[
    list[str] | None,
    typer.Option("--engine", metavar="NAME", help="A rival to ask; by default all installed."),
]
Rules = Annotated[
    int, typer.Option("--rules", metavar="N", min=1, help="Rules of the match suite.")
]
Modules = Annotated[
    int, typer.Option("--modules", metavar="N", min=1, help="Modules of the pages suite.")
]
Pages = Annotated[
    int, typer.Option("--pages", metavar="N", min=1, help="Pages that these modules are on.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FILE", help="Write the result to a .json, its cases to .parquet or .csv."
    ),
]


def bench(
    customers: Customers = 1_000_000,
    repeats: Repeats = 9,
    suite: Suites = None,
    engine: Engines = None,
    rules: Rules = 10_000,
    modules: Modules = 10_000,
    pages: Pages = 10,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Time rules in this engine and others; every answer is checked before any is timed."""
    _check(out)
    from segengine.bench import run as bench_run
    from segengine.bench.suites import ALL_RIVALS, FURTHER, SUITES
    from segengine.bench.timing import DifferentAnswersError

    suites = _chosen("--suite", suite, (*SUITES, *FURTHER)) if suite else SUITES
    engines = _chosen("--engine", engine, ALL_RIVALS)
    try:
        result = bench_run.run(
            customers, repeats=repeats, suites=suites, engines=engines, rules=rules,
            modules=modules, pages=pages, say=note,
        )  # fmt: skip
    except DifferentAnswersError as error:
        raise FailedError(f"the answers differ: {error}") from None
    if out is not None:
        _save(result, out)
    if as_json:
        print_json(result)
    else:
        _show(result)


def _check(out: Path | None) -> None:
    """As for a table, which a .json is not."""
    if out is None or out.suffix.lower() != ".json":
        check_out(out)
    elif not out.parent.is_dir():
        raise InputError(f"`--out {out}`: there is no folder `{out.parent}`")
    elif out.is_dir():
        raise InputError(f"`--out {out}`: that is a folder")


def _chosen(option: str, given: Sequence[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    for name in given or ():
        if name not in known:
            raise InputError(f"`{option} {name}`: known are {', '.join(known)}")
    return tuple(name for name in known if not given or name in given)


def _save(result: dict[str, Any], out: Path) -> None:
    """The whole result, or a line for each case and engine."""
    if out.suffix.lower() == ".json":
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        note(f"wrote {out}")
        return
    import pyarrow as pa

    rows = [
        {
            "suite": suite["suite"],
            "case": case["case"],
            "rule": case["rule"],
            "count": case["count"],
            "engine": name,
            "ms": case["ms"][key],
            "ms_min": case["ms_min"][key],
        }
        for suite in result["suites"]
        for case in suite["cases"]
        for key, name in suite["engines"].items()
    ]
    write_table(pa.Table.from_pylist(rows), out)


def _show(result: dict[str, Any]) -> None:
    screen = console()
    for suite in result["suites"]:
        sizes = ", ".join(f"{count:,} {what}" for what, count in suite["sizes"].items())
        screen.print(f"{suite['suite']}, ms: {sizes}".replace("_", " "))
        if "p50_us" in suite["cases"][0]:
            screen.print(_calls(suite))
        elif "events_per_second" in suite["cases"][0]:
            screen.print(_ingest(suite))
        else:
            screen.print(_engines(suite) if len(suite["cases"]) == 1 else _cases(suite))
        if "families" in suite:
            screen.print(_families(suite))
        for case in suite["cases"]:
            for key, reason in case["cannot"].items():
                screen.print(f"{case['case']}: {suite['engines'].get(key, key)}: {reason}")
        memory = suite.get("memory")
        if memory:
            screen.print(
                f"a row of {memory['table']}: {memory['bytes_per_row']:g} bytes, "
                f"{memory['scan_code_bytes_per_row']:g} of them scan codes"
            )
    for key, reason in result["absent"].items():
        screen.print(f"{key}: {reason}")
    screen.print(", ".join(f"{name} {version}" for name, version in result["versions"].items()))
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    screen.print(
        f"medians of {result['repeats']} turns; {machine}; memory is read at "
        f"{result['read_bandwidth_gb_per_s']:.1f} GB/s; the process held "
        f"{result['peak_memory_mb']:,.0f} MB at most"
    )


def _cases(suite: dict[str, Any]) -> Any:
    """A line a case."""
    names = ["case", "found", *map(_title, suite["engines"].values()), "faster"]
    shown = [
        [case["case"], f"{case['count']:,}", *map(_ms, case["ms"].values()),
         _times(case["speedup"])]
        for case in suite["cases"]
    ]  # fmt: skip
    means = map(_ms, suite["geometric_mean_ms"].values())
    shown.append(["geometric mean", "", *means, _times(suite["geometric_mean_speedup"])])
    return table(names, shown, numbers=names[1:])


def _calls(suite: dict[str, Any]) -> Any:
    """A line a case whose calls were timed one by one, in microseconds."""
    names = ["case", "count", "p50 us", "p99 us"]
    shown = [
        [case["case"], f"{case['count']:,}", *(
            f"{case[key]:,.1f}" if key in case else _ms(1000 * case["ms"]["segengine"])
            for key in ("p50_us", "p99_us")
        )]
        for case in suite["cases"]
    ]  # fmt: skip
    return table(names, shown, numbers=names[1:])


def _ingest(suite: dict[str, Any]) -> Any:
    """A line a sort of batches: how fast they are taken in, and what waits for them meanwhile."""
    names = ["batches", "rows", "events/s", "ms", "p99 ms", "processor us/event", "of it log",
             "longest change ms"]  # fmt: skip
    shown = [
        [case["case"], f"{case['count']:,}", f"{case['events_per_second']:,}",
         _ms(case["ms"]["segengine"]), _ms(case["p99_ms"]), f"{case['processor_us_an_event']:.1f}",
         f"{100 * case['log_share']:.0f} %", _ms(case["longest_hold_ms"])]
        for case in suite["cases"]
    ]  # fmt: skip
    looked = [case for case in suite["cases"] if "looks" in case]
    told = [
        f"{case['case']}: one buyer's question took {_ms(case['look_p50_ms'])} ms, "
        f"p99 {_ms(case['look_p99_ms'])} ms, the longest of {case['looks']:,} "
        f"{_ms(case['look_longest_ms'])} ms"
        for case in looked
    ]
    from rich.console import Group

    return Group(table(names, shown, numbers=names[1:]), *told)


def _families(suite: dict[str, Any]) -> Any:
    """A line a family of traits: how long it takes to build, and what it holds."""
    names = ["family", "traits", "ms", "values", "scan codes"]
    shown = [
        [each["family"], str(each["traits"] or ""), _ms(each["ms"]), size(each["values_bytes"]),
         size(each["scan_codes_bytes"])]
        for each in suite["families"]
    ]  # fmt: skip
    sums = [size(sum(each[n] for each in suite["families"]))
            for n in ("values_bytes", "scan_codes_bytes")]  # fmt: skip
    shown.append(["all", str(suite["traits"]), _ms(suite["all_ms"]), *sums])
    return table(names, shown, numbers=names[1:])


def _engines(suite: dict[str, Any]) -> Any:
    """A line an engine, for a suite of one case."""
    case, times = suite["cases"][0], suite["times_as_fast"]
    shown = [
        [name, _ms(case["ms"][key]), _times(times.get(key))]
        for key, name in suite["engines"].items()
    ]
    return table([case["case"], "ms", "faster"], shown, numbers=["ms", "faster"])


def _title(name: str) -> str:
    """An engine's name without its version, which stands below the tables."""
    return name.rpartition(" ")[0]


def _ms(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.2f}" if milliseconds >= 1 else f"{milliseconds:.3g}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.1f}x"
