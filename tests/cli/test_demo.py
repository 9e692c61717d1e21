"""One look at a whole store, through a real server."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from segengine import Engine
from segengine.cli.serving import serving
from segengine.demo import generate
from tests.cli.conftest import Asked, ask

SHARED = Path(__file__).parents[2].parent / "shared"


@pytest.fixture(scope="module")
def as_json() -> Asked:
    return ask("demo", "--customers", "2000", "--json")


def test_demo_as_json_has_segments_an_audience_and_a_page(as_json: Asked) -> None:
    assert as_json.status == 0, as_json.err
    found = as_json.json
    assert found["customers"] == 2000
    assert [set(s) >= {"name", "rule", "count", "ms"} for s in found["segments"]] == [True] * 5
    steps = found["audience"]["ledger"]
    assert len(steps) == 10
    assert steps[0]["entered"] == 2000
    assert all(s["entered"] - s["dropped"] == s["remaining"] for s in steps)
    assert found["audience"]["count"] == steps[-1]["remaining"] > 0
    assert [p["slot"] for p in found["page"]["placements"]] == ["banner", "offer", "footer"]
    assert sum(p["reason"] == "MATCHED" for p in found["page"]["placements"]) >= 2
    assert found["page"]["context"]["device"] in ("mobile", "desktop")
    assert {"slot", "module", "reason"} == set(found["page"]["rejected"][0])
    assert sum(found["lifecycle"].values()) == 2000
    assert len(found["rfm"]) == 25
    assert [each["table"] for each in found["loaded"]] == [*generate(1).tables, "traits"]


def test_demo_says_the_same_as_the_engine(as_json: Asked) -> None:
    store = generate(2000)
    engine = Engine(config=store.config)
    for table in store.tables:
        engine.load(table, store.reader(table))
    for found in as_json.json["segments"]:
        assert engine.segment(found["rule"]).count() == found["count"], found["name"]
    assert engine.audience("win_back").ledger.to_pylist() == as_json.json["audience"]["ledger"]
    page = as_json.json["page"]
    answer = engine.page(page["page"], page["customer_id"], page["context"])
    assert [p.module for p in answer.placements] == [p["module"] for p in page["placements"]]
    assert engine.match(page["customer_id"]) == page["segments"]


def test_demo_tells_its_progress_on_standard_error_alone(as_json: Asked) -> None:
    assert "loaded order_lines: " in as_json.err
    assert "built the traits in " in as_json.err
    assert as_json.json["loaded"][-1]["table"] == "traits"
    assert as_json.out.startswith("{")


def test_demo_shows_people_the_whole_way() -> None:
    asked = ask("demo", "--customers", "2000")
    assert asked.status == 0, asked.err
    for said in (
        *("2,000 buyers", "r_score 5", "lapsed", "champions", "over gRPC at 127.0.0.1:"),
        *("global_holdout", "targeted: coupon_30", "MATCHED", "segengine init"),
    ):
        assert said in asked.out, said


@pytest.mark.parametrize(
    "arguments", [["--source", "x.csv"], ["--store", "examples", "--customers", "5"]]
)
def test_demo_refuses_what_does_not_go_together(arguments: list[str]) -> None:
    asked = ask("demo", *arguments)
    assert asked.status == 2
    assert asked.out == ""


def test_demo_without_a_store_there_says_so(tmp_path: Path) -> None:
    assert ask("demo", "--store", tmp_path).status == 2


def test_demo_of_a_store_without_plans_shows_the_rest(tmp_path: Path) -> None:
    settings = '[store]\nas_of = 2025-06-30T20:00:00Z\n[load.orders]\nsource = "orders.csv"\n'
    (tmp_path / "store.toml").write_text(settings, encoding="utf-8")
    (tmp_path / "orders.csv").write_text("customer_id,time\na,2025-06-01\n", encoding="utf-8")
    found = ask("demo", "--store", tmp_path, "--json").json
    assert (found["audience"], found["page"], found["segments"]) == (None, None, [])
    assert ask("demo", "--store", tmp_path).status == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["orders.csv", "store.toml"]


def test_a_server_that_cannot_start_is_an_error_here() -> None:
    from segengine_server import ListenError

    with pytest.raises(ListenError), serving(Engine(), host="nowhere.invalid"):
        pass


def test_a_server_is_gone_afterwards() -> None:
    from segengine_server import Client, ServerError

    engine = Engine(timezone="UTC")
    engine.load("customers", pa.table({"customer_id": [1]}))
    with serving(engine) as target, Client(target) as client:
        assert client.count(rule="TRUE").count == 1
    with Client(target, timeout=2) as client, pytest.raises(ServerError):
        client.count(rule="TRUE")
