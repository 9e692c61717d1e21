"""What can go wrong, in words for the operator who reads it.

Every error carries `reason`, a stable upper-case word for programs, and `field`, the place.
Nothing raised here leaves the engine changed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass


class SegengineError(Exception):
    """The common base: catch this to catch whatever the engine refuses."""

    reason = "INVALID"

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class ConfigError(SegengineError):
    """`store.toml`, or a definition in it, says something that cannot be."""

    reason = "BAD_CONFIG"


class DefinitionError(SegengineError):
    """A campaign, page, slot, module or segment is defined in a way that cannot be."""

    reason = "BAD_DEFINITION"


class AlreadyDefinedError(DefinitionError):
    """A definition that was to be a new one, and has one of its name before it."""

    reason = "ALREADY_DEFINED"


class ChangedMeanwhileError(DefinitionError):
    """A definition is no longer the one that its caller has seen."""

    reason = "CHANGED_MEANWHILE"


class InUseError(DefinitionError):
    """A change that would leave other definitions unusable; the message names them."""

    reason = "IN_USE"


class InFileError(DefinitionError):
    """A definition that stands in `store.toml`, and is changed there."""

    reason = "IN_STORE_TOML"


class NotBuiltYetError(SegengineError):
    """The name is right, the part behind it is not built yet."""

    reason = "NOT_BUILT_YET"


class LoadError(SegengineError):
    """Data from outside was refused; nothing was loaded."""

    reason = "BAD_DATA"


class StoreError(SegengineError):
    """A store's directory or a file in it cannot be used."""

    reason = "BAD_STORE"


class ElsewhereError(StoreError):
    """A question that only the process which writes to the store can answer."""

    reason = "ELSEWHERE"


class ReportError(SegengineError):
    """A report is asked for something that it cannot say."""

    reason = "BAD_REPORT"


class RunError(SegengineError):
    """A campaign cannot be run now, or not from this plan."""

    reason = "CANNOT_RUN"


class UnknownNameError(SegengineError):
    """A segment, campaign, page, table or column that is not there."""

    reason = "UNKNOWN_NAME"


class UnknownCustomer(SegengineError):  # noqa: N818 - the public name, fixed by the API
    """A customer_id that no table has ever mentioned."""

    reason = "UNKNOWN_CUSTOMER"

    def __init__(self, customer_id: object) -> None:
        super().__init__(f"unknown customer `{customer_id}`", field="customer_id")
        self.customer_id = customer_id


_MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a rule: what, where (line and column from 1), and what to do."""

    message: str
    line: int = 1
    column: int = 1
    length: int = 1
    help: str = ""


class RuleError(SegengineError):
    """A rule that cannot be; `problems` holds every mistake found, in reading order."""

    reason = "BAD_RULE"

    def __init__(self, problems: Sequence[Problem], text: str = "", place: str = "") -> None:
        self.problems = tuple(problems)
        self.text = text
        self.place = place
        super().__init__("\n\n".join(_drawn(p, text, place) for p in problems), field="rule")


class ManyMistakesError(DefinitionError):
    """Several things are wrong with what was to be defined; `errors` has each with its place."""

    def __init__(self, errors: Sequence[tuple[str, SegengineError]]) -> None:
        self.errors = tuple(errors)
        shown = [
            str(error) if isinstance(error, RuleError) else f"{place}: {error}"
            for place, error in self.errors[:_MOST_SHOWN]
        ]
        left = len(self.errors) - len(shown)
        shown += [f"and {left:,} more mistakes" if left > 1 else "and 1 more mistake"] * (left > 0)
        super().__init__("\n\n".join(shown), field=errors[0][1].field)


def refuse_all(errors: Sequence[tuple[str, SegengineError]]) -> None:
    """Raise what is wrong, each with its place: one as it is, several as one error."""
    flat = [
        each
        for place, error in errors
        for each in (error.errors if isinstance(error, ManyMistakesError) else [(place, error)])
    ]
    if len(flat) == 1:
        raise flat[0][1]
    if flat:
        raise ManyMistakesError(flat)


def _drawn(problem: Problem, text: str, place: str) -> str:
    """One mistake as the operator sees it: message, place, the line, what to do."""
    where = f"{place}, " if place else ""
    lines = [problem.message, f"  {where}line {problem.line}, column {problem.column}"]
    source = text.split("\n")
    if text and 0 < problem.line <= len(source):
        line = source[problem.line - 1]
        # A long line is shown around the mistake, never whole.
        start = max(0, problem.column - 41)
        shown = line[start : start + 80]
        under = "".join(_blank(char) for char in line[start : problem.column - 1])
        marked = shown[problem.column - 1 - start :][: problem.length]
        lines += [f"    | {shown}", f"    | {under}{'^' * max(1, sum(map(_columns, marked)))}"]
    if problem.help:
        lines.append(f"  {problem.help}")
    return "\n".join(lines)


def _columns(char: str) -> int:
    """How many columns a terminal gives a character: a Chinese one takes two."""
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _blank(char: str) -> str:
    return char if char == "\t" else " " * _columns(char)


_LONGEST_NAME = 200
"""Longer than any name that somebody mistypes; comparing takes time by the length."""


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """`did you mean `x`?` for the nearest known name, or an empty text."""
    import difflib  # noqa: PLC0415 - only when something is already wrong

    if len(name) > _LONGEST_NAME:
        return ""
    near = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""
