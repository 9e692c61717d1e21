"""What a load leaves behind: open answers the same, appends stay off it, damage is named."""

from __future__ import annotations

import contextlib
import json
import shutil
import zlib
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.storage import snapshot
from segengine.storage.durable import LOCK
from tests.ingest.samples import AS_OF, LONG_AGO, customers, orders
from tests.traits.histories import Shop

TOML = """
[store]
timezone = "Asia/Shanghai"
as_of = {as_of}
channels = ["sms"]
[tables.tickets]
topic = "VARCHAR"
"""
TABLES = (
    "customers",
    "products",
    "orders",
    "order_lines",
    "behaviors",
    "reviews",
    "messages",
    "impressions",
    "points",
    "tickets",
    "purchases",
)
RULES = (
    "amount_total >= 3",
    "list_contains(tags, 'a')",
    "city IS NULL",
    "r_score = 5",
    "intent_stage = 'interested'",
    "sms_consent",
    "score > 1 OR birthday < DATE '1990-01-01'",
)


def store(folder: Path, toml: str = TOML, as_of: object = "2024-03-01T12:00:00Z") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "store.toml").write_text(toml.format(as_of=as_of))
    return folder


def fill(found: se.Engine, ids: tuple[Any, Any, Any]) -> None:
    """Something in every table, with every kind of column."""
    a, b, c = ids
    later = AS_OF + timedelta(days=3)
    found.load(
        "customers",
        customers(
            a,
            b,
            city=["x", None],
            tags=[["a", "b"], None],
            sms_consent=[True, None],
            birthday=[date(1980, 2, 29), None],
            score=[1.5, None],
            member_level=[None, 3],
            wallet=pa.array([None, 12], pa.decimal128(9, 2)),
            labels=[None, ["z", None]],
        ),
        columns={"score": "score", "wallet": "wallet", "labels": "labels"},
    )
    found.load(
        "products",
        pa.table({"product_id": ["p", "q"], "category": ["c", "d"], "price": [1.5, None]}),
    )
    found.load(
        "orders",
        orders(
            a,
            b,
            b,
            order_id=["o1", "o2", None],
            amount=[1.0, 2.25, None],
            paid_at=[AS_OF, AS_OF, None],
            promotion=["spring", None, "fall"],
            event_id=["e1", "e2", "e3"],
        ),
    )
    found.load(
        "order_lines",
        orders(
            a,
            c,
            c,
            order_id=["o1", "o3", "o3"],
            line_id=[1, 1, 2],
            amount=[1.0, 4.0, 5.0],
            quantity=[1, None, 2],
            product_id=["p", "q", None],
        ),
    )
    found.load("order_lines", orders(c, order_id=["o3"], line_id=[3], amount=[100.0], time=later))
    found.load("orders", orders(a, order_id=["o1"], refund_amount=[0.5], event_id=["e4"]))
    found.load("behaviors", orders(a, c, kind=["cart", "view"], product_id=["p", "q"], time=AS_OF))
    found.load("reviews", orders(a, review_id=[1], rating=[5]))
    found.load(
        "messages", orders(a, b, channel=["sms", "sms"], kind=["sent", "failed"], parts=[1, 2])
    )
    found.load("impressions", orders(a, page=["home"]))
    found.load("points", orders(b, amount=[50], kind=["earn"]))
    found.load("tickets", orders(c, topic=["late"]))


def state(found: se.Engine) -> dict[str, Any]:
    answers = {rule: found.segment(rule).ids().to_pylist() for rule in RULES}
    return answers | {name: found.table(name) for name in TABLES}


def files(folder: Path) -> dict[str, bytes]:
    """Its files but for the log and the lock, which holds nothing."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != LOCK and not p.name.startswith("log.")
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that nobody changes: tests copy it."""
    folder = store(tmp_path_factory.mktemp("made") / "store")
    with se.Engine.open(folder) as found:
        fill(found, (1, 2, 3))
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


# The same after opening


