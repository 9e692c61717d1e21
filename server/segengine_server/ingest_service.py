"""What has happened in the shop, and who is a customer of it? IngestService.

Changes are made in one thread, one after the other as the engine has one writer; pages go on beside
it. A receipt is given when the change is lasting and seen.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import grpc

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
        """Batches of rows, each a change of its own; the receipts at the end."""
        receipts: list[pb.Receipt] = []
        try:
            async for each in requests:
                if len(receipts) == MOST_BATCHES:
                    raise RequestError(
                        Violation("", f"one call takes at most {MOST_BATCHES:,} batches")
                    )
                receipts.append(
                    await self._work.do(
                        self._appended, each.table, each.ipc, each.key, each.skip_bad_rows
                    )
                )
        except Exception as error:
            await refuse(context, error)
        return pb.AppendReply(receipts=receipts)

    async def UpsertCustomers(  # noqa: N802 - the wire's name
        self, request: pb.UpsertCustomersRequest, context: _Context
    ) -> pb.Receipt:
        """New buyers, and columns of those there are."""
        return await self._answer(
            context, self._appended, _CUSTOMERS, request.ipc, request.key, request.skip_bad_rows
        )

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

    def _appended(self, table: str, ipc: bytes, key: str, skip: bool) -> pb.Receipt:
        if not table:
            raise RequestError(Violation("table", "say which table the rows are for"))
        if len(key.encode()) > _KEY_BYTES:
            raise RequestError(Violation("key", f"a key has at most {_KEY_BYTES} bytes"))
        rows = campaign_convert.from_proto_messages(ipc)
        on_error = "skip" if skip else "refuse"
        try:
            found = self._engine.append(table, rows, on_error=on_error, key=key or None)
        except LoadError as error:
            raise BadDataError(error) from error
        except StoreError as error:
            raise _unwritten(error) from error
        return campaign_convert.to_proto_receipt(found)

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


def _unwritten(error: StoreError) -> NotWrittenError:
    """What a caller hears of a disk that is full; where it stands is in the server's log."""
    _log.error("a change was not taken in: %s", error)
    return NotWrittenError(
        "nothing was taken in: the store's files cannot be written; send it again later"
    )
