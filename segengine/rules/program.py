"""A condition that scans alone cannot decide -> a program for the machine in `kernels/machine.py`.

Whole numbers, floats and truths run there, and of a text or a list whatever its dictionary
decides. What has no program (texts that are made row by row) is left to `compute`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.kernels import machine as m
from segengine.rules.block import Block, Clock
from segengine.rules.compute import compute
from segengine.rules.frame import Frame, Words
from segengine.rules.term import COLUMNS, SOURCES, Term
from segengine.schema.kinds import Kind
from segengine.schema.tables import CUSTOMERS, PRODUCTS
from segengine.tables.column import Column

_LOADS = {
    np.dtype(np.int8): m.LOAD_I8,
    np.dtype(np.int32): m.LOAD_I32,
    np.dtype(np.int64): m.LOAD_I64,
    np.dtype(np.float64): m.LOAD_F64,
}
_FETCHES = {
    np.dtype(np.int32): m.AT_I32,
    np.dtype(np.int64): m.AT_I64,
    np.dtype(np.float64): m.AT_F64,
}
_WHOLE = {"+": m.ADD, "-": m.SUBTRACT, "*": m.MULTIPLY, "//": m.DIVIDE, "%": m.REMAINDER}
_FLOAT = {"+": m.ADD_F, "-": m.SUBTRACT_F, "*": m.MULTIPLY_F, "/": m.DIVIDE_F}
_PARTS = {"year": m.YEAR, "month": m.MONTH, "day": m.DAY, "dayofweek": m.WEEKDAY}
_MOST_OPTIONS = 32
_BUCKETS = 10_000
_TRUTH_OF = {1: 2, 0: 0, None: 1}


class NoProgramError(Exception):
    """A term the machine has no step for."""


@dataclass(slots=True)
class Program:
    """Steps over registers; `kept` holds the arrays whose addresses the steps read."""

    steps: NDArray[np.int64]
    addresses: NDArray[np.uint64]
    constants: NDArray[np.int64]
    registers: int
    rows: int
    kept: list[NDArray[Any]] = field(default_factory=list)

    def run(self, wanted: int, begin: int, end: int, mode: int, out: Words) -> bool:
        """Words [begin, end) of the rows whose truth is `wanted`; False where it was inexact."""
        whole = np.empty((self.registers, m.BLOCK), np.int64)
        floats, truths = whole.view(np.float64), whole.view(np.uint64)
        return bool(m.run(
            self.steps, self.addresses, self.constants, whole, floats, truths, wanted,
            self.rows, begin, end, mode, out,
        ))  # fmt: skip


def program_of(
    term: Term, frame: Frame, clock: Clock, column: Callable[[Term], Column]
) -> Program | None:
    """The program of a condition over a frame; None where it has none."""
    writer = _Writer(frame, clock, column)
    try:
        writer.truth(term, 0)
    except NoProgramError:
        return None
    return Program(
        np.array(writer.steps, np.int64).reshape(-1, 5),
        np.array([a.ctypes.data for a in writer.kept] or [0], np.uint64),
        np.array(writer.constants or [0], np.int64),
        writer.registers,
        frame.rows,
        writer.kept,
    )


class _Writer:
    """Writes the steps of a term: its value comes to stand in the register it is asked for."""

    def __init__(self, frame: Frame, clock: Clock, column: Callable[[Term], Column]) -> None:
        self._frame, self._clock, self._column = frame, clock, column
        self.steps: list[tuple[int, int, int, int, int]] = []
        self.kept: list[NDArray[Any]] = []
        self.constants: list[int] = []
        self.registers = 1

    def _step(self, op: int, target: int, a: int = 0, b: int = 0, c: int = 0) -> None:
        self.registers = max(self.registers, target + 1)
        self.steps.append((op, target, a, b, c))

    def _address(self, array: NDArray[Any]) -> int:
        self.kept.append(array)
        return len(self.kept) - 1

    def _constant(self, bits: int, target: int) -> None:
        self.constants.append(bits)
        self._step(m.CONST, target, len(self.constants) - 1)

    # INVARIANT: no step writes the register it reads, or its loop could not run side by side.

    def truth(self, term: Term, target: int) -> None:
        """The truth of a condition, into a register; those above it are free."""
        if self._by_entry(term, target):
            return
        op, args = term.op, term.args
        if not any(term.sources()) and not term.reads_context and not _buckets(term):
            found = int(compute(term, self._one())[0])
            self._constant(_TRUTH_OF.get(found, 1), target)
        elif op in COLUMNS:
            self._load_truth(term, target)
        elif op in ("and", "or"):
            self._joined(m.AND if op == "and" else m.OR, args, target)
        elif op == "not":
            self.truth(args[0], target + 1)
            self._step(m.NOT, target, target + 1)
        elif op in ("segment", "declared"):
            self.truth(args[0], target)
        elif op in ("=", "<>", "<", "<=", ">", ">="):
            self._comparison(term, target)
        elif op == "distinct":
            is_float = self._pair(args, target + 2)
            self._step(m.SAME_F if is_float else m.SAME, target + 1, target + 2, target + 3)
            self._step(m.NOT, target, target + 1)
        elif op == "is_null":
            is_float = self.value(args[0], target + 1)
            self._step(m.IS_NULL_F if is_float else m.IS_NULL, target, target + 1)
        elif op == "in":
            self._one_of(term, target)
        elif op == "in_last_days":
            self._recent(term, target)
        elif op == "case" and term.kind is Kind.BOOLEAN:
            self._case(term, 0, target, self.truth)
        elif op == "coalesce" and term.kind is Kind.BOOLEAN:
            self._first_known(args, target)
        else:
            raise NoProgramError(op)

    def _joined(self, step: int, args: tuple[Term, ...], target: int) -> None:
        if len(args) == 1:
            self.truth(args[0], target)
            return
        self._joined(step, args[:-1], target + 1)
        self.truth(args[-1], target + 2)
        self._step(step, target, target + 1, target + 2)

    def _one(self) -> Block:
        return Block(1, self._clock, self._frame.money_scale, lambda _: None)

    def _is_coded(self, source: Term) -> bool:
        return source.kind is not None and source.kind.is_coded

    def _by_entry(self, term: Term, target: int) -> bool:
        """A term over one text or list alone: a look-up by its code."""
        sources = list(dict.fromkeys(term.sources()))
        if len(sources) != 1 or not self._is_coded(sources[0]):
            return False
        if term.reads_context or any(t.op == "bucket" for t in term.walk()):
            return False
        if term.kind is None or term.kind.is_coded:
            return False
        column = self._column(sources[0])
        if column.dictionary is None:
            raise NoProgramError(term.op)
        values = column.dictionary.values()
        values = pa.concat_arrays([pa.nulls(1, values.type), values])
        block = Block(len(values), self._clock, self._frame.money_scale, lambda _: values)
        table = np.ascontiguousarray(compute(term, block))
        self._codes(sources[0], column, target + 1)
        look = m.LOOK_F64 if table.dtype.kind == "f" else m.LOOK_I64
        look = m.LOOK_TRUTH if term.kind is Kind.BOOLEAN else look
        self._step(look, target, self._address(table), target + 1)
        return True

    def _codes(self, source: Term, column: Column, target: int) -> None:
        if self._elsewhere(source):
            self._places(source, target + 2)
            self._step(m.AT_I32, target + 1, self._address(column.values), target + 2)
            # A place that leads nowhere has no code either.
            self._constant(-1, target + 2)
            self._step(m.GREATEST, target, target + 1, target + 2)
        else:
            self._step(m.LOAD_RAW, target, self._address(column.values))

    def _elsewhere(self, source: Term) -> bool:
        return source.op != "event" and bool(self._frame.reached)

    def _places(self, source: Term, target: int) -> None:
        """The row in another frame of each row."""
        through = CUSTOMERS if source.op == "column" else PRODUCTS
        if through not in self._frame.reached:
            raise NoProgramError(source.op)
        places, by_code = self._frame.places(through)
        if by_code is None:
            self._step(m.LOAD_RAW, target, self._address(places))
            return
        self._step(m.LOAD_RAW, target + 1, self._address(places))
        table = np.append(np.int64(-1), by_code.astype(np.int64))
        self._step(m.LOOK_I64, target, self._address(table), target + 1)

    def _load_truth(self, source: Term, target: int) -> None:
        column = self._column(source)
        if self._elsewhere(source):
            self._places(source, target + 1)
            self._step(m.AT_TRUTH, target, self._address(column.values), target + 1)
        else:
            self._step(m.LOAD_TRUTH, target, self._address(column.values))

    def value(self, term: Term, target: int) -> bool:
        """A number or a moment, into a register; whether it is a float64."""
        if term.kind is None or term.kind.is_coded or term.kind is Kind.BOOLEAN:
            raise NoProgramError(term.op)
        is_float = term.kind is Kind.DOUBLE
        if self._by_entry(term, target):
            return is_float
        op, args = term.op, term.args
        if op == "bucket":
            self._step(m.LOAD_I16, target + 1, self._address(self._frame.bucket_numbers(term)))
            self.constants.append(_BUCKETS)
            self._step(m.SHARE, target, target + 1, len(self.constants) - 1)
        elif op in SOURCES:
            self._load(term, target)
        elif not any(term.sources()) and not term.reads_context and not _buckets(term):
            found = compute(term, self._one())[:1]
            wide = found.astype(np.float64 if is_float else np.int64)
            self._constant(int(wide.view(np.int64)[0]), target)
        elif op == "declared":
            self.value(args[0], target)
        elif op in _WHOLE and not is_float:
            self._pair(args, target + 1)
            self._step(_WHOLE[op], target, target + 1, target + 2)
        elif op in _FLOAT and is_float:
            self._pair(args, target + 1)
            self._step(_FLOAT[op], target, target + 1, target + 2)
        elif op in ("neg", "abs"):
            self.value(args[0], target + 1)
            steps = {("neg", False): m.NEGATE, ("neg", True): m.NEGATE_F,
                     ("abs", False): m.ABSOLUTE, ("abs", True): m.ABSOLUTE_F}  # fmt: skip
            self._step(steps[op, is_float], target, target + 1)
        elif op == "to_double" and args[0].kind is not Kind.VARCHAR:
            self.value(args[0], target + 1)
            unit = 10**self._frame.money_scale if args[0].kind is Kind.MONEY else 1
            self.constants.append(unit)
            self._step(m.TO_FLOAT, target, target + 1, len(self.constants) - 1)
        elif op in ("days_since", "days_until"):
            self._days(term, target)
        elif op in _PARTS:
            self._dates(args[0], target + 1)
            self._step(_PARTS[op], target, target + 1)
        elif op in ("coalesce", "least", "greatest"):
            self._several(term.op, args, target, is_float=is_float)
        elif op == "case":
            self._case(term, 0, target, self.value)
        elif op == "nullif":
            self._pair(args, target + 3)
            self._step(m.EQUAL_F if is_float else m.EQUAL, target + 1, target + 3, target + 4)
            nothing = np.array([np.nan]).view(np.int64)[0] if is_float else m.MISSING
            self._constant(int(nothing), target + 2)
            self._step(m.CHOOSE, target, target + 1, target + 2, target + 3)
        else:
            raise NoProgramError(op)
        return is_float

    def _load(self, source: Term, target: int) -> None:
        column = self._column(source)
        dtype = column.values.dtype
        if self._elsewhere(source):
            if dtype not in _FETCHES:
                raise NoProgramError(source.op)
            self._places(source, target + 1)
            self._step(_FETCHES[dtype], target, self._address(column.values), target + 1)
        elif dtype in _LOADS:
            self._step(_LOADS[dtype], target, self._address(column.values))
        else:
            raise NoProgramError(source.op)

    def _pair(self, args: tuple[Term, ...], target: int) -> bool:
        first = self.value(args[0], target)
        second = self.value(args[1], target + 1)
        assert first == second
        return first

    def _comparison(self, term: Term, target: int) -> None:
        op, (left, right) = term.op, term.args
        if left.kind is Kind.BOOLEAN:
            raise NoProgramError(op)
        if op in (">", ">="):
            left, right, op = right, left, {">": "<", ">=": "<="}[op]
        is_float = self._pair((left, right), target + 2)
        steps = {"=": (m.EQUAL, m.EQUAL_F), "<>": (m.EQUAL, m.EQUAL_F),
                 "<": (m.LESS, m.LESS_F), "<=": (m.LESS_EQUAL, m.LESS_EQUAL_F)}  # fmt: skip
        found = target + 1 if op == "<>" else target
        self._step(steps[op][is_float], found, target + 2, target + 3)
        if op == "<>":
            self._step(m.NOT, target, found)

    def _one_of(self, term: Term, target: int) -> None:
        values, has_null = term.value
        if len(values) > _MOST_OPTIONS:
            raise NoProgramError(term.op)
        operand = target + 2 + len(values)
        is_float = self.value(term.args[0], operand)
        dtype = np.float64 if is_float else np.int64
        # Unknown for a missing operand, and for one not found among options with NULL.
        self._step(m.IS_NULL_F if is_float else m.IS_NULL, operand + 1, operand)
        self._constant(1, operand + 2)
        self._constant(1 if has_null else 0, operand + 3)
        last = target + 1 if values else target
        self._step(m.CHOOSE, last, operand + 1, operand + 2, operand + 3)
        for place, value in enumerate(sorted(values)):
            self._constant(int(np.array([value], dtype).view(np.int64)[0]), operand + 2)
            same = m.EQUAL_F if is_float else m.EQUAL
            self._step(same, operand + 1, operand, operand + 2)
            found = target if place == len(values) - 1 else target + 2 + place
            self._step(m.OR, found, last, operand + 1)
            last = found

    def _dates(self, term: Term, target: int) -> None:
        """The local date of a date or an instant."""
        if term.kind is Kind.DATE:
            self.value(term, target)
            return
        zone = self._clock.zone
        self.value(term, target + 1)
        starts, offsets = self._address(zone.starts), self._address(zone.offsets)
        self.constants.append(len(zone.starts))
        self._step(m.LOCAL_DAY, target, target + 1, starts, len(self.constants) - 1)
        assert offsets == starts + 1

    def _days(self, term: Term, target: int) -> None:
        self._dates(term.args[0], target + 1)
        self._constant(self._clock.today, target + 2)
        first, second = (2, 1) if term.op == "days_since" else (1, 2)
        self._step(m.SUBTRACT, target, target + first, target + second)

    def _recent(self, term: Term, target: int) -> None:
        age, count = target + 1, target + 2
        self._days(Term("days_since", Kind.BIGINT, (term.args[0],)), age)
        self.value(term.args[1], count)
        self._constant(0, target + 3)
        self._step(m.LESS_EQUAL, target + 4, target + 3, age)
        self._step(m.LESS, target + 5, age, count)
        self._step(m.AND, target + 6, target + 4, target + 5)
        # Unknown where either is missing, also where the other test is false.
        self._constant(1, target + 3)
        self._step(m.IS_NULL, target + 4, age)
        self._step(m.CHOOSE, target + 5, target + 4, target + 3, target + 6)
        self._step(m.IS_NULL, target + 4, count)
        self._step(m.CHOOSE, target, target + 4, target + 3, target + 5)

    def _several(self, op: str, args: tuple[Term, ...], target: int, *, is_float: bool) -> None:
        steps = {"coalesce": (m.EITHER, m.EITHER_F), "least": (m.LEAST, m.LEAST_F),
                 "greatest": (m.GREATEST, m.GREATEST_F)}  # fmt: skip
        if len(args) == 1:
            self.value(args[0], target)
            return
        self._several(op, args[:-1], target + 1, is_float=is_float)
        self.value(args[-1], target + 2)
        self._step(steps[op][is_float], target, target + 1, target + 2)

    def _case(
        self, term: Term, place: int, target: int, write: Callable[[Term, int], object]
    ) -> None:
        """The branches from a place on."""
        if place == len(term.args) - 1:
            write(term.args[place], target)
            return
        self.truth(term.args[place], target + 1)
        write(term.args[place + 1], target + 2)
        self._case(term, place + 2, target + 3, write)
        self._step(m.CHOOSE, target, target + 1, target + 2, target + 3)

    def _first_known(self, args: tuple[Term, ...], target: int) -> None:
        """The first truth that is not unknown."""
        if len(args) == 1:
            self.truth(args[0], target)
            return
        self.truth(args[0], target + 1)
        self._first_known(args[1:], target + 2)
        self._constant(1, target + 3)
        self._step(m.SAME, target + 4, target + 1, target + 3)
        self._step(m.CHOOSE, target, target + 4, target + 2, target + 1)


def _buckets(term: Term) -> bool:
    return any(t.op == "bucket" for t in term.walk())
