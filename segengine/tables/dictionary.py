"""Here is a code: its text; here is a text: its code.

Texts are kept once, append-only, as UTF-8 in one arena that Arrow reads without a copy. A list
of texts (`tags`) is kept as one text too, so that a rule over lists looks at each different
list once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from segengine.kernels import hashing
from segengine.schema.kinds import Kind

_ITEM, _ESCAPE, _MISSING_ITEM = "\x1f", "\x1b", "\x00"
_FIRST_SLOTS = 64
_KEPT_WORDS = 64
NO_TAGS = 0
"""The code of the empty list among sets, for which no list stands too: tags are never missing."""


class Dictionary:
    """The distinct values of a coded column; codes count from 0 in the order first seen.

    is_set: values are sets of labels (`tags`), and a missing one is the empty set.
    """

    def __init__(self, kind: Kind, *, is_set: bool = False) -> None:
        self.kind = kind
        self.is_set = is_set
        self.size = 0
        self._offsets: NDArray[np.int64] = np.zeros(1, np.int64)
        self._data: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._slots: NDArray[np.int32] = np.full(_FIRST_SLOTS, -1, np.int32)
        self._lists: pa.Array | None = None
        self._words: dict[tuple[str, ...], tuple[int, NDArray[np.int32]]] = {}
        self._holders: dict[str, NDArray[np.int8]] = {}
        if is_set:
            self._codes_of(pa.array([""], pa.large_string()), add=True)

    def encode(self, values: pa.Array | pa.ChunkedArray) -> NDArray[np.int32]:
        """The codes of these values, new ones added; missing is -1, but for sets."""
        return self._coded(values, add=True)

    def find(self, values: pa.Array | pa.ChunkedArray) -> NDArray[np.int32]:
        """The codes of these values; one that is not kept, or missing, is -1."""
        return self._coded(values, add=False)

    def codes_of(self, words: tuple[str, ...]) -> NDArray[np.int32]:
        """As `find`, of texts that are asked for again and again; not to be written to.

        What was found is kept: a code, once given, means the same text for ever, and an unknown
        text is looked for again once there are more. To ask 21 times an append took 3 ms.
        """
        kept = self._words.get(words)
        if kept is not None and (kept[0] == self.size or bool((kept[1] >= 0).all())):
            return kept[1]
        size = self.size
        found = self.find(pa.array(words, pa.large_string()))
        found.flags.writeable = False
        if len(self._words) >= _KEPT_WORDS:
            self._words.clear()
        self._words[words] = (size, found)
        return found

    def _coded(self, values: pa.Array | pa.ChunkedArray, *, add: bool) -> NDArray[np.int32]:
        if len(values) == 0:
            return np.empty(0, np.int32)
        if self.kind is Kind.TAGS and not _is_text(values.type):
            values = _lists_as_texts(values)
        if isinstance(values, pa.ChunkedArray):
            values = values.unify_dictionaries().combine_chunks()
        if isinstance(values, pa.ChunkedArray):
            values = pa.concat_arrays(values.chunks)
        if not pa.types.is_dictionary(values.type):
            values = values.dictionary_encode()
        distinct = values.dictionary.cast(pa.large_string())
        if self.is_set:
            # A label stands once in a set, at its first place.
            lists = (list_of_text(text or "") for text in distinct.to_pylist())
            once = [text_of_list(list(dict.fromkeys(items))) for items in lists]
            distinct = pa.array(once, pa.large_string())
        codes = self._codes_of(distinct, add=add)
        codes = np.append(codes, np.int32(NO_TAGS if self.is_set else -1))
        indices = values.indices.fill_null(len(codes) - 1).to_numpy(zero_copy_only=False)
        return codes[indices]

    def _codes_of(self, texts: pa.Array, *, add: bool) -> NDArray[np.int32]:
        if texts.null_count:
            # A dictionary may hold a null entry: its code is that of missing.
            codes = np.full(len(texts), -1, np.int32)
            known = texts.is_valid().to_numpy(zero_copy_only=False)
            codes[known] = self._codes_of(texts.drop_null(), add=add)
            return codes
        count = len(texts)
        out = np.empty(count, np.int32)
        offsets, data = _buffers(texts)
        if not add:
            hashing.find_texts(offsets, data, self._offsets, self._data, self._slots, out)
            return out
        self._make_room(count, int(offsets[-1] - offsets[0]) if count else 0)
        before = self.size
        self.size = hashing.encode_texts(
            offsets, data, self._offsets, self._data, self.size, self._slots, out
        )
        if self.size != before:
            self._lists = None
        return out

    def _make_room(self, texts: int, size: int) -> None:
        used = int(self._offsets[self.size])
        if len(self._offsets) < self.size + texts + 1:
            grown = np.empty(max(self.size + texts + 1, 3 * len(self._offsets) // 2), np.int64)
            grown[: self.size + 1] = self._offsets[: self.size + 1]
            self._offsets = grown
        if len(self._data) < used + size:
            arena = np.empty(max(used + size, 3 * len(self._data) // 2), np.uint8)
            arena[:used] = self._data[:used]
            self._data = arena
        if len(self._slots) < 2 * (self.size + texts):
            slots = np.full(1 << int(2 * (self.size + texts)).bit_length(), -1, np.int32)
            hashing.place_texts(self._offsets, self._data, self.size, slots)
            self._slots = slots

    def texts(self) -> pa.Array:
        """All kept texts by code, as large_string; lists are in their kept form."""
        offsets = pa.py_buffer(self._offsets[: self.size + 1])
        data = pa.py_buffer(self._data[: int(self._offsets[self.size])])
        return pa.Array.from_buffers(pa.large_string(), self.size, [None, offsets, data])

    def values(self) -> pa.Array:
        """All kept values by code: large_string, or list<large_string>."""
        if self.kind is not Kind.TAGS:
            return self.texts()
        if self._lists is None:
            lists = [list_of_text(text) for text in self.texts().to_pylist()]
            self._lists = pa.array(lists, pa.list_(pa.large_string()))
        return self._lists

    def have_item(self, item: str, codes: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Whether the lists with these codes hold an item; -1 is no list."""
        pattern = re.escape(_ITEM + _escaped(item)) + f"({_ITEM}|$)"
        kept = self.texts().take(pa.array(codes, mask=codes < 0))
        held = pc.fill_null(pc.match_substring_regex(kept, pattern), False)
        return np.asarray(held.to_numpy(zero_copy_only=False), np.bool_)

    def holders(self, item: str) -> NDArray[np.int8]:
        """Whether each list holds an item, by code + 1; entry 0 is no list. Not to be written to.

        Lists are looked at once, when they are new: int8[1 + size]
        """
        found = self._holders.get(item, np.zeros(1, np.int8))
        if len(found) <= self.size:
            new = np.arange(len(found) - 1, self.size)
            found = np.concatenate([found, self.have_item(item, new).astype(np.int8)])
            self._holders[item] = found
        return found

    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Offsets and bytes of all kept texts, for kernels."""
        return self._offsets[: self.size + 1], self._data

    def parts(self) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int32]]:
        """Where the texts are kept, spare room included: offsets, bytes, and places by hash."""
        return self._offsets, self._data, self._slots

    def lie_in(
        self, offsets: NDArray[np.int64], data: NDArray[np.uint8], slots: NDArray[np.int32]
    ) -> None:
        """Keep the texts in these arrays, which hold the same."""
        self._offsets, self._data, self._slots = offsets, data, slots

    def grown_to(self, offsets: NDArray[np.int64], size: int) -> None:
        """Know the first `size` texts of arrays that another process adds to.

        Whatever that is adding beyond them is not found: only `size` + 1 offsets are looked at.
        """
        if size != self.size or len(self._offsets) != size + 1:
            self._offsets, self.size, self._lists = offsets[: size + 1], size, None

    def nbytes(self) -> int:
        """Bytes held, spare room included."""
        return self._offsets.nbytes + self._data.nbytes + self._slots.nbytes

    def kept(self) -> dict[str, NDArray[Any]]:
        """What a snapshot keeps of it: `offsets`, `data`, `slots`."""
        offsets = self._offsets[: self.size + 1]
        data = self._data[: int(offsets[-1])]
        return {"offsets": offsets, "data": data, "slots": self._slots}

    def take(self, kept: Mapping[str, NDArray[Any]]) -> None:
        """Become the dictionary that `kept` was of; the arrays are taken, not copied."""
        self._offsets, self._data, self._slots = kept["offsets"], kept["data"], kept["slots"]
        self.size = len(self._offsets) - 1
        self._lists = None
        self._words.clear()
        self._holders.clear()

    def restore(self, texts: pa.Array) -> None:
        """Become the dictionary of these distinct texts, in this order."""
        self._codes_of(texts.cast(pa.large_string()), add=True)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _buffers(texts: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Offsets (from `texts.offset` on) and bytes of a large_string array without nulls."""
    if len(texts) == 0:
        return np.zeros(1, np.int64), np.empty(0, np.uint8)
    _, offsets, data = texts.buffers()
    numbers = np.frombuffer(offsets, np.int64, len(texts) + 1, 8 * texts.offset)
    empty = data is None or data.size == 0
    return numbers, np.empty(0, np.uint8) if empty else np.frombuffer(data, np.uint8)


