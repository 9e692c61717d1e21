"""What does this buyer see? PageService, answered on the event loop itself.

A decision takes microseconds; handing it to a thread and back would take longer than making it.
Only a census, the page of every buyer, has a thread; one is made at a time, and a client that is
gone ends it.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from segengine import stopping
from segengine_server import convert
from segengine_server.engine_api import Engine
from segengine_server.errors import BusyError, RequestError, Violation, refuse
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import PageServiceServicer
from segengine_server.work import Work

MOST_PAGES = 1_000
# Pages decided before other calls get their turn: about a millisecond.
PAGES_A_TURN = 8
MOST_PAYLOADS = 4_096

_Context = grpc.aio.ServicerContext[Any, Any]


class PageService(PageServiceServicer):
    """Pages of one engine; a census is made in `threads`."""

    def __init__(self, engine: Engine, threads: ThreadPoolExecutor) -> None:
        self._engine = engine
        self._census_work = Work(threads, 1)
        self._is_counting = False
        self._payloads: dict[int, tuple[Any, str]] = {}

    async def GetPage(  # noqa: N802 - the wire's name
        self, request: pb.GetPageRequest, context: _Context
    ) -> pb.GetPageReply:
        """One buyer's page; an absent customer is a visitor nobody knows."""
        try:
            customer_id = convert.from_proto_customer(request.customer)
            return self._page(request.page, customer_id, dict(request.context))
        except Exception as error:
            await refuse(context, error)

    async def BatchGetPages(  # noqa: N802 - the wire's name
        self, request: pb.BatchGetPagesRequest, context: _Context
    ) -> pb.BatchGetPagesReply:
        """The same page for each customer, in the order of the request."""
        try:
            if len(request.customers) > MOST_PAGES:
                asked = f"{len(request.customers):,} in one call, at most {MOST_PAGES:,} are taken"
                raise RequestError(Violation("customers", asked))
            visit = dict(request.context)
            reply = pb.BatchGetPagesReply()
            for number, customer in enumerate(request.customers):
                if number % PAGES_A_TURN == PAGES_A_TURN - 1:
                    await asyncio.sleep(0)
                customer_id = convert.from_proto_customer(customer)
                reply.pages.append(self._page(request.page, customer_id, visit))
            return reply
        except Exception as error:
            await refuse(context, error)

    async def PageCensus(  # noqa: N802 - the wire's name
        self, request: pb.PageCensusRequest, context: _Context
    ) -> pb.PageCensusReply:
        """The page of every buyer: who sees which module, and what nobody sees."""
        try:
            if self._is_counting:
                raise BusyError("a census is at work already; try again later")
            self._is_counting = True
            try:
                return await self._census_work.ask(
                    self._census, request.page, dict(request.context)
                )
            finally:
                self._is_counting = False
        except Exception as error:
            await refuse(context, error)

    def _census(self, name: str, visit: dict[str, str]) -> pb.PageCensusReply:
        def go_on(done: int, of: int) -> None:
            del done, of
            stopping.go_on()

        found = self._engine.page_census(name, context=visit, progress=go_on)
        return convert.to_proto_census(found)

    def _page(
        self, name: str, customer_id: int | str | None, visit: dict[str, str]
    ) -> pb.GetPageReply:
        page = self._engine.page(name, customer_id=customer_id, context=visit)
        return convert.to_proto_page(page, self._payload_json)

    def _payload_json(self, payload: Any) -> str:
        """`payload` as JSON, made once: 5 us each time are half of a page of six modules."""
        # A payload belongs to a definition and is handed out as it is, so that the same object
        # comes again and again. Kept here it stays alive, and its id its own.
        kept = self._payloads.get(id(payload))
        if kept is not None:
            return kept[1]
        text = convert.to_proto_payload(payload)
        if len(self._payloads) >= MOST_PAYLOADS:
            self._payloads.clear()
        self._payloads[id(payload)] = (payload, text)
        return text