@pytest.mark.parametrize("ids", [(1, 2, 3), ("一", "b", "")])
def test_an_opened_store_answers_as_the_one_that_was_loaded(
    tmp_path: Path, ids: tuple[Any, Any, Any]
) -> None:
    folder = store(tmp_path)
    with se.Engine.open(folder) as loaded:
        fill(loaded, ids)
        copy = Path(shutil.copytree(folder, tmp_path.with_name(f"{tmp_path.name}-copy")))
        with se.Engine.open(copy) as found:
            assert state(found) == state(loaded)
            assert found.id_kind == loaded.id_kind
            assert found.as_of == loaded.as_of
            # And so do both in other times, and after the same batches.
            for step in (timedelta(days=4), timedelta(days=-40), timedelta(hours=1)):
                for engine in (found, loaded):
                    engine.advance(AS_OF + step)
                assert state(found) == state(loaded)
            for engine in (found, loaded):
                report = engine.append(
                    "orders",
                    orders(
                        ids[0],
                        ids[0],
                        order_id=["o1", "o9"],
                        amount=[8.0, 9.0],
                        event_id=["e4", "e5"],
                    ),
                )
                assert report.rows_repeated == 1  # e4 was an update: no row shows it
                engine.append(
                    "order_lines", orders(ids[2], order_id=["o3"], line_id=[1], amount=[0.5])
                )
                engine.append(
                    "products", pa.table({"product_id": ["q", "r"], "category": ["new", "c"]})
                )
                engine.append("customers", customers(ids[1], ids[2], tags=[["new"], ["a"]]))
                engine.delete_customer(ids[0])
            assert state(found) == state(loaded)


@settings(max_examples=4)
@given(st.integers(0, 2**32))
def test_any_shop_opens_as_it_was(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = Random(seed)
    shop = Shop.drawn(rng)
    folder = store(tmp_path_factory.mktemp("any"), as_of=shop.as_of.isoformat())
    tables = ["customers", "products", "orders", "order_lines", "behaviors"]
    with se.Engine.open(folder) as loaded:
        for table in rng.choices(tables, k=4):
            loaded.append(table, shop.batch(table).to_arrow(), on_error="skip")
        for table in rng.choices(tables, k=2):
            loaded.load(table, shop.batch(table).to_arrow())
        with se.Engine.open(folder) as found:
            for name in TABLES:
                assert found.table(name).equals(loaded.table(name)), name


def test_a_store_opens_at_the_moment_it_is_told(made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made, tmp_path / "copy"))
    for as_of, amount in (
        ("2024-03-01T12:00:00Z", 9),
        ("2024-03-05T00:00:00Z", 109),
        (LONG_AGO.isoformat(), 9),
    ):
        store(folder, as_of=as_of)
        with se.Engine.open(folder) as found:
            amounts = {
                r["order_id"]: r["amount"]
                for r in found.table("orders", ["order_id", "amount"]).to_pylist()
            }
            assert amounts["o3"] == amount
            assert found.segment(f"amount_total = {amount}").ids().to_pylist() == [3]


def test_a_store_without_a_load_is_empty(tmp_path: Path) -> None:
    with se.Engine.open(store(tmp_path)) as found:
        assert found.segment("true").count() == 0
    assert list(files(tmp_path)) == ["store.toml"]


def test_opening_maps_the_files_and_copies_nothing(made: Path) -> None:
    with se.Engine.open(made) as found:
        (name,) = snapshots(made)
        mapped = Path("/proc/self/maps")
        if not mapped.is_file():
            pytest.skip("only Linux lists what a process has mapped")
        lines = mapped.read_text()
        for table in ("customers", "orders", "order_lines"):
            assert f"{made}/snapshots/{name}/{table}.arrow" in lines
        assert not found._tables.events["orders"].columns["amount"].values.flags.owndata


def test_appends_after_opening_do_not_touch_the_snapshot(copy: Path) -> None:
    before = files(copy)
    with se.Engine.open(copy) as found:
        found.append(
            "orders", orders(1, 2, 9, order_id=["o1", "o2", "new"], amount=[70.0, 80.0, 90.0])
        )
        found.append(
            "customers", customers(1, 2, 77, tags=[["t"], [], ["u"]], city=["n", "m", "o"])
        )
        found.append("products", pa.table({"product_id": ["p"], "category": ["changed"]}))
        for _ in range(3):
            found.append("behaviors", orders(*[1] * 200, kind=["visit"] * 200))
        found.delete_customer(3)
        assert found.segment("amount_total = 69.5").ids().to_pylist() == [1]
        assert found.table("order_lines", ["category"])["category"].to_pylist() == ["changed"]
        after = state(found)
    assert files(copy) == before
    with se.Engine.open(copy) as found:
        assert state(found) == after


