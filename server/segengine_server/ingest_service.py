"""What has happened in the shop, and who is a customer of it? IngestService.

Changes are made one after the other, as the engine has one writer; pages go on beside it. Batches
of several calls, and those of one call that have come, are made lasting together. A receipt is
given when the change is lasting and seen.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

import grpc

from segengine.appending import Append
from segengine.errors import LoadError, StoreError
from segengine_server import campaign_convert, convert
from segengine_server.engine_api import Engine
from segengine_server.errors import (
    BadDataError,
    NotWrittenError,
    RequestError,
    Violation,
    refuse,
)
from segengine_server.guard import who
from segengine_server.reading_ahead import read_ahead
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import IngestServiceServicer
from segengine_server.work import Work

_log = logging.getLogger("segengine_server")
_Context = grpc.aio.ServicerContext[Any, Any]
_T = TypeVar("_T")
MOST_BATCHES = 10_000
"""Batches of one call: their receipts are one reply."""
_CUSTOMERS = "customers"
_KEY_BYTES = 200


class IngestService(IngestServiceServicer):
    """What one engine is told. work: threads and places that are for writing alone."""

    def __init__(self, engine: Engine, work: Work) -> None:
        self._engine = engine
        self._work = work

    async def Append(  # noqa: N802 - the wire's name
        self, requests: AsyncIterator[pb.AppendRequest], context: _Context
    ) -> pb.AppendReply:
        """Batches of rows, each a change of its own; the receipts at the end.

        Those that come while others are taken in become lasting together.
        """
        receipts: list[pb.Receipt] = []
        try:
            async for batches in read_ahead(requests):
                fit = batches[: MOST_BATCHES - len(receipts)]
                found, wrong = await self._work.do(self._appended, fit)
                receipts += found
                if wrong is not None:
                    raise wrong
                if len(fit) < len(batches):
                    raise RequestError(
                        Violation("", f"one call takes at most {MOST_BATCHES:,} batches")
                    )
        except Exception as error:
            await refuse(context, error, taken_in=len(receipts))
        return pb.AppendReply(receipts=receipts)

    async def UpsertCustomers(  # noqa: N802 - the wire's name
        self, request: pb.UpsertCustomersRequest, context: _Context
    ) -> pb.Receipt:
        """New buyers, and columns of those there are."""
        return await self._answer(context, self._upserted, request)

    async def DeleteCustomer(  # noqa: N802 - the wire's name
        self, request: pb.DeleteCustomerRequest, context: _Context
    ) -> pb.DeleteCustomerReply:
        """A buyer is gone from every answer."""
        return await self._answer(context, self._deleted, request)

    async def Compact(  # noqa: N802 - the wire's name
        self, request: pb.CompactRequest, context: _Context
    ) -> pb.CompactReply:
        """Whoever was deleted is gone from the files."""
        del request
        return await self._answer(context, self._compacted)

    async def _answer(self, context: _Context, ask: Callable[..., _T], *arguments: Any) -> _T:
        try:
            return await self._work.do(ask, *arguments)
        except Exception as error:
            await refuse(context, error)

    def _appended(
        self, requests: Sequence[pb.AppendRequest]
    ) -> tuple[list[pb.Receipt], BaseException | None]:
        """The receipts of those taken in, and what is wrong with the one after them."""
        batches: list[Append] = []
        unread: RequestError | None = None
        for each in requests:
            try:
                batches.append(_from_proto(each))
            except RequestError as refused:
                unread = refused
                break
        found, error = self._engine.append_each(batches)
        receipts = [campaign_convert.to_proto_receipt(each) for each in found]
        return receipts, unread if error is None else _told(error)

    def _upserted(self, request: pb.UpsertCustomersRequest) -> pb.Receipt:
        batch = pb.AppendRequest(
            table=_CUSTOMERS, ipc=request.ipc, key=request.key, skip_bad_rows=request.skip_bad_rows
        )
        receipts, wrong = self._appended([batch])
        if wrong is not None:
            raise wrong
        return receipts[0]

    def _deleted(self, request: pb.DeleteCustomerRequest) -> pb.DeleteCustomerReply:
        customer = convert.from_proto_customer(request.customer)
        if customer is None:
            raise RequestError(Violation("customer", "set `number` or `text`"))
        try:
            offset = self._engine.delete_customer(customer)
        except StoreError as error:
            raise _unwritten(error) from error
        until = "" if offset is None else "Compact"
        return pb.DeleteCustomerReply(offset=offset or 0, in_files_until=until)

    def _compacted(self) -> pb.CompactReply:
        return pb.CompactReply(offset=self._engine.compact() or 0)


def _from_proto(request: pb.AppendRequest) -> Append:
    if not request.table:
        raise RequestError(Violation("table", "say which table the rows are for"))
    if len(request.key.encode()) > _KEY_BYTES:
        raise RequestError(Violation("key", f"a key has at most {_KEY_BYTES} bytes"))
    rows = campaign_convert.from_proto_messages(request.ipc)
    on_error = "skip" if request.skip_bad_rows else "refuse"
    # Two who count their batches alike do not know of each other.
    return Append(request.table, rows, on_error, request.key or None, who.get())


def _told(error: BaseException) -> BaseException:
    """What a caller hears of an error of the engine, which stays its cause in the log."""
    told: BaseException = error
    if isinstance(error, LoadError):
        told = BadDataError(error)
    elif isinstance(error, StoreError):
        told = _unwritten(error)
    if told is not error:
        told.__cause__ = error
    return told


def _unwritten(error: StoreError) -> NotWrittenError:
    """What a caller hears of a disk that is full; where it stands is in the server's log."""
    _log.error("a change was not taken in: %s", error)
    return NotWrittenError(
        "nothing was taken in: the store's files cannot be written; send it again later"
    )
