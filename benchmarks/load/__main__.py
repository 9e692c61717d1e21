"""`python -m benchmarks.load pages|workers|stream|overload`: what is measured, and how large."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.load.h2load import NoLoadError
from benchmarks.load.overload import measure_overload
from benchmarks.load.pages import measure_pages
from benchmarks.load.processes import NotStartedError
from benchmarks.load.served import NotCopiedError, WrongPageError
from benchmarks.load.shop import OtherShopError
from benchmarks.load.stream import measure_stream
from benchmarks.load.workers import measure_workers


def _pages(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    return measure_pages(
        folder,
        asked.customers,
        asked.modules,
        asked.seconds,
        asked.events,
        asked.batch,
        asked.workers,
    )


def _workers(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    return measure_workers(folder, asked.customers, asked.modules, asked.seconds, asked.workers)


def _overload(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    return measure_overload(folder, asked.customers, asked.modules, asked.seconds, asked.most_ms)


def _stream(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    return measure_stream(folder, asked.customers, asked.rounds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    kinds = parser.add_subparsers(required=True, metavar="WHAT")
    pages = kinds.add_parser("pages", help="GetPage against an Echo, idle and under ingest")
    pages.add_argument("--events", type=float, default=5_000, help="ingested a second")
    pages.add_argument("--batch", type=int, default=1_000, help="events of one append")
    pages.add_argument(
        "--workers", type=int, default=0, help="processes that decide; 0: one in all"
    )
    pages.set_defaults(measure=_pages)
    overload = kinds.add_parser("overload", help="three times as many pages as can be decided")
    overload.add_argument("--most-ms", type=float, default=25.0, help="p99 of a sustainable rate")
    overload.set_defaults(measure=_overload)
    workers = kinds.add_parser("workers", help="several processes against as many of an Echo")
    workers.add_argument("--workers", type=int, default=2)
    workers.set_defaults(measure=_workers)
    for each in (pages, overload, workers):
        each.add_argument("--customers", type=int, default=1_000_000)
        each.add_argument("--modules", type=int, default=1_000)
        each.add_argument("--seconds", type=float, default=10.0, help="of each load")
    stream = kinds.add_parser("stream", help="StreamAudience of every buyer")
    stream.add_argument("--customers", type=int, default=3_000_000)
    stream.add_argument("--rounds", type=int, default=5)
    stream.set_defaults(measure=_stream)
    for each in (pages, overload, workers, stream):
        each.add_argument("--folder", type=Path, help="where the shop is kept between runs")
        each.add_argument("--json", type=Path, help="write the figures there too")
    return parser


def main() -> int:
    """Measure one thing; 0 when it was measured."""
    asked = _parser().parse_args()
    measure: Callable[[argparse.Namespace, Path], dict[str, Any]] = asked.measure
    with tempfile.TemporaryDirectory(prefix="segengine-shop-") as name:
        try:
            found = measure(asked, asked.folder or Path(name))
        except (
            NoLoadError, NotCopiedError, NotStartedError, OtherShopError, WrongPageError,
        ) as error:  # fmt: skip
            sys.stderr.write(f"{error}\n")
            return 1
    text = json.dumps(found, indent=2)
    sys.stdout.write(text + "\n")
    if asked.json is not None:
        asked.json.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
