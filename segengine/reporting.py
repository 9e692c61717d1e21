"""What is a report given of a store, and how is it made?

While the store holds still, copies of the tables and columns that the report reads, the buyers of
each segment it is about, and what else it asks for. It is then made of these alone, so that a long
one keeps nobody waiting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from segengine import days, hand_out
from segengine.audiences.runs import Runs
from segengine.current import Current
from segengine.definitions import Definitions
from segengine.errors import RuleError
from segengine.reports import catalogue as reports
from segengine.reports.asked import refused
from segengine.reports.report import Report, Source
from segengine.rules.builder import Rule
from segengine.rules.segment import Looking, ids_of
from segengine.rules.term import CheckedRule


def report(
    name: str,
    segments: Sequence[str | Rule],
    options: Mapping[str, Any],
    current: Current,
    definitions: Definitions,
    runs: Runs,
    looking: Looking,
) -> Report:
    """A report by its name. segments: those it is about; options: its own.

    Raises `UnknownNameError`, `ReportError` and `RuleError` as `Engine.report` says.
    """
    entry = reports.entry_of(name, segments, options)
    asked = {f"segment_{place}": each for place, each in enumerate(segments, 1)}
    asked |= {o: options[o] for o in entry.segment_options if options.get(o) is not None}
    rules = {table: _rule_of(each, definitions) for table, each in asked.items()}
    tables, config, timezone = current.tables, current.settings.config, current.settings.zone.name
    with looking() as view:
        wanted = reports.wanted_columns(entry, hand_out.columns_of(tables, view), options)
        connected = hand_out.connection(tables, view, wanted, timezone)
        for table, rule in rules.items():
            ids = ids_of(view.population, view.words(rule))
            connected.register(table, pa.table({"customer_id": ids}))
        given = None
        if entry.given is not None:
            given, further = entry.given(view, runs, definitions.segments.vocabulary(), options)
            for table, rows in further.items():
                connected.register(table, rows)
        source = Source(
            connected, days.moment(view.clock.as_of), view.data_version, timezone,
            config.currency, config, current.fits,
            {table: tuple(columns) for table, columns in wanted.items()},
            tuple(str(each) for each in segments), given,
        )  # fmt: skip
    with hand_out.ending_with_its_caller(connected):
        return entry.make(source, **options)


def _rule_of(segment: str | Rule, definitions: Definitions) -> CheckedRule:
    """The rule of a segment: what its name means, where it is a defined one's."""
    defined = definitions.segments
    if isinstance(segment, str) and segment in defined.definitions:
        return defined.rule_of(segment)
    try:
        return definitions.rule(segment)
    except RuleError as error:
        raise refused(segment, list(defined.definitions), error) from error
