#!/usr/bin/env python
"""What does the README show? The demo as a terminal shows it: `python docs/make_picture.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

PICTURE = Path(__file__).with_name("demo.svg")
WIDTH = 120
SECTIONS = ("segengine demo", "Where are the buyers?", "Who gets the campaign", "What does buyer")
THEME = TerminalTheme(
    (252, 252, 250),
    (32, 40, 46),
    [
        *((32, 40, 46), (190, 50, 50), (40, 130, 70), (160, 110, 10)),
        *((40, 90, 170), (130, 60, 150), (13, 110, 140), (230, 234, 236)),
    ],
    [
        *((120, 130, 138), (210, 70, 70), (50, 150, 85), (180, 130, 20)),
        *((60, 110, 190), (150, 80, 170), (20, 130, 160), (252, 252, 250)),
    ],
)
# Rich's own form loads a font from the network; this one takes what is there.
FORM = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: "Fira Code", "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{
  font-family: "DejaVu Sans", Arial, sans-serif;
  font-size: 18px;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""


def demo(customers: int) -> list[Text]:
    """The demo's output, its colours kept, a line each."""
    colours = {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "segengine.cli", "demo", "--customers", str(customers)]
    environment = os.environ | colours | {"COLUMNS": str(WIDTH), "PYTHONIOENCODING": "utf-8"}
    found = subprocess.run(  # noqa: S603 - our own command
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    return list(Text.from_ansi(found.stdout.decode("utf-8")).split("\n"))


def chosen(lines: list[Text]) -> list[Text]:
    """The sections that the picture shows; a section begins with a heading after an empty line."""
    kept, is_shown = [], False
    for before, line in zip([Text(), *lines], lines, strict=False):
        begins = line.plain[:1].strip() and not before.plain.strip()
        if begins and (line.plain.startswith("Next") or "?" in line.plain or not kept):
            is_shown = line.plain.startswith(SECTIONS)
        if is_shown:
            kept.append(line)
    while kept and not kept[-1].plain.strip():
        kept.pop()
    return kept


def main() -> None:
    """Run the demo and draw it."""
    customers = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(
            record=True, file=nowhere, width=WIDTH, force_terminal=True, color_system="truecolor"
        )
        for line in chosen(demo(customers)):
            console.print(line, soft_wrap=True)
        drawn = console.export_svg(
            title="segengine demo", theme=THEME, code_format=FORM, unique_id="demo"
        )
    PICTURE.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
