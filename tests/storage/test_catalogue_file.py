"""What was defined is there again, whole; what is damaged, lost or newer is named."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

import segengine as se
from segengine.storage.catalogue_file import (
    ACKNOWLEDGED,
    FILE,
    FORMAT,
    CatalogueFile,
    Kept,
    copy_catalogue,
    read_catalogue,
)
from segengine.storage.verify import verified


def version(number: int, text: str | None = "{}") -> Kept:
    return Kept("segment", "vip", number, text, "catalogue", 5, number)


def written(folder: Path) -> list[Kept]:
    rng = Random(3)
    expected = [
        Kept(
            rng.choice(["segment", "page"]), f"名 {n}", n, rng.choice([None, "x" * 10, "y" * 9000]),
            "file", -n, n,
        )
        for n in range(1, 15)
    ]  # fmt: skip
    with closing(CatalogueFile.open(folder)) as kept:
        kept.write(expected[:5])
        for each in expected[5:]:
            kept.write([each])
    return expected


def test_versions_are_read_in_the_order_written_by_whoever_opens_next(tmp_path: Path) -> None:
    expected = written(tmp_path)
    assert read_catalogue(tmp_path) == expected
    assert read_catalogue(tmp_path, after=10) == expected[10:]
    assert read_catalogue(tmp_path, after=14) == []
    with closing(CatalogueFile.open(tmp_path)) as again:
        assert again.last == 14
        again.write([version(15)])
    assert read_catalogue(tmp_path) == [*expected, version(15)]


def test_a_reader_sees_what_is_committed_while_another_writes(tmp_path: Path) -> None:
    assert read_catalogue(tmp_path) == []
    with closing(CatalogueFile.open(tmp_path)) as kept:
        assert read_catalogue(tmp_path) == []
        for number in (1, 2):
            kept.write([version(number)])
            assert len(read_catalogue(tmp_path)) == number


def test_a_full_disk_takes_nothing_and_the_next_change_all(tmp_path: Path) -> None:
    with closing(CatalogueFile.open(tmp_path)) as kept:
        kept.write([version(1)])
        pages = kept._connection.execute("PRAGMA page_count").fetchone()[0]
        kept._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(se.StoreError, match="full; nothing was defined"):
            kept.write([version(2), version(3, "x" * 1_000_000)])
        kept._connection.execute("PRAGMA max_page_count = 1000000")
        kept.write([version(2)])
    assert read_catalogue(tmp_path) == [version(1), version(2)]


@pytest.mark.parametrize("name", [FILE, ACKNOWLEDGED])
def test_a_flipped_bit_is_named_or_changes_nothing(tmp_path: Path, name: str) -> None:
    good = tmp_path / "good"
    good.mkdir()
    expected = written(good)
    data, rng, named = (good / name).read_bytes(), Random(11), 0
    for place in [*rng.choices(range(len(data)), k=150), *range(0, 120, 3)]:
        copy = Path(shutil.copytree(good, tmp_path / "flipped"))
        changed = bytearray(data)
        changed[place % len(data)] ^= 1 << rng.randrange(8)
        (copy / name).write_bytes(changed)
        error = None
        try:
            found = read_catalogue(copy)
        except se.StoreError as refused:
            error = str(refused)
        if error is None:
            assert found == expected
        else:
            named += 1
            assert str(copy / FILE) in error
            assert any(each.file == copy / FILE and each.error for each in verified(copy))
        shutil.rmtree(copy)
    # The side file has two slots: one that is damaged leaves the other.
    assert named > 20 if name == FILE else named == 0


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.6, 0.95])
def test_a_catalogue_that_was_cut_or_taken_away_is_named(tmp_path: Path, kept: float) -> None:
    written(tmp_path)
    data = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(data[: int(len(data) * kept)])
    for opened in (read_catalogue, CatalogueFile.open):
        with pytest.raises(se.StoreError, match=r"catalogue.sqlite` .*damaged"):
            opened(tmp_path)
    (tmp_path / FILE).unlink()
    for opened in (read_catalogue, CatalogueFile.open):
        with pytest.raises(se.StoreError, match="definitions are lost; restore the store"):
            opened(tmp_path)


def test_an_older_copy_put_in_its_place_is_named(tmp_path: Path) -> None:
    with closing(CatalogueFile.open(tmp_path)) as kept:
        kept.write([version(1)])
        older = (tmp_path / FILE).read_bytes()
        kept.write([version(2)])
    (tmp_path / FILE).write_bytes(older)
    with pytest.raises(se.StoreError, match="does not hold version 2 of all, which was"):
        read_catalogue(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DELETE FROM versions WHERE number = 5", "damaged at version 5 of all"),
        ("DELETE FROM versions WHERE number = 14", "damaged at version 15 of all"),
        ("UPDATE versions SET name = 'other' WHERE number = 3", "damaged at version 3 of all"),
        ("UPDATE versions SET definition = NULL WHERE number = 1", "damaged at version 1 of all"),
        ("UPDATE versions SET version = '2' || 'x' WHERE number = 2", "damaged at version 2"),
        ("UPDATE newest SET number = 13", "does not say how many versions it holds"),
        ("DELETE FROM newest", "does not say how many versions it holds"),
        (f"PRAGMA user_version = {FORMAT + 1}", f"has format {FORMAT + 1}, and this version reads"),
        ("PRAGMA application_id = 7", "not the catalogue of a store"),
    ],
)
def test_a_row_that_is_not_what_was_written_is_named(
    tmp_path: Path, change: str, said: str
) -> None:
    written(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute(change)
    if "number = 14" in change:
        said = "damaged at version 14 of all"
    for opened in (read_catalogue, CatalogueFile.open):
        with pytest.raises(se.StoreError, match=said):
            opened(tmp_path)


def test_a_copy_is_the_catalogue_at_a_moment_of_its_writer(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    copy_catalogue(source, target)
    assert list(target.iterdir()) == []
    with closing(CatalogueFile.open(source)) as kept:
        kept.write([version(1)])
        copy_catalogue(source, target)
        kept.write([version(2)])
    assert read_catalogue(target) == [version(1)]
    assert (target / ACKNOWLEDGED).exists()


WRITER = """
import sys
from pathlib import Path
from segengine.storage.catalogue_file import CatalogueFile, Kept
kept = CatalogueFile.open(Path(sys.argv[1]))
while True:
    begin = kept.last + 1
    kept.write([Kept("page", f"p{n}", 1, "x" * 3000, "catalogue", 0, n)
                for n in range(begin, begin + 3)])
    print(kept.last, flush=True)
"""


def killed(folder: Path, after: int, wait: float) -> None:
    """A writer that is killed some time after it has told of so many changes."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout
        told = [int(writer.stdout.readline()) for _ in range(after)]
        time.sleep(wait)
        os.kill(writer.pid, signal.SIGKILL)
        told += map(int, writer.stdout.read().split())
    found = read_catalogue(folder)
    assert len(found) >= told[-1]
    assert len(found) % 3 == 0
    assert [each.name for each in found] == [f"p{n}" for n in range(1, len(found) + 1)]


def test_a_change_is_whole_or_not_there_when_its_process_is_killed(tmp_path: Path) -> None:
    for after in (1, 3):
        killed(tmp_path, after, after / 1000)


@pytest.mark.prove
def test_changes_are_whole_when_processes_are_killed_again_and_again(tmp_path: Path) -> None:
    for turn in range(40):
        killed(tmp_path, 1 + turn % 7, turn / 3000)
