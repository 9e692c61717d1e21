"""Who gets this campaign, step by step, and why not the others?

population -> rule -> exclusions -> consent -> suppression -> global_holdout -> frequency_cap ->
arbitration -> limit -> holdout. Each step has the bitmap of those it left in, so the ledger sums
and the step that dropped a buyer can be named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine import days
from segengine.audiences import message_loops
from segengine.audiences.bucketing import Buckets, share_limit, variant_table
from segengine.audiences.budget import reached
from segengine.audiences.campaign import Campaign, within_hours
from segengine.audiences.letters import BATCH_ROWS, Letters, letters, names_of, spread
from segengine.audiences.text_check import CheckedText
from segengine.errors import DefinitionError, UnknownCustomer
from segengine.kernels import bits, jit
from segengine.rules.evaluate import values_of
from segengine.rules.explain import explain
from segengine.rules.frame import Words
from segengine.rules.population import Population
from segengine.rules.segment import Looking, View, ids_of, rows_of, table_of
from segengine.rules.term import CheckedRule, Term
from segengine.schema.kinds import Kind
from segengine.tables.events import EventTable

STEPS = (
    "population",
    "rule",
    "exclusions",
    "consent",
    "suppression",
    "global_holdout",
    "frequency_cap",
    "arbitration",
    "limit",
    "holdout",
)
LEDGER = pa.schema(
    [
        ("step", pa.string()),
        ("entered", pa.int64()),
        ("dropped", pa.int64()),
        ("remaining", pa.int64()),
        ("reasons", pa.string()),
    ]
)
GLOBAL_HOLDOUT_SALT = "global:holdout"


@dataclass(frozen=True, slots=True)
class CheckedCampaign:
    """A campaign whose rules are checked; `order_by` with its direction."""

    campaign: Campaign
    rule: CheckedRule
    exclusions: tuple[CheckedRule, ...]
    order_by: Term | None = None
    descending: bool = False
    text: CheckedText | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What the store decides for every campaign."""

    channels: tuple[str, ...]
    consent_missing: str
    holdout_share: float
    suppressions: tuple[tuple[str, CheckedRule], ...]
    messages: EventTable
    price_per_part: Decimal | None = None


@dataclass(frozen=True, slots=True)
class AudienceExplanation:
    """Why a buyer is or is not addressed. step None: targeted, with `variant` if there are any."""

    customer_id: int | str
    step: str | None
    variant: str | None
    holds: bool
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class _Tally:
    """The ledger while it is made."""

    left: list[Words] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def step(self, words: Words, reason: str) -> Words:
        self.left.append(words)
        self.reasons.append(reason)
        return words


