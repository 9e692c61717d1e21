"""Who gets this campaign, step by step, and why not the others: the frozen answer.

population -> rule -> exclusions -> consent -> suppression -> global_holdout -> frequency_cap ->
arbitration -> limit -> holdout. Who is in, and in which arm, stays as it was; ids and arms are made
of the bitmaps when they are first asked for, or before a buyer is deleted.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine import days
from segengine.audiences.asking import Asking, CheckedCampaign
from segengine.audiences.bucketing import Buckets
from segengine.audiences.campaign import Campaign, within_hours
from segengine.audiences.ledger import STEPS, Step, has, ledger_of, size
from segengine.audiences.letters import BATCH_ROWS, Letters, letters, names_of, spread
from segengine.audiences.limit import limited
from segengine.audiences.steps import before_others, withheld
from segengine.errors import DefinitionError, UnknownCustomer
from segengine.rules.explain import explain
from segengine.rules.frame import Words
from segengine.rules.segment import Looking, View, ids_of, rows_of, table_of
from segengine.rules.term import CheckedRule

_HELD_OUT_OF = STEPS.index("limit")


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


@dataclass(frozen=True, slots=True, eq=False)
class _Members:
    """The targeted, read: rows: int64[n], ascending  arms: int16[n], None without variants."""

    rows: NDArray[np.int64]
    arms: NDArray[np.int16] | None
    ids: pa.Array
    held_out: pa.Array


class Audience:
    """A frozen answer: whom a campaign addresses at one moment.

    Members and arms are fixed; columns of `table` are read when it is asked.
    """

    def __init__(
        self,
        checked: CheckedCampaign,
        steps: Sequence[Step],
        view: View,
        buckets: Buckets,
        looking: Looking,
    ) -> None:
        campaign = checked.campaign
        self.campaign = campaign.name
        self.as_of: datetime = days.moment(view.clock.as_of)
        self.data_version = view.data_version
        self.active = is_active(campaign, view.clock.as_of, view.clock.zone)
        self._checked = checked
        self._steps = tuple(steps)
        self._looking = looking
        self._buckets = buckets
        self._variants = tuple(v.name for v in campaign.variants)
        self._count = size(self._steps[-1].words)
        self._ledger: pa.Table | None = None
        self._read: _Members | None = None
        self._reading = threading.Lock()
        self._population = view.population
        self._population.unread.add(self)

    def count(self) -> int:
        """How many buyers are targeted; nobody held out is among them."""
        return self._count

    def ids(self) -> pa.Array:
        """The targeted customer_ids, in the order first seen."""
        return self._members().ids

    def held_out(self) -> pa.Array:
        """The customer_ids of those whom the campaign's holdout alone keeps from being targeted."""
        return self._members().held_out

    @property
    def arms(self) -> dict[str, int]:
        """How many of the targeted get each variant, in their order; empty without variants."""
        campaign = self._checked.campaign
        sizes = self._buckets.arm_sizes(campaign.salt, campaign.weights, self._steps[-1].words)
        return dict(zip(self._variants, sizes, strict=True))

    @property
    def words(self) -> Words:
        """The bitmap of the targeted, which nobody writes to."""
        return self._steps[-1].words

    @property
    def variants(self) -> tuple[str, ...]:
        """The names of its variants, in their order; none without."""
        return self._variants

    def arm_bitmaps(self) -> list[Words]:
        """The targeted of each variant, in the order of `variants`."""
        campaign = self._checked.campaign
        return self._buckets.arm_bitmaps(campaign.salt, campaign.weights, self.words)

    def read(self) -> None:
        """Take ids and arms over into the answer; whoever calls holds the store still."""
        with self._reading:
            if self._read is None:
                self._read = self._made()

    def _members(self) -> _Members:
        if self._read is None:
            with self._looking():
                self.read()
        assert self._read is not None
        return self._read

    def _made(self) -> _Members:
        campaign, words = self._checked.campaign, self._steps[-1].words
        rows = rows_of(words)
        arms = self._buckets.arms(campaign.salt, campaign.weights, rows)
        held = self._steps[_HELD_OUT_OF].words & ~words
        self._population.unread.discard(self)
        ids, others = ids_of(self._population, words), ids_of(self._population, held)
        return _Members(rows, arms, ids, others)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """customer_id, variant, then these columns, of the targeted buyers."""
        extra = [c for c in columns or () if c not in ("customer_id", "variant")]
        members = self._members()
        with self._looking() as view:
            found = table_of(view, members.rows, extra)
        arms = members.arms
        if arms is None:
            arms = np.full(len(members.rows), -1, np.int16)
        return found.set_column(0, "customer_id", members.ids).add_column(
            1, "variant", names_of(arms, self._variants)
        )

    def preview(self, count: int = 10) -> pa.Table:
        """Table(customer_id, variant, text, characters, parts, cost) of some who are targeted.

        They stand evenly far apart in the order first seen, so they are the same each time.
        `DefinitionError` where the campaign has no text.
        """
        chosen = spread(self._count, count)
        found = self._letters(chosen)
        ids = self.ids().take(pa.array(chosen))
        return pa.Table.from_batches(found.batches(ids, self._variants))

    def texts(self, *, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """As `preview`, for everybody who is targeted, a batch at a time.

        Values are read at the call, together; texts are made of them as batches are taken.
        """
        if batch_rows < 1:
            raise DefinitionError(f"`batch_rows` is a whole number from 1, not `{batch_rows}`",
                                  field="batch_rows")  # fmt: skip
        found = self._letters(np.arange(self._count))
        return found.batches(self.ids(), self._variants, batch_rows)

    def bill(self) -> pa.Table:
        """Table(variant, parts_each, buyers, parts, cost): what sending to everybody takes.

        A row for each variant and number of parts; cost is null where `text.price_per_part` is
        not set. `DefinitionError` where the campaign has no text.
        """
        return self._letters(np.arange(self._count)).bill(self._variants)

    def _letters(self, places: NDArray[np.int64]) -> Letters:
        text = self._checked.text
        if text is None:
            raise DefinitionError(f"campaign `{self.campaign}` has no `text`", field="text")
        members = self._members()
        arms = None if members.arms is None else members.arms[places]
        with self._looking() as view:
            return letters(text, view, members.rows[places], arms)

    @property
    def ledger(self) -> pa.Table:
        """step, entered, dropped, remaining, reasons: all steps, in order, summing exactly."""
        if self._ledger is None:
            self._ledger = ledger_of(self._steps)
        return self._ledger

    def explain(self, customer_id: int | str) -> AudienceExplanation:
        """The step that dropped a buyer, or the variant they get; `UnknownCustomer` else."""
        with self._looking() as view:
            row = view.population.customers.row_of(customer_id)
            if row is None or not has(self._steps[0].words, row):
                raise UnknownCustomer(customer_id)
            dropped = (i for i, step in enumerate(self._steps) if not has(step.words, row))
            place = next(dropped, None)
            details = [] if place is None else self._details(STEPS[place], view, row)
            arms = None
            if place is None:
                campaign = self._checked.campaign
                one = np.array([row], np.int64)
                arms = self._buckets.arms(campaign.salt, campaign.weights, one)
        variant = None if arms is None else self._variants[int(arms[0])]
        head = f"campaign `{self.campaign}`: `{customer_id}` is "
        if place is None:
            head += "targeted" if variant is None else f"targeted, variant `{variant}`"
        else:
            reason = self._steps[place].reason_for(row)
            head += f"dropped at {STEPS[place]}" + (f" ({reason})" if reason else "")
        step = None if place is None else STEPS[place]
        return AudienceExplanation(
            customer_id, step, variant, step is None, "\n".join([head, *details])
        )

    def _details(self, step: str, view: View, row: int) -> list[str]:
        """What the rules of a step say of a buyer."""
        rules: list[tuple[str, CheckedRule]] = []
        if step == "rule":
            rules = [("rule", self._checked.rule)]
        elif step == "exclusions":
            rules = [("exclusion", rule) for rule in self._checked.exclusions]
        lines = []
        # The step is as it was; what a rule reads of the buyer is as it is.
        now = "" if view.data_version == self.data_version else ", as the buyer is now"
        for what, rule in rules:
            reason = explain(rule.term, view.population, row, view.clock)
            lines += [f"  {what}{now}:", *(f"    {line}" for line in reason.lines())]
        return lines


def audience(checked: CheckedCampaign, asking: Asking, looking: Looking) -> Audience:
    """The audience of a campaign that is asked about alone: no other takes anybody."""
    steps = before_others(checked, asking)
    alone = Step(steps[-1].words, "asked about alone")
    return finished(
        checked, (*steps, alone), limited(alone.words, checked, asking), asking, looking
    )


def finished(
    checked: CheckedCampaign,
    steps: Sequence[Step],
    limit: Step,
    asking: Asking,
    looking: Looking,
) -> Audience:
    """The audience of a campaign whose steps before the limit are given."""
    held = withheld(limit.words, checked.campaign, asking)
    return Audience(checked, (*steps, limit, held), asking.view, asking.buckets, looking)


def is_active(campaign: Campaign, as_of: int, zone: days.Zone) -> bool:
    """Whether a moment lies in the campaign's window and day-parts."""
    if campaign.starts_at is not None and as_of < days.micros(campaign.starts_at, zone):
        return False
    if campaign.ends_at is not None and as_of >= days.micros(campaign.ends_at, zone):
        return False
    local = days.moment(as_of + zone.offset_at(as_of)).time()
    return within_hours(campaign.hours, local)
