"""How does a program define things on a server? `client.catalog`: plain calls, plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from segengine_server import campaign_convert
from segengine_server.campaign_answers import MemberDiff
from segengine_server.catalog_answers import Definition, Put
from segengine_server.catalog_convert import (
    from_proto_version,
    to_proto_key,
    to_proto_put,
)
from segengine_server.wire import segengine_pb2 as pb

Gone = tuple[str, str] | Definition
"""What is to go: by kind and name, or the very definition that was read."""


class Catalog:
    """The definitions of a server: segments, traits, campaigns and pages, by kind and name.

    Every method raises ServerError when the server refuses or cannot be reached.
    """

    def __init__(self, ask: Callable[..., Any], stub: Any) -> None:
        self._ask = ask
        self._stub = stub

    def put(
        self,
        kind: str,
        name: str,
        definition: Mapping[str, Any],
        *,
        etag: str | None = None,
        new: bool = False,
    ) -> Definition:
        """Define one thing; lasting and in force when this returns.

        definition: its section of `store.toml`. etag: refused (ABORTED) unless that version is in
        force; new: refused (ALREADY_EXISTS) where one of its name is.
        """
        return self.put_all([Put(kind, name, definition, etag, new)])[0]

    def put_all(
        self, definitions: Sequence[Put], *, delete: Sequence[Gone] = ()
    ) -> list[Definition]:
        """Define several things, and delete others, as one change: all of it or nothing.

        They may name each other. The newest version of each is returned, deletions last.
        """
        reply = self._ask(self._stub.Put, to_proto_put(definitions, delete))
        return [from_proto_version(each) for each in (*reply.definitions, *reply.deleted)]

    def get(self, kind: str, name: str, version: int | None = None) -> Definition:
        """A definition as it is in force, or one of its versions."""
        request = pb.GetDefinitionRequest(kind=kind, name=name, version=version or 0)
        return from_proto_version(self._ask(self._stub.Get, request))

    def in_force(
        self, kind: str | None = None, *, prefix: str = "", definitions: bool = False
    ) -> Iterator[Definition]:
        """What is in force, by kind and name; definitions=True: with what each says.

        Read as it goes: nothing is asked, and nothing is refused, before the first is taken.
        """
        request = pb.ListDefinitionsRequest(
            kind=kind or "", prefix=prefix, with_definitions=definitions
        )
        while True:
            reply = self._ask(self._stub.List, request)
            yield from map(from_proto_version, reply.definitions)
            if not reply.more:
                return
            last = reply.definitions[-1]
            request.after.CopyFrom(pb.DefinitionKey(kind=last.kind, name=last.name))

    def delete(self, *definitions: Gone) -> list[Definition]:
        """Delete definitions as one change; refused while others name them.

        Of one that was read, only where it is still in force as it was read.
        """
        request = pb.DeleteDefinitionsRequest(definitions=map(to_proto_key, definitions))
        reply = self._ask(self._stub.Delete, request)
        return [from_proto_version(each) for each in reply.definitions]

    def versions(self, kind: str, name: str) -> Iterator[Definition]:
        """Every version of a definition, the newest first; read as it goes, as `in_force` is."""
        request = pb.ListVersionsRequest(kind=kind, name=name)
        while True:
            reply = self._ask(self._stub.Versions, request)
            yield from map(from_proto_version, reply.versions)
            if not reply.more:
                return
            request.before = reply.versions[-1].version

    def dry_run(
        self, definitions: Sequence[Put], *, delete: Sequence[Gone] = ()
    ) -> list[MemberDiff]:
        """What `put_all` of the same would change, of each definition; nothing is changed."""
        reply = self._ask(self._stub.DryRun, to_proto_put(definitions, delete))
        return [campaign_convert.from_proto_diff(each) for each in reply.diffs]
