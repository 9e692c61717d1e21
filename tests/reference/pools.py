"""Which products does a pool show a buyer? Product by product, from lists of what happened.

Knows nothing of the engine: rows as dictionaries, the calendar from `zoneinfo`. What a shop fits
at its last load or date (who sells best, what is bought together, price levels) is told by the
events up to that moment, which are given apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from math import ceil, floor, sqrt
from typing import Any
from zoneinfo import ZoneInfo

Id = Any
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Settings:
    """What `[pools]` says; a weight for each term and each doing."""

    terms: Mapping[str, float]
    doings: Mapping[str, float]
    half_life_days: float = 3.0
    recent_days: int = 14
    just_bought_days: int = 30
    bought_together_days: int = 30
    best_seller_days: int = 30
    most_of_category: float = 0.5
    least_orders: int = 3


@dataclass(frozen=True)
class Shop:
    """What happened, up to as_of. Lines and behaviors are rows of one buyer or of all.

    products: by id, with category, brand, level, stock
    fitted_lines, fitted_products: those that were there at the last fit
    lines: purchased ones, with customer_id, order_id, product_id, time, quantity
    """

    timezone: str
    as_of: datetime
    fitted_at: datetime
    products: Mapping[Id, Row]
    lines: Sequence[Row]
    fitted_lines: Sequence[Row]
    behaviors: Sequence[Row]
    fitted_products: frozenset[Id]


@dataclass(frozen=True)
class Wanted:
    """A pool; `holds`: for which products its rule is true."""

    holds: frozenset[Id]
    k: int
    pin: Sequence[Id] = ()
    ban: Sequence[Id] = ()
    open_carts_first: bool = False
    asks_stock: bool = False


@dataclass(frozen=True)
class Taste:
    """A buyer's affinities by kind and value, price band, and what is in the cart, latest first."""

    affinities: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    band: str | None = None
    open_carts: Sequence[Id] = ()


LEVELS = ("low", "middle", "high")


def age(shop: Shop, moment: datetime, today: datetime) -> int:
    """How many dates lie between a moment and today, by the shop's calendar."""
    zone = ZoneInfo(shop.timezone)
    return (today.astimezone(zone).date() - moment.astimezone(zone).date()).days


def within(shop: Shop, rows: Iterable[Row], days: int, today: datetime) -> list[Row]:
    """The rows on the `days` dates that end today, up to now."""
    return [r for r in rows if r["time"] <= today and 0 <= age(shop, r["time"], today) < days]


def by_sales(shop: Shop, days: int) -> tuple[list[Id], int]:
    """All products, the best seller first, and how many of them have sold anything."""
    items: Counter[Id] = Counter()
    for line in within(shop, shop.fitted_lines, days, shop.fitted_at):
        items[line["product_id"]] += 1 if line["quantity"] is None else line["quantity"]
    order = sorted(shop.products, key=lambda each: (-items[each], _as_kept(each)))
    return order, sum(items[each] > 0 for each in order)


def _as_kept(product_id: Id) -> Any:
    return product_id.encode() if isinstance(product_id, str) else product_id


def bought_together(shop: Shop, least: int) -> dict[Id, list[tuple[Id, float, int]]]:
    """For each product the 20 nearest: (product_id, cosine, orders of both)."""
    baskets: dict[Any, set[Id]] = defaultdict(set)
    for line in within(shop, shop.fitted_lines, 365, shop.fitted_at):
        if line["product_id"] in shop.fitted_products:
            baskets[line["order_id"]].add(line["product_id"])
    counted: Counter[Id] = Counter()
    both: Counter[tuple[Id, Id]] = Counter()
    for basket in baskets.values():
        if 2 <= len(basket) <= 50:
            counted.update(basket)
            for one, other in combinations(sorted(basket, key=_as_kept), 2):
                both[one, other] += 1
                both[other, one] += 1
    found: dict[Id, list[tuple[Id, float, int]]] = {each: [] for each in shop.products}
    for (one, other), orders in both.items():
        if orders >= least:
            cosine = orders / sqrt(counted[one] * counted[other])
            found[one].append((other, cosine, orders))
    for near in found.values():
        near.sort(key=lambda each: (-round(each[1], 12), -each[2], _as_kept(each[0])))
        del near[20:]
    return found


