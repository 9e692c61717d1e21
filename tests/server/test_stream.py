"""Claims about StreamAudience: one Arrow IPC stream, made as it is taken."""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence

import grpc
import pyarrow as pa
import pytest
from segengine_server import Client, ServerError, audience_service, watch
from segengine_server.app import Limits
from segengine_server.ipc_stream import BATCH_ROWS, PIECE_BYTES, Joined, pieces_of
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import AudienceServiceStub

from tests.server.fake_engine import FakeEngine, buyers_table
from tests.server.serving import Served, channel_to, serving

END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
COLUMNS = ["region", "spent", "tags"]
BUYERS = buyers_table(200_000)


@pytest.mark.parametrize("rows", [0, 1, 10, 200_000])
def test_all_replies_are_one_arrow_stream(
    engine: FakeEngine, channel: grpc.Channel, rows: int
) -> None:
    engine.buyers = buyers_table(rows)
    request = pb.StreamAudienceRequest(rule="x", columns=COLUMNS)
    replies = list(AudienceServiceStub(channel).StreamAudience(request, timeout=30))
    expected = engine.buyers.select(["customer_id", *COLUMNS])
    with pa.ipc.open_stream(b"".join(r.ipc for r in replies)) as reader:
        assert reader.schema == expected.schema
        assert reader.read_all().equals(expected)
    assert replies[0].ipc == expected.schema.serialize().to_pybytes()
    assert replies[-1].ipc == END
    assert len(replies) == 2 + -(-rows // BATCH_ROWS)


@pytest.mark.parametrize("rows", [0, 10, 200_000])
def test_the_client_reads_the_table(engine: FakeEngine, client: Client, rows: int) -> None:
    engine.buyers = buyers_table(rows)
    table = client.stream(rule="x", columns=COLUMNS)
    assert table.equals(engine.buyers.select(["customer_id", *COLUMNS]))
    batches = list(client.batches(rule="x", columns=COLUMNS))
    assert sum(batch.num_rows for batch in batches) == rows
    assert all(0 < batch.num_rows <= BATCH_ROWS for batch in batches)


def test_without_columns_there_are_customers_and_a_campaigns_variants(client: Client) -> None:
    assert client.stream(rule="x").column_names == ["customer_id"]
    assert client.stream(campaign="spring").column_names == ["customer_id", "variant"]
    assert client.stream(campaign="spring", columns=["spent"]).column_names == [
        "customer_id",
        "variant",
        "spent",
    ]


def test_no_reply_is_too_large_for_a_client_with_default_limits(
    engine: FakeEngine, channel: grpc.Channel
) -> None:
    numbers = pa.array(range(BATCH_ROWS))
    engine.buyers = pa.table({"customer_id": numbers, **{f"c{i}": numbers for i in range(12)}})
    request = pb.StreamAudienceRequest(rule="x", columns=engine.buyers.column_names[1:])
    replies = list(AudienceServiceStub(channel).StreamAudience(request, timeout=30))
    assert max(len(r.ipc) for r in replies) == PIECE_BYTES
    with pa.ipc.open_stream(b"".join(r.ipc for r in replies)) as reader:
        assert reader.read_all().equals(engine.buyers)


def test_a_piece_is_made_when_it_is_asked_for() -> None:
    made: list[int] = []

    class Counted:
        schema = BUYERS.schema

        def to_batches(self, max_chunksize: int) -> object:
            for batch in BUYERS.to_batches(max_chunksize=max_chunksize):
                made.append(batch.num_rows)
                yield batch

    pieces = pieces_of(Counted())
    next(pieces)
    assert made == []
    next(pieces)
    assert made == [BATCH_ROWS]


def test_dictionaries_that_differ_between_chunks_arrive() -> None:
    def region(*names: str) -> pa.Table:
        return pa.table({"region": pa.array(names).dictionary_encode()})

    table = pa.concat_tables([region("a", "b"), region("c"), region("c", "a")])
    with pa.ipc.open_stream(b"".join(pieces_of(table))) as reader:
        assert reader.read_all()["region"].to_pylist() == ["a", "b", "c", "c", "a"]


@pytest.mark.parametrize("size", [1, 3, 7, 100, -1])
def test_joined_pieces_read_as_one_file(size: int) -> None:
    pieces = iter([b"ab", b"", b"c", b"defgh"])
    file = Joined(lambda: next(pieces, None))
    read = []
    while part := file.read(size):
        read.append(part)
    assert b"".join(read) == b"abcdefgh"
    assert all(len(part) == size for part in read[:-1])


@pytest.fixture
def endless(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[list[int]]:
    """A stream that never ends; the list grows with every piece made; an end is no error."""
    made: list[int] = []

    def pieces(table: pa.Table) -> object:
        first = list(pieces_of(table))
        yield first[0]
        while True:
            made.append(1)
            yield first[1]

    monkeypatch.setattr(audience_service, "pieces_of", pieces)
    yield made
    assert [record.getMessage() for record in caplog.get_records("call")] == []


def stops_growing(made: list[int]) -> bool:
    """Whether `made` has stopped growing within two seconds."""
    for _ in range(20):
        before = len(made)
        time.sleep(0.1)
        if len(made) == before:
            return True
    return False


def stays(made: list[int]) -> bool:
    """Whether nothing more is made for a while, so that it was not a pause."""
    before = len(made)
    time.sleep(0.2)
    return len(made) == before


def test_a_cancelled_call_stops_the_work(
    engine: FakeEngine, channel: grpc.Channel, endless: list[int]
) -> None:
    call = AudienceServiceStub(channel).StreamAudience(pb.StreamAudienceRequest(rule="x"))
    for _ in range(200):
        next(call)
    assert not call.done()
    call.cancel()
    assert stops_growing(endless)
    assert stays(endless)


def test_a_client_that_stops_reading_holds_up_the_work(
    engine: FakeEngine, channel: grpc.Channel, endless: list[int]
) -> None:
    engine.buyers = buyers_table(BATCH_ROWS)
    call = AudienceServiceStub(channel).StreamAudience(
        pb.StreamAudienceRequest(rule="x", columns=COLUMNS)
    )
    next(call)
    assert stops_growing(endless)
    assert len(endless) < 20
    before = len(endless)
    for _ in range(20):
        next(call)
    assert len(endless) > before
    call.cancel()


def test_a_client_that_breaks_off_ends_the_work(client: Client, endless: list[int]) -> None:
    for batch in client.batches(rule="x"):
        assert batch.num_rows == 10
        break
    assert stops_growing(endless)


def test_a_client_that_goes_away_ends_the_work(served: Served, endless: list[int]) -> None:
    with channel_to(served.target) as channel:
        next(AudienceServiceStub(channel).StreamAudience(pb.StreamAudienceRequest(rule="x")))
    assert stops_growing(endless)


def test_a_slow_reader_is_not_cut_off(engine: FakeEngine, served: Served) -> None:
    engine.buyers = buyers_table(5 * BATCH_ROWS)
    with Client(served.target, timeout=0.5) as client:
        rows = 0
        for batch in client.batches(rule="x", columns=COLUMNS):
            rows += batch.num_rows
            time.sleep(0.2)
    assert rows == 5 * BATCH_ROWS


def test_many_streams_at_once_are_each_whole(engine: FakeEngine, client: Client) -> None:
    engine.buyers = buyers_table(100_000)
    tables: list[pa.Table] = []
    threads = [
        threading.Thread(target=lambda: tables.append(client.stream(rule="x", columns=COLUMNS)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tables) == 8
    assert all(t.equals(engine.buyers.select(["customer_id", *COLUMNS])) for t in tables)


LARGE = buyers_table(40 * BATCH_ROWS).select(["customer_id"])
"""20 MB: more than fits between a server and a client that does not read."""


class Fresh:
    """A segment whose table is new each time, and known to nobody else."""

    def __init__(self) -> None:
        self.given: list[weakref.ref[pa.Table]] = []

    def table(self, columns: Sequence[str]) -> pa.Table:
        found = LARGE.slice(0)
        self.given.append(weakref.ref(found))
        return found


@pytest.fixture
def fresh(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> Fresh:
    found = Fresh()
    monkeypatch.setattr(engine, "segment", lambda rule: found)
    return found


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        gc.collect()
        time.sleep(0.01)
    return True


def test_a_client_that_vanishes_while_it_is_sent_to_leaves_nothing_behind(
    engine: FakeEngine, fresh: Fresh, caplog: pytest.LogCaptureFixture
) -> None:
    """Its table is freed, its place is another's, and nobody is told of a fault of the server."""
    for _ in range(3):
        with serving(engine, Limits(audience_calls=1)) as served:
            with channel_to(served.target) as channel:
                call = AudienceServiceStub(channel).StreamAudience(
                    pb.StreamAudienceRequest(rule="x"), timeout=30
                )
                next(call)
            assert within(10, lambda: fresh.given[-1]() is None)
            with Client(served.target) as client:
                assert within(10, lambda: _is_free(client))
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.fixture
def unsendable(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made cannot be sent, and gRPC has not heard why."""

    def pieces(_: pa.Table) -> Iterator[bytes]:
        raise grpc.aio.InternalError
        yield b""

    monkeypatch.setattr(audience_service, "pieces_of", pieces)


@pytest.mark.usefixtures("unsendable")
def test_what_cannot_be_sent_to_a_client_that_leaves_is_no_fault_of_the_server(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "segengine_server"):
        with channel_to(served.target) as channel:
            call = AudienceServiceStub(channel).StreamAudience(
                pb.StreamAudienceRequest(rule="x"), timeout=30
            )
            time.sleep(0.2)
            call.cancel()
        ended = "StreamAudience CANCELLED in "
        assert within(10, lambda: any(ended in r.getMessage() for r in caplog.records))
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.mark.usefixtures("unsendable")
def test_what_cannot_be_sent_to_a_client_that_stays_is_told_and_logged(
    channel: grpc.Channel, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LEAVING_SECONDS", 0.1)
    call = AudienceServiceStub(channel).StreamAudience(
        pb.StreamAudienceRequest(rule="x"), timeout=30
    )
    with pytest.raises(grpc.RpcError) as told:
        next(call)
    assert told.value.code() is grpc.StatusCode.UNKNOWN  # type: ignore[attr-defined]
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] != []


def _is_free(client: Client) -> bool:
    try:
        client.stream(rule="x")
    except ServerError as error:
        return error.reason != "BUSY"
    return True


def test_a_client_that_reads_slowly_is_sent_no_more_than_it_takes(
    channel: grpc.Channel, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def counted(table: pa.Table) -> Iterator[bytes]:
        for piece in pieces_of(table):
            made.append(len(piece))
            yield piece

    monkeypatch.setattr(audience_service, "pieces_of", counted)
    call = AudienceServiceStub(channel).StreamAudience(
        pb.StreamAudienceRequest(rule="x"), timeout=60
    )
    taken = 0
    for _ in range(10):
        taken += len(next(call).ipc)
        assert stops_growing(made)
        # What is on the way: the windows of HTTP/2, and a piece at each end.
        assert sum(made) - taken < 12 << 20
    taken += sum(len(reply.ipc) for reply in call)
    assert taken == sum(made)
