"""Which shop is under load? A made-up one of so many buyers, with one page of so many modules.

It is a store with files, so that what is ingested is lasting. A folder that holds a shop of as many
buyers already is opened as it is: making a million takes a minute, opening it seconds.
"""

# ruff: noqa: SLF001 - the page suite's own comparison and visits
from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from segengine_server.wire import segengine_pb2 as pb

from segengine.bench import page_rules, page_suite
from segengine.bench.page_suite import Visit
from segengine.demo import generate
from segengine.engine import Engine

Say = Callable[[str], None]

VISITS = 64
"""Different visitors: more than there are connections, so that each may have its own."""


class OtherShopError(Exception):
    """The folder holds a store of another size."""


def opened_shop(folder: Path, customers: int, say: Say) -> Engine:
    """The shop in `folder`, made there if the folder is empty. `OtherShopError` for another's."""
    store = generate(customers)
    settings = folder / "store.toml"
    if not settings.exists():
        folder.mkdir(parents=True, exist_ok=True)
        settings.write_text(_settings(store.config), encoding="utf-8")
    engine = Engine.open(folder)
    held = int(engine.segment("TRUE").count())
    if not held:
        say(f"making a shop of {customers:,} buyers in {folder}")
        with engine.built_once():
            for table in store.tables:
                engine.load(table, store.reader(table))
        engine.prepare()
        held = int(engine.segment("TRUE").count())
    if held != customers:
        engine.close()
        raise OtherShopError(
            f"`{folder}` holds {held:,} buyers, not {customers:,}; name another folder, or empty it"
        )
    return engine


def bare_shop(folder: Path, customers: int, say: Say) -> Engine:
    """A shop of so many buyers of whom nothing is known but who they are."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "store.toml").touch()
    engine = Engine.open(folder)
    held = engine.segment("TRUE").count()
    if not held:
        say(f"making a shop of {customers:,} buyers without a history in {folder}")
        engine.load("customers", pa.table({"customer_id": np.arange(1, customers + 1)}))
        engine.prepare()
    elif held != customers:
        engine.close()
        raise OtherShopError(
            f"`{folder}` holds {held:,} buyers, not {customers:,}; name another folder, or empty it"
        )
    return engine


def with_page(engine: Engine, modules: int, customers: int) -> list[Visit]:
    """Define the page; visits to it, whose answers are those of asking rule by rule."""
    (page,) = page_rules.pages(1, modules, engine.as_of)
    engine.define_page(page)
    visits = page_suite._visits([page], customers, VISITS)
    for visit in visits[: page_suite._CHECKED]:
        page_suite._check(engine, visit, [])
    return visits


def request_of(visit: Visit) -> bytes:
    """A visit as GetPage is asked about it."""
    return pb.GetPageRequest(
        page=visit.page,
        customer=pb.CustomerId(number=visit.customer_id),
        context=dict(visit.context),
    ).SerializeToString()


def placed(engine: Engine, visits: Sequence[Visit]) -> list[list[list[str]]]:
    """What the engine decides in process for each visit: slot, module, variant, reason."""
    return [
        [
            [p.slot, p.module or "", p.variant or "", p.reason]
            for p in engine.page(visit.page, visit.customer_id, visit.context).placements
        ]
        for visit in visits
    ]


def placed_in(reply: bytes) -> list[list[str]]:
    """The same of a reply of GetPage."""
    return [[p.slot, p.module, p.variant, p.reason]
            for p in pb.GetPageReply.FromString(reply).placements]  # fmt: skip


def _settings(config: dict[str, Any]) -> str:
    """The shop's `store.toml`: its moment and segments."""
    store = config["store"]
    lines = [
        "[store]", f"timezone = {json.dumps(store['timezone'])}",
        f"currency = {json.dumps(store['currency'])}",
        f"channels = {json.dumps(store['channels'])}",
        f"as_of = {store['as_of'].isoformat()}", "[segments]",
    ]  # fmt: skip
    rules = config["segments"]
    lines += [f"{name} = {json.dumps(rule)}" for name, rule in rules.items()
              if isinstance(rule, str)]  # fmt: skip
    return "\n".join(lines) + "\n"