def remaining(shop: Shop, settings: Settings, wanted: Wanted, lines: Sequence[Row]) -> set[Id]:
    """The products that may be shown to a buyer, pins aside; lines are theirs."""
    bought = within(shop, lines, settings.just_bought_days, shop.as_of)
    return {
        each
        for each, row in shop.products.items()
        if each in wanted.holds
        and (wanted.asks_stock or _in_stock(row))
        and each not in wanted.ban
        and each not in {line["product_id"] for line in bought}
    }


def _in_stock(row: Row) -> bool:
    return row["stock"] is None or row["stock"] > 0


def pool(
    shop: Shop,
    settings: Settings,
    wanted: Wanted,
    taste: Taste,
    lines: Sequence[Row],
    behaviors: Sequence[Row],
) -> list[tuple[Id, float, str]]:
    """(product_id, score, reason) of what a buyer sees; lines and behaviors are theirs."""
    order, sold = by_sales(shop, settings.best_seller_days)
    recent = within(shop, behaviors, settings.recent_days, shop.as_of)
    anchors = {
        line["product_id"]
        for line in within(shop, lines, settings.bought_together_days, shop.as_of)
    } | set(taste.open_carts)
    near = bought_together(shop, settings.least_orders)
    total = sum(settings.terms.values())

    def done(rows: Iterable[Row]) -> float:
        summed = 0.0
        for row in rows:
            weight = settings.doings.get(row["kind"], 0.0)
            summed += weight * 2 ** (-age(shop, row["time"], shop.as_of) / settings.half_life_days)
        return summed / (1 + summed)

    def liked(kind: str, value: str | None) -> float:
        scores = taste.affinities.get(kind, {})
        return scores.get(value, 0.0) / max(scores.values()) if scores and value else 0.0

    def terms(each: Id) -> dict[str, float]:
        row = shop.products[each]
        place = order.index(each)
        level = row["level"]
        together = [c for a in anchors for other, c, _ in near.get(a, ()) if other == each]
        category = row["category"]
        raw = {
            "recent": done(r for r in recent if r["product_id"] == each),
            "bought_together": max(together, default=0.0),
            "category": liked("category", category),
            "recent_category": done(
                r for r in recent if category is not None and r["category"] == category
            ),
            "brand": liked("brand", row["brand"]),
            "price": 0.0 if taste.band is None or level is None
            else 1 - abs(LEVELS.index(taste.band) - LEVELS.index(level)) / 2,
            "best_seller": (sold - place) / sold if place < sold else 0.0,
        }  # fmt: skip
        return {name: settings.terms[name] / total * value for name, value in raw.items()}

    def score(each: Id) -> float:
        return floor(sum(terms(each).values()) * 1_000_000 + 0.5) / 1_000_000

    def reason(each: Id) -> str:
        found = terms(each)
        own = "open_cart" if each in taste.open_carts else "viewed"
        summed = {
            own: found["recent"],
            "bought_together": found["bought_together"],
            "category": found["category"] + found["recent_category"],
            "brand": found["brand"],
            "price": found["price"],
            "best_seller": found["best_seller"],
        }
        # The first of those that are the greatest, but for the last digits of a sum.
        greatest = max(summed.values())
        near_to = [n for n, value in summed.items() if value > 0 and value >= greatest - 1e-12]
        return near_to[0] if greatest > 0 else "listed"

    pins = [p for p in wanted.pin if p in shop.products and _in_stock(shop.products[p])]
    rest = remaining(shop, settings, wanted, lines)
    first = [(each, "pinned") for each in pins]
    if wanted.open_carts_first:
        first += [
            (each, "open_cart")
            for each in dict.fromkeys(taste.open_carts)
            if each in rest and each not in pins
        ]
    if not pins and not rest:
        return []
    shown = [(each, score(each), why) for each, why in first][: wanted.k]
    ranked = sorted(
        rest - {each for each, _ in first}, key=lambda each: (-score(each), order.index(each))
    )
    most = max(1, ceil(settings.most_of_category * wanted.k - 1e-9))
    per_category = Counter(shop.products[each]["category"] for each, _, _ in shown)
    passed = []
    for each in ranked:
        category = shop.products[each]["category"]
        if len(shown) == wanted.k:
            break
        if category is None or per_category[category] < most:
            per_category[category] += 1
            shown.append((each, score(each), reason(each)))
        else:
            passed.append(each)
    for each in passed[: wanted.k - len(shown)]:
        shown.append((each, score(each), reason(each)))
    return shown
