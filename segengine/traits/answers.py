"""What did a buyer answer last to each survey question?

Each question that a behavior of kind `survey` has asked is a trait of its own, from the batch on
that brought it: rules know it at once. The answer is the last by time, then by arrival, up to
as_of; a survey without an answer changes nothing. Questions whose texts give the same name share a
trait. Names are a matter of `schema/answer_settings.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.schema.answer_settings import MOST_QUESTIONS, PREFIX, answer_trait
from segengine.schema.kinds import Kind
from segengine.schema.store_config import StoreConfig
from segengine.tables.batch import Batch
from segengine.tables.column import Column
from segengine.tables.customers import CustomerTable
from segengine.tables.tables import Tables
from segengine.traits.trait import Family
from segengine.traits.work import Work

_SURVEY = "survey"


def questions(tables: Tables, config: StoreConfig) -> dict[str, str | None]:
    """Every question asked so far and the trait with its answers, in the order first seen.

    None: its text gives no name, a given column has that name, or there are too many questions.
    """
    behaviors = tables.events["behaviors"]
    codes = _first_seen(behaviors.columns["question"].values[_asked(tables)])
    found: dict[str, str | None] = {}
    for question in _texts(tables, codes):
        name = answer_trait(question, config.answers)
        found[question] = name if name in tables.customers.traits else None
    return found


def makes_trait(tables: Tables, named: Mapping[str, str], batch: Batch) -> bool:
    """Whether a question of a batch gets a trait that is not there yet."""
    survey = _survey(tables)
    if survey < 0 or not {"question", "kind"} <= batch.columns.keys():
        return False
    questions = batch.values("question")[batch.values("kind") == survey]
    codes = np.unique(questions[questions >= 0])
    if not len(codes) or _is_full(tables.customers):
        return False
    known = tables.customers.traits.keys() | tables.customers.columns.keys()
    names = [answer_trait(text, named) for text in _texts(tables, codes)]
    return any(name is not None and name not in known for name in names)


def _asked(tables: Tables) -> NDArray[np.int64]:
    """The rows of behaviors that ask a buyer a question, ascending."""
    behaviors = tables.events["behaviors"]
    columns = behaviors.columns
    survey = _survey(tables)
    if survey < 0:
        return np.empty(0, np.int64)
    rows = np.flatnonzero(columns["kind"].values[: behaviors.rows] == survey)
    known = columns["question"].values[rows] >= 0
    return rows[known & (behaviors.extra("owner")[rows] >= 0)]


def _survey(tables: Tables) -> int:
    kinds = tables.events["behaviors"].columns["kind"].dictionary
    assert kinds is not None
    return int(kinds.codes_of((_SURVEY,))[0])


class _Asked(NamedTuple):
    """What buyers of a work were asked, in the order of arrival.

    owner: where the buyer stands in the matrices  question, answer: codes, -1 for no answer
    """

    owner: NDArray[np.integer[Any]]
    question: NDArray[np.int32]
    answer: NDArray[np.int32]
    time: NDArray[np.int64]


def _asked_of(work: Work) -> _Asked:
    names = ("question", "answer", "time")
    if work.is_of_all:
        rows = _asked(work.tables)
        found = (work.values("behaviors", name)[rows] for name in names)
        return _Asked(work.extra("behaviors", "owner")[rows], *found)
    begins, events = work.history("behaviors")
    survey = _survey(work.tables)
    asked = np.flatnonzero(work.values("behaviors", "kind")[events] == survey)
    if survey < 0:
        # A missing kind is below 0 too.
        asked = asked[:0]
    asked = asked[work.values("behaviors", "question")[events[asked]] >= 0]
    asked = asked[np.argsort(work.rows_of("behaviors", events[asked]))]
    owner = np.searchsorted(begins, asked, side="right") - 1
    found = (work.values("behaviors", name)[events[asked]] for name in names)
    return _Asked(work.rows[owner], *found)


def _first_seen(asked: NDArray[np.int32]) -> NDArray[np.int32]:
    """The codes of these questions, in their order, each once."""
    _, first = np.unique(asked, return_index=True)
    return asked[np.sort(first)]


def _texts(tables: Tables, codes: NDArray[np.int32]) -> list[str]:
    dictionary = tables.events["behaviors"].columns["question"].dictionary
    assert dictionary is not None
    texts: list[str] = dictionary.texts().take(pa.array(codes)).to_pylist()
    return texts


def _facts(work: Work) -> None:
    tables, named = work.tables, work.config.answers
    asked = _asked_of(work)
    codes = _first_seen(asked.question)
    names = [answer_trait(text, named) for text in _texts(tables, codes)]
    _add_traits(work, [*(PREFIX + name for name in named), *filter(None, names)])
    written = slice(0, len(work.rows)) if work.is_of_all else work.rows
    places = [name for name in work.blocks if name.startswith(PREFIX)]
    for name in places:
        work.blocks[name][0, written] = -1
    told = np.flatnonzero((asked.answer >= 0) & (asked.time <= work.as_of))
    if not len(told):
        return
    # By trait, then by time, then by arrival: of several values for a buyer the last stays.
    place_of = np.full(work.dictionary("behaviors", "question").size, -1, np.int64)
    place_of[codes] = [places.index(n) if n in places else -1 for n in names]
    place = place_of[asked.question[told]]
    order = np.lexsort((asked.time[told], place))
    told, place = told[order], place[order]
    edges = np.searchsorted(place, np.arange(len(places) + 1))
    for k, name in enumerate(places):
        own = told[edges[k] : edges[k + 1]]
        work.blocks[name][0][asked.owner[own]] = asked.answer[own]


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


ANSWERS = Family(
    "answers", "", (), facts=_facts, reads=("behaviors",), kinds={"behaviors": (_SURVEY,)}
)
