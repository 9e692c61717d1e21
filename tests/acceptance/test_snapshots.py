"""Is a load there after a restart, and is a damaged file ever taken for the truth?"""

import json
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

import segengine as se

STORE = """
[store]
timezone = "Asia/Shanghai"
channels = ["sms"]
as_of = 2024-06-01T04:00:00Z
[tables.tickets]
topic = "VARCHAR"
[segments]
vip = "amount_total >= 100"
[campaigns.spring]
segment = "segment('vip')"
"""


def instant(day, hour=3):
    return datetime(2024, 5, day, hour, tzinfo=UTC)


def fill(engine, ids):
    a, b, c = ids
    engine.load(
        "customers",
        pa.table(
            {
                "customer_id": [a, b, c],
                "city": ["杭州", None, "x"],
                "tags": [["vip", "new"], [], None],
                "sms_consent": [True, None, False],
                "birthday": pa.array([1, None, 20_000], pa.date32()),
            }
        ),
    )
    engine.load(
        "orders",
        pa.table(
            {
                "customer_id": [a, a, b],
                "order_id": ["o1", "o2", "o3"],
                "time": [instant(1), instant(20), instant(30)],
                "paid_at": [instant(1), instant(20), None],
                "amount": [99.5, 20.25, 7.0],
            }
        ),
    )
    engine.load(
        "order_lines",
        pa.table(
            {
                "customer_id": [a, c],
                "order_id": ["o1", "o9"],
                "line_id": [1, 1],
                "time": [instant(1), instant(31)],
                "product_id": [5, 6],
                "amount": [99.5, 120.0],
                "quantity": [1, 2],
            }
        ),
    )
    engine.load("tickets", pa.table({"customer_id": [b], "time": [instant(2)], "topic": ["late"]}))


@pytest.fixture(params=["numbers", "texts"])
def ids(request):
    return [1, 2, 3] if request.param == "numbers" else ["a", "b", "ç"]


@pytest.fixture
def folder(tmp_path, ids):
    (tmp_path / "store.toml").write_text(STORE, encoding="utf-8")
    with se.Engine.open(tmp_path) as engine:
        fill(engine, ids)
    return tmp_path


def everything(engine):
    names = ["customers", "products", "orders", "order_lines", "tickets", "purchases"]
    return {name: engine.table(name) for name in names}


def files(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_what_was_loaded_is_there_after_a_restart(folder, ids):
    with se.Engine.open(folder) as engine:
        first = everything(engine)
        assert engine.audience("spring").ids().to_pylist() == [ids[0], ids[2]]
    memory = se.Engine(config=engine.config)
    fill(memory, ids)
    assert everything(memory) == first
    with se.Engine.open(folder) as again:
        assert everything(again) == first


def test_an_append_after_a_restart_is_right_and_outlives_the_next(folder, ids):
    with se.Engine.open(folder) as engine:
        moment = engine.as_of
        # An order that exists is updated in place, over the mapped file.
        engine.append(
            "orders",
            pa.table({"customer_id": [ids[1]], "order_id": ["o3"], "time": [moment],
                      "paid_at": [moment], "amount": [500.0]}),
        )  # fmt: skip
        engine.append("orders", pa.table({"customer_id": [ids[0]], "time": [moment]}))
        assert engine.segment("segment('vip')").contains(ids[1])
        assert engine.segment("orders_placed_count = 3").ids().to_pylist() == [ids[0]]
        assert engine.table("orders").num_rows == 5
        first = everything(engine)
    with se.Engine.open(folder) as again:
        assert everything(again) == first


def test_a_load_replaces_the_snapshot_and_leaves_nothing_behind(folder, ids):
    first = (folder / "CURRENT").read_text()
    with se.Engine.open(folder) as engine:
        engine.load("customers", pa.table({"customer_id": [ids[0]], "city": ["new"]}))
    assert (folder / "CURRENT").read_text() != first
    assert [p.name for p in (folder / "snapshots").iterdir() if p.is_dir()] == [current(folder)]
    with se.Engine.open(folder) as again:
        assert again.segment("city = 'new'").ids().to_pylist() == [ids[0]]


def test_an_unfinished_snapshot_is_not_looked_at(folder, ids):
    unfinished = folder / "snapshots" / "000999"
    unfinished.mkdir()
    (unfinished / "customers.arrow").write_bytes(b"half")
    (folder / "CURRENT.new").write_text("000999")
    with se.Engine.open(folder) as engine:
        assert engine.segment("TRUE").count() == 3
        engine.load("customers", pa.table({"customer_id": [ids[0]], "city": ["new"]}))
    with se.Engine.open(folder) as again:
        assert again.segment("city = 'new'").count() == 1


def current(folder):
    return (folder / "CURRENT").read_text().split()[0]


def snapshot_files(folder):
    return sorted((folder / "snapshots" / current(folder)).glob("*.arrow"))


def refused(folder, path: Path | None, *words):
    with pytest.raises(se.StoreError) as caught:
        se.Engine.open(folder)
    for word in (*words, *([path.name] if path is not None else [])):
        assert word in str(caught.value)


def test_a_flipped_bit_anywhere_is_named(folder):
    for path in snapshot_files(folder):
        whole = path.read_bytes()
        for place in {0, len(whole) // 3, len(whole) // 2, len(whole) - 1}:
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            refused(folder, path, "damaged")
        path.write_bytes(whole)
    se.Engine.open(folder).close()


def test_a_truncated_or_missing_file_is_named(folder):
    path = snapshot_files(folder)[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    refused(folder, path)
    path.unlink()
    refused(folder, path)


def test_a_snapshot_of_a_newer_version_is_refused_by_name(folder):
    manifest = snapshot_files(folder)[0].parent / "manifest.json"
    said = json.loads(manifest.read_text())
    newer = json.dumps(said | {"format": 99}).encode()
    manifest.write_bytes(newer)
    (folder / "CURRENT").write_text(f"{current(folder)} {zlib.crc32(newer):08x}\n")
    refused(folder, None, "format 99")


def test_a_table_that_store_toml_no_longer_declares_is_named(folder):
    config = folder / "store.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("[tables.tickets]", "[constants]")
                      .replace('topic = "VARCHAR"', "topic = 1"), encoding="utf-8")  # fmt: skip
    refused(folder, None, "tickets")


def test_a_directory_that_is_no_store_says_what_to_do(tmp_path):
    with pytest.raises(se.StoreError, match="segengine init"):
        se.Engine.open(tmp_path / "nowhere")
    with pytest.raises(se.StoreError, match="segengine init"):
        se.Engine.open(tmp_path)