def test_money_tags_and_kinds_survive_another_load(copy: Path) -> None:
    with se.Engine.open(copy) as found:
        before = state(found)
        found.load("points", orders(1, amount=[5]))
    with se.Engine.open(copy) as found:
        after = state(found)
    assert after.pop("points").num_rows == before.pop("points").num_rows + 1
    assert after == before


# Replacing


def snapshots(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "snapshots").iterdir() if path.is_dir())


def test_a_load_into_an_open_store_replaces_its_snapshot(copy: Path) -> None:
    with se.Engine.open(copy) as found, se.Engine.open(copy) as reader:
        before = state(reader)
        (old,) = snapshots(copy)
        found.load("orders", orders(1, amount=[1000.0]))
        (new,) = snapshots(copy)
        assert int(new) == int(old) + 1
        assert state(reader) == before  # what was mapped stays while it is in use
    assert sorted({name.split("/")[0] for name in files(copy)}) == [
        "CURRENT",
        "snapshots",
        "store.toml",
    ]
    with se.Engine.open(copy) as found:
        assert found.segment("amount_total > 1000").count() == 1


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("name", ["write_synced", "sync_folder", "_point", "fill_snapshot"])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("call", range(3))
def test_a_crash_during_a_load_leaves_the_old_snapshot_or_the_new_one(
    copy: Path, monkeypatch: pytest.MonkeyPatch, name: str, call: int, before: bool
) -> None:
    calls = 0
    real = getattr(snapshot, name)

    def dying(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call + 1 and before:
            raise Killed
        result = real(*arguments, **named)
        if calls == call + 1:
            raise Killed
        return result

    with se.Engine.open(copy) as found:
        old = state(found)
        with monkeypatch.context() as patch:
            patch.setattr(snapshot, name, dying)
            with contextlib.suppress(Killed):
                found.load("points", orders(1, amount=[5]))
        new = state(found)
    with se.Engine.open(copy) as found:
        assert state(found) in (old, new)
        found.load("points", orders(1, amount=[6]))
        latest = state(found)
    assert len(snapshots(copy)) == 1  # what the crash has left is gone
    assert not (copy / "CURRENT.new").exists()
    with se.Engine.open(copy) as found:
        assert state(found) == latest


def test_a_crash_in_the_very_first_load_leaves_an_empty_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store(tmp_path)
    with se.Engine.open(folder) as found, monkeypatch.context() as patch:
        patch.setattr(snapshot, "fill_snapshot", lambda *_, **__: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            found.load("customers", customers(1))
    assert snapshots(folder) == ["000001"]
    with se.Engine.open(folder) as found:
        assert found.segment("true").count() == 0
        found.load("customers", customers(2))
    with se.Engine.open(folder) as found:
        assert found.segment("true").ids().to_pylist() == [2]


def test_an_unfinished_folder_and_pointer_are_passed_over_and_cleared(copy: Path) -> None:
    (copy / "snapshots" / "000900").mkdir()
    (copy / "snapshots" / "000900" / "orders.arrow").write_bytes(b"half")
    (copy / "CURRENT.new").write_text("000900")
    with se.Engine.open(copy) as found:
        assert found.segment("true").count() == 3
        found.load("customers", customers(9))
    assert snapshots(copy) == ["000901"]
    assert not (copy / "CURRENT.new").exists()


def test_a_snapshot_that_cannot_be_written_is_an_error_and_leaves_the_old_one(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    before = files(copy)
    with se.Engine.open(copy) as found, monkeypatch.context() as patch:
        patch.setattr(snapshot, "write_synced", full)
        with pytest.raises(se.StoreError, match=r"cannot write a snapshot to .*: No space left"):
            found.load("customers", customers(9))
    assert files(copy) == before


# Damage


LISTED = ("store.toml", "snapshots/KEPT")
"""Files without which a store opens as it is: what is set, and which snapshots there are beside."""


def test_a_damaged_byte_anywhere_is_named_by_its_file(made: Path, tmp_path: Path) -> None:
    rng = Random(7)
    for name, data in files(made).items():
        if name in LISTED:
            continue
        places = {0, len(data) - 1, *rng.choices(range(len(data)), k=3)}
        for place in places:
            folder = Path(shutil.copytree(made, tmp_path / "damaged"))
            changed = bytearray(data)
            changed[place] ^= rng.choice((1, 0x80, 0xFF))
            (folder / name).write_bytes(changed)
            with pytest.raises(se.StoreError) as caught:
                se.Engine.open(folder)
            assert str(folder) in str(caught.value)
            if name != "CURRENT":
                assert str(folder / name) in str(caught.value), (name, place)
            shutil.rmtree(folder)


@pytest.mark.parametrize("how", ["truncated", "empty", "longer", "missing"])
def test_a_file_that_is_shorter_longer_or_gone_is_named(
    made: Path, tmp_path: Path, how: str
) -> None:
    for name, data in files(made).items():
        if name in LISTED:
            continue
        folder = Path(shutil.copytree(made, tmp_path / "damaged"))
        if how == "missing":
            (folder / name).unlink()
        else:
            changed = {"truncated": data[:-1], "empty": b"", "longer": data + b"\0"}[how]
            (folder / name).write_bytes(changed)
        with pytest.raises(se.StoreError) as caught:
            se.Engine.open(folder)
        assert str(folder / name) in str(caught.value), name
        shutil.rmtree(folder)


def test_a_missing_snapshot_folder_is_named(copy: Path) -> None:
    shutil.rmtree(copy / "snapshots")
    with pytest.raises(se.StoreError, match=r"manifest.json` cannot be read: No such file"):
        se.Engine.open(copy)


def rewrite(folder: Path, **changes: Any) -> None:
    """Change the manifest as a writer would, checksum and all."""
    (name,) = snapshots(folder)
    path = folder / "snapshots" / name / "manifest.json"
    manifest = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(manifest))
    (folder / "CURRENT").write_text(f"{name} {zlib.crc32(path.read_bytes()):08x}\n")


def test_a_newer_format_is_refused_with_what_reads_it(copy: Path) -> None:
    rewrite(copy, format=snapshot.FORMAT + 1)
    with pytest.raises(
        se.StoreError, match=f"has format {snapshot.FORMAT + 1}, and this version reads"
    ):
        se.Engine.open(copy)


def test_a_changed_money_scale_is_refused(copy: Path) -> None:
    store(copy, TOML.replace("channels", "money_scale = 2\nchannels"))
    with pytest.raises(
        se.StoreError, match=r"keeps money with 4 decimals and store.toml says 2"
    ) as caught:
        se.Engine.open(copy)
    assert caught.value.field == "store.money_scale"


def test_a_table_that_is_no_longer_declared_is_refused(copy: Path) -> None:
    store(copy, TOML.split("[tables", maxsplit=1)[0])
    with pytest.raises(
        se.StoreError, match=r"holds the table `tickets`, .* put its `\[tables.tickets\]` back"
    ):
        se.Engine.open(copy)


def test_a_column_that_is_declared_otherwise_is_refused(copy: Path) -> None:
    store(copy, TOML.replace('"VARCHAR"', '"BIGINT"'))
    with pytest.raises(
        se.StoreError, match=r"keeps `topic` of `tickets` as VARCHAR and store.toml now says BIGINT"
    ):
        se.Engine.open(copy)


def test_a_column_that_is_declared_later_is_empty_and_one_that_is_not_stays(copy: Path) -> None:
    toml = TOML.replace('channels = ["sms"]', 'channels = ["email"]').replace(
        "topic", 'more = "DATE"\ntopic'
    )
    store(copy, toml)
    with se.Engine.open(copy) as found:
        assert found.table("tickets", ["topic", "more"]).to_pylist() == [
            {"topic": "late", "more": None}
        ]
        columns = found.table("customers", ["sms_consent", "email_consent"]).to_pylist()
        assert columns[0] == {"sms_consent": True, "email_consent": None}


def test_a_snapshot_says_what_it_holds(made: Path) -> None:
    (name,) = snapshots(made)
    manifest = json.loads((made / "snapshots" / name / "manifest.json").read_text())
    assert manifest["format"] == snapshot.FORMAT
    assert set(manifest["tables"]) == set(TABLES) - {"purchases"}
    assert manifest["tables"]["orders"]["rows"] == 4
    assert manifest["identifiers"]["customer_id"] == "BIGINT"
    found = {p.name for p in (made / "snapshots" / name).iterdir()}
    assert found == {"manifest.json", *manifest["files"]}
