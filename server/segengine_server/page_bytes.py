"""How is a page written on the wire in a few microseconds? Of pieces that were written before.

A message of protobuf is its fields one after the other, so that messages joined as bytes are one
message with the fields of all. Of a page most is the same for many visitors: a module's placement,
the moment and the traits. Such pieces are kept as bytes; a page is their join.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from segengine_server import convert
from segengine_server.bytes_field import bytes_field
from segengine_server.engine_api import Page, Placement
from segengine_server.wire import segengine_pb2 as pb

MOST_KEPT = 16_384
"""Placements that are kept: more than the modules of most shops."""
_MOST_PAGES = 4_096
_MOST_OTHERS = 1_024
_PAGES = pb.BatchGetPagesReply.PAGES_FIELD_NUMBER


class PageBytes:
    """Pages of one engine as bytes. For one thread."""

    def __init__(self) -> None:
        self._placements: dict[int, tuple[Placement, bytes]] = {}
        self._of_all: dict[int, tuple[Sequence[Placement], bytes]] = {}
        self._payloads: dict[int, tuple[Any, str]] = {}
        self._moments: dict[datetime, bytes] = {}
        self._traits: dict[int, tuple[Sequence[str], bytes]] = {}
        self._state: tuple[datetime, int] | None = None
        self._state_bytes = b""

    def of(self, page: Page) -> bytes:
        """`page` as a serialized `GetPageReply`: what `convert.to_proto_page` makes."""
        # Visitors who see the same get one object: while it is kept here, its id is its own.
        placed = self._of_all.get(id(page.placements))
        parts = [placed[1] if placed is not None else self._all_placed(page.placements)]
        state = (page.as_of, page.data_version)
        if state != self._state:
            self._state, self._state_bytes = state, _state_of(page)
        parts.append(self._state_bytes)
        traits = self._traits.get(id(page.traits))
        parts.append(traits[1] if traits is not None else self._read(page.traits))
        if page.valid_until is not None:
            parts.append(self._until(page.valid_until))
        return b"".join(parts)

    def of_many(self, pages: Iterable[Page]) -> bytes:
        """`pages` as a serialized `BatchGetPagesReply`."""
        return b"".join([bytes_field(_PAGES, self.of(page)) for page in pages])

    def _all_placed(self, placements: Sequence[Placement]) -> bytes:
        kept, parts = self._placements, []
        for placement in placements:
            found = kept.get(id(placement))
            parts.append(found[1] if found is not None else self._placed(placement))
        data = b"".join(parts)
        # With products it was made for this visitor.
        if isinstance(placements, tuple) and not any(each.products for each in placements):
            if len(self._of_all) >= _MOST_PAGES:
                self._of_all.clear()
            self._of_all[id(placements)] = (placements, data)
        return data

    def _placed(self, placement: Placement) -> bytes:
        data = pb.GetPageReply(
            placements=[convert.to_proto_placement(placement, self._payload_json)]
        ).SerializeToString()
        # What has products, or no module, was made for this visitor.
        if placement.module is not None and not placement.products:
            if len(self._placements) >= MOST_KEPT:
                self._placements.clear()
            self._placements[id(placement)] = (placement, data)
        return data

    def _payload_json(self, payload: Any) -> str:
        """A payload is its definition's own: the same object for every visitor."""
        found = self._payloads.get(id(payload))
        if found is None:
            if len(self._payloads) >= MOST_KEPT:
                self._payloads.clear()
            found = self._payloads[id(payload)] = (payload, convert.to_proto_payload(payload))
        return found[1]

    def _read(self, traits: Sequence[str]) -> bytes:
        """The traits that a page's rules read: one object for all visitors of a page."""
        data = pb.GetPageReply(traits=traits).SerializeToString()
        if isinstance(traits, tuple):
            if len(self._traits) >= _MOST_OTHERS:
                self._traits.clear()
            self._traits[id(traits)] = (traits, data)
        return data

    def _until(self, moment: datetime) -> bytes:
        found = self._moments.get(moment)
        if found is None:
            if len(self._moments) >= _MOST_OTHERS:
                self._moments.clear()
            found = self._moments[moment] = pb.GetPageReply(
                valid_until=convert.to_proto_moment(moment)
            ).SerializeToString()
        return found


def _state_of(page: Page) -> bytes:
    reply = pb.GetPageReply(
        as_of=convert.to_proto_moment(page.as_of), data_version=page.data_version
    )
    return reply.SerializeToString()
