"""Is every field of a template known, and can each always be written?

A field is a trait (given, computed or declared), `last_order.` and a column of the orders, or
`payload.` and a key of the payload. What may be missing needs a fallback.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from segengine import days
from segengine.audiences.campaign import Campaign, refuse
from segengine.audiences.text import Field, Words, read_template
from segengine.audiences.text_formats import Format, read_format, written
from segengine.errors import RuleError, did_you_mean
from segengine.rules.check import Vocabulary
from segengine.rules.term import Term
from segengine.schema.kinds import Kind
from segengine.schema.store_config import StoreConfig
from segengine.schema.tables import ORDERS
from segengine.schema.text_settings import START, TextSettings
from segengine.traits.catalogue import BY_NAME

LAST_ORDER, PAYLOAD = "last_order", "payload"
_EXAMPLES = "a field is a trait, such as `nickname`, `last_order.amount` or `payload.code`"
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Value:
    """What is looked up for each buyer. `column`: of orders where `of_order`, else a trait."""

    column: str
    of_order: bool
    format: Format
    fallback: str


@dataclass(frozen=True, slots=True)
class OfArm:
    """What each variant has, in their order; the only one is for a campaign without variants."""

    texts: tuple[str, ...]


Piece = Words | Value | OfArm


@dataclass(frozen=True, slots=True)
class CheckedText:
    """A template that can be written for every buyer, signature included."""

    pieces: tuple[Piece, ...]
    settings: TextSettings


def check_text(campaign: Campaign, words: Vocabulary, config: StoreConfig) -> CheckedText | None:
    """The campaign's text, its fields looked up; a `DefinitionError` has every mistake.

    None where it has none. A budget of money without a price of parts is a mistake here too.
    """
    settings = config.text
    nodes, mistakes = read_template(campaign.text) if campaign.text is not None else ((), [])
    reader = _Reader(campaign, words, config.currency, mistakes)
    pieces = [node if isinstance(node, Words) else reader.piece(node) for node in nodes]
    budget = campaign.budget
    if budget is not None and budget.cost is not None and settings.price_per_part is None:
        mistakes.append("a `budget` of money needs `price_per_part` under `[text]` in store.toml")
    refuse(f"campaign `{campaign.name}`", mistakes, "text" if nodes else "budget")
    if campaign.text is None:
        return None
    signature = Words(settings.signature)
    signed = [signature, *pieces] if settings.signature_at == START else [*pieces, signature]
    return CheckedText(tuple(piece for piece in signed if piece != Words("")), settings)


class _Reader:
    """Collects every mistake while the fields of a template are looked up."""

    def __init__(
        self, campaign: Campaign, words: Vocabulary, currency: str, mistakes: list[str]
    ) -> None:
        self._words, self._currency, self._mistakes = words, currency, mistakes
        self._variants = campaign.variants
        self._payloads = [_merged(campaign.payload, v.payload) for v in campaign.variants]
        if not campaign.variants:
            self._payloads = [campaign.payload]

    def piece(self, field: Field) -> Piece:
        """What a field stands for; nothing where it is a mistake, which is noted."""
        name, dot, key = field.name.partition(".")
        if dot and name == PAYLOAD:
            return self._of_payload(field, key)
        column, of_order = field.name.lower(), False
        if dot and name.lower() == LAST_ORDER:
            column, of_order = key.lower(), True
            kind = self._words.events[ORDERS].get(column)
            always = False
        else:
            kind, always = self._trait(column)
        if kind is None:
            if field.name and not self._has(field):
                self._unknown(field)
            return Words("")
        known = BY_NAME.get(column)
        is_amount = not of_order and kind is Kind.DOUBLE and known is not None and (
            known.unit == "money")  # fmt: skip
        form = self._format(field, kind, is_amount=is_amount)
        if field.fallback is None and not always:
            self._wrong(field, "may be missing: say what to write then, such as "
                        f"`{field.falling_back('...')}`, or nothing, "
                        f"`{field.falling_back('')}`")  # fmt: skip
        return Words("") if form is None else Value(column, of_order, form, field.fallback or "")

    def _has(self, field: Field) -> bool:
        """Whether a mistake at the field has been noted already."""
        return any(mistake.startswith(field.place) for mistake in self._mistakes)

    def _wrong(self, field: Field, what: str) -> None:
        self._mistakes.append(f"{field.place} {what}")

    def _trait(self, name: str) -> tuple[Kind | None, bool]:
        """The kind of a trait, None for an unknown one, and whether it is never missing."""
        term = None
        if name in self._words.declared_names and self._words.declared is not None:
            try:
                term = self._words.declared(name)
            except RuleError as error:
                self._mistakes.append(str(error))
                return None, False
        elif name in self._words.traits:
            term = Term("column", self._words.traits[name], value=name)
        if term is None:
            return None, False
        return term.kind, term.kind is not Kind.TAGS and is_never_missing(term)

    def _format(self, field: Field, kind: Kind, *, is_amount: bool = False) -> Format | None:
        found = read_format(kind, field.format, self._currency, is_amount=is_amount)
        if not isinstance(found, str):
            return found
        if not self._has(field):
            self._wrong(field, found)
        return None

    def _unknown(self, field: Field) -> None:
        known = [*self._words.traits, *self._words.declared_names]
        known += [f"{LAST_ORDER}.{column}" for column in self._words.events[ORDERS]]
        known += [f"{PAYLOAD}.{key}" for payload in self._payloads for key in _keys(payload)]
        hint = did_you_mean(field.name, list(dict.fromkeys(known)))
        self._wrong(field, f"is unknown; {hint or _EXAMPLES}")

    def _of_payload(self, field: Field, key: str) -> Piece:
        found = [_looked_up(payload, key) for payload in self._payloads]
        texts = [self._said(field, value) for value in found]
        without = [p for p, text in enumerate(texts) if text is None and field.fallback is None]
        if all(value is _ABSENT for value in found):
            # With a fallback too: a key that nothing has is a slip of the pen.
            self._unknown(field)
        elif without and not self._variants:
            self._wrong(field, "is empty in the payload")
        elif without:
            names = " and ".join(f"`{self._variants[place].name}`" for place in without)
            self._wrong(field, f"is missing for {names}: add it to the payload, or say what to "
                        f"write then, such as `{field.falling_back('...')}`")  # fmt: skip
        fallback = field.fallback or ""
        return OfArm(tuple(fallback if text is None else text for text in texts))

    def _said(self, field: Field, value: Any) -> str | None:
        """A value of a payload as it is written; None where it is missing or a mistake."""
        if value is _ABSENT or value is None:
            return None
        kind = _kind_of(value)
        if kind is None:
            if not self._has(field):
                self._wrong(field, f"is no text, number, date or truth but `{value}`")
            return ""
        form = self._format(field, kind)
        if form is None:
            return ""
        if isinstance(value, datetime):
            value = days.moment(days.micros(value, self._words.zone))
        found = written(pa.array([value], _ARROW[kind]), form, self._words.zone)[0].as_py()
        return None if found is None else str(found)


_ARROW = {
    Kind.VARCHAR: pa.large_string(),
    Kind.BIGINT: pa.int64(),
    Kind.DOUBLE: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.DATE: pa.date32(),
    Kind.TIMESTAMP: pa.timestamp("us", "UTC"),
    Kind.TAGS: pa.list_(pa.large_string()),
    Kind.MONEY: pa.decimal128(18, 9),
}


def _kind_of(value: Any) -> Kind | None:
    """The kind that a value of a payload is written as; None: it cannot be."""
    if isinstance(value, bool):
        return Kind.BOOLEAN
    if isinstance(value, int):
        return Kind.BIGINT if -(2**63) < value < 2**63 else None
    if isinstance(value, Decimal):
        fits = value.is_finite() and value == round(value, 9) and abs(value) < 10**9
        return Kind.MONEY if fits else None
    if isinstance(value, list | tuple):
        return Kind.TAGS if all(isinstance(item, str) for item in value) else None
    for kind, types in (
        (Kind.VARCHAR, str), (Kind.DOUBLE, float), (Kind.TIMESTAMP, datetime), (Kind.DATE, date),
    ):  # fmt: skip
        if isinstance(value, types):
            return kind
    return None


def _merged(campaign: Any, variant: Any) -> Any:
    """A variant's payload; keys that only the campaign's has are the variant's too."""
    if variant is None:
        return campaign
    if isinstance(campaign, Mapping) and isinstance(variant, Mapping):
        return {**campaign, **variant}
    return variant


def _looked_up(payload: Any, key: str) -> Any:
    """The value under a key, whose dots lead inwards."""
    found = payload
    for step in key.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return _ABSENT
        found = found[step]
    return found


def _keys(payload: Any) -> list[str]:
    return [str(key) for key in payload] if isinstance(payload, Mapping) else []


def is_never_missing(term: Term) -> bool:
    """Whether a term has a value for every buyer, as far as its form tells."""
    match term.op:
        case "const":
            return term.value is not None
        case "column":
            known = BY_NAME.get(term.value)
            return term.value == "customer_id" or (known is not None and known.missing == "never")
        case "history":
            return term.value.agg in ("count", "sum")
        case "coalesce":
            return any(is_never_missing(arg) for arg in term.args)
        case "segment" | "declared":
            return is_never_missing(term.args[0])
        case "is_null":
            return True
    return False
