"""Calls are counted by how they end, bear an id, and say nothing of whom they ask about."""

from __future__ import annotations

import json
import logging
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pyarrow as pa
import pytest
from segengine_server import Client, ListenError, ServerError
from segengine_server.tokens import Tokens, created
from segengine_server.watch import REQUEST_ID, JsonLines
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import AudienceServiceStub, PageServiceStub

import segengine as se
from tests.server.ports import free_port
from tests.server.serving import Served, serving

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[se.Engine]:
    (tmp_path / "store.toml").write_text("[store]\nas_of = 2026-01-31T12:00:00Z\n")
    with se.Engine.open(tmp_path) as found:
        found.load("customers", pa.table({"customer_id": [1, 2, 3]}))
        found.define_page(se.Page("home", [se.Slot("top", [se.Module("all")])]))
        yield found


@pytest.fixture
def scraped(engine: se.Engine) -> Iterator[tuple[Served, int]]:
    port = free_port()
    with serving(engine, metrics_port=port) as served:
        yield served, port


def metrics(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_calls_are_counted_by_method_and_end_and_timed(scraped: tuple[Served, int]) -> None:
    served, port = scraped
    with Client(served.target) as client:
        for _ in range(3):
            client.page("home", 1)
        client.stream(rule="true")
        for _ in range(2):
            with suppress(ServerError):
                client.match(99)
    name = 'segengine_calls_total{code="NOT_FOUND",method="AudienceService/MatchCustomer"}'
    # The caller has the answer a moment before it is counted.
    for _ in range(500):
        found = metrics(port)
        if found.get(name) == 2:
            break
        time.sleep(0.01)
    assert found['segengine_calls_total{code="OK",method="PageService/GetPage"}'] == 3
    assert found['segengine_calls_total{code="OK",method="AudienceService/StreamAudience"}'] == 1
    assert found[name] == 2
    assert found['segengine_call_seconds_count{code="OK",method="PageService/GetPage"}'] == 3
    assert found["segengine_calls_in_flight"] == 0


def test_the_store_is_seen_as_it_is(scraped: tuple[Served, int], engine: se.Engine) -> None:
    _, port = scraped
    before = metrics(port)
    assert before["segengine_buyers"] == 3
    assert before["segengine_snapshot_age_seconds"] >= 0
    assert before['segengine_memory_bytes{table="customers"}'] > 0
    assert "segengine_latest_event_seconds" not in before
    event = pa.table({"customer_id": [9], "time": [engine.as_of], "kind": ["view"]})
    engine.append("behaviors", event)
    after = metrics(port)
    assert after["segengine_buyers"] == 4
    assert after["segengine_event_rows"] == 1
    assert after["segengine_latest_event_seconds"] == engine.as_of.timestamp()
    assert after["segengine_data_version"] > before["segengine_data_version"]
    assert after["segengine_log_bytes"] > 0


def test_a_call_bears_its_callers_id_or_one_of_its_own(
    scraped: tuple[Served, int], caplog: pytest.LogCaptureFixture
) -> None:
    served, _ = scraped
    request = pb.GetPageRequest(page="home")
    with grpc.insecure_channel(served.target) as channel:
        page = PageServiceStub(channel).GetPage  # type: ignore[no-untyped-call]
        for sent, kept in (("till-7.42", True), ("not an id", False), (None, False)):
            metadata = () if sent is None else ((REQUEST_ID, sent),)
            _, call = page.with_call(request, metadata=metadata, timeout=10)
            answered = dict(call.trailing_metadata())[REQUEST_ID]
            assert (answered == sent) is kept
            assert answered
        caplog.set_level(logging.INFO)
        ask = AudienceServiceStub(channel).MatchCustomer  # type: ignore[no-untyped-call]
        asked = pb.MatchCustomerRequest(customer=pb.CustomerId(number=987654321))
        with pytest.raises(grpc.RpcError) as refused:
            ask(asked, metadata=((REQUEST_ID, "till-8"),), timeout=10)
    trailing = dict(refused.value.trailing_metadata())
    assert trailing[REQUEST_ID] == "till-8"
    assert "grpc-status-details-bin" in trailing
    # The caller has the answer a moment before the line is written.
    for _ in range(500):
        said = "\n".join(record.getMessage() for record in caplog.records)
        if "MatchCustomer" in said:
            break
        time.sleep(0.01)
    assert "MatchCustomer NOT_FOUND in" in said
    assert "987654321" not in said


def test_a_log_line_is_one_json_object() -> None:
    record = logging.LogRecord("x", logging.WARNING, "f", 1, 'two\nlines of "%s"', ("me",), None)
    said = json.loads(JsonLines().format(record))
    assert (said["level"], said["message"]) == ("WARNING", 'two\nlines of "me"')
    assert "\n" not in JsonLines().format(record)


def test_a_taken_port_for_metrics_is_a_clear_error(engine: se.Engine) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(ListenError, match=f"port `{port}` of `127.0.0.1` for metrics is taken"),
            serving(engine, metrics_port=port),
        ):
            pass


