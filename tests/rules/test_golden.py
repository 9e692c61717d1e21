"""What an operator reads about a rule: its mistakes, its plan, its reasons."""

from __future__ import annotations

from pathlib import Path

import pytest

import segengine as se
from tests.reference import golden
from tests.rules.stores import little_store

_FOLDER = Path(__file__).parent / "golden"


def named(path: Path) -> str:
    return path.stem


@pytest.fixture(scope="module")
def store() -> se.Engine:
    engine = little_store()
    engine.define_segment("vip", "visits > 3")
    engine.define_segment("gold", "is_gold")
    engine.define_segment("nested", "segment('vip') OR list_contains(tags, 'never')")
    return engine


@pytest.mark.parametrize("path", golden.cases(_FOLDER / "errors"), ids=named)
def test_a_mistake_reads_as_it_was_found_good(store: se.Engine, path: Path) -> None:
    with pytest.raises(se.RuleError) as caught:
        store.segment(golden.asked(path))
    assert str(caught.value) == golden.answered(path, str(caught.value))


@pytest.mark.parametrize("path", golden.cases(_FOLDER / "plans"), ids=named)
def test_a_plan_reads_as_it_was_found_good(store: se.Engine, path: Path) -> None:
    plan = store.segment(golden.asked(path)).plan()
    assert plan == golden.answered(path, plan)


@pytest.mark.parametrize("path", golden.cases(_FOLDER / "explains"), ids=named)
def test_an_explanation_reads_as_it_was_found_good(store: se.Engine, path: Path) -> None:
    segment = store.segment(golden.asked(path))
    told = [f"{'holds' if segment.contains(who) else 'does not hold'} for {who}\n"
            f"{segment.explain(who)}" for who in (1, 4)]  # fmt: skip
    assert "\n".join(told) == golden.answered(path, "\n".join(told))
