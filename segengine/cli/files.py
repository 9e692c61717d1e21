"""How does an answer become a file? Written whole beside it, then renamed: never half a file."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segengine.cli.outcome import FailedError, InputError
from segengine.cli.show import counted, note

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS = (".parquet", ".csv")


def check_out(path: Path | None, endings: Sequence[str] = ENDINGS) -> None:
    """Refuse a file that could not be written, before any work is done."""
    if path is None:
        return
    if path.suffix.lower() not in endings:
        raise InputError(f"`--out {path}`: the name must end in {' or '.join(endings)}")
    if not path.parent.is_dir():
        raise InputError(f"`--out {path}`: there is no folder `{path.parent}`")
    if path.is_dir():
        raise InputError(f"`--out {path}`: that is a folder")


def write_table(table: pa.Table, path: Path) -> None:
    """The table as a file at `path`, in place of any before it."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    with _replacing(path) as fresh:
        if path.suffix.lower() == ".csv":
            pa.csv.write_csv(_without_lists(table), fresh)
        else:
            pa.parquet.write_table(table, fresh)
    note(f"wrote {counted(table.num_rows, 'row')} to {path}")


def write_text(text: str, path: Path) -> None:
    """The text as a file at `path`, in place of any before it."""
    with _replacing(path) as fresh:
        fresh.write_text(text, encoding="utf-8", newline="\n")
    note(f"wrote {path}")


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Where to write what then takes the place of `path`; a disk's refusal, in words."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        yield fresh
        fresh.replace(path)
    except PermissionError as error:
        raise InputError(f"`--out {path}`: {error.strerror}") from error
    except OSError as error:
        raise FailedError(f"`--out {path}`: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink()


def _without_lists(table: pa.Table) -> pa.Table:
    """CSV has no lists: each becomes the text of a JSON list."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
            texts = [
                None if items is None else json.dumps(items, ensure_ascii=False)
                for items in table.column(place).to_pylist()
            ]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    return table