def _lists_as_texts(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Each list as one text: every item after a separator; a missing list stays missing."""
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else values.combine_chunks()
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), pa.large_string())
    values = values.cast(pa.large_list(pa.large_string()))
    items = values.flatten()
    if pc.any(pc.match_substring_regex(items, "[\\x00\\x1b\\x1f]")).as_py():
        for found, name in ((_ESCAPE, "e"), (_ITEM, "i"), (_MISSING_ITEM, "m")):
            items = pc.replace_substring(items, found, _ESCAPE + name)
    items = pc.fill_null(items, _MISSING_ITEM)
    empty, mark = (pa.scalar(text, pa.large_string()) for text in ("", _ITEM))
    items = pc.binary_join_element_wise(empty, items, mark)
    sizes = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    lists = pa.LargeListArray.from_arrays(pa.array(offsets), items)
    joined = pc.binary_join(lists, empty)
    return pc.if_else(values.is_valid(), joined, pa.scalar(None, pa.large_string()))


def text_of_list(items: list[str | None]) -> str:
    """The kept form of one list."""
    return "".join(_ITEM + (_MISSING_ITEM if item is None else _escaped(item)) for item in items)


def list_of_text(text: str) -> list[str | None]:
    """The list behind a kept form."""
    return [None if item == _MISSING_ITEM else _unescaped(item) for item in text.split(_ITEM)[1:]]


def _escaped(item: str) -> str:
    for found, name in ((_ESCAPE, "e"), (_ITEM, "i"), (_MISSING_ITEM, "m")):
        item = item.replace(found, _ESCAPE + name)
    return item


def _unescaped(item: str) -> str:
    for found, name in ((_MISSING_ITEM, "m"), (_ITEM, "i"), (_ESCAPE, "e")):
        item = item.replace(_ESCAPE + name, found)
    return item
