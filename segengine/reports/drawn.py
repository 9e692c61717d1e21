"""What does a picture see of a table?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segengine.reports.reading import number_of, read, read_with_unit


@dataclass(frozen=True, slots=True)
class Drawn:
    """A table of `to_json` as a picture sees it: columns by name, with units."""

    title: str
    x: str
    y: tuple[str, ...]
    columns: Mapping[str, list[Any]]
    units: Mapping[str, str]
    timezone: str
    currency: str

    def labels(self, column: str) -> list[str]:
        """The values of a column as texts beside an axis; missing is `none`."""
        return ["none" if value is None else str(value) for value in self.columns[column]]

    def numbers(self, column: str) -> list[float | None]:
        """The values of a column as positions."""
        return [number_of(value) for value in self.columns[column]]

    def said(self, column: str, row: int) -> str:
        """A value in full, with its unit."""
        unit = self.units[column]
        return read_with_unit(self.columns[column][row], unit, self.timezone, self.currency)

    def beside(self, column: str, row: int) -> str:
        """A value in full, without its unit, where the picture says what it is."""
        return read(self.columns[column][row], self.units[column], self.timezone)
