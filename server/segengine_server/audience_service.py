"""Whom do we address? AudienceService, answered in a few threads.

A scan takes milliseconds and more, during which pages must go on: nothing here touches the engine
on the event loop. A stream's batches are made one by one as the client takes them, so that a slow
client holds no thread, and a client that is gone ends the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc

from segengine_server import convert
from segengine_server.answers import Count, Explanation
from segengine_server.convert import Asked
from segengine_server.engine_api import CustomerId, Engine
from segengine_server.errors import BusyError, refuse
from segengine_server.ipc_stream import pieces_of
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import AudienceServiceServicer

_Context = grpc.aio.ServicerContext[Any, Any]
_T = TypeVar("_T")


class AudienceService(AudienceServiceServicer):
    """Audiences of one engine; works in `threads`, on at most `most_calls` calls at once."""

    def __init__(self, engine: Engine, threads: ThreadPoolExecutor, most_calls: int) -> None:
        self._engine = engine
        self._threads = threads
        self._most_calls = most_calls
        self._calls = 0

    async def CountAudience(  # noqa: N802 - the wire's name
        self, request: pb.CountAudienceRequest, context: _Context
    ) -> pb.CountAudienceReply:
        """How many, and for a campaign, how many at each step."""
        try:
            asked = convert.from_proto_asked(request)
            with self._place():
                return await self._in_thread(self._count, asked)
        except Exception as error:
            await refuse(context, error)

    async def StreamAudience(  # noqa: N802 - the wire's name
        self, request: pb.StreamAudienceRequest, context: _Context
    ) -> None:
        """The buyers, as the pieces of one Arrow IPC stream."""
        try:
            asked = convert.from_proto_asked(request)
            with self._place():
                pieces = await self._in_thread(self._pieces, asked, list(request.columns))
                while (piece := await self._in_thread(next, pieces, None)) is not None:
                    await context.write(pb.StreamAudienceReply(ipc=piece))
        except Exception as error:
            await refuse(context, error)

    async def ExplainCustomer(  # noqa: N802 - the wire's name
        self, request: pb.ExplainCustomerRequest, context: _Context
    ) -> pb.ExplainCustomerReply:
        """Why one buyer is in or out."""
        try:
            asked, customer_id = convert.from_proto_explain(request)
            with self._place():
                return await self._in_thread(self._explain, asked, customer_id)
        except Exception as error:
            await refuse(context, error)

    async def MatchCustomer(  # noqa: N802 - the wire's name
        self, request: pb.MatchCustomerRequest, context: _Context
    ) -> pb.MatchCustomerReply:
        """Every saved segment that holds for one buyer."""
        try:
            customer_id = convert.from_proto_known(request.customer)
            with self._place():
                found = await self._in_thread(self._engine.match, customer_id)
                return pb.MatchCustomerReply(segments=found)
        except Exception as error:
            await refuse(context, error)

    def _count(self, asked: Asked) -> pb.CountAudienceReply:
        if asked.kind == "rule":
            answer = self._engine.segment(asked.text).answer()
            count = Count(answer.count, answer.as_of, answer.data_version)
        else:
            found = self._engine.audience(asked.text)
            count = Count(found.count(), found.as_of, found.data_version, found.ledger)
        return convert.to_proto_count(count)

    def _pieces(self, asked: Asked, columns: list[str]) -> Iterator[bytes]:
        if asked.kind == "rule":
            return pieces_of(self._engine.segment(asked.text).table(columns))
        return pieces_of(self._engine.audience(asked.text).table(columns))

    def _explain(self, asked: Asked, customer_id: CustomerId) -> pb.ExplainCustomerReply:
        if asked.kind == "rule":
            why = self._engine.segment(asked.text).explain(customer_id)
            explanation = Explanation(why.holds, None, str(why))
        else:
            dropped = self._engine.audience(asked.text).explain(customer_id)
            explanation = Explanation(dropped.holds, dropped.step, str(dropped))
        return convert.to_proto_explanation(explanation)

    async def _in_thread(self, work: Callable[..., _T], *arguments: Any) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, work, *arguments)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the places for calls at work; refused when all are taken."""
        if self._calls >= self._most_calls:
            raise BusyError(f"{self._calls} audience calls are at work already; try again later")
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