@pytest.mark.parametrize(
    ("host", "port", "said"),
    [
        ("127.0.0.1", 99_999, "port `99999` for metrics is not from 0 to 65535"),
        ("nowhere.invalid", 0, "host `nowhere.invalid` for metrics is not known"),
    ],
)
def test_an_address_for_metrics_that_cannot_be_is_a_clear_error(
    engine: se.Engine, host: str, port: int, said: str
) -> None:
    with (
        pytest.raises(ListenError, match=said),
        serving(engine, metrics_host=host, metrics_port=port),
    ):
        pass


def test_work_is_timed_apart_from_waiting_and_the_process_is_seen(
    scraped: tuple[Served, int],
) -> None:
    served, port = scraped
    with Client(served.target) as client:
        for _ in range(3):
            client.count(rule="true")
        client.stream(rule="true")
        client.append("customers", {"customer_id": [7]})
        client.delete_customer(7)
    found = metrics(port)
    assert found['segengine_rule_seconds_count{what="questions"}'] == 4
    assert found['segengine_wait_seconds_count{what="questions"}'] == 4
    assert found['segengine_rule_seconds_count{what="changes"}'] >= 1
    assert found["process_resident_memory_bytes"] > 10_000_000


def test_every_metric_stands_in_the_docs(scraped: tuple[Served, int]) -> None:
    served, port = scraped
    with Client(served.target) as client:
        client.count(rule="true")
    docs = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")
    for name in metrics(port):
        family = name.partition("{")[0]
        if family.startswith("segengine_"):
            assert re.sub("_(count|sum|bucket|created|total)$", "", family) in docs, family


def answers(host: str, port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
            return bool(answer.read())
    except urllib.error.URLError:
        return False


def test_metrics_are_for_this_machine_alone_unless_it_is_said_otherwise(
    engine: se.Engine, tmp_path: Path
) -> None:
    created(tmp_path / "tokens.toml", "x", ["admin"], NOW)
    open_to_all = {"host": "0.0.0.0", "tokens": Tokens(tmp_path / "tokens.toml", lambda: NOW)}
    # 127.0.0.2 is an address of this machine, and another one than 127.0.0.1.
    port = free_port()
    with serving(engine, metrics_port=port, **open_to_all):
        assert answers("127.0.0.1", port)
        assert not answers("127.0.0.2", port)
    port = free_port()
    with serving(engine, metrics_port=port, metrics_host="0.0.0.0", **open_to_all):
        assert answers("127.0.0.1", port)
        assert answers("127.0.0.2", port)


def test_metrics_name_no_buyer_no_token_and_no_rule(engine: se.Engine, tmp_path: Path) -> None:
    text = created(tmp_path / "tokens.toml", "till-at-the-door", ["admin"], NOW)
    port, marker = free_port(), "marker-81c2"
    tokens = Tokens(tmp_path / "tokens.toml", lambda: NOW)
    with (
        serving(engine, metrics_port=port, tokens=tokens) as served,
        Client(served.target, token=text) as client,
    ):
        client.count(rule=f"customer_id = 1 OR '{marker}' = 'x'")
        client.page("home", 987_654_321, {"device": marker})
        for ask in (lambda: client.match(987_654_321), lambda: client.page(marker)):
            with pytest.raises(ServerError):
                ask()
        url = f"http://127.0.0.1:{port}/metrics"
        said = urllib.request.urlopen(url, timeout=10).read().decode()
    assert "segengine_calls_total" in said
    for secret in (marker, "987654321", "till-at-the-door", text, text.split("_")[1]):
        assert secret not in said
