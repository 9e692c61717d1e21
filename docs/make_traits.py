#!/usr/bin/env python
"""Which traits does the page list? Those of the catalogue: `python docs/make_traits.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from segengine.schema.tables import CUSTOMERS, catalogue
from segengine.traits.catalogue import CATALOGUE, FAMILIES, WORDS
from segengine.traits.products import PRODUCT_TRAITS
from segengine.traits.trait import Trait

PAGE = Path(__file__).with_name("traits.md")
HEAD = """\
# Traits

*What does the store know about a buyer?*

<!-- Made by docs/make_traits.py from segengine/traits/catalogue.py: change it there. -->

A rule may read three sorts of facts: columns that the shop [loaded](loading.md) into `customers`,
the {count} traits below, which are computed from events, and [traits that a store
declares](aggregates.md#traits-of-your-own) in the rule language. `segengine traits` lists all for a
store, with `--out traits.csv` for a spreadsheet.

```python
import segengine as se

engine = se.Engine.open("shop")
columns = ["nickname", "recency_days", "order_count", "amount_total", "rfm_cell", "lifecycle_stage"]
for row in engine.segment("customer_id <= 5").table(columns).to_pylist():
    print(*row.values())
```

```text
1 Mei 5 4 1390.0000 555 active
2 Jun 124 3 592.0000 155 sleeping
3 Lan 5 1 58.0000 511 new
4 Bo None 0 0.0000 None prospect
5 Hui 489 2 2300.0000 155 lapsed
```

- A name carries its unit: `_days`, `_count`, `_30d`. `_30d` is the 30 dates that end today, in the
  store's timezone.
- Counts and sums over nothing are 0. Dates, averages and scores over nothing are missing.
- Only events up to `as_of` count.
- Amounts are net of refunds where the table says so, and exact.
"""

GIVEN = """\
Each of them is missing where the shop gave nothing; `tags` is then the empty list. A channel of
`store.channels` adds `<channel>_consent` and `has_<channel>`, both BOOLEAN, and a mapping may add
any column.
"""

PRODUCTS = """\
These are traits of a product, not of a buyer: columns of `products`, for [rules over
products](products.md#rules), and `product.name` [inside FILTER](aggregates.md). What a class or a
role rests on is on a [page of its own](products.md).
"""

TAIL = """\
## When they change

Every trait is right again when an `append` returns. What time alone changes (`recency_days`, the
`_30d` windows, stages) is right at every moment that is asked about: the store's date turns at its
own midnight.

The cuts behind `r_score`, `f_score`, `m_score`, `value_tier` and `price_band`, and the mean scores
behind `rfm_group`, need all buyers. They are fitted by every `load` and when the date turns, not
by an `append`; between two fits a score is the current value against the cuts as they were fitted.
With `rfm.mode = "fixed"` the cuts of the scores are [yours](store-toml.md#rfm), and so are the
thresholds of `lifecycle_stage` unless they are [fitted](store-toml.md#lifecycle) too.
`engine.fits` has the current ones:

```python
fits = engine.fits
print(fits.shown["recency"], fits.shown["orders"])
print(fits.shown["lifecycle"])
```

```text
(52.0, 75.4, 91.4, 112.0) (1.0, 1.0, 1.0, 1.4)
{'new_days': 30, 'active_days': 60, 'sleeping_days': 180, 'source': 'as given in store.toml'}
```

Cuts are continuous quantiles at .2, .4, .6 and .8 over the buyers with a purchase. Buyers with the
same value have the same score, so that a group may be empty: where most bought once, nobody has an
`f_score` of 2.

## Before you change a threshold

`engine.preview` says what other settings would do, and changes nothing: who would be in another
stage, and which traits would be others for how many buyers. It takes what
[store.toml](store-toml.md) would say, and keeps what it does not name. `segengine preview` does the
same [in a terminal](cli.md#segengine-preview).

```python
told = engine.preview({"lifecycle": {"active_days": 30, "sleeping_days": 90}})
for move in told.moves:
    print(move.before, "->", move.after, move.buyers, move.customer_ids)
print([(each.trait, each.buyers) for each in told.traits])
```

```text
active -> sleeping 2 (14, 15)
sleeping -> lapsed 5 (2, 7, 10, 12, 13)
[('lifecycle_stage', 7), ('previous_stage', 9), ('stage_changed_at', 11)]
```
"""


def page() -> str:
    """The whole page."""
    columns = catalogue()[CUSTOMERS].columns
    given = [[f"`{c.name}`", c.kind.value] for c in columns]
    given[0][1] = "BIGINT or VARCHAR"
    parts = [
        HEAD.replace("{count}", str(len(CATALOGUE))),
        "## Given",
        GIVEN,
        _table(["column", "kind"], given),
    ]
    head = ["trait", "kind", "what it is", "missing when"]
    sentences = {family.name: family.sentence for family in FAMILIES if family.sentence}
    for family, sentence in sentences.items():
        traits = [trait for trait in CATALOGUE if trait.family == family]
        parts += [f"## {family[0].upper()}{family[1:]}", sentence, _table(head, map(_row, traits))]
    parts += ["## Product side", PRODUCTS, _table(head, map(_row, PRODUCT_TRAITS))]
    return "\n\n".join(part.strip("\n") for part in [*parts, _values(), TAIL]) + "\n"


def _row(trait: Trait) -> list[str]:
    kind = trait.kind.value + (f", {trait.unit}" if trait.unit not in ("", "instant") else "")
    return [f"`{trait.name}`", kind, trait.definition, trait.missing]


def _values() -> str:
    """The texts that a text trait may be, in their order."""
    rows = []
    products = {f"products.{t.name}": t.words for t in PRODUCT_TRAITS if t.words}
    for name, words in (WORDS | products).items():
        shown = words if len(words) < 20 else (words[0], words[1], "...", words[-1])
        rows.append([f"`{name}`", ", ".join(w if w == "..." else f"`{w}`" for w in shown)])
    return "## Values of text traits\n\n" + _table(["trait", "is one of"], rows)


def _table(head: Sequence[str], rows: Iterator[list[str]] | Sequence[list[str]]) -> str:
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
