"""One bit of any file of a store is another: it is said, or it makes no difference.

Every file there is is taken, whatever it is for, so that a new kind of file is among them.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

import segengine as se
from segengine.errors import SegengineError
from segengine.schema.store_config import FILE_NAME
from segengine.storage.verify import verified
from tests.storage.test_log import tables_of
from tests.storage.test_snapshot import RULES, fill, store

WRITTEN_BY_PEOPLE = {FILE_NAME, "tokens.toml"}
"""Files that say what somebody wants: there is nothing that they could be compared with."""


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with everything: a snapshot, a log with a tail, definitions, runs, deletions."""
    folder = store(tmp_path_factory.mktemp("flips") / "used")
    with se.Engine.open(folder) as engine:
        fill(engine, ("a", "b", "c"))
        engine.define_segment("many", "amount_total >= 3")
        engine.define_trait("sure", "order_count > 1")
        engine.define_campaign(se.Campaign("spring", "segment('many')"))
        engine.define_page(se.Page("home", [se.Slot("top", [se.Module("all")])]))
        engine.run_campaign("spring")
        for number in range(12):
            text = f"{number} of a city that has a long name " * 20
            engine.append("customers", pa.table({"customer_id": [f"x{number}"], "city": [text]}))
        engine.append(
            "customers", pa.table({"customer_id": ["d", "e"], "city": ["x", "y"]}), key="k1"
        )
        engine.delete_customer("e")
        engine.define_segment("many", "amount_total >= 4")
    return folder


def everything(folder: Path) -> dict[str, Any]:
    """All that a store answers, and what it would answer to a repeated change."""
    with se.Engine.open(folder) as engine:
        found: dict[str, Any] = {rule: engine.segment(rule).ids().to_pylist() for rule in RULES}
        found |= tables_of(engine)
        found["defined"] = {
            f"{kind} {name}": [(v.version, v.text) for v in engine.versions(kind, name)]
            for kind, name in engine.defined()
        }
        found["runs"] = {
            name: run.table(held_out=True).to_pylist() for name, run in engine.runs.items()
        }
        found["audience"] = engine.audience("spring").ids().to_pylist()
        found["page"] = [p.module for p in engine.page("home", "a").placements]
        again = pa.table({"customer_id": ["d", "e"], "city": ["x", "y"]})
        found["receipt"] = engine.append("customers", again, key="k1").rows_loaded
        found["next"] = engine.delete_customer("a")
    return found


def asked(folder: Path) -> tuple[dict[str, Any] | None, str]:
    """All that a store answers; or why it does not."""
    try:
        return everything(folder), ""
    except SegengineError as error:
        return None, str(error)


def check_flips(used: Path, folder: Path, rng: Random, per_file: int) -> dict[str, list[bool]]:
    """Flip bits of every file; for each whether it was said."""
    copy = Path(shutil.copytree(used, folder / "good"))
    expected = everything(copy)
    said: dict[str, list[bool]] = {}
    files = [p.relative_to(used) for p in sorted(used.rglob("*")) if p.is_file()]
    for name in files:
        data = (used / name).read_bytes()
        if name.name in WRITTEN_BY_PEOPLE or not data:
            continue
        # The beginning and the end have what says how the rest is to be read.
        places = [rng.randrange(len(data)) for _ in range(per_file)]
        places += [
            rng.randrange(min(64, len(data))),
            len(data) - 1 - rng.randrange(min(64, len(data))),
        ]
        for place in places:
            copy = Path(shutil.copytree(used, folder / "flipped"))
            changed = bytearray(data)
            changed[place] ^= 1 << rng.randrange(8)
            (copy / name).write_bytes(changed)
            found, why = asked(copy)
            said.setdefault(name.name, []).append(found is None)
            if found is None:
                assert name.name in why, f"{name} at {place}: {why}"
            else:
                wrong = [key for key in expected if found[key] != expected[key]]
                assert not wrong, f"{name} at {place}: {wrong}"
            shutil.rmtree(copy)
    return said


def test_a_flipped_bit_of_any_file_is_named_or_changes_no_answer(
    used: Path, tmp_path: Path
) -> None:
    said = check_flips(used, tmp_path, Random(5), 0)
    assert sum(map(sum, said.values())) > len(said) // 2


@pytest.mark.prove
def test_many_flipped_bits_of_any_file_are_named_or_change_no_answer(
    used: Path, tmp_path: Path
) -> None:
    said = check_flips(used, tmp_path, Random(6), 30)
    for name, found in sorted(said.items()):
        print(f"{name}: {len(found)} bits, {sum(found)} named, the others changed nothing")


def test_verify_names_each_file_of_which_a_bit_was_flipped(used: Path, tmp_path: Path) -> None:
    rng, named, whole = Random(7), 0, 0
    expected = everything(Path(shutil.copytree(used, tmp_path / "good")))
    for file in sorted(p.relative_to(used) for p in used.rglob("*.arrow") if p.is_file()):
        copy = Path(shutil.copytree(used, tmp_path / "flipped"))
        data = bytearray((copy / file).read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (copy / file).write_bytes(data)
        wrong = [str(each.file.relative_to(copy)) for each in verified(copy) if each.error]
        assert wrong in ([str(file)], [])
        named += len(wrong)
        if not wrong:
            # A byte between two arrays, which says nothing.
            whole += 1
            assert everything(copy) == expected
        shutil.rmtree(copy)
    assert named > whole
