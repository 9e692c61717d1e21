"""Who enters and who leaves when a definition becomes another?

Both sides are asked at one moment of one store, so every difference comes from the definition.
Bitmaps are compared, never lists: a few million buyers take a fraction of a millisecond.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.audiences.letters import names_of, spread
from segengine.kernels import bits
from segengine.plain import iso, plain
from segengine.rules.frame import Words
from segengine.rules.population import Population
from segengine.rules.segment import Looking, rows_of

SAMPLE = 10
"""Buyers named of those who enter and of those who leave."""

NEW, CHANGED, SAME, REMOVED = "new", "changed", "same", "removed"
ENTERS, LEAVES, DIFFERS = "enters", "leaves", "differs"
"""What happens to a buyer; `differs`: stays, with another variant, module or value."""

_OTHER = {"segment": "answer", "trait": "value", "campaign": "variant", "page": "module"}

VARIANTS = pa.schema([("before", pa.string()), ("after", pa.string()), ("buyers", pa.int64())])
MODULES = pa.schema(
    [
        ("slot", pa.string()),
        ("module", pa.string()),
        ("change", pa.string()),
        ("settings", pa.string()),
        ("before", pa.int64()),
        ("after", pa.int64()),
        ("entered", pa.int64()),
        ("left", pa.int64()),
    ]
)
DOWNSTREAM = pa.schema(
    [
        ("kind", pa.string()),
        ("name", pa.string()),
        ("before", pa.int64()),
        ("after", pa.int64()),
        ("entered", pa.int64()),
        ("left", pa.int64()),
        ("affected", pa.int64()),
        ("error", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as it is and as it would be, each as `store.toml` has it; None: not given."""

    setting: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """The buyers a definition is about, at one moment.

    words: their bitmap, which nobody writes to. variants: of each variant those who get it, in
    their order; none without variants.
    """

    words: Words
    variants: Mapping[str, Words] = field(default_factory=dict)

    def arms(self) -> list[tuple[str | None, Words]]:
        """Each variant with those who get it; without variants, None with everybody."""
        return list(self.variants.items()) or [(None, self.words)]

    def arms_at(self, rows: NDArray[np.int64]) -> pa.Array:
        """The variant of each of these rows; null for who has none or is no member."""
        found = np.full(len(rows), -1, np.int16)
        for place, words in enumerate(self.variants.values()):
            found[_are_in(words, rows)] = place
        return names_of(found, tuple(self.variants))


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """Two bitmaps of buyers beside each other. differs: stay, and are treated otherwise."""

    entered: Words
    left: Words
    stayed: Words
    differs: Words
    before: Members
    after: Members


@dataclass(frozen=True, slots=True)
class MemberDiff:
    """What a definition would change, against the version in force; nothing has been changed.

    kind: segment, trait, campaign or page. change: `new`, `changed`, `same` or `removed`.
    before, after: versions; before None: none is in force; after None: not published.
    entered, left, stayed: buyers. Of a campaign those who are targeted; of a page those for whom
    its own rule holds, everybody where it has none; of a trait those who have a value.
    affected: those who enter or leave, or for whom something else is another: their variant, their
    value, the answer of a module's rule. samples: ten of them, evenly far apart in the order
    first seen. settings: what differs in writing. ledgers, variants: of campaigns. modules: of
    pages; counts are null where a rule asks the request. downstream: what names the segment or
    trait, directly or through others, and the same counts of it; `error`: why it could no longer
    be used.
    """

    kind: str
    name: str
    change: str
    before: int | None
    after: int | None
    entered: int
    left: int
    stayed: int
    affected: int
    sample_entered: tuple[int | str, ...]
    sample_left: tuple[int | str, ...]
    settings: tuple[Setting, ...]
    ledgers: pa.Table | None
    variants: pa.Table | None
    modules: pa.Table | None
    downstream: pa.Table
    notes: tuple[str, ...]
    as_of: datetime
    data_version: int
    _moved: Moved = field(repr=False, compare=False)
    _looking: Looking = field(repr=False, compare=False)

    def table(self) -> pa.Table:
        """Everybody who is affected: Table(customer_id, change, before, after), in row order.

        change: `enters`, `leaves` or `differs`. before, after: their variants, null without. Who
        was deleted since is not in it.
        """
        with self._looking() as view:
            return _table(self._moved, view.population)

    def to_json(self) -> dict[str, Any]:
        """All of it but the table in what JSON has."""
        tables = ("ledgers", "variants", "modules", "downstream")
        found = {name: plain(getattr(self, name)) for name in _SAID}
        found["settings"] = [
            {"setting": s.setting, "before": plain(s.before), "after": plain(s.after)}
            for s in self.settings
        ]
        for name in tables:
            table = getattr(self, name)
            found[name] = None if table is None else table.to_pylist()
        return found

    def __str__(self) -> str:
        return "\n".join(_lines(self))


