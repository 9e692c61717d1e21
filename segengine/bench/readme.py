"""What does the README say about speed? A table made from a saved result, never by hand.

The result comes from `segengine bench --json > docs/bench.json`, the table from
`python -m segengine.bench.readme docs/bench.json README.md`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def performance(result: Mapping[str, Any]) -> str:
    """The result of `segengine bench --json` as Markdown: a line a case, then the machine."""
    engines: list[str] = list(result["engines"])
    has_rivals = len(engines) > 1
    head = ["rule", "buyers found", *(f"{name}, ms" for name in engines)]
    rows = [
        [case["case"], f"{case['count']:,}", *(_ms(case["ms"][name]) for name in engines)]
        for case in result["cases"]
    ]
    if has_rivals:
        head.append("times as fast")
        for row, case in zip(rows, result["cases"], strict=True):
            row.append(f"{case['speedup']:.1f}")
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)]), *map(_line, rows)]
    return "\n".join([*lines, "", _how(result, has_rivals=has_rivals)])


def with_performance(readme: str, result: Mapping[str, Any]) -> str:
    """The text of a README with the table between its two marks."""
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        raise ValueError(f"needs `{BEGIN}` and `{END}`, each once")
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{performance(result)}\n{END}{after}"


def _how(result: Mapping[str, Any], *, has_rivals: bool) -> str:
    """Under which conditions the times were taken."""
    machine = result["machine"]
    said = (
        f"{result['customers']:,} buyers. A time is the median of {result['repeats']} new rules, "
        "from text to count; the engines take turns in one process, and their answers are "
        f"compared before any is timed. {machine['processor']}, {machine['cores']} cores, "
        f"{machine['system']}, Python {machine['python']}."
    )
    mean = result.get("geometric_mean_speedup")
    if has_rivals and mean is not None:
        said += (
            f" The last column compares with the fastest of the others; its geometric mean is "
            f"{mean:.1f}."
        )
    return said


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.2f}" if milliseconds < 10 else f"{milliseconds:.1f}"


def main(arguments: Sequence[str]) -> None:
    """Write the table of a result into a README: `RESULT.json README.md`."""
    if len(arguments) != 2:
        sys.exit("usage: python -m segengine.bench.readme RESULT.json README.md")
    result, readme = (Path(name) for name in arguments)
    text = with_performance(
        readme.read_text(encoding="utf-8"), json.loads(result.read_text(encoding="utf-8"))
    )
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
