"""How do other programs ask? Over gRPC, until told to stop."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from segengine.cli.options import HERE, AsJson, Store, opened, saved
from segengine.cli.plain import print_json
from segengine.errors import SegengineError

if TYPE_CHECKING:
    from segengine.engine import Engine

Host = Annotated[str, typer.Option("--host", metavar="HOST", help="The address to listen on.")]
Port = Annotated[
    int, typer.Option("--port", metavar="PORT", help="The port to listen on; 0: any free one.")
]

_log = logging.getLogger("segengine")


def serve(
    host: Host = "127.0.0.1", port: Port = 50051, store: Store = HERE, as_json: AsJson = False
) -> None:
    """Answer over gRPC until SIGTERM or Ctrl-C; prints `ready on HOST:PORT` when it can."""
    from segengine_server import serve as answer_until_told
    from segengine_server.app import check_address

    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )

    def ready(at: str, bound: int) -> None:
        if as_json:
            print_json({"ready": True, "host": at, "port": bound})
        else:
            shown = f"[{at}]" if ":" in at else at
            sys.stdout.write(f"ready on {shown}:{bound}\n")
        sys.stdout.flush()

    check_address(host, port)
    with opened(store) as engine:
        _ask_everything_once(engine)
        answer_until_told(engine, host, port, ready=ready)
        _log.info("drained, and gone")


def _ask_everything_once(engine: Engine) -> None:
    """Load kernels and make scan codes before the first caller would have to wait for them."""
    started = time.perf_counter()
    for finding in engine.check():
        if finding.severity != "note":
            _log.warning("%s", finding)
    questions: tuple[tuple[Callable[[str], object], Iterable[str]], ...] = (
        (lambda name: engine.segment(saved(name)).count(), engine.segments.definitions),
        (engine.audience, engine.campaigns),
        (engine.page, engine.pages),
    )
    for ask, names in questions:
        for name in names:
            # What cannot be is among the findings, and told to whoever asks for it.
            with suppress(SegengineError):
                ask(name)
    _log.info("asked everything once, in %.1f s", time.perf_counter() - started)
