"""Claims about campaigns over the wire: what is asked arrives, what is answered comes back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from segengine_server import Client, ServerError, campaign_convert
from segengine_server import client as client_module
from segengine_server.answers import LEDGER_SCHEMA
from segengine_server.campaign_answers import BadRows, Receipt, Setting
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import CampaignServiceStub

import segengine as se
from segengine.errors import LoadError, ReportError, RunError
from segengine.ingest.report import LoadProblem, LoadReport, RefusedError
from tests.server.fake_campaigns import AS_OF, BILL, HOURS, TEXTS, ledger
from tests.server.fake_engine import FakeEngine, buyers_table
from tests.server.serving import Served, channel_to

RUN = "spring-2026-03-04-1"
ROWS = pa.table({"customer_id": [1, 2, 3], "run": [RUN] * 3})


def test_texts_come_back_with_parts_and_exact_costs(engine: FakeEngine, client: Client) -> None:
    found = client.preview_texts("spring", 2)
    assert found.texts.equals(TEXTS)
    assert found.bill.num_rows == 0
    assert (found.as_of, found.data_version) == (AS_OF, 7)
    assert engine.asked == [("audience", "spring"), ("preview", 2)]
    assert client.preview_texts("spring", bill=True).bill.equals(BILL)
    assert engine.asked[-1] == ("preview", 10)


def test_texts_are_ten_where_no_number_is_given(engine: FakeEngine, served: Served) -> None:
    with channel_to(served.target) as channel:
        stub = CampaignServiceStub(channel)
        stub.PreviewTexts(pb.PreviewTextsRequest(campaign="spring"), timeout=20)
    assert engine.asked[-1] == ("preview", 10)


def test_hours_of_a_campaign_and_of_a_run_come_back(engine: FakeEngine, client: Client) -> None:
    assert client.send_hours(campaign="spring").equals(HOURS)
    assert engine.asked == [("send_hours", "spring")]
    assert client.send_hours(run=RUN).equals(HOURS)


def test_a_plan_comes_back_in_its_order_with_every_ledger(
    engine: FakeEngine, client: Client
) -> None:
    plan = client.plan(["summer", "spring"], by="value")
    assert engine.asked == [("plan_campaigns", ["summer", "spring"], "value")]
    assert [each.campaign for each in plan.campaigns] == ["spring", "summer"]
    assert plan["summer"].count == 1
    assert plan["summer"].ledger.equals(ledger(1).cast(LEDGER_SCHEMA))
    assert (plan.as_of, plan.data_version) == (AS_OF, 7)


def test_a_run_comes_back_without_those_who_were_deleted(
    engine: FakeEngine, client: Client
) -> None:
    run = client.run("spring")
    assert engine.asked == [("run_campaign", "spring", None)]
    assert (run.run, run.campaign, run.as_of, run.data_version) == (RUN, "spring", AS_OF, 7)
    assert (run.targeted, run.held_out, run.variants) == (7, 2, {"a": 3, "b": 4})
    assert client.runs() == client.runs("spring") == [run]
    assert client.runs("summer") == []


def test_a_campaign_is_run_as_a_plan_has_left_it(engine: FakeEngine, client: Client) -> None:
    client.run("spring", plan=["spring", "summer"], by="value")
    assert engine.asked == [
        ("plan_campaigns", ["spring", "summer"], "value"),
        ("run_campaign", "spring", ("spring", "summer")),
    ]


def test_a_plan_that_time_has_overtaken_is_made_again(engine: FakeEngine, client: Client) -> None:
    engine.stale = 2
    assert client.run("spring", plan=["spring"]).run == RUN
    assert [question[0] for question in engine.asked] == ["plan_campaigns", "run_campaign"] * 3
    engine.stale = 100
    with pytest.raises(ServerError, match="data version 6") as refused:
        client.run("spring", plan=["spring"])
    assert (refused.value.code, refused.value.reason) == ("FAILED_PRECONDITION", "CANNOT_RUN")
    engine.asked.clear()
    with pytest.raises(ServerError, match="does not hold"):
        client.run("autumn", plan=["spring"])
    assert len(engine.asked) == 2


def test_those_of_a_run_are_streamed_and_the_held_out_only_where_asked(
    engine: FakeEngine, client: Client
) -> None:
    engine.buyers = buyers_table(100_000)
    both = engine.buyers.select(["customer_id", "variant"])
    assert client.stream_run(RUN).equals(both.slice(0, 99_999))
    assert client.stream_run(RUN, held_out=True).equals(both)


def test_rows_are_recorded_as_they_are_and_answered_with_a_receipt(
    engine: FakeEngine, client: Client
) -> None:
    receipt = client.record_messages(ROWS)
    ((asked, table, on_error),) = engine.asked
    assert (asked, on_error) == ("record_messages", "refuse")
    assert table.equals(ROWS)
    bad = BadRows("run", "no such run", 1, ("x",))
    assert receipt == Receipt(5, 2, 1, 2, (bad,), ("colour",))
    client.record_messages(ROWS.to_pydict(), skip_bad_rows=True)
    assert engine.asked[1][2] == "skip"
    assert engine.asked[1][1].equals(ROWS)


def test_many_rows_are_recorded_in_several_calls(
    engine: FakeEngine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "ROWS_A_CALL", 2)
    receipt = client.record_messages(ROWS)
    tables = [table for _, table, _ in engine.asked]
    assert [table.num_rows for table in tables] == [2, 1]
    assert pa.concat_tables(tables).equals(ROWS)
    assert receipt == Receipt(
        10, 4, 2, 4, (BadRows("run", "no such run", 2, ("x", "x")),), ("colour",)
    )


def test_rows_with_long_texts_are_small_enough_for_a_server(
    engine: FakeEngine, client: Client
) -> None:
    rows = pa.table(
        {"customer_id": range(4_000), "run": [RUN] * 4_000, "note": ["x" * 2_000] * 4_000}
    )
    client.record_messages(rows)
    tables = [table for _, table, _ in engine.asked]
    assert len(tables) == 4
    assert pa.concat_tables(tables).equals(rows)


def test_no_rows_at_all_are_recorded_too(engine: FakeEngine, client: Client) -> None:
    client.record_messages(ROWS.slice(0, 0))
    ((_, table, _),) = engine.asked
    assert table.equals(ROWS.slice(0, 0))


def test_a_run_is_recorded_by_its_id(engine: FakeEngine, client: Client) -> None:
    client.record_messages(RUN)
    ((_, run, _),) = engine.asked
    assert run.run == RUN


def test_a_report_comes_back_as_the_command_prints_it(engine: FakeEngine, client: Client) -> None:
    found = client.campaign_report(run=RUN, by=["region"])
    assert engine.asked == [("report", "campaign", {"run": RUN, "by": ["region"]})]
    assert found["report"] == "campaign"
    assert found["notes"] == ["too small to measure"]
    client.campaign_report(campaign="spring")
    assert engine.asked[1] == ("report", "campaign", {"campaign": "spring"})


def test_a_campaign_is_tried_as_it_was_written(engine: FakeEngine, client: Client) -> None:
    start = datetime(2026, 3, 1, 9, tzinfo=UTC) + timedelta(hours=1)
    written = {
        "segment": "spent > 3",
        "starts_at": start,
        "variants": {"a": 0.25, "b": [0.75, {"code": "春"}]},
        "caps": [],
        "budget": {"cost": 10.5},
    }
    found = client.dry_run_campaign("spring", written)
    ((_, campaign, rule, suppress),) = engine.asked
    assert (rule, suppress) == (None, False)
    expected = se.Campaign(
        "spring", "spent > 3", starts_at=start, variants={"a": 0.25, "b": (0.75, {"code": "春"})},
        budget={"cost": 10.5},
    )  # fmt: skip
    assert campaign == expected
    assert (found.kind, found.name, found.change, found.version) == ("campaign", "spring",
                                                                     "changed", 2)  # fmt: skip
    assert (found.entered, found.left, found.stayed, found.affected) == (1, 2, 3, 5)
    assert (found.sample_entered, found.sample_left) == ((7,), ("x", 9))
    assert found.settings == (
        Setting("limit", None, 5),
        Setting("text", "Dear", None),
        Setting("hours", [[1, 2]], []),
    )
    assert found.ledger_before["remaining"].to_pylist() == [5]
    assert found.ledger_after["remaining"].to_pylist() == [4]
    assert found.variants.to_pylist() == [{"before": "a", "after": None, "buyers": 2}]
    used, broken = found.downstream.to_pylist()
    assert (used["name"], used["before"], used["after"], used["left"], used["error"]) == (
        *("c", 5, 0, 5),
        None,
    )
    assert (broken["name"], broken["before"], broken["error"]) == ("p", None, "it is broken")
    assert found.notes == ("nothing would be sent",)
    assert (found.as_of, found.data_version) == (AS_OF, 7)


def test_a_new_campaign_has_no_version_and_no_ledger_before(client: Client) -> None:
    found = client.dry_run_campaign("new", {"segment": "TRUE"})
    assert (found.version, found.change) == (None, "new")
    assert found.ledger_before.equals(LEDGER_SCHEMA.empty_table())
    assert found.ledger_after.num_rows == 1


def test_a_segment_is_tried_by_its_name_and_rule(engine: FakeEngine, client: Client) -> None:
    found = client.dry_run_segment("vip", "spent > 3", suppress=True)
    assert engine.asked == [("dry_run", "vip", "spent > 3", True)]
    assert (found.kind, found.ledger_after.num_rows, found.variants.num_rows) == ("segment", 0, 0)


REFUSED: dict[str, tuple[Callable[[Client], object], str, str]] = {
    "an unknown run": (lambda c: c.stream_run("spring-2026-03-04-2"), "NOT_FOUND", "did you mean"),
    "hours of an unknown run": (lambda c: c.send_hours(run="x"), "NOT_FOUND", "unknown run `x`"),
    "a record of an unknown run": (lambda c: c.record_messages("x"), "NOT_FOUND", "unknown run"),
    "too many texts": (lambda c: c.preview_texts("spring", 1_001), "INVALID_ARGUMENT", "at most"),
    "texts of an unknown campaign": (lambda c: c.preview_texts("x"), "NOT_FOUND", "unknown"),
    "a way without a plan": (lambda c: c.run("spring", by="value"), "INVALID_ARGUMENT", "compete"),
    "a campaign that cannot be": (
        lambda c: c.dry_run_campaign("spring", {"segmnt": "TRUE"}),
        "INVALID_ARGUMENT",
        "did you mean `segment`",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_asked_is_refused(client: Client, what: str) -> None:
    ask, code, said = REFUSED[what]
    with pytest.raises(ServerError, match=said) as refused:
        ask(client)
    assert refused.value.code == code


LACKING: dict[str, tuple[str, Any, str]] = {
    "hours of nothing": ("SendHours", pb.SendHoursRequest(), "about"),
    "a report of nothing": ("CampaignReport", pb.CampaignReportRequest(), "about"),
    "no messages": ("RecordMessages", pb.RecordMessagesRequest(), "messages"),
    "bytes of no table": ("RecordMessages", pb.RecordMessagesRequest(ipc=b"\x00" * 99), "ipc"),
    "no bytes": ("RecordMessages", pb.RecordMessagesRequest(ipc=b""), "ipc"),
    "half a table": (
        "RecordMessages",
        pb.RecordMessagesRequest(ipc=campaign_convert.to_proto_messages(ROWS)[:-200]),
        "ipc",
    ),
    "no JSON": (
        "DryRunCampaign",
        pb.DryRunCampaignRequest(campaign="c", definition_json="{"),
        "definition_json",
    ),
    "JSON of no section": (
        "DryRunCampaign",
        pb.DryRunCampaignRequest(campaign="c", definition_json="[]"),
        "definition_json",
    ),
}


@pytest.mark.parametrize("what", LACKING)
def test_a_request_that_lacks_something_names_the_field(served: Served, what: str) -> None:
    method, request, field = LACKING[what]
    with Client(served.target) as client:
        stub = client._campaigns
        with pytest.raises(ServerError) as refused:
            client._ask(getattr(stub, method), request)
    assert refused.value.code == "INVALID_ARGUMENT"
    assert [violation.field for violation in refused.value.violations] == [field]


@given(st.binary(max_size=60), st.integers(0, 2_000))
def test_bytes_that_are_no_table_are_refused_and_nothing_else(junk: bytes, at: int) -> None:
    ipc = campaign_convert.to_proto_messages(ROWS)
    at %= len(ipc)
    mended = ipc[:at] + junk + ipc[at + len(junk) :]
    try:
        table = campaign_convert.from_proto_messages(mended)
    except campaign_convert.RequestError:
        return
    assert isinstance(table, pa.Table)


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (RunError("not now", field="campaign"), "FAILED_PRECONDITION", "CANNOT_RUN"),
        (LoadError("the data cannot be read"), "INVALID_ARGUMENT", "BAD_DATA"),
        (ReportError("no report"), "INVALID_ARGUMENT", "BAD_REPORT"),
    ],
)
def test_errors_of_campaigns_go_out_with_their_reason(
    engine: FakeEngine, client: Client, error: Exception, code: str, reason: str
) -> None:
    engine.error = error
    with pytest.raises(ServerError, match=str(error)) as refused:
        client.record_messages(ROWS)
    assert (refused.value.code, refused.value.reason) == (code, reason)


def test_each_reason_for_bad_rows_is_a_violation(engine: FakeEngine, client: Client) -> None:
    problems = (LoadProblem("run", "no such run", 2, ("a", "b")), LoadProblem("kind", "unknown", 1))
    engine.error = RefusedError(LoadReport("messages", 3, 0, 3, 0, problems), "the data")
    with pytest.raises(ServerError) as refused:
        client.record_messages(ROWS)
    assert refused.value.reason == "BAD_DATA"
    assert [(v.field, v.description) for v in refused.value.violations] == [
        ("run", "no such run in 2 rows, for example `a`, `b`"),
        ("kind", "unknown in 1 row"),
    ]


def test_a_client_takes_one_of_two_and_lists_as_lists(client: Client) -> None:
    for wrong in (
        client.send_hours,
        lambda: client.campaign_report(run=RUN, campaign="spring"),
        lambda: client.plan("spring"),
        lambda: client.run("spring", plan="spring"),
    ):
        with pytest.raises(TypeError):
            wrong()
