"""How long does each take? Engines answer in turns, and every answer is compared."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Ask = Callable[[int], object]
"""Answers the k-th question of a case."""

REST_SECONDS = 0.03
"""Before each turn, until the threads of the engine before have gone to sleep."""

FEWEST = 3
"""Repeats that a slow case gets however long it takes."""


class DifferentAnswersError(AssertionError):
    """Two engines answer one question differently."""


@dataclass(slots=True)
class Asked:
    """A case with one `Ask` for each engine by key; `cannot` says why an engine is left out.

    `turn`: questions an engine answers before the next has its turn.
    """

    name: str
    question: Callable[[int], str]
    asks: Mapping[str, Ask]
    turn: int = 1
    cannot: dict[str, str] = field(default_factory=dict)
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of every call, by engine."""

    by_engine: Mapping[str, Sequence[float]]

    def medians(self) -> dict[str, float]:
        """The median of each engine."""
        return {key: statistics.median(each) for key, each in self.by_engine.items()}

    def least(self) -> dict[str, float]:
        """The fastest call of each engine."""
        return {key: min(each) for key, each in self.by_engine.items()}


def check(asked: Asked, variants: Sequence[int] = (0, 5)) -> None:
    """Ask everyone and compare; raises `DifferentAnswersError`. Whoever cannot answer is noted."""
    for k in variants:
        answers: dict[str, object] = {}
        for key, ask in asked.asks.items():
            if key in asked.cannot:
                continue
            try:
                answers[key] = ask(k)
            except Exception as error:  # whatever a rival raises, it cannot
                asked.cannot[key] = _briefly(error)
        _compare(asked, k, answers)
        if k == 0 and answers:
            answer = next(iter(answers.values()))
            asked.count = answer if isinstance(answer, int) else len(answer)  # type: ignore[arg-type]


def timed(asked: Asked, repeats: int, *, budget_seconds: float = 20.0) -> Times:
    """Times of `repeats` turns of new questions, fewer where a case takes longer than its budget.

    The answers given while the clock runs are compared too.
    """
    asks = {key: ask for key, ask in asked.asks.items() if key not in asked.cannot}
    times: dict[str, list[float]] = {key: [] for key in asks}
    gc.disable()
    try:
        began = time.perf_counter()
        for turn in range(repeats):
            answers: dict[int, dict[str, object]] = {}
            for key, ask in asks.items():
                time.sleep(REST_SECONDS)
                for k, answer, seconds in _turn(ask, 1 + turn * asked.turn, asked.turn):
                    times[key].append(1000 * seconds)
                    answers.setdefault(k, {})[key] = answer
            for k, given in answers.items():
                _compare(asked, k, given)
            if turn + 1 >= FEWEST and time.perf_counter() - began > budget_seconds:
                break
    finally:
        gc.enable()
    return Times(times)


def _turn(ask: Ask, first: int, questions: int) -> list[tuple[int, object, float]]:
    """Each question's answer and seconds; a slow engine answers one alone."""
    given = []
    for k in range(first, first + questions):
        started = time.perf_counter()
        answer = ask(k)
        seconds = time.perf_counter() - started
        given.append((k, answer, seconds))
        if seconds > 0.05:
            break
    return given


def _compare(asked: Asked, k: int, answers: Mapping[str, Any]) -> None:
    if not answers:
        return
    first = next(iter(answers.values()))
    if any(answer != first for answer in answers.values()):
        shown = ", ".join(f"{key} {str(answer)[:80]}" for key, answer in answers.items())
        raise DifferentAnswersError(
            f"{asked.name}: the engines disagree on {asked.question(k)}: {shown}"
        )


def _briefly(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
