"""What an operator reads about a rule: its mistakes, its plan, its reasons.

A golden file holds the rule, a line of dashes, and what is said of it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import segengine as se
from tests.golden import assert_golden
from tests.rules.stores import little_store

FOLDER = Path(__file__).parent / "golden"
LINE = "\n----\n"


def cases(folder: str) -> pytest.MarkDecorator:
    paths = sorted((FOLDER / folder).glob("*.txt"))
    return pytest.mark.parametrize("path", paths, ids=[path.stem for path in paths])


def asked(path: Path) -> str:
    return path.read_text(encoding="utf-8").split(LINE)[0]


def assert_said(path: Path, said: str) -> None:
    assert_golden(path, f"{asked(path)}{LINE}{said}\n")


@pytest.fixture(scope="module")
def store() -> se.Engine:
    engine = little_store()
    engine.define_segment("vip", "visits > 3")
    engine.define_segment("gold", "is_gold")
    engine.define_segment("nested", "segment('vip') OR list_contains(tags, 'never')")
    return engine


@cases("errors")
def test_a_mistake_reads_as_it_was_found_good(store: se.Engine, path: Path) -> None:
    with pytest.raises(se.RuleError) as caught:
        store.segment(asked(path))
    assert_said(path, str(caught.value))


@cases("plans")
def test_a_plan_reads_as_it_was_found_good(store: se.Engine, path: Path) -> None:
    assert_said(path, store.segment(asked(path)).plan())


@cases("explains")
def test_an_explanation_reads_as_it_was_found_good(store: se.Engine, path: Path) -> None:
    segment = store.segment(asked(path))
    told = [f"{'holds' if segment.contains(who) else 'does not hold'} for {who}\n"
            f"{segment.explain(who)}" for who in (1, 4)]  # fmt: skip
    assert_said(path, "\n".join(told))
