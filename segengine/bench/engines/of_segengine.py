"""This engine, through its public door."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from segengine.bench.case import Case
from segengine.bench.optional import titled
from segengine.bench.population import AS_OF
from segengine.engine import Engine


class Segengine:
    """Tables loaded as any store's are; a rule goes from its text to its count."""

    key = "segengine"

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        self.name = titled("segengine", "segengine")
        self.engine = Engine(timezone="UTC", as_of=AS_OF)
        for name, table in tables.items():
            columns = {c: c for c in table.column_names}
            self.engine.load(name, table, columns=columns)
        self.engine.prepare()

    def count(self, case: Case, k: int) -> int:
        """Parse, check, plan, scan, count."""
        return self.engine.segment(case.rule(k)).count()

    def close(self) -> None:
        """Let go of the store."""
        self.engine.close()


class Catalogue:
    """The same rules as segments of the store, whose leaves the engine may keep standing."""

    key = "catalogue"

    def __init__(self, ours: Segengine) -> None:
        self.name = ours.name
        self._engine = ours.engine

    def define(self, case: Case, k: int) -> None:
        """Name a case's k-th rule."""
        self._engine.define_segment(_named(case, k), case.rule(k))

    def count(self, case: Case, k: int) -> int:
        """Ask for a defined segment by name."""
        return self._engine.segment(f"segment('{_named(case, k)}')").count()

    def close(self) -> None:
        """The store is not ours to close."""


def _named(case: Case, k: int) -> str:
    return f"{case.name.replace(',', '').replace(chr(39), '').replace(' ', '_')}_{k}"
