"""What is defined, what was it before, and what would another definition change? CatalogService.

Changes are made in the one thread that writes, and are lasting and in force when the reply goes
out; two callers who have read the same version and change it are told apart by its etag.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, TypeVar

import grpc

from segengine.errors import StoreError
from segengine.written import KINDS, kind_of
from segengine_server import campaign_convert
from segengine_server import catalog_convert as convert
from segengine_server.audit import tell
from segengine_server.catalog_api import Version
from segengine_server.engine_api import Engine
from segengine_server.errors import NotWrittenError, RequestError, Violation, refuse
from segengine_server.rule_size import RuleSize
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import CatalogServiceServicer
from segengine_server.work import Work

LISTED, VERSIONS = 1_000, 100
MOST_LISTED, MOST_VERSIONS = 10_000, 1_000
_REPLY_BYTES = 8 << 20
"""A reply ends when it has so much; more is asked for."""

_log = logging.getLogger("segengine_server")
_Context = grpc.aio.ServicerContext[Any, Any]
_Request = TypeVar("_Request")
_Reply = TypeVar("_Reply")


class CatalogService(CatalogServiceServicer):
    """Definitions of one engine. writing: threads and places for changes, asking: for the rest.

    rules: how large each rule of a definition may be
    """

    def __init__(self, engine: Engine, asking: Work, writing: Work, rules: RuleSize) -> None:
        self._engine, self._rules = engine, rules
        self._asking, self._writing = asking, writing

    async def Put(  # noqa: N802 - the wire's name
        self, request: pb.PutDefinitionsRequest, context: _Context
    ) -> pb.PutDefinitionsReply:
        """Definitions in force, others gone, as one change."""
        return await self._answer(self._writing.do, self._put, request, context)

    async def Get(  # noqa: N802 - the wire's name
        self, request: pb.GetDefinitionRequest, context: _Context
    ) -> pb.Definition:
        """One definition."""
        return await self._answer(self._asking.ask, self._get, request, context)

    async def List(  # noqa: N802 - the wire's name
        self, request: pb.ListDefinitionsRequest, context: _Context
    ) -> pb.ListDefinitionsReply:
        """What is in force."""
        return await self._answer(self._asking.ask, self._list, request, context)

    async def Delete(  # noqa: N802 - the wire's name
        self, request: pb.DeleteDefinitionsRequest, context: _Context
    ) -> pb.DeleteDefinitionsReply:
        """Definitions that are gone, as one change."""
        return await self._answer(self._writing.do, self._delete, request, context)

    async def Versions(  # noqa: N802 - the wire's name
        self, request: pb.ListVersionsRequest, context: _Context
    ) -> pb.ListVersionsReply:
        """What a definition was."""
        return await self._answer(self._asking.ask, self._versions, request, context)

    async def DryRun(  # noqa: N802 - the wire's name
        self, request: pb.PutDefinitionsRequest, context: _Context
    ) -> pb.DryRunDefinitionsReply:
        """What a change would come to."""
        return await self._answer(self._asking.ask, self._dry_run, request, context)

    async def _answer(
        self,
        work: Callable[..., Any],
        ask: Callable[[_Request], _Reply],
        request: _Request,
        context: _Context,
    ) -> _Reply:
        """What `ask` makes of a request in a thread; an error goes out as a status."""
        try:
            reply: _Reply = await work(ask, request)
        except Exception as error:
            await refuse(context, error)
        return reply

    def _put(self, request: pb.PutDefinitionsRequest) -> pb.PutDefinitionsReply:
        wanted = convert.from_proto_put(request, self._rules)
        try:
            made = self._engine.publish(*wanted)
        except StoreError as error:
            _log.error("a definition was not taken in: %s", error)
            raise NotWrittenError(
                "nothing was defined: the store's files cannot be written; send it again later"
            ) from error
        tell(definitions=[
            {"kind": each.kind, "name": each.name, "version": each.version} for each in made
        ])  # fmt: skip
        newest = [convert.to_proto_version(each, whole=False) for each in made]
        count = len(request.definitions)
        return pb.PutDefinitionsReply(definitions=newest[:count], deleted=newest[count:])

    def _delete(self, request: pb.DeleteDefinitionsRequest) -> pb.DeleteDefinitionsReply:
        reply = self._put(pb.PutDefinitionsRequest(delete=request.definitions))
        return pb.DeleteDefinitionsReply(definitions=reply.deleted)

    def _get(self, request: pb.GetDefinitionRequest) -> pb.Definition:
        if request.version < 0:
            raise RequestError(Violation("version", "is from 1, or 0 for the one in force"))
        found = self._engine.definition(request.kind, request.name, request.version or None)
        return convert.to_proto_version(found)

    def _list(self, request: pb.ListDefinitionsRequest) -> pb.ListDefinitionsReply:
        most = _most(request.most, LISTED, MOST_LISTED)
        if request.kind:
            kind_of(request.kind)
        found: Iterable[Version] = (
            each for each in self._engine.in_force()
            if request.kind in ("", each.kind) and each.name.startswith(request.prefix)
        )  # fmt: skip
        if request.HasField("after"):
            after = KINDS.index(kind_of(request.after.kind)), request.after.name
            found = (each for each in found if (KINDS.index(each.kind), each.name) > after)
        listed, more = _some(found, most, whole=request.with_definitions)
        return pb.ListDefinitionsReply(definitions=listed, more=more)

    def _versions(self, request: pb.ListVersionsRequest) -> pb.ListVersionsReply:
        most = _most(request.most, VERSIONS, MOST_VERSIONS)
        if request.before < 0:
            raise RequestError(Violation("before", "is a version, or 0 for the newest"))
        found = self._engine.versions(request.kind, request.name)
        if request.before:
            found = found[: request.before - 1]
        listed, more = _some(reversed(found), most, whole=True)
        return pb.ListVersionsReply(versions=listed, more=more)

    def _dry_run(self, request: pb.PutDefinitionsRequest) -> pb.DryRunDefinitionsReply:
        diffs = self._engine.dry_run_publish(*convert.from_proto_put(request, self._rules))
        return pb.DryRunDefinitionsReply(diffs=map(campaign_convert.to_proto_diff, diffs))


def _most(asked: int, usual: int, most: int) -> int:
    if asked > most:
        raise RequestError(Violation("most", f"{asked:,} in one call, at most {most:,} are sent"))
    return asked or usual


def _some(
    versions: Iterable[Version], most: int, *, whole: bool
) -> tuple[list[pb.Definition], bool]:
    """The first of some versions, as many as were asked for and fit, and whether there are more."""
    found: list[pb.Definition] = []
    size = 0
    left = iter(versions)
    for each in islice(left, most):
        found.append(convert.to_proto_version(each, whole=whole))
        size += found[-1].ByteSize()
        if size >= _REPLY_BYTES:
            break
    return found, next(left, None) is not None
