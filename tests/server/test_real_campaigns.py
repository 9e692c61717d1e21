"""Claims about campaigns with the engine itself: a client hears what a program in-process does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from segengine_server import Client, ServerError

import segengine as se
from segengine.reports.report import to_json
from tests.server.serving import serving

NORTH = "region = 'north'"


def made() -> se.Engine:
    config = {
        "store": {"channels": ["sms"]},
        "text": {"price_per_part": 0.05, "signature": "[Shop]"},
        "caps": [{"limit": 1, "days": 7}],
    }
    engine = se.Engine(as_of=datetime(2026, 3, 4, 12, tzinfo=UTC), config=config)
    ids = list(range(200))
    buyers = {
        "customer_id": ids,
        "nickname": [f"N{i}" if i % 4 else None for i in ids],
        "region": [("north", "south", None)[i % 3] for i in ids],
        "sms_consent": [i % 5 != 0 for i in ids],
    }
    engine.load("customers", pa.table(buyers))
    engine.define_segment("north", NORTH)
    arms = {"a": 0.5, "b": 0.5}
    text = "Dear {nickname|friend}"
    engine.define_campaign(
        se.Campaign("spring", "segment('north')", channel="sms", variants=arms, holdout=0.1,
                    text=text, priority=2)
    )  # fmt: skip
    engine.define_campaign(se.Campaign("summer", "customer_id < 100", channel="sms"))
    return engine


@pytest.fixture
def real() -> se.Engine:
    return made()


@pytest.fixture
def asked(real: se.Engine) -> Iterator[Client]:
    with serving(real) as served, Client(served.target) as client:
        yield client


def test_texts_and_hours_are_the_same_on_both_sides(real: se.Engine, asked: Client) -> None:
    audience = real.audience("spring")
    found = asked.preview_texts("spring", 5, bill=True)
    assert found.texts.to_pylist() == audience.preview(5).to_pylist()
    assert found.texts.num_rows == 5
    assert found.bill.to_pylist() == audience.bill().to_pylist()
    assert (found.as_of, found.data_version) == (real.as_of, real.data_version)
    hours = asked.send_hours(campaign="spring")
    assert hours.to_pylist() == real.send_hours("spring").to_pylist()
    assert sum(hours["buyers"].to_pylist()) == audience.count() > 0


@pytest.mark.parametrize("by", ["priority", "value"])
def test_a_plan_is_the_same_on_both_sides(real: se.Engine, asked: Client, by: str) -> None:
    plan = real.plan_campaigns(["spring", "summer"], by)
    told = asked.plan(["summer", "spring"], by)
    assert tuple(each.campaign for each in told.campaigns) == plan.order
    for each in told.campaigns:
        assert each.ledger.equals(plan.audiences[each.campaign].ledger)
        assert each.count == plan.audiences[each.campaign].count()
    with pytest.raises(ServerError, match="unknown campaign `x`"):
        asked.plan(["x"])


def test_a_campaign_is_run_sent_recorded_and_reported_over_the_wire(
    real: se.Engine, asked: Client
) -> None:
    run = asked.run("spring", plan=["spring", "summer"])
    kept = real.runs[run.run]
    assert (run.campaign, run.as_of, run.data_version) == (
        kept.campaign,
        kept.as_of,
        kept.data_version,
    )
    assert (run.targeted, run.held_out) == (kept.count(), len(kept.held_out()))
    assert sum(run.variants.values()) == run.targeted > 0 < run.held_out
    assert asked.runs("spring") == [run]
    to_send = asked.stream_run(run.run)
    assert to_send.equals(kept.table(held_out=False))
    everybody = asked.stream_run(run.run, held_out=True)
    assert everybody.equals(kept.table())
    assert asked.send_hours(run=run.run).to_pylist() == kept.hours().to_pylist()

    before = asked.plan(["summer"])["summer"].count
    rows = to_send.select(["customer_id"]).append_column("run", pa.array([run.run] * run.targeted))
    receipt = asked.record_messages(rows)
    assert (receipt.rows_loaded, receipt.rows_repeated) == (run.targeted, 0)
    again = asked.record_messages(rows)
    assert (again.rows_loaded, again.rows_repeated) == (0, run.targeted)
    # A cap of one message sees those sent and those held out.
    reached = set(everybody["customer_id"].to_pylist()) & set(range(100))
    after = asked.plan(["summer"])["summer"].count
    assert after < before
    assert not reached & set(real.audience("summer").ids().to_pylist())

    report = asked.campaign_report(run=run.run)
    assert report == to_json(real.report("campaign", run=run.run))


def test_a_whole_run_is_recorded_by_its_id(real: se.Engine, asked: Client) -> None:
    run = asked.run("summer")
    assert asked.record_messages(run.run).rows_loaded == run.targeted
    assert asked.count(campaign="summer").count == 0


def test_bad_rows_are_refused_with_their_reasons_or_left_out(
    real: se.Engine, asked: Client
) -> None:
    run = asked.run("summer")
    target = asked.stream_run(run.run)["customer_id"][0].as_py()
    rows = pa.table({"customer_id": [target, 999, target], "run": [run.run, run.run, "nope"]})
    version = real.data_version
    with pytest.raises(ServerError) as refused:
        asked.record_messages(rows)
    assert (refused.value.code, refused.value.reason) == ("INVALID_ARGUMENT", "BAD_DATA")
    assert len(refused.value.violations) == 2
    assert real.data_version == version
    receipt = asked.record_messages(rows, skip_bad_rows=True)
    assert (receipt.rows_read, receipt.rows_loaded, receipt.rows_skipped) == (3, 1, 2)
    assert sum(problem.rows for problem in receipt.problems) == 2
    with pytest.raises(ServerError, match="run"):
        asked.record_messages(pa.table({"customer_id": [1]}))


def test_a_campaign_outside_its_window_is_not_run(real: se.Engine, asked: Client) -> None:
    real.define_campaign(se.Campaign("over", "TRUE", ends_at=datetime(2026, 1, 1, tzinfo=UTC)))
    with pytest.raises(ServerError) as refused:
        asked.run("over")
    assert (refused.value.code, refused.value.reason) == ("FAILED_PRECONDITION", "CANNOT_RUN")
    with pytest.raises(ServerError, match="does not hold campaign `summer`"):
        asked.run("summer", plan=["spring"])
    assert asked.runs() == []


def test_a_dry_run_is_the_same_on_both_sides_and_changes_nothing(
    real: se.Engine, asked: Client
) -> None:
    version = real.data_version
    definition = {"segment": "customer_id < 50", "channel": "sms", "variants": {"a": 1.0}}
    told = asked.dry_run_campaign("spring", definition)
    found = real.dry_run(
        se.Campaign("spring", "customer_id < 50", channel="sms", variants={"a": 1.0})
    )
    for name in ("kind", "name", "change", "entered", "left", "stayed", "affected", "notes",
                 "sample_entered", "sample_left", "as_of", "data_version"):  # fmt: skip
        assert getattr(told, name) == getattr(found, name), name
    assert told.version == found.before == 1
    assert told.ledger_before.equals(real.audience("spring").ledger)
    assert [s.setting for s in told.settings] == [s.setting for s in found.settings]
    assert told.variants.to_pylist() == found.variants.to_pylist()
    segment = asked.dry_run_segment("north", "region IS NOT NULL")
    assert (
        segment.downstream.to_pylist()
        == real.dry_run("north", "region IS NOT NULL").downstream.to_pylist()
    )
    assert segment.downstream.num_rows == 1
    assert asked.dry_run_segment("fresh", "TRUE").version is None
    assert real.data_version == version
    with pytest.raises(ServerError, match="unknown trait `nope`"):
        asked.dry_run_segment("north", "nope > 3")
    with pytest.raises(ServerError, match="unknown channel"):
        asked.dry_run_campaign("spring", {"segment": "TRUE", "channel": "fax"})
