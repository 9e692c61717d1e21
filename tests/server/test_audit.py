"""Exports, changes and deletions are written down, by whom and when, and without a buyer's name."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest
from segengine_server import Client, ServerError
from segengine_server.audit import NOT_AUDITED
from segengine_server.tokens import Tokens, created
from segengine_server.watch import REQUEST_ID
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import AudienceServiceStub
from typer.testing import CliRunner

import segengine as se
from segengine.cli.app import app
from segengine.storage.audit_file import AUDIT, AuditFile, read_audit
from tests.server.serving import Served, serving

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MARKER = "marker-7f3a@example.com"
KNOWN = {
    f"{service.name}/{method.name}"
    for service in pb.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[se.Engine]:
    (tmp_path / "store.toml").write_text("[store]\nas_of = 2026-01-31T12:00:00Z\n")
    with se.Engine.open(tmp_path) as found:
        found.load("customers", pa.table({"customer_id": ["a", "b", MARKER]}))
        found.define_campaign(se.Campaign("spring", "true"))
        yield found


@pytest.fixture
def tokens(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "tokens.toml"
    return {name: created(path, name, ["admin"], NOW) for name in ("till", "desk")}


@pytest.fixture
def served(engine: se.Engine, tmp_path: Path, tokens: dict[str, str]) -> Iterator[Served]:
    with serving(engine, tokens=Tokens(tmp_path / "tokens.toml", lambda: NOW)) as found:
        yield found


def told(folder: Path, lines: int) -> list[dict[str, Any]]:
    """So many lines about calls: the last may be written a moment after the answer is there."""
    for _ in range(1_000):
        found = [each for each in read_audit(folder) if each["what"] != "token used"]
        if len(found) >= lines:
            break
        time.sleep(0.01)
    assert len(found) == lines
    return found


def test_every_method_is_audited_unless_it_is_said_not_to_be() -> None:
    assert {each for each in NOT_AUDITED if not each.startswith("CatalogService")} <= KNOWN
    audited = KNOWN - NOT_AUDITED
    assert {"AudienceService/StreamAudience", "CampaignService/StreamRun",
            "CampaignService/RunCampaign", "IngestService/DeleteCustomer"} <= audited  # fmt: skip


def test_who_took_which_buyers_away_and_how_many_stands_in_the_store(
    served: Served, tokens: dict[str, str], tmp_path: Path
) -> None:
    with Client(served.target, token=tokens["till"]) as client:
        assert client.stream(campaign="spring").num_rows == 3
    with Client(served.target, token=tokens["desk"]) as client:
        run = client.run("spring").run
        assert client.stream_run(run).num_rows == 3
    found = told(tmp_path, 6)
    assert [(each["who"], each["what"], each["how"]) for each in found] == [
        ("till", "AudienceService/StreamAudience", "asked"),
        ("till", "AudienceService/StreamAudience", "OK"),
        ("desk", "CampaignService/RunCampaign", "asked"),
        ("desk", "CampaignService/RunCampaign", "OK"),
        ("desk", "CampaignService/StreamRun", "asked"),
        ("desk", "CampaignService/StreamRun", "OK"),
    ]
    assert (found[1]["campaign"], found[1]["rows"]) == ("spring", 3)
    assert (found[3]["campaign"], found[3]["run"], found[3]["targeted"]) == ("spring", run, 3)
    assert (found[5]["run"], found[5]["rows"]) == (run, 3)
    for asked, ended in zip(found[::2], found[1::2], strict=True):
        assert asked["request_id"] == ended["request_id"]
        assert datetime.fromisoformat(asked["time"]) <= datetime.fromisoformat(ended["time"])
    used = [each["who"] for each in read_audit(tmp_path) if each["what"] == "token used"]
    assert used == ["till", "desk"]


def test_the_id_that_a_caller_gives_joins_the_lines(
    served: Served, tokens: dict[str, str], tmp_path: Path
) -> None:
    who = (("authorization", f"Bearer {tokens['till']}"), (REQUEST_ID, "till-42"))
    with grpc.insecure_channel(served.target) as channel:
        stub = AudienceServiceStub(channel)  # type: ignore[no-untyped-call]
        list(stub.StreamAudience(pb.StreamAudienceRequest(rule="true"), metadata=who, timeout=10))
    assert [each["request_id"] for each in told(tmp_path, 2)] == ["till-42"] * 2


def test_no_buyer_no_secret_and_no_wrong_name_is_in_the_log(
    served: Served, tokens: dict[str, str], tmp_path: Path
) -> None:
    with Client(served.target, token=tokens["till"]) as client:
        client.stream(rule=f"customer_id = '{MARKER}'")
        for ask in (lambda: client.stream(campaign=MARKER), lambda: client.run(MARKER),
                    lambda: client.delete_customer(MARKER + "x")):  # fmt: skip
            with suppress(ServerError):
                ask()
        client.delete_customer(MARKER)
    found = told(tmp_path, 10)
    said = (tmp_path / AUDIT).read_text()
    assert MARKER not in said
    assert tokens["till"] not in said
    assert tokens["till"].split("_", 2)[2] not in said
    assert [each["how"] for each in found if each["how"] != "asked"] == [
        "OK", "NOT_FOUND", "NOT_FOUND", "NOT_FOUND", "OK"]  # fmt: skip
    assert len(found[1]["rule_digest"]) == len(found[-1]["customer_digest"]) == 32
    assert found[-1]["offset"] > 0


def test_what_cannot_be_written_down_is_not_done(
    served: Served, tokens: dict[str, str], engine: se.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise se.StoreError("cannot write: disk full", field="audit")

    with Client(served.target, token=tokens["till"]) as client:
        client.count(rule="true")
        with monkeypatch.context() as patch:
            patch.setattr(AuditFile, "write", full)
            for ask in (lambda: client.delete_customer("a"), lambda: client.run("spring"),
                        lambda: client.stream(rule="true")):  # fmt: skip
                with pytest.raises(ServerError, match="nothing was done: the audit log") as failed:
                    ask()
                assert (failed.value.code, failed.value.reason) == ("UNAVAILABLE", "NOT_WRITTEN")
            # What is not audited goes on.
            assert client.count(rule="true").count == 3
        assert not engine.runs
        assert client.delete_customer("a")


def test_a_server_of_a_store_in_memory_has_nowhere_to_write() -> None:
    engine = se.Engine(as_of=NOW)
    with serving(engine) as served, Client(served.target) as client:
        assert client.stream(rule="true").num_rows == 0


def test_an_operator_reads_it_on_the_command_line(
    served: Served, tokens: dict[str, str], tmp_path: Path
) -> None:
    for name in ("till", "desk"):
        with Client(served.target, token=tokens[name]) as client:
            client.stream(campaign="spring")
    told(tmp_path, 4)
    ask = ["store", "audit", "--store", str(tmp_path)]
    shown = CliRunner().invoke(app, [*ask, "--json"])
    assert json.loads(shown.output) == {"lines": list(read_audit(tmp_path))}
    desk = CliRunner().invoke(app, [*ask, "--who", "desk"], env={"COLUMNS": "200"})
    assert desk.exit_code == 0
    # However wide the terminal is: words of a cell may stand on two lines.
    assert "spring" in desk.output
    assert "rows 3" in desk.output
    assert "till" not in desk.output
    assert CliRunner().invoke(app, [*ask[:-1], str(tmp_path / "none")]).exit_code == 2
