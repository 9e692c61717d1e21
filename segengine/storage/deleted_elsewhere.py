"""Who was deleted in another copy of a store since this one was made?

Each copy keeps a digest of each deleted id with the number of the change that deleted it last. What
both know with one number was done before the copy was made: a buyer whom it has all the same came
back in between, and stays.
"""

from __future__ import annotations

from pathlib import Path

from segengine.errors import StoreError
from segengine.storage.log import FILE, read_deletions
from segengine.storage.remembered import Deletions


def deleted_since(store: Path, elsewhere: Path) -> Deletions:
    """The deletions of another copy of a store that the store itself does not know of.

    Those without a number, of logs that kept none, count as new. Raises `StoreError` where the
    other directory has no log, is damaged, or is no copy of the store.
    """
    there = read_deletions(elsewhere)
    if there is None:
        raise StoreError(
            f"`{elsewhere}` has no log of a store, `{FILE}`, which would say who was deleted: name "
            "the directory of the store, or of a newer backup of it",
            field="deletions",
        )
    here = read_deletions(store)
    if here is None or here.secret != there.secret:
        raise StoreError(
            f"`{elsewhere}` is no copy of the store in `{store}`: its deletions are those of "
            "another",
            field="deletions",
        )
    new = {
        digest: number
        for digest, number in there.numbers.items()
        if number == 0 or here.numbers.get(digest) != number
    }
    return Deletions(there.secret, new)
