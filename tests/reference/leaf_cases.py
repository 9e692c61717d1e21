"""A shop, a moment, what rules may speak of there, and a source of rules: all of one seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import cast

from .leaves import Named
from .random_events import Shop, random_shop
from .random_leaves import LeafMaker, Words, leaf_maker
from .random_rules import random_world
from .rules import Constant, CustomerId, Node, Type, World

CONSTANTS: Mapping[str, int | float] = {"magic_number": 6, "share": 0.25}
AFFINITIES: Mapping[str, Sequence[str]] = {
    "category": ("tea", "skincare", "of nobody"),
    "brand": ("a",),
}
DECLARED = "declared"
"""The name of the trait that a case declares in the rule language."""


@dataclass(frozen=True, slots=True)
class LeafCase:
    """`declared`: what the trait of that name stands for."""

    seed: int
    maker: LeafMaker
    shop: Shop
    world: World
    declared: Node

    def rules(self, count: int) -> Iterator[Node]:
        """Rules near the values of the first buyers."""
        for _ in range(count):
            yield self.maker.rule(self.maker.rng.choice((1, 1, 2, 3)))


def leaf_case(seed: int, rows: int, *, most_events: int = 6) -> LeafCase:
    """The case of a seed with so many buyers; two of three have ids that are numbers."""
    rng = Random(seed)
    world = random_world(rng)
    text_ids = rng.random() < 0.35
    shop = random_shop(rng, rows, world, text_ids=text_ids, most_events=most_events)
    world = replace(shop.world, affinities=_affinities(rng, shop))
    constants = [
        Named(f"store.{name}", Constant(x, Type.BIGINT if isinstance(x, int) else Type.DOUBLE))
        for name, x in CONSTANTS.items()
    ]
    words = Words(constants, AFFINITIES)
    maker = leaf_maker(rng, shop, world, words)
    declared = replace(maker, overs=False).number()
    plain, vip = replace(maker, overs=False).rule(2), maker.rule(2)
    world = replace(world, segments={"plain": plain, "vip": vip})
    words = Words([*constants, Named(DECLARED, declared)], AFFINITIES, ("plain", "vip"), ("plain",))
    return LeafCase(seed, leaf_maker(rng, shop, world, words), shop, world, declared)


def _affinities(rng: Random, shop: Shop) -> dict[CustomerId, dict[str, dict[str, float]]]:
    """Scores of every buyer, some without any evidence of a kind; the last value has none."""
    ids = cast("list[CustomerId]", shop.standing["customers"]["customer_id"].to_pylist())
    return {
        one: {
            kind: {value: rng.randrange(1, 11) / 10 for value in values if rng.random() < 0.5}
            for kind, values in (("category", ("tea", "skincare")), ("brand", ("a", "b")))
        }
        for one in ids
    }
