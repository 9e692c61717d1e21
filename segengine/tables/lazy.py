"""Here is a name: what it stands for, made when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, MutableMapping
from typing import Any, TypeVar

Made = TypeVar("Made")


class Lazy(MutableMapping[str, Made]):
    """As a dict that has these names, whose values are made one by one."""

    def __init__(self, names: Collection[str], make: Callable[[str], Made]) -> None:
        self._names, self._make = names, make
        self._made: dict[str, Made] = {}

    def __getitem__(self, name: str) -> Made:
        found = self._made.get(name)
        if found is None:
            if name not in self._names:
                raise KeyError(name)
            found = self._made[name] = self._make(name)
        return found

    def get(self, name: str, default: Any = None) -> Any:
        """As of a dict; the one that comes with mappings asks by an exception."""
        found = self._made.get(name)
        if found is None:
            return self[name] if name in self._names else default
        return found

    def __setitem__(self, name: str, value: Made) -> None:
        self._made[name] = value

    def __delitem__(self, name: str) -> None:
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names or name in self._made

    def __iter__(self) -> Iterator[str]:
        return iter({**dict.fromkeys(self._names), **self._made})

    def __len__(self) -> int:
        return sum(1 for _ in self)
