"""What a run keeps, what it refuses, and what is left of it afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

import segengine as se
from segengine.storage import run_files
from tests.audiences.stores import AS_OF, store

SETTINGS = """
[store]
timezone = "Asia/Shanghai"
as_of = 2024-03-01T12:00:00Z
channels = ["sms"]
[text]
price_per_part = 0.05
[campaigns.spring]
segment = "customer_id >= 1"
holdout = 0.3
variants = { a = 0.5, b = 0.5 }
text = "hello"
"""


def spring(**options: Any) -> se.Campaign:
    given = {"holdout": 0.3, "variants": {"a": 0.5, "b": 0.5}, **options}
    return se.Campaign("spring", "TRUE", **given)


def asked(engine: se.Engine, **options: Any) -> se.Engine:
    engine.define_campaign(spring(**options))
    return engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "store.toml").write_text(SETTINGS, encoding="utf-8")
    with se.Engine.open(tmp_path) as engine:
        engine.load("customers", pa.table({"customer_id": list(range(1, 41))}))
    return tmp_path


def arms(run: se.Run) -> dict[int, tuple[str | None, str]]:
    rows = run.table().to_pylist()
    return {row["customer_id"]: (row["variant"], row["arm"]) for row in rows}


# --- what it keeps ---------------------------------------------------------------------------


def test_a_run_is_its_audience_with_the_arm_of_everybody() -> None:
    engine = asked(store(60))
    audience, run = engine.audience("spring"), engine.run_campaign("spring")
    assert run.ids() == audience.ids()
    assert run.held_out() == audience.held_out()
    assert (run.count(), run.as_of, run.data_version) == (
        audience.count(), audience.as_of, audience.data_version,
    )  # fmt: skip
    variants = {r["customer_id"]: r["variant"] for r in audience.table().to_pylist()}
    wanted = {who: (variant, "treatment") for who, variant in variants.items()}
    wanted |= dict.fromkeys(audience.held_out().to_pylist(), (None, "holdout"))
    assert arms(run) == wanted
    assert run.table(held_out=False)["customer_id"].combine_chunks() == audience.ids()
    assert {r["send_at"] for r in run.table().to_pylist() if r["arm"] == "holdout"} == {None}


def test_a_run_stays_while_the_store_goes_on() -> None:
    engine = asked(store(40))
    run = engine.run_campaign("spring")
    before = run.table()
    engine.define_campaign(se.Campaign("spring", "FALSE"))
    engine.append("customers", pa.table({"customer_id": [99]}))
    engine.advance(AS_OF + timedelta(days=3))
    assert engine.runs[run.run].table() == before
    assert run.as_of == AS_OF


def test_a_run_does_not_change_what_rules_see() -> None:
    engine = asked(store())
    version = engine.data_version
    engine.run_campaign("spring")
    assert engine.data_version == version


def test_ids_are_readable_and_never_used_twice() -> None:
    engine = asked(store())
    engine.define_campaign(se.Campaign("Spring", "TRUE"))
    engine.define_campaign(se.Campaign("茶 / 新年!", "TRUE"))
    engine.define_campaign(se.Campaign("../..", "TRUE"))
    engine.append("messages", pa.table({
        "customer_id": [1], "time": [AS_OF], "run": ["spring-2024-03-01-2"], "kind": ["sent"],
    }))  # fmt: skip
    made = [
        engine.run_campaign(n).run for n in ("spring", "spring", "Spring", "茶 / 新年!", "../..")
    ]
    assert made == [
        "spring-2024-03-01-1", "spring-2024-03-01-3", "Spring-2024-03-01-2",
        "茶-新年-2024-03-01-1", "run-2024-03-01-1",
    ]  # fmt: skip
    assert len({name.casefold() for name in made}) == len(made)
    assert list(engine.runs) == made


def test_the_date_of_an_id_is_that_of_the_store() -> None:
    engine = se.Engine(timezone="Asia/Shanghai", as_of=datetime(2024, 3, 1, 15, 30, tzinfo=UTC))
    engine.load("customers", pa.table({"customer_id": [1]}))
    engine.define_campaign(se.Campaign("late", "TRUE"))
    assert engine.run_campaign("late").run == "late-2024-03-01-1"


def test_text_ids_are_kept_as_they_are() -> None:
    engine = se.Engine(as_of=AS_OF)
    engine.load("customers", pa.table({"customer_id": ["ab-1", "007"]}))
    engine.define_campaign(se.Campaign("c", "TRUE"))
    run = engine.run_campaign("c")
    assert run.ids().to_pylist() == ["ab-1", "007"]
    assert engine.record_messages(run).rows_loaded == 2


def test_a_campaign_that_reaches_nobody_is_a_run_of_nobody(folder: Path) -> None:
    with se.Engine.open(folder) as engine:
        engine.define_campaign(se.Campaign("none", "FALSE", holdout=0.5))
        run = engine.run_campaign("none")
        assert (run.count(), len(run.held_out()), run.table().num_rows) == (0, 0, 0)
        assert sum(run.hours()["buyers"].to_pylist()) == 0
        assert engine.record_messages(run).rows_loaded == 0
        name = run.run
    with se.Engine.open(folder) as engine:
        assert engine.runs[name].count() == 0


# --- what is refused -------------------------------------------------------------------------


def test_an_unknown_campaign_is_not_run() -> None:
    with pytest.raises(se.UnknownNameError, match="did you mean `spring`"):
        asked(store()).run_campaign("sprin")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ends_at": AS_OF}, "outside its window, from the beginning until 2024-03-01 12:00"),
        ({"starts_at": AS_OF + timedelta(seconds=1)}, "outside its window, from 2024-03-01"),
        ({"hours": [(13, 14), (9, 12)]}, "outside its hours, 13:00 to 14:00 and 09:00 to 12:00"),
    ],
)
def test_outside_its_window_and_hours_a_campaign_is_not_run(
    options: dict[str, Any], said: str
) -> None:
    engine = asked(store(), **options)
    with pytest.raises(se.RunError, match=said):
        engine.run_campaign("spring")
    assert list(engine.runs) == []


def test_a_plan_that_is_stale_or_of_others_is_refused() -> None:
    engine = asked(store())
    engine.define_campaign(se.Campaign("tea", "TRUE"))
    plan = engine.plan_campaigns(["spring"])
    with pytest.raises(se.RunError, match="does not hold campaign `tea`; it has spring"):
        engine.run_campaign("tea", plan=plan)
    engine.append("customers", pa.table({"customer_id": [99]}))
    with pytest.raises(se.RunError, match="plan again"):
        engine.run_campaign("spring", plan=plan)


def test_campaigns_of_a_plan_are_run_as_they_were_planned() -> None:
    engine = store(40)
    cap = se.Cap(1, 7)
    engine.define_campaign(se.Campaign("first", "customer_id <= 20", priority=2, caps=[cap]))
    engine.define_campaign(se.Campaign("second", "TRUE", priority=1, caps=[cap]))
    plan = engine.plan_campaigns(["first", "second"])
    runs = [engine.run_campaign(name, plan=plan) for name in plan.order]
    assert [set(r.ids().to_pylist()) for r in runs] == [set(range(1, 21)), set(range(21, 41))]
    for run in runs:
        engine.record_messages(run)
    assert engine.audience("second").count() == 0


# --- what lasts ------------------------------------------------------------------------------


def test_a_run_is_there_after_reopening(folder: Path) -> None:
    with se.Engine.open(folder) as engine:
        run = engine.run_campaign("spring")
        before = (run.table(), run.hours(), run.facts, run.as_of, run.data_version)
    with se.Engine.open(folder) as engine:
        again = engine.runs[run.run]
        assert (
            again.table(),
            again.hours(),
            again.facts,
            again.as_of,
            again.data_version,
        ) == before
        assert engine.run_campaign("spring").run == "spring-2024-03-01-2"


def test_runs_are_listed_in_the_order_they_were_made_after_reopening_too(folder: Path) -> None:
    with se.Engine.open(folder) as engine:
        engine.define_campaign(se.Campaign("autumn", "TRUE"))
        names = ["spring"] * 11 + ["autumn", "spring"]
        made = [engine.run_campaign(name).run for name in names]
        assert list(engine.runs) == made
    with se.Engine.open(folder) as engine:
        assert list(engine.runs) == made


def test_what_was_recorded_of_a_run_is_there_after_reopening(folder: Path) -> None:
    with se.Engine.open(folder) as engine:
        run = engine.run_campaign("spring")
        engine.record_messages(run)
    with se.Engine.open(folder) as engine:
        again = engine.runs[run.run]
        assert engine.record_messages(again).rows_repeated == again.count()
        kinds = engine.table("messages", ["kind"])["kind"].to_pylist()
        assert kinds.count("held_out") == len(again.held_out())


def test_a_deleted_buyer_is_in_no_run_in_memory_or_on_disk(folder: Path) -> None:
    with se.Engine.open(folder) as engine:
        run = engine.run_campaign("spring")
        target, held = run.ids()[0].as_py(), run.held_out()[0].as_py()
        everybody = run.count()
        engine.delete_customer(target)
        engine.delete_customer(held)
        for each in (run, engine.runs[run.run]):
            assert not {target, held} & set(each.table()["customer_id"].to_pylist())
            assert each.count() == everybody - 1
            assert sum(each.facts.targeted) == everybody
            assert sum(each.facts.forgotten) == 2
            assert each.facts.forgotten[-1] == 1
    with se.Engine.open(folder) as engine:
        assert engine.runs[run.run].table() == run.table()
        assert engine.runs[run.run].facts.forgotten == run.facts.forgotten


def test_an_id_of_text_that_was_deleted_is_in_no_file_of_a_run(folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    (other / "store.toml").write_text(
        SETTINGS.replace("customer_id >= 1", "TRUE"), encoding="utf-8"
    )
    with se.Engine.open(other) as engine:
        engine.load("customers", pa.table({"customer_id": ["secret-name", "b", "c", "d", "e"]}))
        run = engine.run_campaign("spring")
        path = other / "runs" / f"{run.run}.arrow"
        assert b"secret-name" in path.read_bytes()
        engine.delete_customer("secret-name")
        assert b"secret-name" not in path.read_bytes()
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_deletion_that_the_disk_refused_is_whole_when_it_is_asked_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with se.Engine.open(folder) as engine:
        run = engine.run_campaign("spring")
        target = run.ids()[0].as_py()

        def refuse(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(run_files.os, "fsync", refuse)
        with pytest.raises(se.StoreError, match="No space left on device"):
            engine.delete_customer(target)
        monkeypatch.undo()
        assert target in run.ids().to_pylist()
        assert engine.segment("TRUE").contains(target)
        engine.delete_customer(target)
    with se.Engine.open(folder) as engine:
        assert target not in engine.runs[run.run].ids().to_pylist()


def test_a_buyer_who_comes_back_is_not_in_the_run_again(folder: Path) -> None:
    with se.Engine.open(folder) as engine:
        run = engine.run_campaign("spring")
        engine.record_messages(run)
        target = run.ids()[0].as_py()
        engine.delete_customer(target)
        engine.append("customers", pa.table({"customer_id": [target]}))
        rows = pa.table({"customer_id": [target], "run": [run.run], "kind": ["clicked"]})
        with pytest.raises(se.RefusedError, match="is not in the run"):
            engine.record_messages(rows)
        later = engine.run_campaign("spring")
        assert target in later.table()["customer_id"].to_pylist()
    with se.Engine.open(folder) as engine:
        assert target in engine.runs[later.run].table()["customer_id"].to_pylist()


def damaged(path: Path, change: Callable[[bytearray], None]) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def test_a_damaged_run_is_named_and_never_read_as_truth(folder: Path) -> None:
    with se.Engine.open(folder) as engine:
        run = engine.run_campaign("spring")
        wanted = run.table()
    path = folder / "runs" / f"{run.run}.arrow"
    whole = path.read_bytes()
    said: list[str] = []
    for place in range(0, len(whole), 37):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            facts = run_files.read_facts(folder, run.run)
            batch = run_files.read_members(folder, run.run)
        except se.StoreError as error:
            said.append(str(error))
            continue
        # A byte that nobody reads, such as padding.
        assert facts["campaign"] == "spring"
        assert batch.column("customer_id").to_pylist() == wanted["customer_id"].to_pylist()
    assert len(said) > 20
    assert all(str(path) in each for each in said)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(se.StoreError, match="is damaged"), se.Engine.open(folder):
        pass


def test_a_newer_format_is_refused_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_files, "FORMAT", 7)
    with se.Engine.open(folder) as engine:
        name = engine.run_campaign("spring").run
    monkeypatch.undo()
    with pytest.raises(
        se.StoreError, match=f"{name}.arrow` has format 7, and this version reads 1"
    ):
        se.Engine.open(folder)


def test_what_a_crash_left_half_written_is_no_run(folder: Path) -> None:
    (folder / "runs").mkdir()
    (folder / "runs" / ".spring-2024-03-01-1.77.new").write_bytes(b"half")
    with se.Engine.open(folder) as engine:
        assert list(engine.runs) == []
        assert engine.run_campaign("spring").run == "spring-2024-03-01-1"


KILLED = """
import os, signal, sys
import segengine as se
engine = se.Engine.open(sys.argv[1])
os.link = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
engine.run_campaign("spring")
"""


def test_who_is_in_a_run_that_was_killed_is_in_no_file_once_another_writes(
    folder: Path,
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder)], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(se.__file__).parents[1])},
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (left,) = (folder / "runs").iterdir()
    with se.Engine.open(folder, read_only=True) as reader:
        assert not reader.runs
    # One who may not write leaves it: it may be another's, who writes.
    assert left.exists()
    with se.Engine.open(folder) as engine:
        engine.delete_customer(7)
        assert list((folder / "runs").iterdir()) == []
        left.write_bytes(b"7")
        engine.compact()
        assert list((folder / "runs").iterdir()) == []
        engine.run_campaign("spring")
        left.mkdir()
        with pytest.raises(se.StoreError, match="left of a run that was being written"):
            engine.compact()
        left.rmdir()
    with se.Engine.open(folder) as engine:
        assert len(engine.runs) == 1


def test_a_run_whose_name_is_taken_on_disk_gets_the_next(folder: Path) -> None:
    with se.Engine.open(folder) as engine:
        first = engine.run_campaign("spring")
        other = run_files.write_run(folder, first.run, {}, first.members.batch())
        assert not other
        assert json.loads(json.dumps(run_files.read_facts(folder, first.run)))["run"] == first.run


def test_an_unknown_run_names_the_nearest() -> None:
    engine = asked(store())
    with pytest.raises(se.UnknownNameError, match="nothing has been run"):
        engine.runs.named("x")
    run = engine.run_campaign("spring")
    with pytest.raises(se.UnknownNameError, match=f"did you mean `{run.run}`"):
        engine.runs.named(run.run[:-1] + "7")
    assert engine.runs.get("x") is None


def test_a_plan_needs_no_more_than_audiences() -> None:
    engine = asked(store())
    plan: Any = SimpleNamespace(audiences={"spring": engine.audience("spring")})
    assert engine.run_campaign("spring", plan=plan).count() == plan.audiences["spring"].count()
