"""What is sent to whom, when, at what cost, and what did it earn? CampaignService."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import aclosing
from typing import Any, TypeVar

import grpc

from segengine.errors import LoadError, RunError, UnknownNameError, did_you_mean
from segengine.reports.report import to_json
from segengine.written import CAMPAIGN, definition_from_plain
from segengine_server import campaign_convert as convert
from segengine_server.audit import tell
from segengine_server.bytes_field import bytes_field
from segengine_server.campaign_api import Run
from segengine_server.engine_api import Engine
from segengine_server.errors import BadDataError, RequestError, Violation, refuse
from segengine_server.ipc_stream import pieces_of
from segengine_server.rule_size import RuleSize
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import CampaignServiceServicer
from segengine_server.work import Work

TEXTS, MOST_TEXTS = 10, 1_000
PRIORITY = "priority"
# A plan is of the data as they were; by the time of the run a second may have passed.
_PLANS_TRIED = 5

_IPC = pb.StreamRunReply.IPC_FIELD_NUMBER
_Context = grpc.aio.ServicerContext[Any, Any]
_Request = TypeVar("_Request")
_Reply = TypeVar("_Reply")


class CampaignService(CampaignServiceServicer):
    """Campaigns of one engine; all of it is long work."""

    def __init__(self, engine: Engine, work: Work, rules: RuleSize) -> None:
        self._engine = engine
        self._work = work
        self._rules = rules

    async def PreviewTexts(  # noqa: N802 - the wire's name
        self, request: pb.PreviewTextsRequest, context: _Context
    ) -> pb.PreviewTextsReply:
        """The texts of some of those whom a campaign targets."""
        return await self._answer(self._texts, request, context, asks=True)

    async def SendHours(  # noqa: N802 - the wire's name
        self, request: pb.SendHoursRequest, context: _Context
    ) -> pb.SendHoursReply:
        """How many are written to in each hour."""
        return await self._answer(self._hours, request, context, asks=True)

    async def PlanCampaigns(  # noqa: N802 - the wire's name
        self, request: pb.PlanCampaignsRequest, context: _Context
    ) -> pb.PlanCampaignsReply:
        """Who gets which of several campaigns."""
        return await self._answer(self._planned, request, context, asks=True)

    async def RunCampaign(  # noqa: N802 - the wire's name
        self, request: pb.RunCampaignRequest, context: _Context
    ) -> pb.CampaignRun:
        """Freeze who gets a campaign, alone or as a plan has left it."""
        return await self._answer(self._run, request, context)

    async def ListRuns(  # noqa: N802 - the wire's name
        self, request: pb.ListRunsRequest, context: _Context
    ) -> pb.ListRunsReply:
        """The runs of a campaign, or all."""
        return await self._answer(self._runs, request, context, asks=True)

    async def StreamRun(  # noqa: N802 - the wire's name
        self, request: pb.StreamRunRequest, context: _Context
    ) -> None:
        """The buyers of a run, as the pieces of one Arrow IPC stream."""
        try:
            async with aclosing(self._work.pieces(self._pieces, request)) as pieces:
                async for piece in pieces:
                    await context.write(bytes_field(_IPC, piece))
        except Exception as error:
            await refuse(context, error)

    async def RecordMessages(  # noqa: N802 - the wire's name
        self, request: pb.RecordMessagesRequest, context: _Context
    ) -> pb.Receipt:
        """What became of runs, as one change."""
        return await self._answer(self._recorded, request, context)

    async def CampaignReport(  # noqa: N802 - the wire's name
        self, request: pb.CampaignReportRequest, context: _Context
    ) -> pb.CampaignReportReply:
        """What a run, or all runs of a campaign, came to."""
        return await self._answer(self._report, request, context, asks=True)

    async def DryRunCampaign(  # noqa: N802 - the wire's name
        self, request: pb.DryRunCampaignRequest, context: _Context
    ) -> pb.DryRunReply:
        """What defining a campaign would change."""
        return await self._answer(self._dry_campaign, request, context, asks=True)

    async def DryRunSegment(  # noqa: N802 - the wire's name
        self, request: pb.DryRunSegmentRequest, context: _Context
    ) -> pb.DryRunReply:
        """What defining a segment would change."""
        return await self._answer(self._dry_segment, request, context, asks=True)

    async def _answer(
        self,
        answer: Callable[[_Request], _Reply],
        request: _Request,
        context: _Context,
        *,
        asks: bool = False,
    ) -> _Reply:
        """What `answer` makes of a request in a thread; an error goes out as a status.

        asks: it changes nothing, and may end with its caller.
        """
        work = self._work.ask if asks else self._work.do
        try:
            return await work(answer, request)
        except Exception as error:
            await refuse(context, error)

    def _texts(self, request: pb.PreviewTextsRequest) -> pb.PreviewTextsReply:
        if request.count > MOST_TEXTS:
            asked = f"{request.count:,} in one call, at most {MOST_TEXTS:,} are made"
            raise RequestError(Violation("count", asked))
        audience = self._engine.audience(request.campaign)
        bill = audience.bill() if request.with_bill else None
        return convert.to_proto_texts(audience.preview(request.count or TEXTS), bill, audience)

    def _hours(self, request: pb.SendHoursRequest) -> pb.SendHoursReply:
        about = convert.from_proto_about(request)
        if "run" in about:
            return convert.to_proto_hours(self._named(about["run"]).hours())
        return convert.to_proto_hours(self._engine.send_hours(about["campaign"]))

    def _planned(self, request: pb.PlanCampaignsRequest) -> pb.PlanCampaignsReply:
        names, by = list(request.campaigns), request.by or PRIORITY
        return convert.to_proto_plan(self._engine.plan_campaigns(names, by))

    def _run(self, request: pb.RunCampaignRequest) -> pb.CampaignRun:
        name, names, by = request.campaign, list(request.plan), request.by or PRIORITY
        if not names:
            if request.by:
                alone = "says how campaigns compete; name them under `plan`, or leave it empty"
                raise RequestError(Violation("by", alone))
            return convert.to_proto_run(self._engine.run_campaign(name, plan=None))
        for tried in range(_PLANS_TRIED):
            plan = self._engine.plan_campaigns(names, by)
            try:
                return convert.to_proto_run(self._engine.run_campaign(name, plan=plan))
            except RunError as error:
                is_stale = error.field == "plan" and name in plan.order
                if not is_stale or tried == _PLANS_TRIED - 1:
                    raise
        raise AssertionError("every turn returns or raises")

    def _runs(self, request: pb.ListRunsRequest) -> pb.ListRunsReply:
        found = [
            run for run in self._engine.runs.values() if request.campaign in ("", run.campaign)
        ]
        return pb.ListRunsReply(runs=map(convert.to_proto_run, found))

    def _pieces(self, request: pb.StreamRunRequest) -> Iterator[bytes]:
        found = self._named(request.run).table(held_out=request.with_held_out)
        tell(rows=found.num_rows)
        return pieces_of(found)

    def _recorded(self, request: pb.RecordMessagesRequest) -> pb.Receipt:
        kind = request.WhichOneof("messages")
        if kind is None:
            raise RequestError(Violation("messages", "set `ipc` or `run`"))
        data: Any = self._named(request.run) if kind == "run" else (
            convert.from_proto_messages(request.ipc)
        )  # fmt: skip
        on_error = "skip" if request.skip_bad_rows else "refuse"
        try:
            return convert.to_proto_receipt(self._engine.record_messages(data, on_error=on_error))
        except LoadError as error:
            raise BadDataError(error) from error

    def _report(self, request: pb.CampaignReportRequest) -> pb.CampaignReportReply:
        options: dict[str, Any] = dict(convert.from_proto_about(request))
        if request.by:
            options["by"] = list(request.by)
        report = to_json(self._engine.report("campaign", **options))
        return pb.CampaignReportReply(json=json.dumps(report, ensure_ascii=False))

    def _dry_campaign(self, request: pb.DryRunCampaignRequest) -> pb.DryRunReply:
        written = convert.from_proto_definition(request.definition_json)
        self._rules.admit_all(CAMPAIGN, written)
        campaign = definition_from_plain(CAMPAIGN, request.campaign, written)
        return convert.to_proto_diff(self._engine.dry_run(campaign, None, suppress=False))

    def _dry_segment(self, request: pb.DryRunSegmentRequest) -> pb.DryRunReply:
        rule = self._rules.admit(request.rule)
        found = self._engine.dry_run(request.segment, rule, suppress=request.suppress)
        return convert.to_proto_diff(found)

    def _named(self, run: str) -> Run:
        found = self._engine.runs.get(run)
        if found is None:
            hint = did_you_mean(run, list(self._engine.runs)) or "`ListRuns` names those there are"
            raise UnknownNameError(f"unknown run `{run}`; {hint}", field="run")
        return found
