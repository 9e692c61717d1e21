"""What do several commands take?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segengine.cli.outcome import InputError, NoStoreError
from segengine.errors import StoreError

if TYPE_CHECKING:
    from segengine.engine import Engine

HERE = Path()

Store = Annotated[
    Path,
    typer.Option(
        "--store",
        metavar="DIR",
        help="The store's directory, by default this one.",
        show_default=False,
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON object: exact decimals as text, moments in UTC.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Write the whole table to a .parquet or .csv."),
]
Columns = Annotated[
    str | None,
    typer.Option("--columns", metavar="A,B", help="Traits to show beside customer_id."),
]
Rule = Annotated[str, typer.Argument(metavar="RULE", help="A rule, in quotes.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="A customer_id.")]


def example(*lines: str) -> str:
    """The end of a command's help: how it is called."""
    return "\n\n".join(["Example:", *(line.replace("[", r"\[") for line in lines)])


def check_store(folder: Path) -> None:
    """`NoStoreError` where there is no store in a directory; nothing is opened."""
    from segengine.schema.store_config import file_of

    try:
        file_of(folder)
    except StoreError as error:
        raise NoStoreError(str(error), field=error.field) from None


@contextmanager
def opened(folder: Path, *, as_kept: bool = False) -> Iterator[Engine]:
    """The store in a directory, as `Engine.open` has it; `NoStoreError` where there is none."""
    from segengine.engine import Engine

    check_store(folder)
    with Engine.open(folder, as_kept=as_kept) as engine:
        yield engine


def customer_id_of(engine: Engine, text: str) -> int | str:
    """An id as the store has it: a whole number where its ids are numbers, else the text."""
    is_number = engine.id_kind == "BIGINT" and re.fullmatch(r"[+-]?[0-9]{1,20}", text)
    return int(text) if is_number else text


def product_id_of(engine: Engine, text: str) -> int | str:
    """An id as the store has its products: a whole number or the text."""
    kind = engine.table("products", ["product_id"]).schema.field("product_id").type
    is_number = str(kind) == "int64" and re.fullmatch(r"[+-]?[0-9]{1,20}", text)
    return int(text) if is_number else text


def saved(name: str) -> str:
    """The rule that a saved segment is."""
    quoted = name.replace("'", "''")
    return f"segment('{quoted}')"


def names_of(text: str | None) -> list[str]:
    """The names in `a, b`, lower-case as columns are."""
    return [name.strip().lower() for name in (text or "").split(",") if name.strip()]


def pairs_of(texts: Sequence[str], option: str, example: str) -> dict[str, str]:
    """Each `key=value` as a pair, split at the first sign; a mistake says how it is written."""
    pairs: dict[str, str] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise InputError(f"`{option} {text}` is no pair; write `{option} {example}`")
        if key.strip() in pairs:
            raise InputError(f"`{option}` gives `{key.strip()}` twice")
        pairs[key.strip()] = value
    return pairs
