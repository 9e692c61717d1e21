"""How do answers look to people? Results on standard output, all else on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TextIO
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from rich.console import Console
    from rich.style import Style
    from rich.table import Table
    from rich.text import Text

WIDTH_OF_A_FILE = 120
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def console(*, errors: bool = False) -> Console:
    """Where results, or else messages, are printed; no text of a store is taken for markup."""
    from rich.console import Console

    stream: TextIO = sys.stderr if errors else sys.stdout
    width = None if stream.isatty() else WIDTH_OF_A_FILE
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def note(message: str) -> None:
    """A message for people, on standard error, as it stands."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def buyers(count: int) -> str:
    """`1 buyer`, `2,000 buyers`."""
    return counted(count, "buyer")


def counted(count: int, word: str) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def share(part: int, whole: int) -> str:
    """A part of a whole as a percentage; a dash of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def moment(at: datetime, timezone: str) -> str:
    """A moment by the store's clock."""
    return f"{at.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M} {timezone}"


def milliseconds(seconds: float) -> str:
    """A duration that people compare: three digits, in ms."""
    ms = 1_000 * seconds
    return f"{ms:,.0f} ms" if ms >= 100 else f"{ms:.1f} ms" if ms >= 10 else f"{ms:.2f} ms"


def size(number: float) -> str:
    """Bytes in a unit that fits."""
    for unit in ("B", "kB", "MB"):
        if number < 1_000:
            return f"{number:,.0f} {unit}"
        number /= 1_000
    return f"{number:,.1f} GB"


def bar(part: float, whole: float, width: int = 20) -> str:
    """A bar `width` characters long where part is the whole."""
    eighths = round(8 * width * part / whole) if whole else 0
    if part > 0:
        eighths = max(eighths, 1)
    if not _writes_unicode():
        return "#" * -(-eighths // 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def cell(value: Any, timezone: str) -> str:
    """One value of a table as people read it; missing is a dash."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        short = value.quantize(Decimal("0.01"))
        return f"{short if short == value else value.normalize():,f}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, datetime):
        return f"{value.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    numbers: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> Table:
    """A table for a terminal; columns named in `numbers` stand to the right.

    Those named in `whole` are never broken into lines.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    shown = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name in columns:
        justify: Literal["left", "right"] = "right" if name in numbers else "left"
        keep = name in numbers or name in whole
        shown.add_column(name, justify=justify, overflow="fold", no_wrap=keep)
    for row in rows:
        shown.add_row(*row)
    return shown


def heat(part: int, most: int) -> Style:
    """The style of a cell of a heat map, from pale to deep by the square root of its share."""
    from rich.color import Color
    from rich.style import Style

    warmth = (part / most) ** 0.5 if most else 0.0
    pale, deep = (236, 244, 247), (13, 84, 122)
    shade = [round(p + (d - p) * warmth) for p, d in zip(pale, deep, strict=True)]
    ink = (255, 255, 255) if warmth > 0.5 else (20, 30, 40)
    return Style(color=Color.from_rgb(*ink), bgcolor=Color.from_rgb(*shade))


def _writes_unicode() -> bool:
    return (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
