"""Several loads as one change: traits are built once, when all tables are there."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import segengine as se
import segengine.current as current_module
from tests.ingest.samples import LONG_AGO, customers, engine, orders, state


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often all traits are built, counted from here on."""
    counted: list[int] = []
    build = current_module.build_all

    def counting(*args: object, **options: object) -> object:
        counted.append(1)
        return build(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(current_module, "build_all", counting)
    return counted


def test_loads_within_build_once_and_come_to_the_same_as_one_by_one(builds: list[int]) -> None:
    one_by_one, at_once = engine(), engine()
    lines = orders(1, 2, order_id=["a", "b"], amount=[3.0, 4.0])
    for table, data in (("customers", customers(1, 2, 3)), ("order_lines", lines)):
        one_by_one.load(table, data)
    before = len(builds)
    version = at_once.data_version
    with at_once.built_once():
        at_once.load("customers", customers(1, 2, 3))
        at_once.load("order_lines", lines)
    assert len(builds) == before + 1
    assert at_once.data_version == version + 1
    assert state(at_once) | {"version": 0} == state(one_by_one) | {"version": 0}


def test_progress_names_every_step_and_ends_with_all_done() -> None:
    found, told = engine(), []
    with found.built_once(lambda *step: told.append(step)):
        found.load("orders", orders(1))
    names, done, steps = zip(*told, strict=True)
    assert "purchase" in names
    assert "life cycle" in names
    assert names[-1] == ""
    assert list(done) == list(range(len(told)))
    assert set(steps) == {len(told) - 1}
    told.clear()
    found.load("orders", orders(2), building=lambda *step: told.append(step))
    assert told[-1][1] == told[-1][2]


def test_what_came_before_an_error_stays_and_its_traits_are_built() -> None:
    found = engine()

    def loads() -> None:
        with found.built_once():
            found.load("orders", orders(1, 1))
            found.load("orders", pa.table({"customer_id": [2], "time": ["never"]}))

    with pytest.raises(se.LoadError):
        loads()
    counts = found.table("customers", ["customer_id", "order_count"]).to_pylist()
    assert counts == [{"customer_id": 1, "order_count": 2}]
    found.load("orders", orders(1))
    assert found.table("customers", ["order_count"])["order_count"].to_pylist() == [3]


def test_the_sources_of_a_store_are_one_change(tmp_path: Path, builds: list[int]) -> None:
    (tmp_path / "buyers.csv").write_text("customer_id\n1\n2\n")
    (tmp_path / "orders.csv").write_text(f"customer_id,time\n1,{LONG_AGO:%Y-%m-%d}\n")
    (tmp_path / "store.toml").write_text(
        '[load.customers]\nsource = "buyers.csv"\n[load.orders]\nsource = "orders.csv"\n'
    )
    with se.Engine.open(tmp_path) as found:
        before, version = len(builds), found.data_version
        assert [report.rows_loaded for report in found.load_configured()] == [2, 1]
        assert len(builds) == before + 1
        assert found.data_version == version + 1
