"""What would another setting change, before it is changed?

All traits are built once more, with the changed settings, beside those in use, and compared buyer
by buyer. Cut points are fitted anew on both sides: every difference comes from the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.errors import ConfigError, did_you_mean
from segengine.kernels import bits
from segengine.plain import plain
from segengine.schema.store_config import StoreConfig, parse_config
from segengine.tables.row_lists import RowLists
from segengine.tables.tables import Tables
from segengine.traits.catalogue import CATALOGUE
from segengine.traits.life_cycle import STAGES
from segengine.traits.work import Fits

SECTIONS = ("lifecycle", "rfm", "habit", "affinity", "prediction", "response", "levels")
"""The sections of `store.toml` that traits of buyers depend on."""

SAMPLE = 10
"""Buyers named for each move, the first in the store's order."""


class Built(NamedTuple):
    """All traits of a moment: matrices, lists, and what they were fitted to."""

    blocks: Mapping[str, NDArray[Any]]
    lists: Mapping[str, RowLists]
    fits: Fits


@dataclass(frozen=True, slots=True)
class Change:
    """A setting such as `lifecycle.active_days`, as it is and as it would be."""

    setting: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Move:
    """How many buyers are in one stage and would be in another; who moves, the first ten."""

    before: str
    after: str
    buyers: int
    customer_ids: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Affected:
    """How many buyers would have another value of a trait."""

    trait: str
    family: str
    buyers: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What changed settings would do to the buyers at a moment; nothing has been changed.

    stages: every pair of stages that a buyer is in and would be in, those who stay too
    traits: those that would change for anybody, in the order of the catalogue
    fits_before, fits_after: what is fitted to all buyers, as `engine.fits.shown`
    """

    as_of: datetime
    data_version: int
    buyers: int
    settings: tuple[Change, ...]
    stages: tuple[Move, ...]
    traits: tuple[Affected, ...]
    fits_before: Mapping[str, Any]
    fits_after: Mapping[str, Any]

    @property
    def moves(self) -> tuple[Move, ...]:
        """Who would be in another stage, from which to which."""
        return tuple(move for move in self.stages if move.before != move.after)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        named = ("as_of", "data_version", "buyers", "fits_before", "fits_after")
        lists = ("settings", "stages", "traits")
        found = {name: getattr(self, name) for name in named}
        found |= {name: [asdict(each) for each in getattr(self, name)] for name in lists}
        return {name: plain(value) for name, value in found.items()}


def changed_config(config: StoreConfig, changes: Mapping[str, Any]) -> StoreConfig:
    """The settings with some of them changed; `changes` is shaped like `store.toml`.

    A key that is not named stays. A section whose `mode` changes is read anew, as the other keys
    belong to the mode. Raises `ConfigError` with every mistake.
    """
    if not isinstance(changes, Mapping):
        raise ConfigError(
            'a preview takes sections with settings, such as {"lifecycle": {"active_days": 50}}, '
            f"not `{changes}`",
            field="config",
        )
    strange = [name for name in changes if name not in SECTIONS]
    if strange:
        known = ", ".join(SECTIONS)
        raise ConfigError(
            "\n".join(
                f"  `{name}`: no trait of buyers depends on it; "
                + (did_you_mean(str(name), list(SECTIONS)) or f"a preview knows {known}")
                for name in strange
            ),
            field=str(strange[0]),
        )
    merged: dict[str, Any] = {}
    for name, section in changes.items():
        if not isinstance(section, Mapping):
            merged[name] = section
            continue
        given = _given(getattr(config, name))
        if "mode" in section and section["mode"] != getattr(config, name).mode:
            given = {}
        merged[name] = given | dict(section)
    read = parse_config(merged)
    return replace(config, **{name: getattr(read, name) for name in changes})


def _given(section: Any) -> dict[str, Any]:
    """A section as `store.toml` would have it, defaults left out."""
    defaults = type(section)()
    return {
        name: _as_written(value)
        for name, value in asdict(section).items()
        if value != getattr(defaults, name)
    }


def _as_written(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_as_written(each) for each in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def settings_changed(before: StoreConfig, after: StoreConfig) -> tuple[Change, ...]:
    """Every setting with another value."""
    found = []
    for section in SECTIONS:
        old, new = asdict(getattr(before, section)), asdict(getattr(after, section))
        found += [
            Change(f"{section}.{name}", old[name], new[name])
            for name in old
            if old[name] != new[name]
        ]
    return tuple(found)


def stage_moves(tables: Tables, now: Built, then: Built) -> tuple[Move, ...]:
    """Who is in which stage and would be in which, in the order of the stages."""
    rows = _rows(tables)
    block, place = tables.customers.place_of("lifecycle_stage")
    old, new = now.blocks[block][place][rows], then.blocks[block][place][rows]
    pair = old.astype(np.int64) * len(STAGES) + new
    counts = np.bincount(pair, minlength=len(STAGES) ** 2)
    found = []
    for each in np.flatnonzero(counts):
        before, after = divmod(int(each), len(STAGES))
        moved = rows[np.flatnonzero(pair == each)[:SAMPLE]] if before != after else rows[:0]
        ids = tables.customers.columns["customer_id"].to_arrow(moved, tables.money_scale)
        sample = tuple(ids.to_pylist())
        found.append(Move(STAGES[before], STAGES[after], int(counts[each]), sample))
    return tuple(found)


def traits_affected(tables: Tables, now: Built, then: Built) -> tuple[Affected, ...]:
    """Every trait that would be another for anybody, and for how many."""
    rows = _rows(tables)
    found = []
    for trait in CATALOGUE:
        if trait.name in now.lists:
            differ = lists_differ(now.lists[trait.name], then.lists[trait.name], rows)
        else:
            block, place = tables.customers.place_of(trait.name)
            differ = _differ(now.blocks[block][place][rows], then.blocks[block][place][rows])
        found.append(Affected(trait.name, trait.family, int(differ.sum())))
    for kind in tables.affinities.kept:
        differ = lists_differ(now.lists[kind], then.lists[kind], rows)
        found.append(Affected(f"affinity('{kind}')", "affinity", int(differ.sum())))
    return tuple(each for each in found if each.buyers)


def _rows(tables: Tables) -> NDArray[np.int64]:
    found = np.empty(tables.customers.count, np.int64)
    bits.rows_of(tables.customers.live, found)
    return found


def _differ(old: NDArray[Any], new: NDArray[Any]) -> NDArray[np.bool_]:
    if old.dtype.kind != "f":
        return np.asarray(old != new)
    # A fit is searched for: what differs in the last digits only is the same.
    same = np.isclose(old, new, rtol=1e-9, atol=0.0, equal_nan=True)
    return np.asarray(~same)


def lists_differ(old: RowLists, new: RowLists, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """For which of these rows the list, or a score in it, is another."""
    before, after = old.counts_of(rows), new.counts_of(rows)
    differ = np.asarray(before != after)
    alike = np.flatnonzero(~differ)
    lengths = before[alike]
    owner = np.repeat(alike, lengths)
    (codes, scores), (other_codes, other_scores) = (
        _items(kept, rows[alike], lengths) for kept in (old, new)
    )
    items = np.asarray(codes != other_codes)
    if old.is_scored:
        items |= _differ(scores, other_scores)
    differ[owner[items]] = True
    return differ


def _items(
    kept: RowLists, rows: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The codes and scores of these rows' lists, list after list."""
    lists = kept.lists
    total = int(lengths.sum())
    codes = kept.codes_of(rows, total)
    if not kept.is_scored:
        return codes, np.empty(0, np.float64)
    held = np.flatnonzero(lengths)
    begins, sizes = lists.begins[rows[held]], lengths[held]
    step = np.arange(total) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    is_new = np.repeat(begins < 0, sizes)
    places = np.repeat(np.where(begins < 0, ~begins, begins), sizes) + step
    scores = np.empty(total, np.float64)
    scores[is_new] = lists.new_scores[places[is_new]]
    scores[~is_new] = lists.scores[places[~is_new]]
    return codes, scores
