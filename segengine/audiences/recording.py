"""What is recorded of a run: who was sent it, and what became of it?

Rows name a buyer and a run; campaign, channel, class and variant are the run's. A row without a
`kind` was sent, one without a `time` happened at as_of, and one that was sent without `parts` has
those of the campaign's text as it was when the campaign was run. A row without an event_id is known
by its run, buyer and kind: the first counts, so that a file recorded twice counts once. With the
first rows of a run its held-out buyers get a row `held_out` each, at the time of the earliest of
these rows, so that caps count them as if they had been sent it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine import days
from segengine.audiences.runs import HELD_OUT, NO_PARTS, Run, Runs
from segengine.errors import LoadError
from segengine.ingest.report import LoadProblem, LoadReport, RefusedError, merged
from segengine.ingest.sources import opened, said
from segengine.ingest.stage import LoadRequest, stage
from segengine.schema.kinds import Kind, missing_of
from segengine.tables.batch import Batch, BatchColumn
from segengine.tables.events import EventTable
from segengine.tables.key_index import first_places
from segengine.tables.tables import Tables

MESSAGES = "messages"
SENT, HELD = "sent", "held_out"
KINDS = (SENT, "delivered", "opened", "clicked", "failed", "unsubscribed", HELD)
_HELD = len(KINDS) - 1
_OF_THE_RUN = ("campaign", "channel", "class", "variant")
_NEEDED = ("customer_id", "run")
_MANY = 32
"""So many messages for each row recorded, and the chains of their buyers are followed instead."""
_EARLY = 5 * days.MINUTE
"""How far a sender's clock may be behind: earlier than its run nothing can have been sent."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Rows to be taken in, and what is said of those given; `batch` has the held-out rows too.

    told: the runs whose held-out buyers all have their rows with it.
    """

    batch: Batch
    report: LoadReport
    held_out: int
    told: frozenset[str]

    def reported(self, loaded: int, repeats: int) -> LoadReport:
        """The report, after so many rows were taken and so many were there already."""
        return replace(
            self.report,
            rows_loaded=loaded - self.held_out,
            rows_repeated=self.report.rows_repeated + repeats,
        )


def recorded(
    tables: Tables,
    runs: Runs,
    data: Any,
    timezone: str,
    folder: Path,
    *,
    latest: int,
    on_error: str,
) -> Recording:
    """The contact rows in some data; nothing is changed yet.

    data: as a load's source, or a Run, which then was sent to everybody it targets, at as_of.
    Raises `LoadError`, and `RefusedError` with all reasons where a row is bad.
    """
    if on_error not in ("refuse", "skip"):
        raise LoadError(f'on_error is "refuse" or "skip", not `{on_error}`', field="on_error")
    source, shown, given = _source(data, runs, timezone, folder)
    ignored = [name for name in source.column_names if name.lower() in _OF_THE_RUN]
    source = source.drop_columns(ignored)
    names = {name.lower() for name in source.column_names}
    lacking = [name for name in _NEEDED if name not in names]
    if lacking:
        have = ", ".join(f"`{name}`" for name in source.column_names) or "no column"
        lacks = " and ".join(f"`{name}`" for name in lacking)
        raise LoadError(f"{shown} has no {lacks}, and a recorded message needs both; it has {have}",
                        field=lacking[0])  # fmt: skip
    if "time" not in names:
        now = pa.repeat(pa.scalar(tables.as_of, pa.int64()), source.num_rows)
        source = source.append_column("time", now.cast(pa.timestamp("us", tz="UTC")))
    request = LoadRequest(MESSAGES, source, on_error="skip", folder=folder)
    batch, report = stage(tables, request, timezone, latest=latest, as_of=tables.as_of)
    problems = [*report.problems, *_checked(batch, tables, runs)]
    skipped = report.rows_read - batch.rows
    report = replace(
        report, rows_skipped=skipped, rows_loaded=batch.rows, problems=merged(problems),
        ignored_columns=(*report.ignored_columns, *ignored) if not given else (),
    )  # fmt: skip
    if skipped and on_error == "refuse":
        raise RefusedError(report, shown)
    return _completed(batch, report, tables, runs)


def _source(data: Any, runs: Runs, timezone: str, folder: Path) -> tuple[pa.Table, str, bool]:
    """The rows given, what they are called, and whether they are a run."""
    if isinstance(data, Run):
        runs.named(data.run)
        ids = data.ids()
        everybody = pa.repeat(pa.scalar(data.run), len(ids))
        return pa.table({"customer_id": ids, "run": everybody}), f"run `{data.run}`", True
    with opened(data, None, timezone, folder) as source:
        try:
            found = source.connection.sql(f"SELECT * FROM {source.relation}")
            return found.to_arrow_table(), source.shown, False
        except (duckdb.Error, pa.ArrowInvalid, OSError) as error:
            raise LoadError(f"{source.shown}: {said(error)}", field="source") from None


@dataclass(frozen=True, slots=True)
class _Rows:
    """What the rows of a batch are about: places int32[n], kinds int64[n] as numbers of KINDS."""

    owners: NDArray[np.int64]
    runs: NDArray[np.int32]
    kinds: NDArray[np.int64]


def _checked(batch: Batch, tables: Tables, runs: Runs) -> list[LoadProblem]:
    """Leave out rows that cannot be, and say why: a row is bad for one reason."""
    if batch.rows == 0:
        return []
    kinds, named = _kinds(batch)
    bad = np.zeros(batch.rows, np.bool_)
    problems: list[LoadProblem] = []

    def wrong(column: str, reason: str, rows: NDArray[np.bool_]) -> None:
        rows = rows & ~bad
        if rows.any():
            bad[rows] = True
            places = np.flatnonzero(rows)
            shown = _examples(batch, column, places[:3])
            problems.append(LoadProblem(column, reason, len(places), shown))

    wrong("kind", f"is no kind of a recorded message ({', '.join(KINDS)})", named & (kinds < 0))
    codes, found = _runs_of(batch, runs)
    wrong("run", "is no run of this store", np.isin(codes, list(found), invert=True))
    owners = tables.customers.find(batch.values("customer_id"))
    arms = np.full(batch.rows, HELD_OUT - 1, np.int64)
    begins = np.full(batch.rows, np.iinfo(np.int64).min)
    for code, run in found.items():
        rows = np.flatnonzero((codes == code) & ~bad)
        places = _places(run, runs, tables)
        at = np.where(owners[rows] >= 0, places[owners[rows]], -1)
        arms[rows] = np.where(at >= 0, run.members.arms[np.maximum(at, 0)], HELD_OUT - 1) if len(
            run.members.arms) else HELD_OUT - 1  # fmt: skip
        begins[rows] = run.facts.as_of - _EARLY
    wrong("customer_id", "is not in the run", arms < HELD_OUT)
    is_held = kinds == _HELD
    wrong("customer_id", "is held out in this run, and was not to be written to",
          (arms == HELD_OUT) & ~is_held)  # fmt: skip
    wrong("customer_id", "is targeted in this run, not held out", (arms > HELD_OUT) & is_held)
    wrong("time", "is more than 5 minutes before its run", batch.values("time") < begins)
    if "parts" in batch.columns:
        parts = batch.values("parts")
        wrong("parts", "is below 0", (parts < 0) & (parts != _missing(batch, "parts")))
    batch.keep(~bad)
    return problems


def _kinds(batch: Batch) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The kind of each row as a number of KINDS, -1 for another; and which rows name one."""
    column = batch.columns.get("kind")
    if column is None:
        return np.zeros(batch.rows, np.int64), np.zeros(batch.rows, np.bool_)
    assert column.dictionary is not None
    known = column.dictionary.find(pa.array(KINDS))
    found = np.full(batch.rows, -1, np.int64)
    for number, code in enumerate(known):
        if code >= 0:
            found[column.values == code] = number
    named = column.values >= 0
    found[~named] = 0
    return found, named