class Audience:
    """A frozen answer: whom a campaign addresses at one moment.

    Members and arms are fixed; columns of `table` are read when it is asked.
    """

    def __init__(
        self,
        checked: CheckedCampaign,
        view: View,
        policy: Policy,
        buckets: Buckets,
        looking: Looking,
    ) -> None:
        campaign = checked.campaign
        self.campaign = campaign.name
        self.as_of: datetime = days.moment(view.clock.as_of)
        self.data_version = view.data_version
        self.active = is_active(campaign, view.clock.as_of, view.clock.zone)
        self._checked = checked
        self._looking = looking
        self._variants = tuple(v.name for v in campaign.variants)
        tally = _Tally()
        _decide(checked, view, policy, buckets, tally)
        self._left, self._reasons = tally.left, tally.reasons
        self._rows = rows_of(self._left[-1])
        self._arms = _arms(campaign, buckets, self._rows)
        self._ids = ids_of(view.population, self._left[-1])

    def count(self) -> int:
        """How many buyers are targeted; nobody held out is among them."""
        return len(self._rows)

    def ids(self) -> pa.Array:
        """The targeted customer_ids, in the order first seen."""
        return self._ids

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """customer_id, variant, then these columns, of the targeted buyers."""
        extra = [c for c in columns or () if c not in ("customer_id", "variant")]
        with self._looking() as view:
            found = table_of(view, self._rows, extra)
        arms = self._arms if self._arms is not None else np.full(len(self._rows), -1, np.int16)
        return found.set_column(0, "customer_id", self._ids).add_column(
            1, "variant", names_of(arms, self._variants)
        )

    def preview(self, count: int = 10) -> pa.Table:
        """Table(customer_id, variant, text, characters, parts, cost) of some who are targeted.

        They stand evenly far apart in the order first seen, so they are the same each time.
        `DefinitionError` where the campaign has no text.
        """
        chosen = spread(len(self._rows), count)
        ids = self._ids.take(pa.array(chosen))
        return pa.Table.from_batches(self._letters(chosen).batches(ids, self._variants))

    def texts(self, *, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """As `preview`, for everybody who is targeted, a batch at a time.

        Values are read at the call, together; texts are made of them as batches are taken.
        """
        if batch_rows < 1:
            raise DefinitionError(f"`batch_rows` is a whole number from 1, not `{batch_rows}`",
                                  field="batch_rows")  # fmt: skip
        found = self._letters(np.arange(len(self._rows)))
        return found.batches(self._ids, self._variants, batch_rows)

    def bill(self) -> pa.Table:
        """Table(variant, parts_each, buyers, parts, cost): what sending to everybody takes.

        A row for each variant and number of parts; cost is null where `text.price_per_part` is
        not set. `DefinitionError` where the campaign has no text.
        """
        return self._letters(np.arange(len(self._rows))).bill(self._variants)

    def _letters(self, places: NDArray[np.int64]) -> Letters:
        text = self._checked.text
        if text is None:
            raise DefinitionError(f"campaign `{self.campaign}` has no `text`", field="text")
        arms = None if self._arms is None else self._arms[places]
        with self._looking() as view:
            return letters(text, view, self._rows[places], arms)

    @property
    def ledger(self) -> pa.Table:
        """step, entered, dropped, remaining, reasons: all steps, in order, summing exactly."""
        remaining = [int(bits.count_bits(words)) for words in self._left]
        entered = [remaining[0], *remaining[:-1]]
        dropped = [e - r for e, r in zip(entered, remaining, strict=True)]
        rows = [list(STEPS), entered, dropped, remaining, self._reasons]
        return pa.table([pa.array(r, f.type) for r, f in zip(rows, LEDGER, strict=True)],
                        schema=LEDGER)  # fmt: skip

    def explain(self, customer_id: int | str) -> AudienceExplanation:
        """The step that dropped a buyer, or the variant they get; `UnknownCustomer` else."""
        with self._looking() as view:
            row = view.population.customers.row_of(customer_id)
            if row is None or row >= 64 * len(self._left[0]) or not _has(self._left[0], row):
                raise UnknownCustomer(customer_id)
            place = next((i for i, words in enumerate(self._left) if not _has(words, row)), None)
            rules: list[tuple[str, CheckedRule]] = []
            if place is not None and STEPS[place] == "rule":
                rules = [("rule", self._checked.rule)]
            elif place is not None and STEPS[place] == "exclusions":
                rules = [("exclusion", rule) for rule in self._checked.exclusions]
            details = [
                (what, explain(rule.term, view.population, row, view.clock)) for what, rule in rules
            ]
        variant = None
        if place is None and self._arms is not None:
            at = int(np.searchsorted(self._rows, row))
            variant = self._variants[int(self._arms[at])]
        step = None if place is None else STEPS[place]
        head = f"campaign `{self.campaign}`: `{customer_id}` is targeted"
        if variant is not None:
            head += f", variant `{variant}`"
        if place is not None:
            head = f"campaign `{self.campaign}`: `{customer_id}` is dropped at {step}"
            head += f" ({self._reasons[place]})" if self._reasons[place] else ""
        lines = [head]
        for what, reason in details:
            lines.append(f"  {what}:")
            lines += [f"    {line}" for line in reason.lines()]
        return AudienceExplanation(customer_id, step, variant, step is None, "\n".join(lines))


def _has(words: Words, row: int) -> bool:
    return bool(int(words[row >> 6]) >> (row & 63) & 1)


def is_active(campaign: Campaign, as_of: int, zone: days.Zone) -> bool:
    """Whether a moment lies in the campaign's window and day-parts."""
    if campaign.starts_at is not None and as_of < days.micros(campaign.starts_at, zone):
        return False
    if campaign.ends_at is not None and as_of >= days.micros(campaign.ends_at, zone):
        return False
    local = days.moment(as_of + zone.offset_at(as_of)).time()
    return within_hours(campaign.hours, local)


def _decide(
    checked: CheckedCampaign, view: View, policy: Policy, buckets: Buckets, tally: _Tally
) -> None:
    campaign, population = checked.campaign, view.population
    live = population.customers.live[: population.customers.words].copy()
    words = tally.step(live, "all buyers")
    words = tally.step(view.words(checked.rule), checked.rule.text)
    words = _without(words, [view.words(rule) for rule in checked.exclusions])
    tally.step(words, "; ".join(rule.text for rule in checked.exclusions) or "none")
    words = tally.step(*_consented(words, campaign, view, policy))
    bound = campaign.kind in ("marketing", "care")
    names = [name for name, _ in policy.suppressions]
    if bound:
        words = _without(words, [view.words(rule) for _, rule in policy.suppressions])
    reason = ", ".join(names) or "no suppression segment"
    tally.step(words, reason if bound else "service messages are not suppressed")
    share = policy.holdout_share
    if campaign.kind == "marketing" and share > 0:
        words = _below(words, buckets, GLOBAL_HOLDOUT_SALT, share, keep_below=False)
        tally.step(words, f"{share:.4g} of all buyers get no marketing")
    else:
        tally.step(words, "none" if share == 0 else f"does not bind {campaign.kind}")
    tally.step(words, "no caps are kept yet")
    tally.step(words, "asked about alone")
    words = tally.step(*_limited(words, checked, view, policy, buckets))
    if campaign.holdout > 0:
        salt = campaign.salt + ":holdout"
        words = _below(words, buckets, salt, campaign.holdout, keep_below=False)
    tally.step(words, f"{campaign.holdout:.4g} withheld to measure" if campaign.holdout else "none")


def _without(words: Words, others: Sequence[Words]) -> Words:
    if not others:
        return words
    left = words.copy()
    for other in others:
        bits.without_into(other, 0, len(left), left)
    return left


def _of_rows(rows: NDArray[np.int64], words: int) -> Words:
    found = np.zeros(words, np.uint64)
    bits.set_rows(rows, found)
    return found


def _below(words: Words, buckets: Buckets, salt: str, share: float, *, keep_below: bool) -> Words:
    """The rows whose bucket is below a share, or the others."""
    below = np.zeros(64 * len(words), np.bool_)
    found = buckets.of(salt)
    np.less(found, share_limit(share), out=below[: len(found)])
    mask = np.packbits(below, bitorder="little").view(np.uint64)
    return words & mask if keep_below else words & ~mask


def _consented(words: Words, campaign: Campaign, view: View, policy: Policy) -> tuple[Words, str]:
    channel = campaign.channel
    if channel is None:
        return words, "no channel, nobody is asked"
    customers = view.population.customers
    allowed = words.copy()
    rows = view.population.customers.rows
    for name, missing_is_yes in (
        (f"{channel}_consent", policy.consent_missing == "allow"),
        (f"has_{channel}", False),
    ):
        column = customers.columns.get(name)
        given = column is not None and name in customers.given
        if not given:
            if name.startswith("has_") or missing_is_yes:
                continue
            return np.zeros_like(words), f"nobody has said yes to {channel}"
        assert column is not None
        values = column.values[:rows]
        refused = (values == 0) | ((values == column.missing) & (not missing_is_yes))
        allowed = _without(allowed, [_of_rows(np.flatnonzero(refused), len(words))])
    reachable = rows_of(allowed)
    bad = _unreachable(policy.messages, customers.heads("messages"), channel, reachable,
                       view.clock.as_of)  # fmt: skip
    allowed = _without(allowed, [_of_rows(reachable[bad], len(words))])
    return allowed, f"no consent or no way to reach by {channel}"


def _unreachable(
    messages: EventTable,
    heads: NDArray[np.int32],
    channel: str,
    rows: NDArray[np.int64],
    as_of: int,
) -> NDArray[np.bool_]:
    out = np.zeros(len(rows), np.bool_)
    if messages.rows == 0:
        return out

    def code(column: str, text: str) -> np.int32:
        dictionary = messages.columns[column].dictionary
        assert dictionary is not None
        found = int(dictionary.find(pa.array([text]))[0])
        return np.int32(found if found >= 0 else -2)

    codes = (code("channel", channel), code("kind", "delivered"), code("kind", "failed"),
             code("kind", "unsubscribed"))  # fmt: skip

    def work(begin: int, end: int) -> None:
        message_loops.unreachable(
            rows[begin:end], np.int64(as_of), heads, messages.extra("previous"),
            messages.columns["time"].values, messages.columns["channel"].values,
            messages.columns["kind"].values, *codes, out[begin:end],
        )  # fmt: skip

    jit.over_ranges(work, len(rows))
    return out


def _arms(
    campaign: Campaign, buckets: Buckets, rows: NDArray[np.int64]
) -> NDArray[np.int16] | None:
    """The variant of each row; None where there are none."""
    if not campaign.variants:
        return None
    table = variant_table([v.weight for v in campaign.variants])
    return table[buckets.of(campaign.salt)[rows]]


def _limited(
    words: Words, checked: CheckedCampaign, view: View, policy: Policy, buckets: Buckets
) -> tuple[Words, str]:
    campaign, reasons = checked.campaign, []
    if campaign.limit is None and campaign.budget is None:
        return words, "none"
    rows = rows_of(words)
    if campaign.limit is not None:
        reasons.append(f"at most {campaign.limit:,}")
        if len(rows) > campaign.limit:
            rows = np.sort(rows[_order(rows, checked, view)[: campaign.limit]])
    if campaign.budget is not None:
        most = campaign.budget.most_parts(policy.price_per_part)
        arms = _arms(campaign, buckets, rows)
        # Whoever is held out later is counted too, as for the limit.
        parts = np.ones(len(rows), np.int64)
        if checked.text is not None:
            parts = letters(checked.text, view, rows, arms).counted().parts.astype(np.int64)
        if parts.sum() > most:
            order = _order(rows, checked, view)
            paid = np.sort(order[: reached(parts[order], most)])
            rows, parts = rows[paid], parts[paid]
        reasons.append(f"{parts.sum():,} of {most:,} parts")
    if campaign.order_by:
        reasons.append(f"by {campaign.order_by}")
    return _of_rows(rows, len(words)), ", ".join(reasons)


def _order(rows: NDArray[np.int64], checked: CheckedCampaign, view: View) -> NDArray[np.int64]:
    """Places of the rows by `order_by`, missing last, then customer_id ascending."""
    keys: list[Any] = [_rank(_ids(view.population, rows))]
    if checked.order_by is not None:
        values = values_of(checked.order_by, view.population, rows, view.clock)
        kind = checked.order_by.kind
        ranks, missing = _ranked(values, kind)
        keys += [-ranks if checked.descending else ranks, missing]
    return np.lexsort(keys)


def _ids(population: Population, rows: NDArray[np.int64]) -> Any:
    column = population.customers.columns["customer_id"]
    return column.to_arrow(rows, population.money_scale)


def _rank(values: pa.Array) -> NDArray[np.int64]:
    """Dense ranks of known values; text by its UTF-8 bytes."""
    if not pa.types.is_integer(values.type):
        distinct = values.dictionary_encode()
        order = np.argsort(
            np.array([t.encode() for t in distinct.dictionary.to_pylist()], dtype=object)
        )
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order))
        return ranks[distinct.indices.to_numpy(zero_copy_only=False)]
    return np.asarray(values.to_numpy(zero_copy_only=False))


def _ranked(values: Any, kind: Kind | None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    if isinstance(values, pa.Array):
        missing = values.is_null().to_numpy(zero_copy_only=False)
        return _rank(values.fill_null("")), missing
    if kind is Kind.DOUBLE:
        missing = np.isnan(values)
        return np.where(missing, 0.0, values), missing
    floor = np.iinfo(values.dtype).min
    missing = values == floor
    return np.where(missing, 0, values).astype(np.int64), missing


def read_order(order_by: str) -> tuple[str, bool]:
    """An expression and whether it is descending: `amount_365d DESC`."""
    found = re.fullmatch(r"(?is)(.+?)\s+(asc|desc)\s*", order_by)
    return (order_by, False) if found is None else (found[1], found[2].lower() == "desc")
