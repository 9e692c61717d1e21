"""What did a buyer answer last to each survey question?

Each question that a behavior of kind `survey` has asked is a trait of its own, from the batch on
that brought it: rules know it at once. The answer is the last by time, then by arrival, up to
as_of; a survey without an answer changes nothing. Questions whose texts give the same name share a
trait. Names are a matter of `schema/answer_settings.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.schema.answer_settings import MOST_QUESTIONS, PREFIX, answer_trait
from segengine.schema.kinds import Kind
from segengine.schema.store_config import StoreConfig
from segengine.tables.column import Column
from segengine.tables.customers import CustomerTable
from segengine.tables.tables import Tables
from segengine.traits.trait import Family
from segengine.traits.work import Work


def questions(tables: Tables, config: StoreConfig) -> dict[str, str | None]:
    """Every question asked so far and the trait with its answers, in the order first seen.

    None: its text gives no name, a given column has that name, or there are too many questions.
    """
    behaviors = tables.events["behaviors"]
    codes = _first_seen(_asked(tables, None), behaviors.columns["question"].values)
    found: dict[str, str | None] = {}
    for question in _texts(tables, codes):
        name = answer_trait(question, config.answers)
        found[question] = name if name in tables.customers.traits else None
    return found


def _asked(tables: Tables, events: NDArray[np.integer] | None) -> NDArray[np.int64]:
    """The rows of behaviors that ask a buyer a question, ascending; of these events, or of all."""
    behaviors = tables.events["behaviors"]
    kinds = behaviors.columns["kind"]
    assert kinds.dictionary is not None
    (survey,) = kinds.dictionary.codes_of(("survey",))
    if survey < 0:
        return np.empty(0, np.int64)
    if events is None:
        rows = np.flatnonzero(kinds.values[: behaviors.rows] == survey)
    else:
        rows = np.sort(events[kinds.values[events] == survey]).astype(np.int64)
    known = behaviors.columns["question"].values[rows] >= 0
    return rows[known & (behaviors.extra("owner")[rows] >= 0)]


def _first_seen(rows: NDArray[np.int64], question: NDArray[np.int32]) -> NDArray[np.int32]:
    """The codes of the questions of these rows, in the order of the rows."""
    asked = question[rows]
    _, first = np.unique(asked, return_index=True)
    return asked[np.sort(first)]


def _texts(tables: Tables, codes: NDArray[np.int32]) -> list[str]:
    dictionary = tables.events["behaviors"].columns["question"].dictionary
    assert dictionary is not None
    texts: list[str] = dictionary.texts().take(pa.array(codes)).to_pylist()
    return texts


def _facts(work: Work) -> None:
    tables, named = work.tables, work.config.answers
    rows = _asked(tables, None if work.is_of_all else _rows(work))
    question = tables.column("behaviors", "question").values
    codes = _first_seen(rows, question)
    names = [answer_trait(text, named) for text in _texts(tables, codes)]
    _add_traits(work, [*(PREFIX + name for name in named), *filter(None, names)])
    written = slice(0, len(work.rows)) if work.is_of_all else work.rows
    places = [name for name in work.blocks if name.startswith(PREFIX)]
    for name in places:
        work.blocks[name][0, written] = -1
    time, answer = (tables.column("behaviors", name).values for name in ("time", "answer"))
    rows = rows[(answer[rows] >= 0) & (time[rows] <= work.as_of)]
    # By trait, then by time, then by arrival: of several values for a buyer the last stays.
    place_of = np.full(work.dictionary("behaviors", "question").size, -1, np.int64)
    place_of[codes] = [places.index(n) if n in places else -1 for n in names]
    place = place_of[question[rows]]
    order = np.lexsort((time[rows], place))
    rows, place = rows[order], place[order]
    edges = np.searchsorted(place, np.arange(len(places) + 1))
    owner = tables.events["behaviors"].extra("owner")
    for k, name in enumerate(places):
        own = rows[edges[k] : edges[k + 1]]
        work.blocks[name][0][work.places_of(owner[own])] = answer[own]


def _rows(work: Work) -> NDArray[np.int32]:
    """The rows of these buyers' behaviors; of rows that are still to come none is an answer."""
    rows = work.rows_of("behaviors", work.history("behaviors").events)
    return rows[rows < work.tables.events["behaviors"].rows]


def _add_traits(work: Work, names: Iterable[str]) -> None:
    """A matrix of its own for each new trait, as long as there may be more.

    Whatever brings a question fills the matrices in use, with the gate closed; who fills new ones
    beside them, for another moment, finds every trait there.
    """
    customers = work.tables.customers
    for name in dict.fromkeys(names):
        if name in work.blocks or name in customers.columns:
            continue
        if _is_full(customers) or not work.is_in_place:
            return
        answers = work.dictionary("behaviors", "answer")
        customers.add_block(name, [Column(name, Kind.VARCHAR, dictionary=answers)])
        work.blocks[name] = customers.block(name)


def _is_full(customers: CustomerTable) -> bool:
    return sum(name.startswith(PREFIX) for name in customers.traits) >= MOST_QUESTIONS


ANSWERS = Family("answers", "", (), facts=_facts, reads=("behaviors",))
