"""Which conjunctions does a request leave open? What it alone decides is asked once a request.

Requests are alike: a few devices, a few sources. So they are told apart by the texts that rules
look at, and numbers by where they lie among the numbers that rules compare them with; the bits of
the conjunctions that are left are kept for each sort of request.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.rules.plan import AllOf, AnyOf, Computed, Node
from segengine.rules.read_text import number_in, whole_number_in
from segengine.rules.term import SOURCES, Term

_MOST_SORTS = 1 << 12
_MOST_TRUTHS = 1 << 15
_Sort = tuple[str | int | None, ...]
_COMPARES = ("=", "<>", "<", "<=", ">", ">=")
_READERS: dict[str, Callable[[str | None], float | int | None]] = {
    "to_double": number_in,
    "to_bigint": whole_number_in,
}


class Number(NamedTuple):
    """A number of the request, and all that rules compare it with, ascending."""

    key: str
    read: Callable[[str | None], float | int | None]
    borders: tuple[float | int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RequestTier:
    """Leaves that a request alone decides, and the conjunctions that need each.

    texts: the keys whose texts decide  numbers: those of which only the place does
    reads: for each leaf, which of these it looks at  every: uint64[words], all conjunctions
    needs: uint64[leaves, words], who needs each leaf  kept: by sort of request  truths: of each
    leaf, by what it looks at: a new sort of request is mostly new in how known things meet
    """

    leaves: tuple[Node, ...]
    texts: tuple[str, ...]
    numbers: tuple[Number, ...]
    reads: tuple[tuple[int, ...], ...]
    every: NDArray[np.uint64]
    needs: NDArray[np.uint64]
    kept: dict[_Sort, NDArray[np.uint64]] = field(default_factory=dict)
    truths: dict[tuple[int, _Sort], bool] = field(default_factory=dict)

    def left_open(
        self, context: Mapping[str, str], holds: Callable[[Mapping[str, str], Node], bool]
    ) -> NDArray[np.uint64]:
        """The conjunctions that a request leaves open: uint64[words].

        holds: whether a leaf does, of a sort of request that comes for the first time
        """
        if not self.leaves:
            return self.every
        sort: list[str | int | None] = [context.get(key) for key in self.texts]
        for key, read, borders in self.numbers:
            value = read(context.get(key))
            # Where it lies among the borders, on one or between two; -1 where there is none.
            sort.append(
                -1 if value is None else bisect_left(borders, value) + bisect_right(borders, value)
            )
        known = tuple(sort)
        found = self.kept.get(known)
        return self._made(known, context, holds) if found is None else found

    def _made(
        self,
        sort: _Sort,
        context: Mapping[str, str],
        holds: Callable[[Mapping[str, str], Node], bool],
    ) -> NDArray[np.uint64]:
        found = self.every.copy()
        for place, needing in enumerate(self.needs):
            known = place, tuple([sort[each] for each in self.reads[place]])
            truth = self.truths.get(known)
            if truth is None:
                if len(self.truths) >= _MOST_TRUTHS:
                    self.truths.clear()
                truth = self.truths[known] = holds(context, self.leaves[place])
            if not truth:
                found &= ~needing
        if len(self.kept) >= _MOST_SORTS:
            self.kept.clear()
        self.kept[sort] = found
        return found


def request_tier(
    needed: Sequence[tuple[int, Sequence[Node]]], every: NDArray[np.uint64]
) -> RequestTier:
    """The tier of conjunctions, each with the leaves that it needs of the request."""
    leaves = list(dict.fromkeys(leaf for _, of in needed for leaf in of))
    places = {leaf: place for place, leaf in enumerate(leaves)}
    needs = np.zeros((len(leaves), len(every)), np.uint64)
    for conjunction, of in needed:
        for leaf in of:
            needs[places[leaf], conjunction >> 6] |= np.uint64(1) << np.uint64(conjunction & 63)
    # What a leaf looks at: texts, by their key; numbers, by how and where they are read.
    texts: dict[str, None] = {}
    borders: dict[tuple[str, str], set[float | int]] = {}
    looked: list[set[str | tuple[str, str]]] = []
    for leaf in leaves:
        looked.append(set())
        for part in _parts(leaf):
            operand = _compared(part.term)
            if operand is None:
                keys = [each.value for each in part.term.walk() if each.op == "context"]
                texts |= dict.fromkeys(keys)
                looked[-1].update(keys)
            else:
                reader, key, border = operand
                borders.setdefault((reader, key), set()).add(border)
                looked[-1].add((reader, key))
    numbers = [
        Number(key, _READERS[reader], tuple(sorted(of))) for (reader, key), of in borders.items()
    ]
    every_look: list[str | tuple[str, str]] = [*texts, *borders]
    reads = [tuple(k for k, each in enumerate(every_look) if each in of) for of in looked]
    return RequestTier(tuple(leaves), tuple(texts), tuple(numbers), tuple(reads), every, needs)


def reads_request_alone(node: Node) -> bool:
    """Whether the request decides a leaf, whoever the buyer and whatever the moment."""
    parts = list(_parts(node))
    return bool(parts) and all(isinstance(p, Computed) and _of_request(p.term) for p in parts)


def _parts(node: Node) -> list[Computed]:
    if isinstance(node, AllOf | AnyOf):
        return [each for part in node.parts for each in _parts(part)]
    return [node]  # type: ignore[list-item]  # whoever asks for a term has seen that it is one


def _of_request(term: Term) -> bool:
    return (
        term.reads_context
        and not term.reads_clock
        and not any(each.op in SOURCES or each.op == "bucket" for each in term.walk())
    )


def _compared(term: Term) -> tuple[str, str, float | int] | None:
    """How a number is read, its key, and what it is compared with, if that is all of a term."""
    if term.op not in _COMPARES:
        return None
    given, fixed = term.args
    if given.op not in _READERS or fixed.op != "const" or fixed.value is None:
        return None
    if given.args[0].op != "context" or given.kind is not fixed.kind:
        return None
    return given.op, given.args[0].value, fixed.value
