"""What came of a load: rows in, rows out, and every reason in between."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Self

from segengine.errors import LoadError


@dataclass(frozen=True, slots=True)
class LoadProblem:
    """One reason for which rows of a source are bad, with up to three examples."""

    column: str
    reason: str
    rows: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = ", ".join(f"`{e}`" for e in self.examples)
        rows = "1 row" if self.rows == 1 else f"{self.rows:,} rows"
        return f"column `{self.column}`: {self.reason} in {rows}" + (
            f", for example {shown}" if shown else ""
        )


@dataclass(frozen=True, slots=True)
class LoadReport:
    """The result of one load or append.

    rows_read: what the source gave after `where`; rows_skipped: bad rows left out;
    rows_repeated: rows whose event_id was there already (the first wins). offset: the number of
    the change in the store's log; None where it is in no log.
    """

    table: str
    rows_read: int
    rows_loaded: int
    rows_skipped: int = 0
    rows_repeated: int = 0
    problems: tuple[LoadProblem, ...] = ()
    ignored_columns: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)
    offset: int | None = None

    def to_receipt(self) -> str:
        """The report as text, to be given again to whoever sends the same change again.

        Without examples of what was bad: they may name a buyer who is deleted by then.
        """
        problems = tuple(replace(each, examples=()) for each in self.problems)
        kept = replace(self, seconds=0.0, problems=problems)
        return json.dumps(asdict(kept), ensure_ascii=False)

    @classmethod
    def from_receipt(cls, text: str) -> Self:
        """The report that a text was made of."""
        said = json.loads(text)
        problems = tuple(
            LoadProblem(**{**each, "examples": tuple(each["examples"])})
            for each in said["problems"]
        )
        ignored = tuple(said["ignored_columns"])
        return cls(**{**said, "problems": problems, "ignored_columns": ignored})


class RefusedError(LoadError):
    """Rows of the source are bad; `report` counts them; nothing was loaded."""

    def __init__(self, report: LoadReport, source: str) -> None:
        self.report = report
        lines = [f"`{report.table}`: {source} has bad rows; nothing was loaded"]
        lines += [f"  {problem}" for problem in report.problems]
        lines.append('  mend the source, or load the other rows with on_error="skip"')
        super().__init__("\n".join(lines), field=report.problems[0].column)


def merged(problems: Sequence[LoadProblem]) -> tuple[LoadProblem, ...]:
    """Problems of all parts of a source, one per column and reason, the most rows first."""
    found: dict[tuple[str, str], LoadProblem] = {}
    for problem in problems:
        key = (problem.column, problem.reason)
        before = found.get(key, LoadProblem(*key, 0))
        examples = (*before.examples, *problem.examples)[:3]
        found[key] = LoadProblem(*key, before.rows + problem.rows, examples)
    return tuple(sorted(found.values(), key=lambda p: (-p.rows, p.column, p.reason)))