_SAID = (
    "kind", "name", "change", "before", "after", "entered", "left", "stayed", "affected",
    "sample_entered", "sample_left", "notes", "as_of", "data_version",
)  # fmt: skip


def moved(before: Members, after: Members, differs: Words | None = None) -> Moved:
    """Who enters, leaves and stays; `differs` are those whose variant is another, unless given."""
    stayed = before.words & after.words
    if differs is None:
        differs = _other_variants(before, after, stayed)
    return Moved(
        after.words & ~before.words, before.words & ~after.words, stayed, differs, before, after
    )


def size(words: Words) -> int:
    """How many rows are in a bitmap."""
    return int(bits.count_bits(words))


def bitmap_of(rows: NDArray[np.int64], words: int) -> Words:
    """These rows as a bitmap of so many words."""
    found = np.zeros(words, np.uint64)
    bits.set_rows(rows, found)
    return found


def sample(words: Words, population: Population) -> tuple[int | str, ...]:
    """Ten customer_ids of a bitmap, evenly far apart in the order first seen."""
    rows = rows_of(words)
    return tuple(_ids(rows[spread(len(rows), SAMPLE)], population).to_pylist())


def settings_changed(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, *, leave_out: str = ""
) -> tuple[Setting, ...]:
    """Every setting that is written otherwise, in the order in which they are written."""
    old, new = before or {}, after or {}
    names = [name for name in dict.fromkeys([*old, *new]) if name != leave_out]
    return tuple(
        Setting(name, old.get(name), new.get(name))
        for name in names
        if old.get(name) != new.get(name)
    )


def side_by_side(before: pa.Table | None, after: pa.Table | None) -> pa.Table:
    """Two ledgers: step, then `before_` and `after_` of each number; null where there is none."""
    known = after if after is not None else before
    assert known is not None
    columns = {"step": known["step"]}
    for side, ledger in (("before", before), ("after", after)):
        for column in known.schema:
            if column.name != "step":
                none = pa.nulls(known.num_rows, column.type)
                values = none if ledger is None else ledger[column.name]
                columns[f"{side}_{column.name}"] = values
    return pa.table(columns)


def variants_moved(both: Moved) -> pa.Table | None:
    """Table(before, after, buyers): those who stay and get another variant; None: no variants."""
    before, after = both.before, both.after
    if not before.variants and not after.variants:
        return None
    moves = [
        {"before": old, "after": new, "buyers": size(was & then & both.differs)}
        for old, was in before.arms()
        for new, then in after.arms()
    ]
    return table_of_rows([each for each in moves if each["buyers"]], VARIANTS)


def _other_variants(before: Members, after: Members, stayed: Words) -> Words:
    """Who of those who stay has a variant of another name."""
    if not before.variants and not after.variants:
        return np.zeros_like(stayed)
    differs = stayed.copy()
    for name, words in before.variants.items():
        same = after.variants.get(name)
        if same is not None:
            differs &= ~(words & same)
    return differs


