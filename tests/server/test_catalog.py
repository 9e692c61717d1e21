"""Claims about CatalogService: a client defines, with the engine itself, what a program does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import grpc
import pyarrow as pa
import pytest
from segengine_server import Client, ServerError, catalog_service
from segengine_server.catalog_answers import Put
from segengine_server.guard import scope_of
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import CatalogServiceStub

import segengine as se
from tests.definitions.test_publish import filled
from tests.server.serving import channel_to, serving

PAGE = {"slots": {"top": {"modules": {"m": {"rule": "segment('rich')", "priority": 3}}}}}
RICH = {"rule": "spent > 30"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return filled(tmp_path, '[segments]\nvip = "spent > 50"')


@pytest.fixture
def real(folder: Path) -> Iterator[se.Engine]:
    with se.Engine.open(folder) as engine:
        yield engine


@pytest.fixture
def client(real: se.Engine) -> Iterator[Client]:
    with serving(real) as served, Client(served.target) as connected:
        yield connected


@pytest.fixture
def stub(real: se.Engine) -> Iterator[Any]:
    with serving(real) as served, channel_to(served.target) as channel:
        yield CatalogServiceStub(channel)  # type: ignore[no-untyped-call]


def refusal(call: Any, *given: Any, **named: Any) -> ServerError:
    with pytest.raises(ServerError) as refused:
        call(*given, **named)
    return refused.value


def test_what_is_put_is_in_force_at_once_lasting_and_given_back(
    real: se.Engine, client: Client, folder: Path
) -> None:
    made = client.catalog.put_all(
        [
            Put("page", "home", PAGE),
            Put("segment", "rich", {"rule": "double > 60", "suppress": True}, new=True),
            Put("trait", "double", {"expression": "spent * 2"}),
            Put("campaign", "spring", {
                "segment": "segment('rich')", "starts_at": "2024-01-01T00:00:00+02:00",
                "variants": {"b": 0.5, "a": [0.5, {"code": "名"}]},
            }),
        ]
    )  # fmt: skip
    assert [(each.kind, each.name, each.version) for each in made] == [
        ("page", "home", 1), ("segment", "rich", 1), ("trait", "double", 1),
        ("campaign", "spring", 1),
    ]  # fmt: skip
    assert {each.data_version for each in made} == {real.data_version}
    assert client.page("home", 5).placements[0].module == "m"
    assert client.count(rule="segment('rich')").count == 5
    for each in made:
        got, kept = client.catalog.get(each.kind, each.name), real.definition(each.kind, each.name)
        assert (got.etag, got.version, got.source) == (kept.etag, 1, "catalogue")
        assert (got.definition, got.as_of) == (kept.definition, kept.as_of)
        # As it was given back, it may be put again: that is no change.
        assert got.definition is not None
        again = client.catalog.put(each.kind, each.name, got.definition, etag=got.etag)
        assert (again.version, again.etag) == (1, got.etag)
    with se.Engine.open(folder) as reader:
        assert [v.etag for v in reader.in_force()] == [v.etag for v in real.in_force()]


def test_definitions_are_listed_by_kind_and_name_page_by_page(
    client: Client, stub: Any, real: se.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.catalog.put_all([Put("segment", f"s{n}", RICH) for n in range(5)])
    client.catalog.put("campaign", "spring", {"segment": "TRUE"})
    names = [f"s{n}" for n in range(5)]
    monkeypatch.setattr(catalog_service, "LISTED", 2)
    assert [each.name for each in client.catalog.in_force()] == [*names, "vip", "spring"]
    assert [each.name for each in client.catalog.in_force("segment", prefix="s")] == names
    assert {each.source for each in client.catalog.in_force(prefix="v")} == {"file"}
    found = list(client.catalog.in_force("campaign", definitions=True))
    assert [each.definition for each in found] == [{"segment": "TRUE"}]
    assert next(client.catalog.in_force()).definition is None
    reply = stub.List(pb.ListDefinitionsRequest(most=7))
    assert (len(reply.definitions), reply.more) == (7, False)
    assert stub.List(pb.ListDefinitionsRequest(most=6)).more
    assert refusal(client.catalog.in_force("segmnt").__next__).code == "INVALID_ARGUMENT"
    with pytest.raises(grpc.RpcError, match="at most 10,000"):
        stub.List(pb.ListDefinitionsRequest(most=10_001))


def test_a_reply_ends_before_it_is_too_large(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_service, "_REPLY_BYTES", 3_000)
    payload = {"segment": "TRUE", "payload": "x" * 1_000}
    client.catalog.put_all([Put("campaign", f"c{n}", payload) for n in range(10)])
    found = list(client.catalog.in_force("campaign", definitions=True))
    assert [each.name for each in found] == [f"c{n}" for n in range(10)]


def test_every_version_is_told_the_newest_first(client: Client, stub: Any) -> None:
    for n in range(5):
        client.catalog.put("segment", "rich", {"rule": f"spent > {n}"})
    client.catalog.delete(("segment", "rich"))
    found = list(client.catalog.versions("segment", "rich"))
    assert [each.version for each in found] == [6, 5, 4, 3, 2, 1]
    assert [each.is_deleted for each in found] == [True, *[False] * 5]
    assert found[0].definition is None
    assert found[-1].definition == {"rule": "spent > 0"}
    part = stub.Versions(pb.ListVersionsRequest(kind="segment", name="rich", before=5, most=3))
    assert ([each.version for each in part.versions], part.more) == ([4, 3, 2], True)
    assert client.catalog.get("segment", "rich", 2).definition == {"rule": "spent > 1"}
    gone = refusal(client.catalog.get, "segment", "rich")
    assert gone.code == "NOT_FOUND"
    assert "was deleted, which is version 6" in gone.message
    # Defined again, it goes on with its numbers.
    assert client.catalog.put("segment", "rich", RICH, new=True).version == 7


def test_of_two_callers_with_one_etag_exactly_one_changes_it(
    client: Client, real: se.Engine
) -> None:
    client.catalog.put("segment", "rich", RICH)
    for turn in range(5):
        etag = client.catalog.get("segment", "rich").etag
        ready, told = Barrier(4), list[str]()

        def change(caller: int, etag: str = etag, ready: Barrier = ready, turn: int = turn) -> None:
            ready.wait()
            try:
                rule = {"rule": f"spent > {turn}{caller}"}
                client.catalog.put("segment", "rich", rule, etag=etag)
                told.append("OK")  # noqa: B023 - the threads end within the turn
            except ServerError as error:
                told.append(error.code)  # noqa: B023

        callers = [Thread(target=change, args=(caller,)) for caller in range(4)]
        for each in callers:
            each.start()
        for each in callers:
            each.join()
        assert sorted(told) == ["ABORTED"] * 3 + ["OK"]
    assert len(real.versions("segment", "rich")) == 6


def test_conflicts_have_a_status_of_their_own(client: Client) -> None:
    first = client.catalog.put("segment", "rich", RICH)
    assert refusal(client.catalog.put, "segment", "rich", RICH, new=True).code == "ALREADY_EXISTS"
    client.catalog.put("segment", "rich", {"rule": "spent > 40"}, etag=first.etag)
    for call in (
        lambda: client.catalog.put("segment", "rich", RICH, etag=first.etag),
        lambda: client.catalog.delete(first),
    ):
        error = refusal(call)
        assert (error.code, error.reason) == ("ABORTED", "CHANGED_MEANWHILE")
    unknown = refusal(client.catalog.get, "segment", "rch")
    assert (unknown.code, unknown.reason) == ("NOT_FOUND", "UNKNOWN_NAME")
    assert "did you mean `rich`" in unknown.message
    assert refusal(client.catalog.delete, ("segment", "rch")).code == "NOT_FOUND"
    in_file = refusal(client.catalog.put, "segment", "vip", RICH)
    assert (in_file.code, in_file.reason) == ("FAILED_PRECONDITION", "IN_STORE_TOML")


def test_what_is_in_use_is_not_deleted_and_its_users_are_named(client: Client) -> None:
    client.catalog.put("segment", "rich", RICH)
    client.catalog.put_all(
        [Put("page", "home", PAGE), Put("campaign", "spring", {"segment": "segment('rich')"})]
    )
    error = refusal(client.catalog.delete, ("segment", "rich"))
    assert (error.code, error.reason) == ("FAILED_PRECONDITION", "IN_USE")
    assert "is in use by campaign `spring`, page `home`" in error.message
    gone = client.catalog.delete(("segment", "rich"), ("page", "home"), ("campaign", "spring"))
    assert [each.is_deleted for each in gone] == [True] * 3
    assert [each.name for each in client.catalog.in_force()] == ["vip"]


def test_a_name_changes_in_one_change_with_those_who_use_it(client: Client) -> None:
    client.catalog.put_all([Put("segment", "rich", RICH), Put("page", "home", PAGE)])
    page = {"slots": {"top": {"modules": {"m": {"rule": "segment('richer')"}}}}}
    made = client.catalog.put_all(
        [Put("segment", "richer", RICH), Put("page", "home", page)], delete=[("segment", "rich")]
    )
    assert [(each.name, each.version, each.is_deleted) for each in made] == [
        ("richer", 1, False), ("home", 2, False), ("rich", 2, True),
    ]  # fmt: skip


def test_every_mistake_of_a_change_is_told_with_its_place(client: Client, real: se.Engine) -> None:
    version = real.data_version
    form = refusal(
        client.catalog.put_all,
        [
            Put("segment", "a", {"rul": "TRUE"}),
            Put("segmnt", "b", RICH),
            Put("segment", "c", {"rule": "spent >"}),
            Put("segment", "d", RICH),
            Put("segment", "e", RICH, etag="x", new=True),
        ],
    )
    assert form.code == "INVALID_ARGUMENT"
    assert [each.field for each in form.violations] == [
        "definitions[0]", "definitions[1]", "definitions[2]", "definitions[4].etag",
    ]  # fmt: skip
    meaning = refusal(
        client.catalog.put_all,
        [Put("segment", "a", {"rule": "spnt > 3 OR cty = 'x'"}),
         Put("campaign", "b", {"segment": "TRUE", "channel": "fax"})],
    )  # fmt: skip
    assert meaning.code == "INVALID_ARGUMENT"
    assert [each.field for each in meaning.violations] == [
        'segment "a"', 'segment "a"', 'campaign "b"',
    ]  # fmt: skip
    rules = {f"m{n}": {"rule": f"spnt > {n}"} for n in range(3)}
    page = refusal(client.catalog.put, "page", "p", {"slots": {"s": {"modules": rules}}})
    assert [each.field for each in page.violations] == [
        f'page "p", slot "s", module "m{n}"' for n in range(3)
    ]
    wrong = {"segment": "spnt > 3", "exclusions": ["cty = 'x'"], "channel": "fax", "value": "vlue",
             "order_by": "ordr DESC", "text": "{nme}", "goal": "gl"}  # fmt: skip
    campaign = refusal(client.catalog.put, "campaign", "c", wrong)
    assert len(campaign.violations) == len(wrong)
    one = refusal(client.catalog.put, "segment", "a", {"rule": "spnt > 3"})
    assert (one.code, one.reason) == ("INVALID_ARGUMENT", "BAD_RULE")
    assert "did you mean `spent`" in one.violations[0].description
    assert real.data_version == version
    assert [each.name for each in client.catalog.in_force()] == ["vip"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"),
        ("[1]", "is no JSON object"),
        ('{"rule": "TRUE", "rule": "FALSE"}', "`rule` is given twice in one object"),
        ('{"segment": "TRUE", "payload": NaN}', "`NaN` is no number of JSON"),
        ('{"segment": "TRUE", "payload": ' + "[" * 100_000 + "]" * 100_000 + "}", "too deeply"),
        ('{"segment": "TRUE", "payload": ' + "[" * 200 + "]" * 200 + "}", "levels"),
        ('{"segment": "TRUE", "payload": "\\ud800"}', "half of a character"),
        ('{"segment": "TRUE", "salt": "\\ud800"}', "is a text"),
        ('{"segment": "TRUE", "holdout": 1e999}', "is a share from 0 to 1"),
        ('{"segment": "TRUE", "limit": ' + "9" * 5_000 + "}", "is not JSON"),
    ],
)
def test_a_text_that_is_no_definition_is_refused(stub: Any, text: str, said: str) -> None:
    new = pb.NewDefinition(kind="campaign", name="c", definition_json=text)
    for call in (stub.Put, stub.DryRun):
        with pytest.raises(grpc.RpcError) as refused:
            call(pb.PutDefinitionsRequest(definitions=[new]))
        error: Any = refused.value
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert said in error.details()
        if "half" in said:
            # It could be used, and cannot be kept.
            break


def test_a_request_that_says_nothing_is_refused(stub: Any) -> None:
    for call, request in (
        (stub.Put, pb.PutDefinitionsRequest()),
        (stub.DryRun, pb.PutDefinitionsRequest()),
        (stub.Delete, pb.DeleteDefinitionsRequest()),
        (stub.Get, pb.GetDefinitionRequest()),
        (stub.Get, pb.GetDefinitionRequest(kind="segment", name="vip", version=-1)),
        (stub.Versions, pb.ListVersionsRequest()),
        (stub.Put, pb.PutDefinitionsRequest(definitions=[pb.NewDefinition()])),
        (stub.Put, pb.PutDefinitionsRequest(delete=[pb.DefinitionKey()] * 1_001)),
        (stub.Delete, pb.DeleteDefinitionsRequest(definitions=[pb.DefinitionKey()] * 1_001)),
        (stub.Delete, pb.DeleteDefinitionsRequest(definitions=[pb.DefinitionKey()])),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            call(request)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_dry_run_says_what_the_same_put_comes_to(client: Client, real: se.Engine) -> None:
    client.catalog.put_all([Put("segment", "rich", RICH), Put("page", "home", PAGE)])
    version = real.data_version
    page = {"slots": {"top": {"modules": {"m": {"rule": "spent > 70"}, "n": {}}}}}
    change = [Put("segment", "rich", {"rule": "spent > 60"}), Put("page", "home", page)]
    told = client.catalog.dry_run(change)
    assert [(each.kind, each.change, each.version) for each in told] == [
        ("segment", "changed", 1), ("page", "changed", 1),
    ]  # fmt: skip
    assert (told[0].entered, told[0].left, told[0].stayed) == (0, 3, 2)
    assert told[0].sample_left == (4, 5, 6)
    modules = told[1].modules.to_pylist()
    assert [(row["module"], row["change"], row["before"], row["after"]) for row in modules] == [
        ("m", "changed", 5, 1), ("n", "new", 0, 8),
    ]  # fmt: skip
    assert real.data_version == version
    gone = client.catalog.dry_run([], delete=[("segment", "rich")])
    assert [(each.change, each.left) for each in gone] == [("removed", 5)]
    client.catalog.put_all(change)
    assert client.count(rule="segment('rich')").count == 2


def test_nothing_is_defined_where_the_files_cannot_be_written(
    client: Client, real: se.Engine
) -> None:
    client.catalog.put("segment", "rich", RICH)
    connection = real._catalogue._kept._connection  # type: ignore[union-attr]
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    big = {"segment": "TRUE", "payload": "x" * 100_000}
    error = refusal(client.catalog.put, "campaign", "big", big)
    assert (error.code, error.reason) == ("UNAVAILABLE", "NOT_WRITTEN")
    assert [each.name for each in client.catalog.in_force("campaign")] == []
    connection.execute("PRAGMA max_page_count = 100000")
    assert client.catalog.put("campaign", "big", big).version == 1


def test_changes_need_one_scope_and_looking_another() -> None:
    scopes = {
        method: scope_of(f"/segengine.v1.CatalogService/{method}")
        for method in ("Put", "Delete", "Get", "List", "Versions", "DryRun")
    }
    assert scopes.pop("Put") == scopes.pop("Delete") == "write:catalog"
    assert set(scopes.values()) == {"read:audience"}


def test_an_engine_in_memory_is_told_in_the_same_way() -> None:
    engine = se.Engine()
    engine.load("customers", pa.table({"customer_id": [1, 2]}))
    with serving(engine) as served, Client(served.target) as client:
        client.catalog.put("segment", "two", {"rule": "customer_id = 2"})
        assert engine.segment("segment('two')").count() == 1
