"""How does a program ask a server? `Client`: plain calls, plain data, no protobuf."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import pyarrow as pa

from segengine_server import campaign_convert, convert
from segengine_server.answers import Census, Count, Explanation, Page
from segengine_server.campaign_answers import MemberDiff, Plan, Receipt, Run, Texts
from segengine_server.catalog_client import Catalog
from segengine_server.connecting import connection_of
from segengine_server.engine_api import CustomerId
from segengine_server.errors import ServerError, late_error, server_error_of
from segengine_server.ipc_stream import Joined
from segengine_server.sending import Sending, ipc_of, refused_batch, request_of
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import (
    AudienceServiceStub,
    CampaignServiceStub,
    CatalogServiceStub,
    IngestServiceStub,
    PageServiceStub,
)

# Pages of one call: enough that the way there and back is nothing, and far below `REPLY_BYTES`.
PAGES_A_CALL = 100
# Rows and bytes of one RecordMessages, which a server takes up to 4 MB.
ROWS_A_CALL, BYTES_A_CALL = 20_000, 2 << 20
CENSUS_SECONDS = 120.0

_T = TypeVar("_T")


class Client:
    """A connection to the server at `target` (`host:port`); also a context manager.

    timeout: seconds that one answer may take, and of a stream each of its parts. Threads may share
    a client. token: what `segengine token create` printed. tls: PEM bytes of who signed the
    server's certificate, or True for those that this machine trusts; cert, key: the client's own,
    in PEM, both or neither. White space at the ends of target and token is left out.
    Raises TypeError and ValueError for arguments that cannot be, before anybody is asked. Every
    method raises ServerError when the server refuses or cannot be reached.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout: float = 10.0,
        token: str | None = None,
        tls: bytes | bool = False,
        cert: bytes | None = None,
        key: bytes | None = None,
    ) -> None:
        self._connection = connection_of(target, token, tls, cert, key)
        self._timeout = timeout
        self._channel = self._connection.channel()
        self._who = self._connection.metadata
        self._audiences = AudienceServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._pages = PageServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._campaigns = CampaignServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._ingest = IngestServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self.catalog = Catalog(
            self._ask,
            CatalogServiceStub(self._channel),  # type: ignore[no-untyped-call]
        )
        """What is defined there: segments, traits, campaigns and pages."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up the connection, and whatever is still being asked."""
        self._channel.close()

    def count(self, *, campaign: str | None = None, rule: str | None = None) -> Count:
        """How many buyers a campaign addresses, step by step, or satisfy a rule."""
        request = pb.CountAudienceRequest(**convert.to_proto_asked(campaign, rule))
        return convert.from_proto_count(self._ask(self._audiences.CountAudience, request))

    def stream(
        self,
        *,
        campaign: str | None = None,
        rule: str | None = None,
        columns: Sequence[str] = (),
    ) -> pa.Table:
        """The buyers: customer_id, for a campaign variant, then `columns`."""
        request = _stream_request(campaign, rule, columns)
        with self._reading(self._audiences.StreamAudience, request) as reader:
            return reader.read_all()

    def batches(
        self,
        *,
        campaign: str | None = None,
        rule: str | None = None,
        columns: Sequence[str] = (),
    ) -> Iterator[pa.RecordBatch]:
        """The same batch by batch, as they come; to stop early ends the server's work too."""
        return self._batches(_stream_request(campaign, rule, columns))

    def explain(
        self,
        customer_id: CustomerId,
        *,
        campaign: str | None = None,
        rule: str | None = None,
    ) -> Explanation:
        """Why one buyer is in a campaign's audience or satisfies a rule, or why not."""
        request = pb.ExplainCustomerRequest(
            customer=convert.to_proto_customer(customer_id),
            **convert.to_proto_asked(campaign, rule),
        )
        return convert.from_proto_explanation(self._ask(self._audiences.ExplainCustomer, request))

    def match(self, customer_id: CustomerId) -> list[str]:
        """Every saved segment that holds for one buyer."""
        request = pb.MatchCustomerRequest(customer=convert.to_proto_customer(customer_id))
        return list(self._ask(self._audiences.MatchCustomer, request).segments)

    def page(
        self,
        name: str,
        customer_id: CustomerId | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Page:
        """What one buyer sees on a page; None: a visitor nobody knows."""
        request = pb.GetPageRequest(
            page=name,
            customer=None if customer_id is None else convert.to_proto_customer(customer_id),
            context=convert.to_proto_context(context),
        )
        return convert.from_proto_page(self._ask(self._pages.GetPage, request))

    def pages(
        self,
        name: str,
        customer_ids: Sequence[CustomerId | None],
        context: Mapping[str, str] | None = None,
    ) -> list[Page]:
        """The same page for each customer, in the order given."""
        found: list[Page] = []
        visit = convert.to_proto_context(context)
        for start in range(0, len(customer_ids), PAGES_A_CALL):
            some = customer_ids[start : start + PAGES_A_CALL]
            request = pb.BatchGetPagesRequest(
                page=name, customers=map(convert.to_proto_customer, some), context=visit
            )
            reply = self._ask(self._pages.BatchGetPages, request)
            found += map(convert.from_proto_page, reply.pages)
        return found

    def page_census(
        self,
        name: str,
        context: Mapping[str, str] | None = None,
        *,
        timeout: float = CENSUS_SECONDS,
    ) -> Census:
        """What all buyers see on a page, counted; one census is made at a time."""
        request = pb.PageCensusRequest(page=name, context=convert.to_proto_context(context))
        return convert.from_proto_census(self._ask(self._pages.PageCensus, request, timeout))

    def preview_texts(self, campaign: str, count: int = 10, *, bill: bool = False) -> Texts:
        """The texts of some whom a campaign targets, with parts and costs.

        bill: also what sending to everybody takes; every text is made for it.
        """
        request = pb.PreviewTextsRequest(campaign=campaign, count=count, with_bill=bill)
        return campaign_convert.from_proto_texts(self._ask(self._campaigns.PreviewTexts, request))

    def send_hours(self, *, campaign: str | None = None, run: str | None = None) -> pa.Table:
        """Table(hour, buyers): when a campaign would write, or a run writes, to whom it targets."""
        request = pb.SendHoursRequest(**campaign_convert.to_proto_about(run, campaign))
        return campaign_convert.from_proto_hours(self._ask(self._campaigns.SendHours, request))

    def plan(self, campaigns: Sequence[str], by: str = "priority") -> Plan:
        """Who gets which of several campaigns, as they compete; by: `priority` or `value`."""
        request = pb.PlanCampaignsRequest(campaigns=_listed("campaigns", campaigns), by=by)
        return campaign_convert.from_proto_plan(self._ask(self._campaigns.PlanCampaigns, request))

    def run(self, campaign: str, *, plan: Sequence[str] = (), by: str = "") -> Run:
        """Freeze who gets a campaign, in which arm and when; asked twice, it makes two runs.

        plan: the campaigns it competes with, itself among them; by: as for `plan`.
        """
        request = pb.RunCampaignRequest(campaign=campaign, plan=_listed("plan", plan), by=by)
        return campaign_convert.from_proto_run(self._ask(self._campaigns.RunCampaign, request))

    def runs(self, campaign: str = "") -> list[Run]:
        """The runs of a campaign, or all, in the order they were made."""
        request = pb.ListRunsRequest(campaign=campaign)
        reply = self._ask(self._campaigns.ListRuns, request)
        return [campaign_convert.from_proto_run(each) for each in reply.runs]

    def stream_run(self, run: str, *, held_out: bool = False) -> pa.Table:
        """Table(customer_id, variant, arm, send_at) of those a run is for.

        held_out: also those who must not be written to, whose `arm` is `holdout`.
        """
        request = pb.StreamRunRequest(run=run, with_held_out=held_out)
        with self._reading(self._campaigns.StreamRun, request) as reader:
            return reader.read_all()

    def record_messages(self, data: Any, *, skip_bad_rows: bool = False) -> Receipt:
        """Record what became of runs: a run's id, so that everybody was sent it now, or rows.

        data: anything that Arrow reads, with customer_id and run. So many rows go in one call, each
        call a change of its own; what was recorded before an error stays. The same rows again count
        once: repeat the whole where something failed.
        """
        if isinstance(data, str):
            return self._recorded(pb.RecordMessagesRequest(run=data, skip_bad_rows=skip_bad_rows))
        table = data if isinstance(data, pa.Table) else pa.table(data)
        fit = BYTES_A_CALL * table.num_rows // max(1, table.nbytes)
        rows = max(1, min(ROWS_A_CALL, fit))
        receipts = [
            self._recorded(
                pb.RecordMessagesRequest(
                    ipc=campaign_convert.to_proto_messages(table.slice(begin, rows)),
                    skip_bad_rows=skip_bad_rows,
                )
            )
            for begin in range(0, max(1, table.num_rows), rows)
        ]
        return campaign_convert.joined_receipts(receipts)

    def append(
        self, table: str, data: Any, *, key: str | None = None, skip_bad_rows: bool = False
    ) -> Receipt:
        """Add rows that have just happened; the receipt is given when they are lasting and seen.

        data: anything that Arrow reads. key: the caller's own name for these rows; the same key
        again counts once and gives the same receipt. Raises ServerError where rows are bad.
        """
        request = request_of(table, data, key, skip_bad_rows)
        reply: pb.AppendReply = self._ask(self._ingest.Append, iter([request]))
        return campaign_convert.from_proto_receipt(reply.receipts[0])

    def append_all(
        self,
        table: str,
        batches: Iterable[Any],
        *,
        keys: Iterable[str | None] | None = None,
        skip_bad_rows: bool = False,
    ) -> list[Receipt]:
        """Add batches in one call, each a change of its own; a bad one ends it, those before stay.

        keys: one for each batch, None for a batch without. Both are read as they go. More of one
        than of the other is a ValueError: before anything is sent where both have a length, else
        when it shows, and those before it are taken in. A refused batch is a ServerError whose
        `taken_in` counts those before it; one that Arrow does not read ends the call with Arrow's
        own error. After no answer in time it is not known what is in: send it again with its keys.
        """
        sending = Sending(table, batches, keys, skip_bad_rows)
        try:
            reply: pb.AppendReply = self._ask(self._ingest.Append, sending.requests())
        except ServerError as error:
            raise refused_batch(error) from None
        sending.see_end(len(reply.receipts))
        return [campaign_convert.from_proto_receipt(each) for each in reply.receipts]

    def upsert_customers(
        self, data: Any, *, key: str | None = None, skip_bad_rows: bool = False
    ) -> Receipt:
        """Add buyers, and set columns of those there are; what is not sent stays as it was."""
        request = pb.UpsertCustomersRequest(
            ipc=ipc_of(data), key=key or "", skip_bad_rows=skip_bad_rows
        )
        return campaign_convert.from_proto_receipt(self._ask(self._ingest.UpsertCustomers, request))

    def delete_customer(self, customer_id: CustomerId) -> int | None:
        """Take a buyer out of every answer; the number of the change in the store's log.

        In the files of the store the buyer is until `compact`.
        """
        request = pb.DeleteCustomerRequest(customer=convert.to_proto_customer(customer_id))
        reply: pb.DeleteCustomerReply = self._ask(self._ingest.DeleteCustomer, request)
        return reply.offset or None

    def compact(self, *, timeout: float = 3_600.0) -> None:
        """Write the files anew without deleted buyers; they are in none afterwards."""
        self._ask(self._ingest.Compact, pb.CompactRequest(), timeout)

    def campaign_report(
        self, *, run: str | None = None, campaign: str | None = None, by: Sequence[str] = ()
    ) -> dict[str, Any]:
        """What a run, or all runs of a campaign, came to: as the command's `--json` prints it.

        by: traits to break it down by.
        """
        about = campaign_convert.to_proto_about(run, campaign)
        request = pb.CampaignReportRequest(by=_listed("by", by), **about)
        found: dict[str, Any] = json.loads(self._ask(self._campaigns.CampaignReport, request).json)
        return found

    def dry_run_campaign(self, name: str, definition: Mapping[str, Any]) -> MemberDiff:
        """What defining a campaign would change; definition: its section of `store.toml`."""
        request = pb.DryRunCampaignRequest(
            campaign=name, definition_json=campaign_convert.to_proto_definition(definition)
        )
        return campaign_convert.from_proto_diff(self._ask(self._campaigns.DryRunCampaign, request))

    def dry_run_segment(self, name: str, rule: str, *, suppress: bool = False) -> MemberDiff:
        """What defining a segment would change, for itself and for what names it."""
        request = pb.DryRunSegmentRequest(segment=name, rule=rule, suppress=suppress)
        return campaign_convert.from_proto_diff(self._ask(self._campaigns.DryRunSegment, request))

    def _recorded(self, request: pb.RecordMessagesRequest) -> Receipt:
        reply = self._ask(self._campaigns.RecordMessages, request)
        return campaign_convert.from_proto_receipt(reply)

    def _ask(self, method: Callable[..., _T], request: Any, timeout: float | None = None) -> _T:
        seconds = self._timeout if timeout is None else timeout
        try:
            return method(request, timeout=seconds, metadata=self._who)
        except grpc.RpcError as error:
            raise server_error_of(error, self._connection, seconds) from None

    def _batches(self, request: pb.StreamAudienceRequest) -> Iterator[pa.RecordBatch]:
        with self._reading(self._audiences.StreamAudience, request) as reader:
            yield from reader

    @contextmanager
    def _reading(
        self, method: Callable[..., Any], request: Any
    ) -> Iterator[pa.RecordBatchStreamReader]:
        """A reader of the stream that answers `request`; the call ends with the block."""
        call = method(request, metadata=self._who)
        late = threading.Event()

        def give_up() -> None:
            late.set()
            call.cancel()

        def fetch() -> bytes | None:
            # A deadline would count the time that our caller takes between two batches.
            timer = threading.Timer(self._timeout, give_up)
            timer.daemon = True
            timer.start()
            try:
                reply = next(call, None)
            except grpc.RpcError as error:
                if late.is_set():
                    raise late_error(self._connection.target, self._timeout) from None
                raise server_error_of(error, self._connection, self._timeout) from None
            finally:
                timer.cancel()
            return None if reply is None else reply.ipc

        try:
            with pa.ipc.open_stream(Joined(fetch)) as reader:
                yield reader
            # Read to its end: the server would else take it for a caller that has left.
            while fetch() is not None:
                pass
        finally:
            call.cancel()


def _stream_request(
    campaign: str | None, rule: str | None, columns: Sequence[str]
) -> pb.StreamAudienceRequest:
    names = _listed("columns", columns)
    return pb.StreamAudienceRequest(columns=names, **convert.to_proto_asked(campaign, rule))


def _listed(what: str, names: Sequence[str]) -> Sequence[str]:
    if isinstance(names, str):
        raise TypeError(f"`{what}` is a list of names, not the text `{names}`")
    return names