def _runs_of(batch: Batch, runs: Runs) -> tuple[NDArray[np.int32], dict[int, Run]]:
    """The code of each row's run, and the runs by code; a code without one is no run."""
    column = batch.columns["run"]
    assert column.dictionary is not None
    texts = column.dictionary.texts()
    found = {}
    for code in np.unique(column.values):
        run = runs.get(texts[int(code)].as_py()) if code >= 0 else None
        if run is not None:
            found[int(code)] = run
    return column.values, found


def _places(run: Run, runs: Runs, tables: Tables) -> NDArray[np.int32]:
    """The place among a run's members of each buyer's row."""
    customers = tables.customers

    def rows_of(ids: pa.Array) -> NDArray[np.int64]:
        dictionary = customers.columns["customer_id"].dictionary
        if dictionary is None:
            return customers.find(np.array(ids.to_numpy()))
        return customers.find(dictionary.find(ids))

    return runs.places(run, rows_of, customers.rows)


def _examples(batch: Batch, column: str, rows: NDArray[np.int64]) -> tuple[str, ...]:
    found = batch.columns[column]
    values = found.values[rows]
    if column == "time":
        return tuple(days.moment(int(value)).isoformat() for value in values)
    if found.dictionary is None:
        return tuple(str(value) for value in values)
    texts = found.dictionary.texts()
    return tuple(str(texts[int(code)]) for code in values if code >= 0)


def _missing(batch: Batch, name: str) -> Any:
    column = batch.columns[name]
    return missing_of(column.values.dtype, column.kind)


