"""Who has asked this server for what is written down for good? Exports, changes, deletions.

A call that hands out buyers, or changes the catalogue, a run or who there is, leaves two lines in
the store's audit log: before anything is done, and how it ended. Where the first cannot be written
the call is refused. The token's name says who it was; the id of the request joins the lines, and
those of the log. Names stand there only once it is known that there is such a thing, and no buyer
does: a deleted one by the digest of the id, a rule by the digest of its text.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import grpc

from segengine.errors import StoreError
from segengine.storage.audit_file import AuditFile
from segengine.storage.log import read_deletions
from segengine.storage.remembered import digest_of
from segengine_server import clock
from segengine_server.errors import NotWrittenError, refuse
from segengine_server.guard import who
from segengine_server.open_calls import is_ended
from segengine_server.watch import name_of, request_id

NOT_AUDITED = frozenset({
    "AudienceService/CountAudience", "AudienceService/ExplainCustomer",
    "AudienceService/MatchCustomer", "PageService/GetPage", "PageService/BatchGetPages",
    "PageService/PageCensus", "CampaignService/SendHours", "CampaignService/PlanCampaigns",
    "CampaignService/ListRuns", "CampaignService/CampaignReport", "CatalogService/Get",
    "CatalogService/List", "CatalogService/Versions", "IngestService/Append",
    "IngestService/UpsertCustomers",
})  # fmt: skip
"""Methods that hand out no lists of buyers and change nothing but events, which have their log."""
_NAMES = ("kind", "name", "campaign", "segment", "trait", "page", "run", "version", "columns",
          "with_held_out", "by", "plan")  # fmt: skip
"""Fields of requests that hold names of what the shop has defined."""
_COUNTS = ("run", "version", "targeted", "held_out", "rows_loaded", "rows_skipped", "rows_repeated",
           "offset")  # fmt: skip
"""Fields of replies that say what came of it."""

_MOST_NAMED = 1_000

_log = logging.getLogger("segengine_server")
_told: ContextVar[dict[str, Any] | None] = ContextVar("told", default=None)
Handler = Any


def tell(**said: Any) -> None:
    """Have it written, when the call that this is done for has ended: such as how many rows."""
    told = _told.get()
    if told is not None:
        told.update(said)


class Audit(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Writes down who asked for what, in the audit log of a store's directory."""

    def __init__(self, folder: Path) -> None:
        self._file = AuditFile(folder)
        self._folder, self._secret = folder, b""
        self._kept: dict[str, tuple[Handler, Handler]] = {}
        self._seen = {""}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        call: grpc.HandlerCallDetails,
    ) -> Handler:
        """The handler of the call; of one that is audited, one that writes."""
        handler = await continuation(call)
        self.see()
        method = call.method.rpartition(".")[2]
        if handler is None or method in NOT_AUDITED or not call.method.startswith("/segengine."):
            return handler
        kept = self._kept.get(method)
        if kept is None or kept[0] is not handler:
            kept = self._kept[method] = (handler, self._audited(method, handler))
        return kept[1]

    def see(self) -> None:
        """Whose call is answered in this context: a token's first since the server was started."""
        if (name := who.get()) in self._seen:
            return
        self._seen.add(name)
        try:
            self._write("token used", "first")
        except StoreError as error:
            _log.warning("a token was used, and that is not in the audit log: %s", error)

    def _audited(self, method: str, handler: Handler) -> Handler:
        behaviors: dict[tuple[bool, bool], tuple[Any, Any]] = {
            (False, False): (grpc.unary_unary_rpc_method_handler, handler.unary_unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, handler.unary_stream),
            (True, False): (grpc.stream_unary_rpc_method_handler, handler.stream_unary),
            (True, True): (grpc.stream_stream_rpc_method_handler, handler.stream_stream),
        }
        make, behavior = behaviors[handler.request_streaming, handler.response_streaming]

        async def audited(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            try:
                self._write(method, "asked")
            except StoreError as error:
                _log.error("%s was refused, as it cannot be audited: %s", method, error)
                await refuse(context, NotWrittenError(
                    "nothing was done: the audit log cannot be written; try again later"
                ))  # fmt: skip
            told: dict[str, Any] = {}
            _told.set(told)
            code, reply = "CANCELLED", None
            try:
                reply = await behavior(request, context)
                code = "OK"
            except grpc.aio.AbortError:
                code = name_of(context.code())
                raise
            except asyncio.CancelledError:
                if is_ended():
                    code = grpc.StatusCode.UNAUTHENTICATED.name
                raise
            finally:
                # With rows there is such a campaign, though its caller may have left meanwhile.
                is_known = code == "OK" or "rows" in told
                about = self._about(request) if is_known else {}
                self._end(method, code, about | _counts(reply) | told)
            return reply

        return make(audited, handler.request_deserializer, handler.response_serializer)

    def _end(self, method: str, code: str, told: dict[str, Any]) -> None:
        try:
            self._write(method, code, told)
        except StoreError as error:
            _log.error("how %s ended is not in the audit log: %s", method, error)

    def _write(self, what: str, how: str, told: dict[str, Any] | None = None) -> None:
        moment = clock.now().isoformat(timespec="milliseconds")
        line = {"time": moment, "who": who.get() or None, "what": what, "how": how}
        self._file.write(line | {"request_id": request_id()} | (told or {}))

    def _about(self, request: Any) -> dict[str, Any]:
        """What a request that was answered is about."""
        found: dict[str, Any] = {}
        for field, value in _fields(request):
            if field == "customer":
                kind = value.WhichOneof("id")
                said = json.dumps(getattr(value, kind)) if kind else ""
                found["customer_digest"] = self._digest(said)
            elif field == "rule":
                found["rule_digest"] = self._digest(value)
            elif field in _NAMES:
                found[field] = value if isinstance(value, str | int | bool) else list(value)
        return found

    def _digest(self, said: str) -> str | None:
        """What stands for an id or a rule; None while the store has no secret to make it with."""
        if not self._secret:
            found = read_deletions(self._folder)
            self._secret = b"" if found is None else found.secret
        return digest_of(self._secret, said) if self._secret else None


def _fields(message: Any) -> Iterable[tuple[str, Any]]:
    listed = getattr(message, "ListFields", None)
    return () if listed is None else ((field.name, value) for field, value in listed())


def _counts(reply: Any) -> dict[str, Any]:
    """What came of a call: numbers, and each definition that has a new version."""
    found: dict[str, Any] = {}
    for field, value in _fields(reply):
        if field in _COUNTS and isinstance(value, str | int):
            found[field] = value
        elif field in ("definitions", "deleted"):
            some = list(value)[:_MOST_NAMED]
            found[field] = [f"{each.kind} {each.name} {each.version}" for each in some]
    return found
