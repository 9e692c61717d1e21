"""What does this buyer see? PageService, answered where calls are taken.

A decision takes microseconds; handing it to another thread, or to an event loop, would take longer
than making it. Pages leave as bytes (`page_bytes.py`).
Only a census, the page of every buyer, has a thread; one is made at a time, and a client that is
gone ends it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from segengine import stopping
from segengine_server import convert
from segengine_server.brief_calls import Answer, Turns
from segengine_server.engine_api import Engine
from segengine_server.errors import BusyError, RequestError, Violation, refuse
from segengine_server.page_bytes import PageBytes
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import PageServiceServicer
from segengine_server.work import Work

MOST_PAGES = 1_000
# Pages decided before other calls get their turn: about a millisecond.
PAGES_A_TURN = 8
GET_PAGE = "/segengine.v1.PageService/GetPage"
BATCH_GET_PAGES = "/segengine.v1.PageService/BatchGetPages"
PAGES = frozenset({GET_PAGE, BATCH_GET_PAGES})

_Context = grpc.aio.ServicerContext[Any, Any]


class PageService(PageServiceServicer):
    """Pages of one engine; a census is made in `threads`."""

    def __init__(self, engine: Engine, threads: ThreadPoolExecutor) -> None:
        self._engine = engine
        self._census_work = Work(threads, 1)
        self._is_counting = False
        self._bytes = PageBytes()

    def answers(self) -> dict[str, Answer]:
        """What is answered where calls are taken, by full method name."""
        return {GET_PAGE: self._page, BATCH_GET_PAGES: self._pages}

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

    def _page(self, data: bytes) -> bytes:
        """One buyer's page; an absent customer is a visitor nobody knows."""
        request = pb.GetPageRequest.FromString(data)
        customer_id, said = convert.from_proto_customer(request.customer), request.context
        # `dict` of it asks for its keys in Python: a page feels that, a batch does not.
        visit = {key: said[key] for key in said}
        return self._bytes.of(self._engine.page(request.page, customer_id, visit))

    def _pages(self, data: bytes) -> Turns:
        """The same page for each customer, in the order of the request."""
        request = pb.BatchGetPagesRequest.FromString(data)
        if len(request.customers) > MOST_PAGES:
            asked = f"{len(request.customers):,} in one call, at most {MOST_PAGES:,} are taken"
            raise RequestError(Violation("customers", asked))
        visit = dict(request.context)
        pages = []
        for number, customer in enumerate(request.customers):
            if number % PAGES_A_TURN == PAGES_A_TURN - 1:
                yield
            customer_id = convert.from_proto_customer(customer)
            pages.append(self._engine.page(request.page, customer_id, visit))
        return self._bytes.of_many(pages)