def _table(both: Moved, population: Population) -> pa.Table:
    live = population.customers.live[: len(both.entered)]
    rows = rows_of((both.entered | both.left | both.differs) & live)
    changes = np.full(len(rows), 2)
    for place, words in enumerate((both.entered, both.left)):
        changes[_are_in(words, rows)] = place
    names = pa.array((ENTERS, LEAVES, DIFFERS))
    return pa.table(
        {
            "customer_id": _ids(rows, population),
            "change": names.take(pa.array(changes)),
            "before": both.before.arms_at(rows),
            "after": both.after.arms_at(rows),
        }
    )


def _are_in(words: Words, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    shifts = (rows & 63).astype(np.uint64)
    return np.asarray((words[rows >> 6] >> shifts) & np.uint64(1) == 1)


def _ids(rows: NDArray[np.int64], population: Population) -> pa.Array:
    return population.customers.columns["customer_id"].to_arrow(rows, population.money_scale)


def _lines(diff: MemberDiff) -> list[str]:
    version = "none is in force" if diff.before is None else f"against version {diff.before}"
    lines = [f"{diff.kind} `{diff.name}`: {diff.change}, {version}"]
    is_new = diff.change == NEW
    lines += [f"  {setting_line(each, alone=is_new)}" for each in diff.settings]
    lines.append(f"  {counts_line(diff)}")
    for word, named in (("enter", diff.sample_entered), ("leave", diff.sample_left)):
        if named:
            lines.append(f"  such as {', '.join(map(str, named))} {word}")
    for row in [] if diff.ledgers is None else diff.ledgers.to_pylist():
        before, after = (_number(row[f"{side}_remaining"]) for side in ("before", "after"))
        lines.append(f"  {row['step']:14} {before:>12} -> {after:>12}")
    for row in [] if diff.variants is None else diff.variants.to_pylist():
        lines.append(
            f"  variant {row['before'] or '-'} -> {row['after'] or '-'}: {row['buyers']:,}"
        )
    for row in [] if diff.modules is None else diff.modules.to_pylist():
        lines.append(f"  {module_line(row)}")
    lines += [f"  {downstream_line(row)}" for row in diff.downstream.to_pylist()]
    lines += [f"  {each}" for each in diff.notes]
    lines.append(f"  as of {iso(diff.as_of)}; nothing has been changed")
    return lines


def setting_line(each: Setting, *, alone: bool = False) -> str:
    """A setting as it is and as it would be, in words; alone: as it would be."""
    if alone:
        return f"{each.setting}: {_said(each.after)}"
    return f"{each.setting}: {_said(each.before)} -> {_said(each.after)}"


def counts_line(diff: MemberDiff) -> str:
    """Who enters, leaves and stays, in words."""
    counts = f"{diff.entered:,} enter, {diff.left:,} leave, {diff.stayed:,} stay"
    return counts + _other(diff.kind, diff.affected - diff.entered - diff.left)


def module_line(row: Mapping[str, Any]) -> str:
    """A changed slot or module in words."""
    where = f"slot `{row['slot']}`"
    if row["module"] is not None:
        where += f", module `{row['module']}`"
    said = f"{where}: {row['change']}"
    if row["settings"]:
        said += f" ({row['settings']})"
    if row["after"] is None and row["before"] is None:
        return said
    moves = f"{row['entered']:,} enter, {row['left']:,} leave"
    return f"{said}; eligible {_number(row['before'])} -> {_number(row['after'])}: {moves}"


def downstream_line(row: Mapping[str, Any]) -> str:
    """What changes for a definition that names the changed one, in words."""
    named = f"{row['kind']} `{row['name']}`"
    if row["error"] is not None:
        return f"{named} could no longer be used: {row['error']}"
    counts = f"{_number(row['before'])} -> {_number(row['after'])}"
    counts += f", {row['entered']:,} enter, {row['left']:,} leave"
    other = row["affected"] - row["entered"] - row["left"]
    return f"{named}: {counts}{_other(row['kind'], other)}"


def _other(kind: str, count: int) -> str:
    return f"; another {_OTHER[kind]} for {count:,}" if count else ""


def _number(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _said(value: Any) -> str:
    if value is None:
        return "not given"
    return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)


def table_of_rows(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as a table of a schema; none at all is a table too."""
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
