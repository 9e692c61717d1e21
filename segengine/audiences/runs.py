"""Who was meant when a campaign was sent, in which arm, and when was each to be written to?

A run is an audience that was acted on: frozen, under an id that stays. Reports and the recording of
messages read runs, never the campaign as it is defined by then. The one thing that changes a run is
that a buyer is deleted: then it keeps how many were in each arm, and no more of them.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from segengine import days
from segengine.audiences.audience import Audience
from segengine.audiences.campaign import Campaign
from segengine.audiences.letters import names_of
from segengine.audiences.send_hours import SendTimes, histogram
from segengine.errors import RunError, UnknownNameError, did_you_mean
from segengine.storage.run_files import (
    read_facts,
    read_members,
    remove_unfinished,
    rewrite_run,
    run_names,
    write_run,
)

TREATMENT, HOLDOUT = "treatment", "holdout"
NO_VARIANT, HELD_OUT = -1, -2
"""Arms of members that are no variant's number."""
NO_MOMENT = int(np.iinfo(np.int64).min)
NO_PARTS = -1
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run keeps of its campaign, as it was then; `as_of` in microseconds.

    number: which run of the store it was, from 1. segment: the rule's text. kind: the class of its
    messages. variants: names with weights. price_per_part: money as text; None: not known.
    targeted: buyers of each variant, in the order of `variants` (one number where there are none),
    and held_out, as frozen; forgotten: how many of these were deleted since, in the same order, the
    held-out last.
    """

    run: str
    number: int
    campaign: str
    as_of: int
    data_version: int
    timezone: str
    segment: str
    channel: str | None
    kind: str
    variants: tuple[tuple[str, float], ...]
    holdout: float
    goal: str | None
    window_days: int
    price_per_part: str | None
    targeted: tuple[int, ...]
    held_out: int
    forgotten: tuple[int, ...]

    @property
    def price(self) -> Decimal | None:
        """What a part cost when the run was made."""
        return None if self.price_per_part is None else Decimal(self.price_per_part)

    @property
    def arms(self) -> tuple[str | None, ...]:
        """The variants, or one None."""
        return tuple(name for name, _ in self.variants) or (None,)


@dataclass(frozen=True, slots=True)
class Members:
    """Everybody a run is about: those targeted in the order first seen, then those held out.

    arms: int16[n], the variant's number, NO_VARIANT or HELD_OUT  send_at: int64[n], instants, none
    for the held-out  parts: int32[n], of the text as it was, NO_PARTS where there was none
    """

    ids: pa.Array
    arms: NDArray[np.int16]
    send_at: NDArray[np.int64]
    parts: NDArray[np.int32]

    def batch(self) -> pa.RecordBatch:
        """The members as a file keeps them."""
        columns = [self.ids, *(pa.array(each) for each in (self.arms, self.send_at, self.parts))]
        return pa.record_batch(columns, names=["customer_id", "arm", "send_at", "parts"])


def members_of_batch(batch: pa.RecordBatch) -> Members:
    """The members that a file keeps."""
    arms, send_at, parts = (batch.column(name).to_numpy() for name in ("arm", "send_at", "parts"))
    return Members(batch.column("customer_id"), arms, send_at, parts)


class Run:
    """A campaign that was run: who was meant, in which arm, at which moment each.

    What it answers stays as it was, but that deleted buyers are gone from it.
    """

    def __init__(self, facts: RunFacts, members: Callable[[], Members]) -> None:
        self.facts = facts
        self._read = members
        self._members: Members | None = None

    def __repr__(self) -> str:
        return f"<run {self.run}>"

    @property
    def run(self) -> str:
        """Its id, such as `spring-2026-11-22-1`."""
        return self.facts.run

    @property
    def campaign(self) -> str:
        """The campaign's name."""
        return self.facts.campaign

    @property
    def as_of(self) -> datetime:
        """The moment its members were decided at, in UTC."""
        return days.moment(self.facts.as_of)

    @property
    def data_version(self) -> int:
        """The data version its members were decided on."""
        return self.facts.data_version

    @property
    def members(self) -> Members:
        """Everybody it is about, read from its file when first asked for."""
        if self._members is None:
            self._members = self._read()
        return self._members

    def count(self) -> int:
        """How many buyers are targeted, those deleted since aside."""
        return int(np.count_nonzero(self.members.arms != HELD_OUT))

    def ids(self) -> pa.Array:
        """The targeted customer_ids, in the order first seen."""
        return self.members.ids.filter(pa.array(self.members.arms != HELD_OUT))

    def held_out(self) -> pa.Array:
        """The customer_ids that were withheld to measure by, in the order first seen."""
        return self.members.ids.filter(pa.array(self.members.arms == HELD_OUT))

    def table(self, *, held_out: bool = True) -> pa.Table:
        """Table(customer_id, variant, arm, send_at) of everybody it is about.

        arm: `treatment`, or `holdout` for those not to be written to, who have neither a variant
        nor a moment and stand last. held_out=False leaves them out. send_at is in UTC.
        """
        found, facts = self.members, self.facts
        held = found.arms == HELD_OUT
        moments = pa.array(found.send_at, mask=held).cast(pa.timestamp("us", tz="UTC"))
        arm = pa.array([TREATMENT, HOLDOUT]).take(pa.array(held.astype(np.int8)))
        table = pa.table(
            {
                "customer_id": found.ids,
                "variant": names_of(np.maximum(found.arms, -1), [n for n, _ in facts.variants]),
                "arm": arm,
                "send_at": moments,
            }
        )
        return table if held_out else table.filter(pa.array(~held))

    def hours(self) -> pa.Table:
        """Table(hour, buyers): how many are written to in each hour of the store's clock."""
        found = self.members
        return histogram(found.send_at[found.arms != HELD_OUT], days.zone(self.facts.timezone))

    def without(self, customer_id: object) -> tuple[RunFacts, Members] | None:
        """The run with a deleted buyer as a number alone; None where they are not in it."""
        found = self.members
        place = _place(found.ids, customer_id)
        if place < 0:
            return None
        arm = int(found.arms[place])
        slot = {HELD_OUT: len(self.facts.forgotten) - 1, NO_VARIANT: 0}.get(arm, arm)
        forgotten = [n + (k == slot) for k, n in enumerate(self.facts.forgotten)]
        keep = np.ones(len(found.ids), np.bool_)
        keep[place] = False
        # A filter copies: the deleted id is in no buffer that is still held.
        left = Members(
            found.ids.filter(pa.array(keep)), found.arms[keep], found.send_at[keep],
            found.parts[keep],
        )  # fmt: skip
        return replace(self.facts, forgotten=tuple(forgotten)), left

    def become(self, facts: RunFacts, members: Members) -> None:
        """Hold these in place of what was there, for whoever has this run in hand."""
        self.facts, self._members, self._read = facts, members, lambda: members


