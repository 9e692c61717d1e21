"""How does a report look as a page? One file that opens without a network and prints.

The page is made from `to_json` alone, which it carries: what a program reads there is what people
see. It has no script but that data, and no font, style or picture from elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from segengine.reports.pictures import drawn
from segengine.reports.reading import is_number, read, read_with_unit, row_units
from segengine.reports.report import MOMENT

_LONG = 40
"""Rows of a table from which on it scrolls within the page; paper shows all."""

_STYLE = """
:root { color-scheme: light dark; --ink: #16212b; --paper: #ffffff; --faint: #5a6a78;
  --rule: #d5dde3; --card: #f5f8fa; --line: #9aa8b3 }
@media (prefers-color-scheme: dark) { :root { --ink: #e4ebf0; --paper: #12191f; --faint: #9fb0bd;
  --rule: #2d3943; --card: #1a242c; --line: #62737f } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1040px; padding: 28px 24px 60px; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
  "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif }
h1 { font-size: 27px; line-height: 1.2; margin: 0 0 4px }
h2 { font-size: 19px; margin: 44px 0 10px; padding-top: 12px; border-top: 1px solid var(--rule) }
p { margin: 6px 0 }
.about, .formula { color: var(--faint); font-size: 13px }
.notes { margin: 16px 0; padding: 10px 14px 10px 30px; background: var(--card);
  border-left: 4px solid #E69F00 }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 12px;
  margin: 22px 0 }
.figure { background: var(--card); border-radius: 6px; padding: 11px 14px }
.figure dt { font-size: 13px; color: var(--faint) }
.figure dd { margin: 0 }
.figure .value { font-size: 19px; font-weight: 600; overflow-wrap: anywhere }
.wide { overflow-x: auto; margin: 12px 0 }
.long { max-height: 640px; overflow-y: auto }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums;
  min-width: 50% }
th, td { padding: 4px 12px 4px 0; text-align: left; border-bottom: 1px solid var(--rule);
  vertical-align: top; white-space: nowrap }
td.text { white-space: normal; overflow-wrap: anywhere; min-width: 90px }
thead th { position: sticky; top: 0; background: var(--paper); font-weight: 600 }
.number { text-align: right; padding: 4px 6px 4px 14px }
svg { display: block; width: 100%; height: auto; margin: 14px 0; font: 12px system-ui, sans-serif }
svg text:not(.cell) { fill: var(--ink); font-size: 12px }
svg text.small:not(.cell) { font-size: 11px }
svg text.faint:not(.cell) { fill: var(--faint) }
svg .strong { font-weight: 600 }
svg .cell { font-variant-numeric: tabular-nums }
svg .on { font-size: 12px; font-weight: 600 }
svg .rule { stroke: var(--rule) }
svg .axis { stroke: var(--line); stroke-width: 1.4 }
svg .line { fill: none; stroke-width: 2.4; stroke-linejoin: round }
svg .band { fill-opacity: .5 }
svg .band:hover { fill-opacity: .85 }
svg .part { stroke: var(--paper); stroke-width: 1 }
@media print { :root { color-scheme: light; --ink: #000; --paper: #fff; --faint: #444;
  --rule: #bbb; --card: #f4f4f4; --line: #777 } body { max-width: none; padding: 0 }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact }
  .figure, svg, tr { break-inside: avoid } h2 { break-after: avoid }
  .long { max-height: none } thead th { position: static } table { font-size: 9px }
  td, th { white-space: normal; padding-right: 6px } }
"""


def to_html(report: Mapping[str, Any]) -> str:
    """The page of a report as `to_json` gives it."""
    timezone, currency = str(report["timezone"]), str(report["currency"])
    at = read(report["as_of"], MOMENT, timezone)
    money = f", money in {currency}" if currency else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in report["notes"])
    figures = "".join(_figure(figure, timezone, currency) for figure in report["figures"])
    tables = "".join(_table(table, timezone, currency) for table in report["tables"])
    title = escape(str(report["title"]))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # An icon of its own: a browser that finds none asks the folder for one.
        '<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>{title}</h1>\n"
        f'<p class="about">As of {escape(at)} {escape(timezone)}, data version '
        f"{report['data_version']}{escape(money)}.</p></header>\n"
        + (f'<ul class="notes">{notes}</ul>\n' if notes else "")
        + (f'<dl class="figures">{figures}</dl>\n' if figures else "")
        + f"{tables}"
        f'<script type="application/json" id="report">{_embedded(report)}</script>\n'
        "</body>\n</html>\n"
    )


def _embedded(report: Mapping[str, Any]) -> str:
    """JSON that ends no element: `<` is written as JSON's own escape of it."""
    text = json.dumps(report, ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _figure(figure: Mapping[str, Any], timezone: str, currency: str) -> str:
    value, unit = figure["value"], str(figure["unit"])
    text = read_with_unit(value, unit, timezone, currency)
    return (
        f'<div class="figure" id="{escape(str(figure["name"]))}">'
        f"<dt>{escape(str(figure['title']))}</dt>"
        f'<dd class="value"><data value="{_exact(value)}">{escape(text)}</data></dd>'
        f'<dd class="formula">{escape(str(figure["formula"]))}</dd></div>\n'
    )


def _table(table: Mapping[str, Any], timezone: str, currency: str) -> str:
    rows = table["rows"]
    units = [row_units(table, row) for row in rows]
    columns = range(len(table["columns"]))
    numeric = [
        any(is_number(row[place], units[line][place]) for line, row in enumerate(rows))
        and all(
            row[place] is None or is_number(row[place], units[line][place])
            for line, row in enumerate(rows)
        )
        for place in columns
    ]
    heads = "".join(
        f'<th scope="col"{_class(number)}>{escape(str(name))}</th>'
        for name, number in zip(table["columns"], numeric, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(
            f'<td{_class(number)}><data value="{_exact(value)}">'
            f"{escape(read(value, unit, timezone))}</data></td>"
            for value, unit, number in zip(row, units[line], numeric, strict=True)
        )
        + "</tr>"
        for line, row in enumerate(rows)
    )
    shown = (
        f'<div class="wide{" long" if len(rows) > _LONG else ""}"><table><thead><tr>{heads}</tr>'
        f"</thead>\n<tbody>{body}</tbody></table></div>\n"
        if rows
        else '<p class="about">nothing to show</p>\n'
    )
    return (
        f'<section id="table-{escape(str(table["name"]))}"><h2>{escape(str(table["title"]))}</h2>\n'
        f"{drawn(table, timezone, currency)}\n{shown}"
        f'<p class="formula">{escape(str(table["formula"]))}</p></section>\n'
    )


def _class(number: bool) -> str:
    return ' class="number"' if number else ' class="text"'


def _exact(value: Any) -> str:
    """A value as JSON has it, as an attribute: what a program finds behind the text shown."""
    return escape(json.dumps(value, ensure_ascii=False, allow_nan=False), quote=True)
