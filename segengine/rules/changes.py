"""What is the smallest change that would let a buyer in, and whom does one condition keep out?

A leaf is what AND, OR and NOT join as written; inside NOT the change is its becoming false. With
NOT pushed down, a rule only gains when a leaf becomes what it asks for, so a leaf decides alone
where all else that its ANDs need holds already: one walk down finds that for every leaf.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.errors import DefinitionError
from segengine.kernels import bits
from segengine.rules.block import Block
from segengine.rules.compute import truth
from segengine.rules.explain import Change, values_seen
from segengine.rules.frame import Words
from segengine.rules.leaves import Every, Leaf, Tree, leaves_of, tree_of
from segengine.rules.population import Population
from segengine.rules.term import Term
from segengine.schema.kinds import Kind

EXAMPLES = 5
MOST_LEAVES = 256
"""Each keeps a bitmap while it is worked out: 256 of 10 million buyers are 320 MB."""

_Missed = tuple[str, int, NDArray[np.int64]]
"""A condition, how many rows it keeps out, and the first of them."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How one row comes to satisfy a condition that it does not.

    alone: the leaves that are each enough; least: the fewest that are enough together, None
    where no change of the buyer is.
    """

    holds: bool
    alone: tuple[Leaf, ...] = ()
    least: tuple[Leaf, ...] | None = ()


def nearest(term: Term, block: Block) -> tuple[Change, ...]:
    """The single leaves that keep one row out; if none does, the fewest that do so together.

    block: one row. Empty where the rule holds, or where what was written as TRUE, FALSE or NULL
    decides.
    """
    way = _way(tree_of(term), block)
    if way.holds:
        return ()
    if way.alone:
        return tuple(dict.fromkeys(_change((leaf,), block) for leaf in way.alone))
    return (_change(way.least, block),) if way.least is not None else ()


def _way(tree: Tree, block: Block) -> _Way:
    if isinstance(tree, Leaf):
        if truth(tree.term, block)[0] == (1 if tree.wanted else 0):
            return _Way(True)
        return _Way(False, (), None) if tree.is_fixed else _Way(False, (tree,), (tree,))
    ways = [_way(part, block) for part in tree.parts]
    failing = [way for way in ways if not way.holds]
    if isinstance(tree, Every):
        if not failing:
            return _Way(True)
        needed = [way.least for way in failing if way.least is not None]
        least = sum(needed, ()) if len(needed) == len(failing) else None
        return _Way(False, failing[0].alone if len(failing) == 1 else (), least)
    if len(failing) < len(ways):
        return _Way(True)
    known = [way.least for way in failing if way.least is not None]
    alone = tuple(leaf for way in failing for leaf in way.alone)
    return _Way(False, alone, min(known, key=len) if known else None)


def _change(leaves: tuple[Leaf, ...], block: Block) -> Change:
    conditions = dict.fromkeys(leaf.text for leaf in leaves)
    values = dict.fromkeys(
        pair for leaf in leaves if leaf.term.op != "segment"
        for pair in values_seen(leaf.term, block)
    )  # fmt: skip
    return Change(tuple(conditions), tuple(values))


def near_misses(term: Term, population: Population, words_of: Callable[[Term], Words]) -> pa.Table:
    """Table(condition, count, examples): whom each leaf alone keeps out, most first.

    One row for each leaf as written. condition: what would have to be, with NOT where the rule
    asks against it; count: int64, the buyers for whom the rule does not hold and would if the
    condition did; examples: up to 5 of their customer_ids, in the order first seen. What was
    written as TRUE, FALSE or NULL is no leaf. Raises `DefinitionError` beyond 256 leaves.
    """
    tree = tree_of(term)
    leaves = leaves_of(tree)
    if len(leaves) > MOST_LEAVES:
        raise DefinitionError(
            f"near_misses looks at {MOST_LEAVES} conditions at most, and this rule has "
            f"{len(leaves):,}; ask about its parts one by one, or name some as a segment",
            field="rule",
        )
    held: dict[int, Words] = {}
    known: dict[tuple[Term, bool], Words] = {}
    _hold(tree, words_of, held, known)
    found: list[_Missed] = []
    _miss(tree, population.customers.live & ~held[id(tree)], held, found)
    found.sort(key=lambda row: -row[1])
    ids = population.trait("customer_id")
    examples = [ids.to_arrow(rows, population.money_scale) for _, _, rows in found]
    kind = ids.to_arrow(slice(0, 0), population.money_scale).type
    return pa.table({
        "condition": pa.array([text for text, _, _ in found], pa.string()),
        "count": pa.array([count for _, count, _ in found], pa.int64()),
        "examples": pa.array([e.to_pylist() for e in examples], pa.list_(kind)),
    })  # fmt: skip


def _hold(
    tree: Tree,
    words_of: Callable[[Term], Words],
    held: dict[int, Words],
    known: dict[tuple[Term, bool], Words],
) -> Words:
    """The rows for which a part is what the rule asks of it; every part's are kept in `held`."""
    if isinstance(tree, Leaf):
        key = (tree.term, tree.wanted)
        if key not in known:
            asked = tree.term if tree.wanted else Term("not", Kind.BOOLEAN, (tree.term,))
            known[key] = words_of(asked)
        held[id(tree)] = known[key]
        return known[key]
    first, *rest = (_hold(part, words_of, held, known) for part in tree.parts)
    found = first.copy()
    for words in rest:
        if isinstance(tree, Every):
            found &= words
        else:
            found |= words
    held[id(tree)] = found
    return found


def _miss(tree: Tree, near: Words, held: dict[int, Words], missed: list[_Missed]) -> None:
    """For each leaf whom it keeps out; near: the rows for which this part alone is wanting."""
    if isinstance(tree, Leaf):
        if not tree.is_fixed:
            count = int(bits.count_bits(near))
            missed.append((tree.text, count, _first_rows(near, EXAMPLES)))
        return
    if not isinstance(tree, Every):
        for part in tree.parts:
            _miss(part, near, held, missed)
        return
    once, twice = np.zeros_like(near), np.zeros_like(near)
    for part in tree.parts:
        fails = ~held[id(part)]
        twice |= once & fails
        once |= fails
    near = near & ~twice
    for part in tree.parts:
        _miss(part, near & ~held[id(part)], held, missed)


def _first_rows(words: Words, most: int) -> NDArray[np.int64]:
    """The first rows of a bitmap, ascending, at most so many."""
    found: list[int] = []
    for word in np.flatnonzero(words)[:most]:
        rest = int(words[word])
        found += [64 * int(word) + bit for bit in range(64) if rest >> bit & 1]
    return np.array(found[:most], np.int64)
