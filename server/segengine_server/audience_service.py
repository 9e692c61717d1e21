"""Whom do we address? AudienceService, answered in a few threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import grpc

from segengine_server import convert
from segengine_server.answers import Count, Explanation
from segengine_server.audit import tell
from segengine_server.bytes_field import bytes_field
from segengine_server.convert import Asked
from segengine_server.engine_api import Audience, CustomerId, Engine, Segment
from segengine_server.errors import refuse
from segengine_server.ipc_stream import pieces_of
from segengine_server.rule_size import RuleSize
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import AudienceServiceServicer
from segengine_server.work import Work

_IPC = pb.StreamAudienceReply.IPC_FIELD_NUMBER
_Context = grpc.aio.ServicerContext[Any, Any]


class AudienceService(AudienceServiceServicer):
    """Audiences of one engine; all of it is long work."""

    def __init__(self, engine: Engine, work: Work, rules: RuleSize) -> None:
        self._engine = engine
        self._work = work
        self._rules = rules

    async def CountAudience(  # noqa: N802 - the wire's name
        self, request: pb.CountAudienceRequest, context: _Context
    ) -> pb.CountAudienceReply:
        """How many, and for a campaign, how many at each step."""
        try:
            asked = convert.from_proto_asked(request)
            return await self._work.ask(self._count, asked)
        except Exception as error:
            await refuse(context, error)

    async def StreamAudience(  # noqa: N802 - the wire's name
        self, request: pb.StreamAudienceRequest, context: _Context
    ) -> None:
        """The buyers, as the pieces of one Arrow IPC stream."""
        try:
            asked = convert.from_proto_asked(request)
            found = self._work.pieces(self._pieces, asked, list(request.columns))
            async with aclosing(found) as pieces:
                async for piece in pieces:
                    await context.write(bytes_field(_IPC, piece))
        except Exception as error:
            await refuse(context, error)

    async def ExplainCustomer(  # noqa: N802 - the wire's name
        self, request: pb.ExplainCustomerRequest, context: _Context
    ) -> pb.ExplainCustomerReply:
        """Why one buyer is in or out."""
        try:
            asked, customer_id = convert.from_proto_explain(request)
            return await self._work.ask(self._explain, asked, customer_id)
        except Exception as error:
            await refuse(context, error)

    async def MatchCustomer(  # noqa: N802 - the wire's name
        self, request: pb.MatchCustomerRequest, context: _Context
    ) -> pb.MatchCustomerReply:
        """Every saved segment that holds for one buyer."""
        try:
            customer_id = convert.from_proto_known(request.customer)
            found = await self._work.ask(self._engine.match, customer_id)
            return pb.MatchCustomerReply(segments=found)
        except Exception as error:
            await refuse(context, error)

    def _count(self, asked: Asked) -> pb.CountAudienceReply:
        if asked.kind == "rule":
            answer = self._engine.segment(self._rules.admit(asked.text)).answer()
            count = Count(answer.count, answer.as_of, answer.data_version)
        else:
            found = self._engine.audience(asked.text)
            count = Count(found.count(), found.as_of, found.data_version, found.ledger)
        return convert.to_proto_count(count)

    def _pieces(self, asked: Asked, columns: list[str]) -> Iterator[bytes]:
        answer: Segment | Audience
        if asked.kind == "rule":
            answer = self._engine.segment(self._rules.admit(asked.text))
        else:
            answer = self._engine.audience(asked.text)
        found = answer.table(columns)
        tell(rows=found.num_rows)
        return pieces_of(found)

    def _explain(self, asked: Asked, customer_id: CustomerId) -> pb.ExplainCustomerReply:
        if asked.kind == "rule":
            why = self._engine.segment(self._rules.admit(asked.text)).explain(customer_id)
            explanation = Explanation(why.holds, None, str(why))
        else:
            dropped = self._engine.audience(asked.text).explain(customer_id)
            explanation = Explanation(dropped.holds, dropped.step, str(dropped))
        return convert.to_proto_explanation(explanation)
