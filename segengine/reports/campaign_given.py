"""What does the report of a campaign read of the store? Rows about the buyers of its runs, no more.

Buyers are the rows they have in memory, as numbers that mean nothing outside. Messages are those of
the runs; answers and purchases are those since the first of these messages, of buyers of the runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.audiences.goals import Leaf, checked_goal, rows_of_leaf
from segengine.audiences.runs import Run, RunFacts, Runs
from segengine.errors import ReportError
from segengine.reports.cells import Cells, cells_of
from segengine.rules.check import Vocabulary, check_value
from segengine.rules.parse import parse
from segengine.rules.segment import View, table_of
from segengine.tables.events import EventTable

_DAY = 86_400_000_000
_LONGEST = 10**6
"""Dates of a window, at most: none reaches further than history does."""
_SALES = "sum(purchases.amount)"


@dataclass(frozen=True, slots=True)
class Given:
    """The runs that are asked about, the cells that traits divide their buyers into, and clicks.

    clicks: whether the goal of a run is also met by clicks; only_clicks: by nothing else.
    """

    runs: tuple[RunFacts, ...]
    cells: Cells | None
    clicks: tuple[bool, ...]
    only_clicks: tuple[bool, ...]
    money_scale: int


def given(
    view: View, runs: Runs, words: Vocabulary, options: Mapping[str, Any]
) -> tuple[Given, dict[str, pa.Table]]:
    """What is asked about, and tables for the connection.

    runs (run, goal, span: microseconds), members (run, buyer, arm), contacts (run, buyer, kind,
    time, parts), answers (goal, buyer, time, is_click), bought (buyer, time, amount: unscaled),
    cells (buyer, cell). Raises `ReportError`, and `UnknownNameError` for what is not there.
    """
    asked = asked_runs(runs, options.get("run"), options.get("campaign"))
    rows = [_rows_of(view, run) for run in asked]
    is_member = np.zeros(view.population.rows, np.bool_)
    for each in rows:
        is_member[each[each >= 0]] = True
    contacts, since = _contacts(view, asked)
    goals: dict[tuple[str | None, str], int] = {}
    numbers = [goals.setdefault((r.facts.goal, r.campaign), len(goals)) for r in asked]
    leaves = [checked_goal(goal, campaign, words) for goal, campaign in goals]
    by = _names(options.get("by"))
    cells = _cells(view, is_member, by) if by else None
    tables = {
        "runs": pa.table(
            {
                "run": pa.array(range(len(asked)), pa.int32()),
                "goal": pa.array(numbers, pa.int32()),
                "span": pa.array(
                    [min(r.facts.window_days, _LONGEST) * _DAY for r in asked], pa.int64()
                ),
            }
        ),
        "members": _members(asked, rows),
        "contacts": contacts,
        "answers": _answers(view, leaves, is_member, since),
        "bought": _bought(view, words, is_member, since),
    }
    if cells is not None:
        buyers = np.flatnonzero(is_member)
        tables["cells"] = pa.table({"buyer": buyers, "cell": cells.places})
    clicks = [any(leaf.is_click for leaf in leaves[n]) for n in numbers]
    only = [all(leaf.is_click for leaf in leaves[n]) for n in numbers]
    facts = tuple(run.facts for run in asked)
    scale = view.population.money_scale
    return Given(facts, cells, tuple(clicks), tuple(only), scale), tables


def asked_runs(runs: Runs, run: object, campaign: object) -> list[Run]:
    """The run of this id, or those of this campaign."""
    if run is None and campaign is None:
        known = ", ".join(list(runs)[-5:])
        raise ReportError(
            "report `campaign` is asked about a `run` or a `campaign`; "
            + (f"the latest runs: {known}" if known else "nothing has been run"),
            field="run",
        )
    if run is not None:
        found = runs.named(str(run))
        if campaign is not None and found.campaign != campaign:
            raise ReportError(
                f"run `{run}` is of campaign `{found.campaign}`, not of `{campaign}`", field="run"
            )
        return [found]
    of = runs.of_campaign(str(campaign))
    if not of:
        names = ", ".join(dict.fromkeys(each.campaign for each in runs.values()))
        raise ReportError(
            f"campaign `{campaign}` has no run; "
            + (f"these have: {names}" if names else "nothing has been run"),
            field="campaign",
        )
    return of


def _names(by: object) -> list[str]:
    if by is None:
        return []
    parts = by.split(",") if isinstance(by, str) else list(by)  # type: ignore[call-overload]
    return list(dict.fromkeys(str(part).strip() for part in parts if str(part).strip()))


def _rows_of(view: View, run: Run) -> NDArray[np.int64]:
    customers = view.population.customers
    ids = run.members.ids
    dictionary = customers.columns["customer_id"].dictionary
    if dictionary is not None:
        return customers.find(dictionary.find(ids))
    return customers.find(np.array(ids.to_numpy()))


def _members(runs: Sequence[Run], rows: Sequence[NDArray[np.int64]]) -> pa.Table:
    numbers = [np.full(len(each), place, np.int32) for place, each in enumerate(rows)]
    return pa.table(
        {
            "run": np.concatenate(numbers),
            "buyer": np.concatenate(rows),
            "arm": np.concatenate([run.members.arms for run in runs]),
        }
    )


def _contacts(view: View, runs: Sequence[Run]) -> tuple[pa.Table, int]:
    """The messages of these runs up to as_of, and the moment of the first."""
    messages = view.population.tables.events["messages"]
    column = messages.columns["run"]
    assert column.dictionary is not None
    codes = column.dictionary.find(pa.array([run.run for run in runs]))
    place = np.full(column.dictionary.size + 1, -1, np.int32)
    for number, code in enumerate(codes):
        if code >= 0:
            place[code] = number
    if column.is_allocated:
        numbers = place[column.values[: messages.rows]]
    else:
        numbers = np.full(messages.rows, -1, np.int32)
    times, owners = messages.columns["time"].values, messages.extra("owner")
    rows = np.flatnonzero(numbers >= 0)
    rows = rows[(owners[rows] >= 0) & (times[rows] <= view.clock.as_of)]
    said = messages.to_arrow(["kind", "parts"], rows, view.population.money_scale)
    found = pa.table(
        {
            "run": numbers[rows],
            "buyer": owners[rows].astype(np.int64),
            "kind": said["kind"],
            "time": times[rows],
            "parts": said["parts"],
        }
    )
    return found, int(times[rows].min()) if len(rows) else int(np.iinfo(np.int64).max)


def _answers(
    view: View, leaves: Sequence[Sequence[Leaf]], is_member: NDArray[np.bool_], since: int
) -> pa.Table:
    """What answers the messages of each goal."""
    parts = []
    for goal, several in enumerate(leaves):
        for leaf in several:
            table = view.population.tables.events[leaf.table]
            rows = _since(table, rows_of_leaf(leaf, view), is_member, since)
            parts.append(
                {
                    "goal": np.full(len(rows), goal, np.int32),
                    "buyer": table.extra("owner")[rows].astype(np.int64),
                    "time": table.columns["time"].values[rows],
                    "is_click": np.full(len(rows), leaf.is_click),
                }
            )
    return pa.concat_tables([pa.table(part) for part in parts])


def _bought(view: View, words: Vocabulary, is_member: NDArray[np.bool_], since: int) -> pa.Table:
    """Purchases, with what was paid for each after refunds, as the language sums it."""
    term = check_value(parse(_SALES, "sales"), words, _SALES, "sales")
    operand, where = term.args
    events = view.population.events_of(term.value.table)
    bitmap = events.words(where, view.clock)
    amounts, missing = events.values(operand, bitmap, view.clock)
    bits = np.unpackbits(bitmap.view(np.uint8), bitorder="little")[: events.rows]
    found = np.flatnonzero(bits)
    found = found[events.table.extra("owner")[found] >= 0]
    rows = _since(events.table, found, is_member, since)
    values = amounts[rows]
    return pa.table(
        {
            "buyer": events.table.extra("owner")[rows].astype(np.int64),
            "time": events.table.columns["time"].values[rows],
            "amount": pa.array(values, pa.int64(), mask=values == missing),
        }
    )


def _since(
    table: EventTable, rows: NDArray[np.int64], is_member: NDArray[np.bool_], since: int
) -> NDArray[np.int64]:
    rows = rows[table.columns["time"].values[rows] >= since]
    return rows[is_member[table.extra("owner")[rows]]]


def _cells(view: View, is_member: NDArray[np.bool_], by: Sequence[str]) -> Cells:
    """The cells of these traits, as the buyers have them now."""
    values = table_of(view, np.flatnonzero(is_member), by)
    return cells_of({name: values[name].combine_chunks() for name in by})