def _completed(batch: Batch, report: LoadReport, tables: Tables, runs: Runs) -> Recording:
    """The rows with all that the run knows, without repeats, and those of the held-out."""
    kinds, _ = _kinds(batch)
    codes, found = _runs_of(batch, runs)
    owners = tables.customers.find(batch.values("customer_id"))
    rows = _Rows(owners, codes, kinds)
    held = {code: _held_out(run, rows, code, batch, tables, runs) for code, run in found.items()}
    _put_text(batch, tables, "kind", [KINDS[k] for k in range(len(KINDS))], kinds)
    _fill_parts(batch, tables, runs, rows, found)
    new = ~_repeats(batch, rows, tables, found)
    _put_from_runs(batch, tables, codes, found)
    repeated = batch.rows - int(new.sum())
    batch.keep(new)
    ids, times = _held_rows(batch, held)
    if len(ids):
        _append_held(batch, tables, ids, times, held, found)
    report = replace(report, rows_repeated=repeated, rows_loaded=report.rows_loaded - repeated)
    told = frozenset(run.run for run in found.values())
    return Recording(batch, report, len(ids), told)


def _repeats(batch: Batch, rows: _Rows, tables: Tables, found: dict[int, Run]) -> NDArray[np.bool_]:
    """Rows without an event_id whose run, buyer and kind were there before."""
    if batch.rows == 0:
        return np.zeros(0, np.bool_)
    keys = rows.runs.astype(np.int64) * len(KINDS) + rows.kinds
    repeated = first_places((rows.owners, keys)) != np.arange(batch.rows)
    messages = tables.events[MESSAGES]
    if _MANY * batch.rows > messages.rows:
        for code in found:
            for kind, owners in _seen(messages, code, tables.customers.rows).items():
                mine = (rows.runs == code) & (rows.kinds == kind)
                repeated[mine] |= owners[rows.owners[mine]]
    else:
        repeated |= _followed(messages, tables.customers.heads(MESSAGES), rows)
    if "event_id" in batch.columns:
        repeated &= batch.values("event_id") == _missing(batch, "event_id")
    return repeated


def _seen(messages: EventTable, run: int, buyers: int) -> dict[int, NDArray[np.bool_]]:
    """By kind, which buyers have a row of a run: bool[buyers]. One pass over all messages."""
    rows = _rows_of_run(messages, run)
    if not len(rows):
        return {}
    owners, codes = messages.extra("owner")[rows], messages.columns["kind"].values[rows]
    found = {}
    for number, code in enumerate(_kind_codes(messages)):
        mine = owners[(codes == code) & (owners >= 0)]
        if len(mine):
            found[number] = np.zeros(buyers, np.bool_)
            found[number][mine] = True
    return found


def _followed(messages: EventTable, heads: NDArray[np.int32], rows: _Rows) -> NDArray[np.bool_]:
    """Which rows have one of their run, buyer and kind before them, by the buyers' chains."""
    found = np.zeros(len(rows.owners), np.bool_)
    if messages.rows == 0 or not messages.columns["run"].is_allocated:
        return found
    run, kind = messages.columns["run"].values, messages.columns["kind"].values
    wanted, previous = _kind_codes(messages)[rows.kinds], messages.extra("previous")
    at = heads[rows.owners].copy()
    open_ = np.flatnonzero(at >= 0)
    while len(open_):
        here = at[open_]
        hit = (run[here] == rows.runs[open_]) & (kind[here] == wanted[open_])
        found[open_[hit]] = True
        open_ = open_[~hit]
        at[open_] = previous[at[open_]]
        open_ = open_[at[open_] >= 0]
    return found


def _kind_codes(messages: EventTable) -> NDArray[np.int32]:
    """The code of each of KINDS, -2 for one that was never written."""
    dictionary = messages.columns["kind"].dictionary
    assert dictionary is not None
    codes = dictionary.find(pa.array(KINDS))
    return np.where(codes < 0, np.int32(-2), codes)


def _rows_of_run(messages: EventTable, run: int) -> NDArray[np.int64]:
    column = messages.columns["run"]
    if not column.is_allocated:
        return np.empty(0, np.int64)
    return np.flatnonzero(column.values[: messages.rows] == run)


@dataclass(frozen=True, slots=True)
class _Held:
    """The held-out buyers of a run who still need their row: keys of ids[n], and the moment."""

    ids: NDArray[Any]
    time: int