def _place(ids: pa.Array, customer_id: object) -> int:
    """The place of an id among those of a run, -1 for none."""
    try:
        wanted = pa.scalar(customer_id, ids.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return -1
    return int(pc.index(ids, wanted).as_py())


@dataclass(slots=True)
class Runs(Mapping[str, Run]):
    """The runs of a store by id, in the order they were made; kept as files where it has a folder.

    They are no part of the data that rules see: a new run leaves the data version as it is.
    held_out_told: runs of which it is known that messages hold the rows of their held-out buyers.
    """

    folder: Path | None = None
    held_out_told: set[str] = field(default_factory=set)
    _kept: dict[str, Run] = field(default_factory=dict)
    _places: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __getitem__(self, run: str) -> Run:
        return self._kept[run]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def named(self, run: str) -> Run:
        """The run with this id; `UnknownNameError` names the nearest."""
        found = self._kept.get(run)
        if found is None:
            names = list(self._kept)
            known = "known: " + ", ".join(names[-5:]) if names else "nothing has been run"
            hint = did_you_mean(str(run), names) or known
            raise UnknownNameError(f"unknown run `{run}`; {hint}", field="run")
        return found

    def of_campaign(self, campaign: str) -> list[Run]:
        """The runs of a campaign, in the order they were made."""
        return [run for run in self._kept.values() if run.campaign == campaign]

    def live_in(self, folder: Path) -> None:
        """Keep runs in a store's directory, beginning with those that are there."""
        found = [facts_of(read_facts(folder, name)) for name in run_names(folder)]
        found.sort(key=lambda facts: (facts.number, facts.run))
        self.folder = folder
        self._kept = {facts.run: Run(facts, _reader(folder, facts.run)) for facts in found}

    def remove_unfinished(self) -> None:
        """Remove what a process that was killed has left of runs; whoever calls may write."""
        with self._lock:
            if self.folder is not None:
                remove_unfinished(self.folder)

    def keep(self, facts: RunFacts, members: Members, taken: Callable[[str], bool]) -> Run:
        """A new run under an id of its own, lasting before it is returned.

        The id is the campaign's name, the date and a number; `taken` says which others are in use.
        """
        with self._lock:
            stem = f"{_slug(facts.campaign)}-{_date(facts)}"
            used = {name.casefold() for name in self._kept}
            place = 1 + max((run.facts.number for run in self._kept.values()), default=0)
            number = 0
            while True:
                number += 1
                name = f"{stem}-{number}"
                if name.casefold() in used or taken(name):
                    continue
                named = replace(facts, run=name, number=place)
                if self.folder is None or write_run(
                    self.folder, name, asdict(named), members.batch()
                ):
                    break
            run = Run(named, lambda: members)
            self._kept = {**self._kept, name: run}
            return run

    def forget(self, customer_id: object) -> None:
        """Take a deleted buyer out of every run, in memory and on disk."""
        with self._lock:
            for name, run in self._kept.items():
                left = run.without(customer_id)
                if left is None:
                    continue
                facts, members = left
                # The file first: where it cannot be written, asking again finds the buyer still.
                if self.folder is not None:
                    rewrite_run(self.folder, name, asdict(facts), members.batch())
                run.become(facts, members)
                self._places.pop(name, None)

    def places(
        self, run: Run, rows_of: Callable[[pa.Array], NDArray[np.int64]], rows: int
    ) -> NDArray[np.int32]:
        """The place among a run's members of each buyer's row, -1 for none: int32[rows].

        rows_of: the rows of customer_ids. It is kept for the runs asked about last.
        """
        with self._lock:
            found = self._places.pop(run.run, None)
            if found is None:
                found = np.full(rows, -1, np.int32)
                members = rows_of(run.members.ids)
                known = members >= 0
                found[members[known]] = np.flatnonzero(known)
            elif len(found) < rows:
                # Buyers who came after a run are not in it.
                found = np.append(found, np.full(rows - len(found), -1, np.int32))
            self._places[run.run] = found
            while len(self._places) > _KEPT_PLACES:
                del self._places[next(iter(self._places))]
            return found


_KEPT_PLACES = 8


def _reader(folder: Path, run: str) -> Callable[[], Members]:
    return lambda: members_of_batch(read_members(folder, run))


def facts_of(written: Mapping[str, Any]) -> RunFacts:
    """The facts that a file keeps."""
    known = {name: written[name] for name in RunFacts.__slots__}
    known["variants"] = tuple((str(name), float(weight)) for name, weight in known["variants"])
    known["targeted"], known["forgotten"] = tuple(known["targeted"]), tuple(known["forgotten"])
    return RunFacts(**known)


def _slug(name: str) -> str:
    """A campaign's name as part of an id, which is a file's name too."""
    words = re.sub(r"[^\w.]+", "-", name).strip("-.")[:_LONGEST_NAME].strip("-.")
    return words or "run"


def _date(facts: RunFacts) -> str:
    return days.day_text(days.zone(facts.timezone).day_of(facts.as_of))


def refuse_to_run(campaign: Campaign, audience: Audience, data_version: int, plan: object) -> None:
    """Raise `RunError` where an audience may not be run now."""
    if not audience.active:
        raise RunError(
            f"campaign `{campaign.name}` is not run at {audience.as_of:%Y-%m-%d %H:%M} UTC: that "
            f"is outside {_when(campaign)}; wait for it, or define the campaign anew",
            field="campaign",
        )
    if plan is not None and audience.data_version != data_version:
        raise RunError(
            f"the plan was made for data version {audience.data_version}, and the store is at "
            f"{data_version}; plan again, and run the campaigns of a plan before their messages "
            "are recorded",
            field="plan",
        )


def _when(campaign: Campaign) -> str:
    """A campaign's window and day-parts in words."""
    said = []
    if campaign.starts_at is not None or campaign.ends_at is not None:
        begin = "the beginning" if campaign.starts_at is None else str(campaign.starts_at)
        end = "no end" if campaign.ends_at is None else str(campaign.ends_at)
        said.append(f"its window, from {begin} until {end}")
    if campaign.hours:
        parts = " and ".join(f"{a:%H:%M} to {b:%H:%M}" for a, b in campaign.hours)
        said.append(f"its hours, {parts}")
    return ", or outside ".join(said)


def planned(plan: Any, name: str) -> Audience:
    """The audience of a campaign in a plan, or an error that says which there are."""
    found: Audience | None = plan.audiences.get(name)
    if found is None:
        raise RunError(
            f"the plan does not hold campaign `{name}`; it has {', '.join(plan.audiences)}",
            field="plan",
        )
    return found


def frozen(
    campaign: Campaign,
    segment: str,
    audience: Audience,
    times: SendTimes,
    timezone: str,
    price: Decimal | None,
) -> tuple[RunFacts, Members]:
    """What a run keeps of an audience, still without an id."""
    names = [variant.name for variant in campaign.variants]
    table = audience.table(["preferred_hour"])
    ids, held = _one(table["customer_id"]), audience.held_out()
    variants = _one(table["variant"])
    arms = np.full(len(ids) + len(held), NO_VARIANT, np.int16)
    if names:
        found = pc.index_in(variants, value_set=pa.array(names, variants.type))
        arms[: len(ids)] = found.to_numpy(zero_copy_only=False)
    arms[len(ids) :] = HELD_OUT
    send_at = np.full(len(arms), NO_MOMENT, np.int64)
    send_at[: len(ids)] = times.of(table["preferred_hour"])
    parts = np.full(len(arms), NO_PARTS, np.int32)
    if campaign.text is not None:
        each = [batch.column("parts").to_numpy() for batch in audience.texts()]
        parts[: len(ids)] = np.concatenate([np.empty(0, np.int64), *each])
    sizes = np.bincount(np.maximum(arms[: len(ids)], 0), minlength=max(1, len(names)))
    facts = RunFacts(
        "", 0, campaign.name, days.micros(audience.as_of, days.zone("UTC")), audience.data_version,
        timezone, segment, campaign.channel, campaign.kind,
        tuple((v.name, v.weight) for v in campaign.variants), campaign.holdout, campaign.goal,
        campaign.window_days, None if price is None else f"{price:f}",
        tuple(int(n) for n in sizes), len(held), (0,) * (len(sizes) + 1),
    )  # fmt: skip
    return facts, Members(_joined(ids, held), arms, send_at, parts)


def _one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _joined(ids: pa.Array, held: pa.Array) -> pa.Array:
    kind = pa.int64() if pa.types.is_integer(ids.type) else pa.large_string()
    return pa.concat_arrays([ids.cast(kind), held.cast(kind)])
