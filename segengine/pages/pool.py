"""What is a product pool: which products may a module show, how many, which first, which never?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segengine.audiences.campaign import RuleLike, refuse
from segengine.errors import did_you_mean
from segengine.rules.builder import Rule

MOST_PRODUCTS = 1_000
"""More than any page shows; each costs a buyer's answer a line."""
_KEYS = ("rule", "k", "pin", "ban", "open_carts_first")


@dataclass(frozen=True, slots=True)
class Pool:
    """Products for a module, ranked for one buyer.

    rule: over products, in the rule language; None is all. Products without stock are left out
    unless the rule names `stock` itself; an unknown stock is no reason. k: how many are shown,
    from 1. pin: product_ids that stand first, in this order, those of them that are in stock; a
    pin need not satisfy the rule, and of more than k the first k show. ban: product_ids that are
    never shown. open_carts_first: what the buyer left in the cart comes next, the latest first.
    A product both pinned and banned, or named twice, is refused.
    """

    rule: RuleLike | None = None
    k: int = 10
    pin: Sequence[int | str] = ()
    ban: Sequence[int | str] = ()
    open_carts_first: bool = False

    def __post_init__(self) -> None:
        mistakes, pins, bans = _checked(
            self.rule, self.k, self.pin, self.ban, self.open_carts_first
        )
        refuse("a pool", mistakes, "pool")
        object.__setattr__(self, "pin", pins)
        object.__setattr__(self, "ban", bans)


_Ids = tuple[int | str, ...]


def _checked(
    rule: object, k: object, pin: object, ban: object, open_carts_first: object
) -> tuple[list[str], _Ids, _Ids]:
    """Everything that is wrong with a pool, its pins and its bans."""
    mistakes = []
    if rule is not None and not isinstance(rule, str | Rule):
        mistakes.append(f"`rule` is a rule over products, a text or an expression, not `{rule}`")
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= MOST_PRODUCTS:
        mistakes.append(f"`k` is a whole number from 1 to {MOST_PRODUCTS:,}, not `{k}`")
    if not isinstance(open_carts_first, bool):
        mistakes.append(f"`open_carts_first` is true or false, not `{open_carts_first}`")
    pins, wrong = _ids("pin", "pinned", pin)
    bans, also_wrong = _ids("ban", "banned", ban)
    mistakes += wrong + also_wrong
    mistakes += [
        f"product `{each}` is both pinned and banned; keep one" for each in pins if each in bans
    ]
    return mistakes, pins, bans


def read_pool(pool: object) -> tuple[Pool | None, list[str]]:
    """A module's pool as given, `Pool` or a mapping, and what is wrong with it."""
    if pool is None or isinstance(pool, Pool):
        return pool, []
    if not isinstance(pool, Mapping):
        return None, [f"`pool` is a `Pool(rule, k, pin, ban, open_carts_first)`, not `{pool}`"]
    given: Mapping[str, Any] = {
        "rule": None, "k": 10, "pin": (), "ban": (), "open_carts_first": False
    } | dict(pool)  # fmt: skip
    mistakes = [
        f"`pool.{key}` is not a setting; "
        + (did_you_mean(str(key), _KEYS) or f"known here: {', '.join(_KEYS)}")
        for key in pool
        if key not in _KEYS
    ]
    found, _, _ = _checked(*(given[key] for key in _KEYS))
    mistakes += [f"pool: {each}" for each in found]
    return (None, mistakes) if mistakes else (Pool(**given), [])


def _ids(key: str, done: str, given: object) -> tuple[_Ids, list[str]]:
    """The product_ids of a list, each once, and what is wrong with it."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        return (), [f"`{key}` is a list of product_ids, not `{given}`"]
    found: dict[int | str, int] = {}
    wrong = []
    for each in given:
        if not isinstance(each, int | str) or isinstance(each, bool):
            wrong.append(f"`{key}` holds `{each}`; a product_id is a whole number or a text")
        else:
            found[each] = found.get(each, 0) + 1
    wrong += [f"product `{each}` is {done} twice" for each, times in found.items() if times > 1]
    return tuple(found), wrong