def _held_out(
    run: Run, rows: _Rows, code: int, batch: Batch, tables: Tables, runs: Runs
) -> _Held | None:
    """Those to be added with the first rows of a run; None where they are there already."""
    mine = rows.runs == code
    if not mine.any() or run.run in runs.held_out_told:
        return None
    places = _places(run, runs, tables)
    everybody = np.flatnonzero(places >= 0)
    held = everybody[run.members.arms[places[everybody]] == HELD_OUT]
    there = _seen(tables.events[MESSAGES], code, tables.customers.rows).get(_HELD)
    if there is not None:
        held = held[~there[held]]
    held = np.setdiff1d(held, rows.owners[mine & (rows.kinds == _HELD)])
    ids = tables.customers.columns["customer_id"].values[held]
    return _Held(ids, int(batch.values("time")[mine].min()))


def _held_rows(
    batch: Batch, held: dict[int, _Held | None]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    dtype = batch.values("customer_id").dtype
    there = [each for each in held.values() if each is not None]
    ids = np.concatenate([np.empty(0, dtype), *(each.ids for each in there)])
    times = [np.full(len(each.ids), each.time, np.int64) for each in there]
    return ids, np.concatenate([np.empty(0, np.int64), *times])


def _append_held(
    batch: Batch,
    tables: Tables,
    ids: NDArray[Any],
    times: NDArray[np.int64],
    held: dict[int, _Held | None],
    found: dict[int, Run],
) -> None:
    """Put the rows of held-out buyers behind those given."""
    there = [(code, each) for code, each in held.items() if each is not None]
    codes = np.concatenate([np.full(len(each.ids), code, np.int32) for code, each in there])
    added = Batch(MESSAGES, len(ids), {
        "customer_id": replaced(batch, "customer_id", ids),
        "time": replaced(batch, "time", times),
        "run": replaced(batch, "run", codes),
    })  # fmt: skip
    kinds = np.full(len(ids), _HELD, np.int64)
    _put_text(added, tables, "kind", list(KINDS), kinds)
    _put_from_runs(added, tables, codes, found)
    for name, column in batch.columns.items():
        more = added.columns.get(name)
        values = np.full(len(ids), _missing(batch, name), column.values.dtype)
        column.values = np.concatenate([column.values, values if more is None else more.values])
    batch.rows += len(ids)


def replaced(batch: Batch, name: str, values: NDArray[Any]) -> BatchColumn:
    """A column like that of a batch, with other values."""
    column = batch.columns[name]
    return BatchColumn(column.kind, values.astype(column.values.dtype), column.dictionary)


def _put_text(
    batch: Batch, tables: Tables, name: str, texts: Sequence[str | None], which: NDArray[Any]
) -> None:
    """Give a batch a column of texts: for each row the number of one of them."""
    dictionary = tables.dictionary_for(MESSAGES, name, Kind.VARCHAR)
    assert dictionary is not None
    codes = dictionary.encode(pa.array([*texts, None], pa.large_string()))
    batch.columns[name] = BatchColumn(Kind.VARCHAR, codes[which], dictionary)


def _put_from_runs(
    batch: Batch, tables: Tables, codes: NDArray[np.int32], found: dict[int, Run]
) -> None:
    """Fill what a run knows of its messages; the variant is that of the buyer's arm."""
    listed = list(found.values())
    which = np.full(batch.rows, len(listed), np.int64)
    for number, code in enumerate(found):
        which[codes == code] = number
    for name, texts in (
        ("campaign", [run.campaign for run in listed]),
        ("channel", [run.facts.channel for run in listed]),
        ("class", [run.facts.kind for run in listed]),
    ):
        _put_text(batch, tables, name, texts, which)
    if "variant" not in batch.columns:
        _put_text(batch, tables, "variant", [], np.zeros(batch.rows, np.int64))


def _fill_parts(
    batch: Batch, tables: Tables, runs: Runs, rows: _Rows, found: dict[int, Run]
) -> None:
    """What was sent without parts has those of its text; every row gets its variant."""
    if "parts" not in batch.columns:
        missing = missing_of(np.dtype(np.int64), Kind.BIGINT)
        batch.columns["parts"] = BatchColumn(Kind.BIGINT, np.full(batch.rows, missing, np.int64))
    parts, missing = batch.values("parts"), _missing(batch, "parts")
    names: list[str | None] = []
    variant = np.full(batch.rows, -1, np.int64)
    for code, run in found.items():
        mine = np.flatnonzero(rows.runs == code)
        places = _places(run, runs, tables)[rows.owners[mine]]
        arms, written = run.members.arms[places], run.members.parts[places]
        default = (rows.kinds[mine] == 0) & (parts[mine] == missing) & (written != NO_PARTS)
        parts[mine[default]] = written[default]
        variant[mine] = np.where(arms >= 0, arms + len(names), -1)
        names += [name for name, _ in run.facts.variants]
    # -1 is the last entry, which is no text.
    _put_text(batch, tables, "variant", names, variant)
