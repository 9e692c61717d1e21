# ruff: noqa: D102 - a class says what its attributes are
"""What does the server ask of an engine?

All of it, as shapes: `segengine.Engine` fits, and so does a fake in a test. Every method may be
called from any thread. Answers are frozen: they stay as they are while the engine moves on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

from segengine_server.campaign_api import Campaigns, Text

CustomerId = int | str


class Answer(Protocol):
    """A rule's count with the moment and the data that it is true for."""

    @property
    def count(self) -> int: ...
    @property
    def as_of(self) -> datetime: ...
    @property
    def data_version(self) -> int: ...


class Reasoned(Protocol):
    """Whether one buyer is in; as text, the whole reason as a tree."""

    @property
    def holds(self) -> bool: ...


class Dropped(Reasoned, Protocol):
    """The same for a campaign; `step` dropped the buyer, None when targeted."""

    @property
    def step(self) -> str | None: ...


class Segment(Protocol):
    """One rule, asked anew at every call."""

    def answer(self) -> Answer: ...
    def table(self, columns: Sequence[str], /) -> pa.Table: ...
    def explain(self, customer_id: CustomerId, /) -> Reasoned: ...


class Audience(Text, Protocol):
    """A campaign's answer at one moment."""

    @property
    def ledger(self) -> pa.Table: ...
    def count(self) -> int: ...
    def table(self, columns: Sequence[str], /) -> pa.Table: ...
    def explain(self, customer_id: CustomerId, /) -> Dropped: ...


class Product(Protocol):
    """One product of a placement."""

    @property
    def product_id(self) -> object: ...
    @property
    def score(self) -> float: ...
    @property
    def reason(self) -> str: ...


class Placement(Protocol):
    """What fills one slot; no module when the reason is EMPTY."""

    @property
    def slot(self) -> str: ...
    @property
    def module(self) -> str | None: ...
    @property
    def variant(self) -> str | None: ...
    @property
    def reason(self) -> str: ...
    @property
    def products(self) -> Sequence[Any]: ...
    @property
    def payload(self) -> Any: ...


class Page(Protocol):
    """What one buyer sees; `valid_until` is None when nothing limits it."""

    @property
    def placements(self) -> Sequence[Placement]: ...
    @property
    def as_of(self) -> datetime: ...
    @property
    def data_version(self) -> int: ...
    @property
    def valid_until(self) -> datetime | None: ...
    @property
    def traits(self) -> Sequence[str]: ...


class Census(Protocol):
    """What all buyers see on a page; the tables are those of `answers.CENSUS_SCHEMAS`."""

    @property
    def not_given(self) -> Sequence[str]: ...
    @property
    def buyers(self) -> int: ...
    @property
    def modules(self) -> pa.Table: ...
    @property
    def variants(self) -> pa.Table: ...
    @property
    def empty(self) -> pa.Table: ...
    @property
    def never(self) -> Sequence[str]: ...
    @property
    def unseen(self) -> pa.Table: ...
    @property
    def different_pages(self) -> int: ...
    @property
    def frequent(self) -> pa.Table: ...
    @property
    def as_of(self) -> datetime: ...
    @property
    def data_version(self) -> int: ...


class Engine(Campaigns, Protocol):
    """The one door behind which all answers are made."""

    @property
    def as_of_is_fixed(self) -> bool: ...
    def tick(self) -> object: ...
    def segment(self, rule: str, /) -> Segment: ...
    def audience(self, name: str, /) -> Audience: ...
    def match(self, customer_id: CustomerId, /) -> Sequence[str]: ...
    def page(
        self, name: str, /, customer_id: CustomerId | None, context: Mapping[str, str]
    ) -> Page: ...
    def page_census(
        self,
        name: str,
        /,
        context: Mapping[str, str],
        *,
        progress: Callable[[int, int], object],
    ) -> Census: ...
