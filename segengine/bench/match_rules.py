"""Which of ten thousand rules hold for one buyer? The rules and buyers every matcher is given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

RULES = 10_000
CONDITIONS = 5
BUYERS = 1_000
WHOLE = tuple(f"whole_{k:02d}" for k in range(14))
FLOATS = tuple(f"float_{k:02d}" for k in range(8))
TEXTS = tuple(f"text_{k:02d}" for k in range(6))
BOOLEANS = tuple(f"is_{k:02d}" for k in range(4))
TRAITS = (*WHOLE, *FLOATS, *TEXTS, *BOOLEANS)
WORDS = tuple(f"word-{k:02d}" for k in range(20))
_SHARE = 0.37
"""How often a condition on a number or a text holds: some 80 of 10,000 rules for a buyer."""

Value = int | float | bool | tuple[str, ...]
Buyer = dict[str, int | float | bool | str]


@dataclass(frozen=True, slots=True)
class Condition:
    """`op` is `<=`, `>=`, `<` or `>` beside a number, `in` beside texts, `is` beside a boolean."""

    trait: str
    op: str
    value: Value


@dataclass(frozen=True, slots=True)
class MatchRule:
    """A name, and conditions that must all hold."""

    name: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Workload:
    """Rules, and buyers with a value for each of 32 traits; buyer k has customer_id k + 1."""

    rules: tuple[MatchRule, ...]
    customers: pa.Table

    def buyers(self, first: int) -> list[Buyer]:
        """The first buyers as dicts of Python values."""
        rows: list[Buyer] = self.customers.slice(0, first).select(TRAITS).to_pylist()
        return rows


def workload(rules: int = RULES, seed: int = 5) -> Workload:
    """Rules of 5 conditions on 5 different traits of 32; the same seed gives the same."""
    rng = np.random.default_rng(seed)
    columns: dict[str, pa.Array] = {"customer_id": pa.array(np.arange(1, BUYERS + 1))}
    for trait in WHOLE:
        columns[trait] = pa.array(rng.integers(0, 1_000, BUYERS))
    for trait in FLOATS:
        columns[trait] = pa.array(np.round(rng.random(BUYERS), 6))
    for trait in TEXTS:
        columns[trait] = pa.array([WORDS[k] for k in rng.integers(0, len(WORDS), BUYERS)])
    for trait in BOOLEANS:
        columns[trait] = pa.array(rng.random(BUYERS) < _SHARE)
    made = tuple(MatchRule(f"rule-{k:06d}", _conditions(rng)) for k in range(rules))
    return Workload(made, pa.table(columns))


def _conditions(rng: np.random.Generator) -> tuple[Condition, ...]:
    chosen = rng.choice(len(TRAITS), CONDITIONS, replace=False)
    return tuple(_condition(rng, TRAITS[int(k)]) for k in chosen)


def _condition(rng: np.random.Generator, trait: str) -> Condition:
    share = float(np.clip(rng.normal(_SHARE, 0.05), 0.05, 0.95))
    is_upper = bool(rng.random() < 0.5)
    if trait in WHOLE:
        cut = int(1_000 * share)
        return Condition(trait, "<=" if is_upper else ">=", cut if is_upper else 1_000 - cut)
    if trait in FLOATS:
        limit = round(share if is_upper else 1 - share, 3)
        return Condition(trait, "<" if is_upper else ">", limit)
    if trait in TEXTS:
        words = rng.choice(len(WORDS), max(1, round(len(WORDS) * share)), replace=False)
        return Condition(trait, "in", tuple(WORDS[int(k)] for k in sorted(words)))
    return Condition(trait, "is", value=True)


def said(condition: Condition, *, brackets: str = "[]", quote: str = "'") -> str:
    """A condition as most of these languages write it."""
    if condition.op == "is":
        return condition.trait
    if isinstance(condition.value, tuple):
        words = ", ".join(f"{quote}{word}{quote}" for word in condition.value)
        return f"{condition.trait} {condition.op} {brackets[0]}{words}{brackets[1]}"
    return f"{condition.trait} {condition.op} {condition.value!r}"
