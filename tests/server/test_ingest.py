"""What is sent is lasting and seen when its receipt comes; bad rows are refused with reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from segengine_server import Client, ServerError, ingest_service
from segengine_server.tokens import Tokens, created
from segengine_server.wire import segengine_pb2 as pb

import segengine as se
from segengine.storage.log import Log
from tests.server.serving import serving

AS_OF = "2026-01-31T12:00:00Z"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "store.toml").write_text(f"[store]\nas_of = {AS_OF}\n")
    return tmp_path


@pytest.fixture
def engine(folder: Path) -> Iterator[se.Engine]:
    with se.Engine.open(folder) as found:
        yield found


@pytest.fixture
def client(engine: se.Engine) -> Iterator[Client]:
    with serving(engine) as served, Client(served.target) as found:
        yield found


def views(*ids: int, **columns: Any) -> pa.Table:
    rows = {"customer_id": ids, "time": [AS_OF] * len(ids), "kind": ["view"] * len(ids)}
    return pa.table(rows | columns)


def test_a_receipt_comes_when_the_rows_are_lasting_and_seen(
    client: Client, engine: se.Engine, folder: Path
) -> None:
    receipt = client.append("behaviors", views(1, 2, 2, colour=["a", "b", "c"]))
    assert (receipt.offset, receipt.rows_loaded, receipt.rows_skipped) == (1, 3, 0)
    assert receipt.ignored_columns == ("colour",)
    assert client.count(rule="views_7d = 2").count == 1
    with se.Engine.open(folder) as other:
        assert other.segment("views_7d >= 1").ids().to_pylist() == [1, 2]
    assert engine.table("behaviors").num_rows == 3


def test_many_batches_go_in_one_call_each_with_its_receipt(client: Client) -> None:
    receipts = client.append_all("behaviors", [views(1), views(2, 3), views(1)])
    assert [each.offset for each in receipts] == [1, 2, 3]
    assert [each.rows_loaded for each in receipts] == [1, 2, 1]
    assert client.append_all("behaviors", []) == []


def test_the_same_key_again_counts_once_and_has_the_same_receipt(client: Client) -> None:
    first = client.append("behaviors", views(1, 2), key="batch-1")
    assert client.append("behaviors", views(1, 2), key="batch-1") == first
    assert client.append("behaviors", views(1, 2), key="batch-2").offset == 2
    assert client.count(rule="views_7d = 2").count == 2


def test_a_key_of_something_else_is_refused_by_name(client: Client, engine: se.Engine) -> None:
    rows = views(1, 2)
    engine.append("behaviors", rows, key="batch-1")
    assert client.append("behaviors", rows, key="batch-1").offset == 1
    orders = pa.table({"customer_id": [3], "time": [AS_OF]})
    for table, data in (("orders", orders), ("behaviors", views(1, 3))):
        with pytest.raises(
            ServerError, match="the key `batch-1` was used for 2 rows of"
        ) as refused:
            client.append(table, data, key="batch-1")
        assert (refused.value.code, refused.value.reason) == ("INVALID_ARGUMENT", "BAD_DATA")
    with pytest.raises(ServerError, match="the key `batch-1` was used for 2 rows of"):
        client.upsert_customers({"customer_id": [3]}, key="batch-1")
    assert engine.segment("true").count() == 2


def test_keys_of_two_tokens_do_not_meet(engine: se.Engine, tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    now = datetime(2026, 1, 31, tzinfo=UTC)
    secrets = [created(path, name, ["write:events"], now) for name in ("till", "web")]
    with serving(engine, tokens=Tokens(path, lambda: now)) as served:
        for turn in range(2):
            for number, secret in enumerate(secrets, 1):
                with Client(served.target, token=secret) as client:
                    receipt = client.append("behaviors", views(number), key="1")
                    assert receipt.offset == 2 * number - 1
                    receipt = client.upsert_customers({"customer_id": [10 * number]}, key="2")
                    assert receipt.offset == 2 * number, turn
    assert engine.segment("true").ids().to_pylist() == [1, 10, 2, 20]


def test_a_bad_batch_ends_the_call_and_those_before_it_stay(client: Client) -> None:
    bad = views(2, 3).set_column(1, "time", pa.array([AS_OF, "never"]))
    with pytest.raises(ServerError) as refused:
        client.append_all("behaviors", [views(1), bad, views(4)])
    assert (refused.value.code, refused.value.reason) == ("INVALID_ARGUMENT", "BAD_DATA")
    assert str(refused.value).startswith("batch 2 (the one before it was taken in): `behaviors`: ")
    assert refused.value.taken_in == 1
    (violation,) = refused.value.violations
    assert violation.field == "time"
    assert "`never`" in violation.description
    assert client.count(rule="views_7d >= 1").count == 1
    receipt = client.append("behaviors", bad, skip_bad_rows=True)
    assert (receipt.rows_loaded, receipt.rows_skipped) == (1, 1)
    assert receipt.problems[0].column == "time"


@pytest.mark.parametrize("table", ["behaviors", "behaviours", ""])
def test_a_refused_batch_is_numbered_whatever_is_wrong(
    client: Client, engine: se.Engine, table: str
) -> None:
    bad = views(2).drop(["customer_id"])
    with pytest.raises(ServerError, match=r"^batch 1 \(none was taken in\): ") as refused:
        client.append_all(table, [bad, views(4)])
    assert refused.value.taken_in == 0
    with pytest.raises(ServerError) as alone:
        client.append(table, bad)
    assert f"batch 1 (none was taken in): {alone.value}" == str(refused.value)
    assert engine.segment("true").count() == 0


def test_a_batch_far_on_in_a_stream_is_numbered_in_the_whole_call(
    client: Client, engine: se.Engine
) -> None:
    bad = views(1).drop(["time"])
    batches = [bad if number == 151 else views(number) for number in range(1, 200)]
    said = r"^batch 151 \(the 150 before it were taken in\): "
    with pytest.raises(ServerError, match=said) as refused:
        client.append_all("behaviors", batches)
    assert refused.value.taken_in == engine.segment("true").count() == 150


def test_a_refusal_says_what_a_caller_over_the_wire_can_do(client: Client) -> None:
    bad = views(1, 2).set_column(1, "time", pa.array([AS_OF, "never"]))
    with pytest.raises(ServerError, match=r"or load the other rows with `skip_bad_rows`$"):
        client.append("behaviors", bad)
    with pytest.raises(ServerError) as refused:
        client.append("behaviors", views(1).rename_columns(["customerid", "time", "kind"]))
    assert "give one this name; did you mean `customerid`? the source has" in str(refused.value)


def test_a_call_takes_so_many_batches_and_says_how_many_it_took(
    client: Client, engine: se.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_service, "MOST_BATCHES", 3)
    said = r"^batch 4 \(the 3 before it were taken in\): .*one call takes at most 3 batches"
    with pytest.raises(ServerError, match=said):
        client.append_all("behaviors", map(views, range(5)))
    assert engine.segment("true").count() == 3
    assert len(client.append_all("behaviors", map(views, range(3)))) == 3


def test_keys_that_are_not_one_for_each_batch_are_refused_before_anything_is_sent(
    client: Client, engine: se.Engine
) -> None:
    batches = [views(1), views(2), views(3)]
    for keys in (["a"], ["a", "b", "c", "d"], []):
        said = f"^`keys` has {len(keys)} and `batches` 3: .*; nothing was sent$"
        with pytest.raises(ValueError, match=said):
            client.append_all("behaviors", batches, keys=keys)
    with pytest.raises(TypeError, match="`keys` is a list with one key for each batch"):
        client.append_all("behaviors", batches, keys="abc")
    with pytest.raises(TypeError, match="send one with `append`"):
        client.append_all("behaviors", views(1))
    assert engine.segment("true").count() == 0
    receipts = client.append_all("behaviors", batches, keys=["a", None, "c"])
    assert [each.offset for each in receipts] == [1, 2, 3]
    receipts = client.append_all("behaviors", iter(batches), keys=iter(["a", None, "c"]))
    assert [each.offset for each in receipts] == [1, 4, 3]


def test_keys_of_a_stream_that_end_early_or_late_are_said_when_it_shows(
    client: Client, engine: se.Engine
) -> None:
    def sent(keys: Iterable[str]) -> None:
        client.append_all("behaviors", map(views, [1, 2, 3]), keys=keys)

    said = r"^`keys` ended after 2, `batches` has more: .*; batches that were taken in: 2$"
    with pytest.raises(ValueError, match=said):
        sent(["a", "b"])
    assert engine.segment("true").ids().to_pylist() == [1, 2]
    with pytest.raises(ValueError, match=r"^`keys` ended after 0, .*; nothing was sent$"):
        sent(iter(()))
    said = r"^`batches` ended after 3, `keys` has more: .*; batches that were taken in: 3$"
    with pytest.raises(ValueError, match=said):
        sent(f"key-{number}" for number in range(9))
    assert engine.segment("true").ids().to_pylist() == [1, 2, 3]


def test_buyers_are_added_and_changed_and_the_rest_of_them_stays(
    client: Client, engine: se.Engine
) -> None:
    client.upsert_customers({"customer_id": [1, 2], "city": ["x", "y"], "tags": [["a"], []]})
    client.upsert_customers({"customer_id": [2, 3], "city": ["z", "z"]}, key="k")
    assert engine.table("customers", ["customer_id", "city", "tags"]).to_pylist() == [
        {"customer_id": 1, "city": "x", "tags": ["a"]},
        {"customer_id": 2, "city": "z", "tags": []},
        {"customer_id": 3, "city": "z", "tags": []},
    ]


def test_a_deleted_buyer_is_gone_at_once_and_from_the_files_after_compact(
    client: Client, folder: Path
) -> None:
    client.upsert_customers({"customer_id": ["seldom-seen", "b"], "nickname": ["unheard-of", "c"]})
    offset = client.delete_customer("seldom-seen")
    assert offset == 2
    assert client.count(rule="true").count == 1
    with pytest.raises(ServerError, match="seldom-seen") as refused:
        client.delete_customer("seldom-seen")
    assert refused.value.code == "NOT_FOUND"
    client.compact()
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"seldom-seen" not in data, path
            assert b"unheard-of" not in data, path


@pytest.mark.parametrize(
    ("table", "data", "code", "words"),
    [
        ("behaviours", views(1), "NOT_FOUND", "did you mean `behaviors`?"),
        ("", views(1), "INVALID_ARGUMENT", "say which table"),
        ("behaviors", pa.table({"kind": ["view"]}), "INVALID_ARGUMENT", "customer_id"),
        ("behaviors", views(1, product_id=[[1]]), "INVALID_ARGUMENT", "product_id"),
    ],
)
def test_what_cannot_be_taken_in_says_why(
    client: Client, table: str, data: pa.Table, code: str, words: str
) -> None:
    with pytest.raises(ServerError) as refused:
        client.append(table, data)
    assert refused.value.code == code
    assert words in str(refused.value)


def test_bytes_that_are_no_arrow_stream_are_refused(client: Client) -> None:
    for data in (b"", b"no", b"\xff" * 500):
        with pytest.raises(ServerError) as refused:
            client._ask(
                client._ingest.Append, iter([pb.AppendRequest(table="behaviors", ipc=data)])
            )
        assert refused.value.code == "INVALID_ARGUMENT"
        assert "is no Arrow IPC stream" in str(refused.value)


def test_a_full_disk_refuses_what_is_sent_and_nothing_else(
    client: Client, engine: se.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.append("behaviors", views(1))

    def full(*_: Any) -> int:
        raise se.StoreError("cannot write to `/secret/place`: disk full", field="store")

    with monkeypatch.context() as patch:
        patch.setattr(Log, "write", full)
        for refused in (
            lambda: client.append("behaviors", views(2), key="again"),
            lambda: client.delete_customer(1),
        ):
            with pytest.raises(ServerError, match="nothing was taken in") as caught:
                refused()
            assert (caught.value.code, caught.value.reason) == ("UNAVAILABLE", "NOT_WRITTEN")
            assert "secret" not in str(caught.value)
        assert client.count(rule="true").count == 1
    assert client.append("behaviors", views(2), key="again").rows_loaded == 1
    assert client.count(rule="true").count == 2


def test_a_batch_that_arrow_does_not_read_ends_the_call_with_its_error(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    ragged = {"customer_id": [2, 3], "time": [AS_OF], "kind": ["view"]}
    with pytest.raises(pa.ArrowInvalid, match="expected length 2 but got length 1") as wrong:
        client.append_all("behaviors", [views(1), ragged, views(4)])
    assert wrong.value.__notes__ == ["batch 2 was not sent; the one before it was taken in"]
    assert client.count(rule="views_7d >= 1").count == 1
    with pytest.raises(TypeError):
        client.append("behaviors", 7)
    assert "Exception iterating requests" not in caplog.text


def test_a_batch_beyond_what_a_message_can_hold_is_refused_before_it_is_written(
    client: Client,
) -> None:
    # The same 64 MB again and again: a table of 2 GB that takes 64 MB.
    chunk = pa.array([0], pa.int64()).take(pa.array([0] * (1 << 10)))
    chunk = pa.concat_arrays([chunk] * (1 << 13))
    rows = pa.table({"customer_id": pa.chunked_array([chunk] * 33)})
    assert rows.nbytes > 2**31
    for send in (lambda: client.append("customers", rows), lambda: client.upsert_customers(rows)):
        with pytest.raises(ServerError, match=r"bytes, at most 2,146,435,072 are taken") as refused:
            send()
        assert refused.value.code == "RESOURCE_EXHAUSTED"
    assert client.count(rule="true").count == 0
