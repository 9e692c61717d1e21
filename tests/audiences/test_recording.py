"""What is recorded of a run: counted once, by caps at once, and nothing that cannot be."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.audiences import recording
from tests.audiences.stores import AS_OF, store

Row = dict[str, Any]


def ready(rows: int = 40, **options: Any) -> tuple[se.Engine, se.Run]:
    engine = store(rows, text={"price_per_part": 0.05})
    given = {"holdout": 0.3, "variants": {"a": 0.5, "b": 0.5}, "channel": "sms", **options}
    engine.define_campaign(se.Campaign("spring", "customer_id > 4", **given))
    return engine, engine.run_campaign("spring")


def rows_of(*rows: Row) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})


def messages(engine: se.Engine) -> list[Row]:
    return engine.table("messages").to_pylist()  # type: ignore[no-any-return]


def kinds(engine: se.Engine) -> Counter[str]:
    return Counter(row["kind"] for row in messages(engine))


def sent(run: se.Run, count: int = 3, **more: Any) -> pa.Table:
    chosen = run.ids().to_pylist()[:count]
    return rows_of(*({"customer_id": who, "run": run.run, **more} for who in chosen))


# --- what is filled --------------------------------------------------------------------------


def test_a_run_itself_says_that_everybody_it_targets_was_sent_it_now() -> None:
    engine, run = ready()
    report = engine.record_messages(run)
    assert (report.rows_read, report.rows_loaded) == (run.count(), run.count())
    variants = {r["customer_id"]: r["variant"] for r in run.table().to_pylist()}
    for row in messages(engine):
        assert (row["campaign"], row["run"], row["channel"], row["class"], row["time"]) == (
            "spring", run.run, "sms", "marketing", AS_OF,
        )  # fmt: skip
        assert row["variant"] == variants[row["customer_id"]]
    assert kinds(engine) == {"sent": run.count(), "held_out": len(run.held_out())}


def test_a_row_needs_a_buyer_and_a_run_alone() -> None:
    engine, run = ready()
    assert engine.record_messages(sent(run)).rows_loaded == 3
    assert {r["kind"] for r in messages(engine) if r["kind"] != "held_out"} == {"sent"}


def test_columns_of_the_run_that_are_given_are_not_looked_at() -> None:
    engine, run = ready()
    report = engine.record_messages(sent(run, campaign="x", Variant="z", provider="p"))
    assert set(report.ignored_columns) == {"campaign", "Variant", "provider"}
    assert {row["campaign"] for row in messages(engine)} == {"spring"}


def test_a_text_gives_the_parts_that_it_had_when_the_campaign_was_run() -> None:
    engine, run = ready(text="{spent|0}" + "x" * 69)
    engine.append("customers", pa.table({"customer_id": [5], "spent": [5]}))
    engine.record_messages(run)
    parts = {r["customer_id"]: r["parts"] for r in messages(engine) if r["kind"] == "sent"}
    assert parts[5] == 2
    assert set(parts.values()) == {2}
    held = {r["parts"] for r in messages(engine) if r["kind"] == "held_out"}
    assert held == {None}


def test_parts_that_are_given_stay_and_other_kinds_have_none() -> None:
    engine, run = ready(text="hello")
    engine.record_messages(sent(run, parts=7))
    engine.record_messages(sent(run, 2, kind="delivered"))
    assert {r["parts"] for r in messages(engine) if r["kind"] == "sent"} == {7}
    assert {r["parts"] for r in messages(engine) if r["kind"] == "delivered"} == {None}


def test_without_a_text_parts_are_not_known() -> None:
    engine, run = ready()
    engine.record_messages(run)
    assert {row["parts"] for row in messages(engine)} == {None}


def test_data_in_a_file_or_a_frame_is_recorded_too(tmp_path: Path) -> None:
    engine, run = ready()
    path = tmp_path / "sent.csv"
    lines = [f"{who},{run.run},2024-03-01T12:00:00Z" for who in run.ids().to_pylist()]
    path.write_text("\n".join(["customer_id,run,time", *lines]) + "\n", encoding="utf-8")
    assert engine.record_messages(str(path)).rows_loaded == run.count()
    frame = sent(run, kind="opened")
    assert engine.record_messages(frame.to_batches()[0]).rows_loaded == 3
    pandas_like = pa.RecordBatchReader.from_batches(frame.schema, frame.to_batches())
    assert engine.record_messages(pandas_like).rows_repeated == 3


# --- once ------------------------------------------------------------------------------------


def test_a_run_recorded_twice_counts_once() -> None:
    engine, run = ready()
    engine.record_messages(run)
    version, before = engine.data_version, kinds(engine)
    report = engine.record_messages(run)
    assert (report.rows_loaded, report.rows_repeated) == (0, run.count())
    assert kinds(engine) == before
    assert engine.data_version == version


def test_a_row_with_an_event_id_is_known_by_it() -> None:
    engine, run = ready()
    who = run.ids()[0].as_py()
    row = {"customer_id": who, "run": run.run, "kind": "clicked"}
    assert engine.record_messages(rows_of({**row, "event_id": 1})).rows_loaded == 1
    assert engine.record_messages(rows_of({**row, "event_id": 2})).rows_loaded == 1
    assert engine.record_messages(rows_of({**row, "event_id": 2})).rows_repeated == 1
    assert engine.record_messages(rows_of(row)).rows_repeated == 1
    assert kinds(engine)["clicked"] == 2


@pytest.mark.parametrize("many", [0, 10**9])
@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_rows_recorded_in_any_parts_come_to_the_same(many: int, data: st.DataObject) -> None:
    saved, recording._MANY = recording._MANY, many
    try:
        engine, first = ready(12, holdout=0.4)
        second = engine.run_campaign("spring")
        targets = first.ids().to_pylist()
        row = st.fixed_dictionaries({
            "customer_id": st.sampled_from(targets),
            "run": st.sampled_from([first.run, second.run]),
            "kind": st.sampled_from(["sent", "delivered", "clicked", None]),
        })  # fmt: skip
        batches = data.draw(st.lists(st.lists(row, min_size=1, max_size=8), max_size=5))
        wanted: set[tuple[Any, ...]] = set()
        loaded = repeated = 0
        for batch in batches:
            report = engine.record_messages(rows_of(*batch))
            assert report.rows_loaded + report.rows_repeated == len(batch) == report.rows_read
            loaded, repeated = loaded + report.rows_loaded, repeated + report.rows_repeated
            wanted |= {(r["customer_id"], r["run"], r["kind"] or "sent") for r in batch}
        for run in (first, second):
            if any(key[1] == run.run for key in wanted):
                wanted |= {(who, run.run, "held_out") for who in run.held_out().to_pylist()}
        rows = [(r["customer_id"], r["run"], r["kind"]) for r in messages(engine)]
        assert sorted(rows) == sorted(wanted)
        assert loaded == sum(kind != "held_out" for _, _, kind in wanted)
    finally:
        recording._MANY = saved


# --- the held-out ----------------------------------------------------------------------------


def test_held_out_buyers_are_recorded_with_the_first_rows_of_their_run() -> None:
    engine, run = ready()
    early = AS_OF - timedelta(minutes=3)
    first = sent(run, 2, time=AS_OF).to_pylist()
    first[1]["time"] = early
    report = engine.record_messages(rows_of(*first))
    held = [r for r in messages(engine) if r["kind"] == "held_out"]
    assert {r["customer_id"] for r in held} == set(run.held_out().to_pylist())
    assert {r["time"] for r in held} == {early}
    assert {r["variant"] for r in held} == {None}
    assert report.rows_loaded == 2
    engine.record_messages(sent(run, 5))
    assert kinds(engine)["held_out"] == len(held)


def test_held_out_buyers_who_are_recorded_by_hand_are_not_doubled() -> None:
    engine, run = ready()
    held = run.held_out().to_pylist()
    row = {"customer_id": held[0], "run": run.run, "kind": "held_out"}
    assert engine.record_messages(rows_of(row, row)).rows_loaded == 1
    assert kinds(engine)["held_out"] == len(held)


def test_they_are_recorded_once_by_another_process_too(tmp_path: Path) -> None:
    (tmp_path / "store.toml").write_text(
        '[store]\nas_of = 2024-03-01T12:00:00Z\n[campaigns.spring]\nsegment = "TRUE"\n'
        "holdout = 0.5\n",
        encoding="utf-8",
    )
    with se.Engine.open(tmp_path) as engine:
        engine.load("customers", pa.table({"customer_id": list(range(20))}))
        run = engine.run_campaign("spring")
        engine.record_messages(sent(run, 1))
    with se.Engine.open(tmp_path) as engine:
        engine.record_messages(sent(engine.runs[run.run], 3))
        assert kinds(engine) == {"sent": 3, "held_out": len(run.held_out())}


def test_caps_count_the_sent_and_the_held_out_at_once() -> None:
    engine, run = ready(caps=[se.Cap(1, 7)])
    again = set(run.ids().to_pylist()) | set(run.held_out().to_pylist())
    assert set(engine.audience("spring").ids().to_pylist()) == set(run.ids().to_pylist())
    version = engine.data_version
    engine.record_messages(run)
    assert engine.data_version == version + 1
    answer = engine.audience("spring")
    assert answer.count() == 0
    assert all(answer.explain(who).step == "frequency_cap" for who in again)


def test_those_not_yet_written_to_are_not_capped() -> None:
    engine, run = ready(caps=[se.Cap(1, 7)])
    engine.record_messages(sent(run, 3))
    left = set(engine.audience("spring").ids().to_pylist())
    assert left == set(run.ids().to_pylist()[3:])


def test_traits_of_contacts_are_current_at_once() -> None:
    engine, run = ready()
    engine.record_messages(run)
    assert engine.segment("messages_count = 1").ids() == run.ids()


# --- what is bad -----------------------------------------------------------------------------


def bad(run: se.Run) -> list[tuple[Row, str]]:
    ok = {"customer_id": run.ids()[0].as_py(), "run": run.run}
    return [
        (
            {**ok, "run": "nope"},
            "column `run`: is no run of this store in 1 row, for example `nope`",
        ),
        ({**ok, "run": None}, "column `run`: is no run of this store"),
        ({**ok, "customer_id": 777}, "column `customer_id`: is not in the run"),
        ({**ok, "customer_id": 1}, "column `customer_id`: is not in the run"),
        ({**ok, "kind": "eaten"}, "column `kind`: is no kind of a recorded message"),
        (
            {**ok, "customer_id": run.held_out()[0].as_py()},
            "is held out in this run, and was not to be written to",
        ),
        ({**ok, "kind": "held_out"}, "is targeted in this run, not held out"),
        ({**ok, "time": AS_OF + timedelta(minutes=6)}, "is more than 5 minutes after as_of"),
        ({**ok, "time": AS_OF - timedelta(minutes=6)}, "is more than 5 minutes before its run"),
        ({**ok, "parts": -1}, "column `parts`: is below 0"),
    ]


@pytest.mark.parametrize("number", range(10))
def test_a_row_that_cannot_be_is_refused_or_left_out(number: int) -> None:
    engine, run = ready()
    row, reason = bad(run)[number]
    good = {"customer_id": run.ids()[1].as_py(), "run": run.run}
    # A column without any value has no type of its own to be read by.
    data = rows_of(good, {"time": AS_OF, **row}) if "time" not in row else rows_of(
        {**good, "time": AS_OF}, row)  # fmt: skip
    if "time" not in row:
        data = data.drop_columns(["time"])
    version = engine.data_version
    with pytest.raises(se.RefusedError) as refused:
        engine.record_messages(data)
    assert reason in str(refused.value)
    assert messages(engine) == []
    assert engine.data_version == version
    report = engine.record_messages(data, on_error="skip")
    assert (report.rows_read, report.rows_loaded, report.rows_skipped) == (2, 1, 1)
    assert reason.split(": ")[-1].split(" in 1")[0] in str(report.problems[0])
    assert kinds(engine)["sent"] == 1


def test_all_that_is_wrong_is_said_at_once() -> None:
    engine, run = ready()
    wrong = [row for row, _ in bad(run)]
    with pytest.raises(se.RefusedError) as refused:
        engine.record_messages(rows_of(*({"time": AS_OF, "kind": "sent", **row} for row in wrong)))
    for _, reason in bad(run):
        said = reason.split(": ")[-1].split(" in 1")[0]
        assert said in str(refused.value)


def test_what_has_no_run_or_is_no_data_is_refused_as_a_whole() -> None:
    engine, run = ready()
    with pytest.raises(se.LoadError, match="has no `run`, and a recorded message needs both"):
        engine.record_messages(pa.table({"customer_id": [1]}))
    with pytest.raises(se.LoadError, match="has no `customer_id` and `run`"):
        engine.record_messages(pa.table({"x": [1]}))
    with pytest.raises(se.LoadError, match="is no source"):
        engine.record_messages([1, 2])
    with pytest.raises(se.LoadError, match="on_error is"):
        engine.record_messages(run, on_error="maybe")
    other, foreign = ready()
    other.run_campaign("spring")
    with pytest.raises(se.UnknownNameError, match="unknown run"):
        engine.record_messages(other.runs[list(other.runs)[1]])
    assert foreign.count()


def test_nothing_at_all_is_recorded_of_no_rows() -> None:
    engine, run = ready()
    empty = sent(run).slice(0, 0)
    assert engine.record_messages(empty).rows_read == 0
    assert messages(engine) == []


def test_an_added_column_of_messages_is_taken() -> None:
    engine, run = ready()
    engine.load(
        "messages",
        pa.table({"customer_id": [1], "time": [AS_OF], "provider": ["x"]}),
        columns={"provider": "provider"},
    )
    engine.record_messages(sent(run, provider="p"))
    assert Counter(r["provider"] for r in messages(engine))["p"] == 3


def test_a_million_numbers_are_no_matter_for_the_place_of_a_buyer() -> None:
    """Rows are looked up by buyer, whatever order they come in, and after buyers were added."""
    engine, run = ready(300)
    engine.append("customers", pa.table({"customer_id": list(range(1000, 1100))}))
    ids = np.random.default_rng(3).permutation(run.ids().to_numpy())
    engine.record_messages(pa.table({"customer_id": ids, "run": [run.run] * len(ids)}))
    engine.append("customers", pa.table({"customer_id": list(range(2000, 2100))}))
    engine.record_messages(
        pa.table({"customer_id": ids[:50], "run": [run.run] * 50, "kind": ["opened"] * 50})
    )
    variants = {r["customer_id"]: r["variant"] for r in run.table().to_pylist()}
    for row in messages(engine):
        assert row["variant"] == variants[row["customer_id"]]
    assert kinds(engine)["opened"] == 50


def test_a_time_without_a_zone_is_the_stores() -> None:
    engine, run = ready()
    engine.record_messages(sent(run, 1, time="2024-03-01 12:00:00"))
    assert {row["time"] for row in messages(engine)} == {AS_OF}
    assert isinstance(AS_OF, datetime)
