"""How does a store begin? As a directory with a `store.toml` that explains itself."""

from __future__ import annotations

import os

from segengine.cli.options import HERE, AsJson, Store
from segengine.cli.outcome import FailedError, InputError
from segengine.cli.plain import print_json
from segengine.cli.show import console
from segengine.cli.store_template import TEMPLATE


def init(store: Store = HERE, as_json: AsJson = False) -> None:
    """Write a store.toml with every setting, explained; nothing that is there is changed."""
    from segengine.schema.store_config import FILE_NAME

    file = store / FILE_NAME
    try:
        store.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as writing:
            writing.write(TEMPLATE)
    except FileExistsError:
        what = f"`{file}` is there already" if store.is_dir() else f"`{store}` is not a folder"
        raise InputError(f"{what}; nothing was written") from None
    except (PermissionError, NotADirectoryError) as error:
        raise InputError(f"cannot write `{file}`: {error.strerror}") from None
    except OSError as error:
        raise FailedError(f"cannot write `{file}`: {error.strerror}") from None
    if as_json:
        print_json({"store": os.fspath(store), "file": os.fspath(file)})
        return
    there = "" if store == HERE else f" --store {store}"
    console().print(
        f"wrote {file}\n\n"
        f"next: say there where your data is, under [load], then\n"
        f"  segengine load{there}\n"
        f"or load a file as it is:\n"
        f"  segengine load customers customers.csv{there}\n"
        f'  segengine count "recency_days <= 30"{there}',
        soft_wrap=True,
    )
