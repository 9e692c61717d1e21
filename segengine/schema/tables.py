"""Which tables does a store have, which columns do they come with, and what identifies a row?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from segengine.schema.kinds import Kind

CUSTOMERS, PRODUCTS = "customers", "products"
ORDERS, ORDER_LINES, PURCHASES = "orders", "order_lines", "purchases"

STATUS_TIMES = (
    "paid_at",
    "shipped_at",
    "arrived_at",
    "delivered_at",
    "confirmed_at",
    "closed_at",
    "refunded_at",
)
"""An orders source that has none of these has no statuses: every order of it is a purchase."""

FILLED = {"category": 1, "brand": 2}
"""What an event takes from its product where it has none, and the bit that marks it as taken."""


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column. `identifier`: int64 or text, fixed by the first load that brings it."""

    name: str
    kind: Kind
    identifier: bool = False


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table: its known columns, the columns that identify a row, and those it must have."""

    name: str
    columns: tuple[ColumnSpec, ...]
    key: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    is_event: bool = True
    by_name: dict[str, ColumnSpec] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {c.name: c for c in self.columns})


def _columns(text: str, kind: Kind, *, identifier: bool = False) -> tuple[ColumnSpec, ...]:
    return tuple(ColumnSpec(name, kind, identifier) for name in text.split())


_EVENT = (
    *_columns("customer_id event_id", Kind.BIGINT, identifier=True),
    *_columns("time", Kind.TIMESTAMP),
)
_NEEDS = ("customer_id", "time")


def _event(name: str, *columns: tuple[ColumnSpec, ...], key: tuple[str, ...] = ()) -> TableSpec:
    flat = tuple(c for group in columns for c in group)
    return TableSpec(name, _EVENT + flat, key=key, required=_NEEDS)


_CATALOGUE: tuple[TableSpec, ...] = (
    TableSpec(
        CUSTOMERS,
        (
            *_columns("customer_id", Kind.BIGINT, identifier=True),
            *_columns("nickname gender region city acquisition_channel credit_level", Kind.VARCHAR),
            *_columns("birthday", Kind.DATE),
            *_columns("joined_at card_claimed_at", Kind.TIMESTAMP),
            *_columns("member_level", Kind.BIGINT),
            *_columns("tags", Kind.TAGS),
        ),
        key=("customer_id",),
        required=("customer_id",),
        is_event=False,
    ),
    TableSpec(
        PRODUCTS,
        (
            *_columns("product_id", Kind.BIGINT, identifier=True),
            *_columns("category brand matrix_class role", Kind.VARCHAR),
            *_columns("price cost", Kind.MONEY),
            *_columns("listed_at", Kind.TIMESTAMP),
            *_columns("stock", Kind.BIGINT),
            *_columns("tags", Kind.TAGS),
        ),
        key=("product_id",),
        required=("product_id",),
        is_event=False,
    ),
    _event(
        ORDERS,
        _columns("order_id", Kind.BIGINT, identifier=True),
        _columns(" ".join(STATUS_TIMES), Kind.TIMESTAMP),
        _columns("refund_amount amount", Kind.MONEY),
        _columns("close_reason payment channel region promotion", Kind.VARCHAR),
        _columns("is_purchase", Kind.BOOLEAN),
        key=("order_id",),
    ),
    _event(
        ORDER_LINES,
        _columns("order_id line_id product_id", Kind.BIGINT, identifier=True),
        _columns("category brand", Kind.VARCHAR),
        _columns("quantity", Kind.BIGINT),
        _columns("amount list_amount", Kind.MONEY),
        _columns("is_purchase", Kind.BOOLEAN),
        key=("order_id", "line_id"),
    ),
    _event(
        "behaviors",
        _columns("product_id", Kind.BIGINT, identifier=True),
        _columns("kind category brand query source device activity question answer", Kind.VARCHAR),
    ),
    _event(
        "reviews",
        _columns("review_id product_id", Kind.BIGINT, identifier=True),
        _columns("rating", Kind.BIGINT),
        key=("review_id",),
    ),
    _event(
        "messages",
        _columns("campaign run channel kind class variant", Kind.VARCHAR),
        _columns("parts", Kind.BIGINT),
    ),
    _event("impressions", _columns("page slot module variant kind", Kind.VARCHAR)),
    _event("points", _columns("kind", Kind.VARCHAR), _columns("amount", Kind.BIGINT)),
)


def catalogue(
    channels: tuple[str, ...] = (), further: dict[str, dict[str, Kind]] | None = None
) -> dict[str, TableSpec]:
    """Every table of a store by name, with what `store.toml` adds, in loading order.

    `channels` give the customers `<channel>_consent` and `has_<channel>`; `further` are the
    event tables under `[tables]`.
    """
    tables = {spec.name: spec for spec in _CATALOGUE}
    consents = tuple(
        ColumnSpec(name, Kind.BOOLEAN)
        for channel in channels
        for name in (f"{channel}_consent", f"has_{channel}")
    )
    customers = tables[CUSTOMERS]
    tables[CUSTOMERS] = replace(customers, columns=customers.columns + consents)
    for name, columns in (further or {}).items():
        added = tuple(ColumnSpec(c, kind) for c, kind in columns.items() if c not in _NEEDS)
        tables[name] = _event(name, added)
    return tables
