"""What runs in a server's process? `python -m benchmarks.load.serving store|echo`; says its port.

The first line on standard output is JSON: `port`, and of a store `visits`: for each the request of
GetPage in base64, and what the engine decided in process.
"""

from __future__ import annotations

import argparse
import base64
import json
import logging
import socket
import sys
from pathlib import Path

from segengine_server import Limits, clock, serve
from segengine_server.tokens import Tokens, created
from segengine_server.workers import Crew

from benchmarks.load.echo import serve_echo, serve_floor
from benchmarks.load.processes import say
from benchmarks.load.shop import bare_shop, opened_shop, placed, request_of, with_page
from segengine.cli.serve import what_is_there_kept


def token_in(folder: Path) -> tuple[str, Path]:
    """A new token for everything, and its file."""
    path = folder / "tokens.toml"
    return created(path, "load", ["admin"], clock.now()), path


def _ready(said: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def _store(asked: argparse.Namespace) -> None:
    logging.disable(logging.INFO)
    shop = opened_shop if asked.modules else bare_shop
    with shop(asked.folder, asked.customers, say) as engine:
        engine.claim()
        crew, limits = None, Limits(page_wait_seconds=60.0) if asked.no_refusal else Limits()
        if asked.workers:
            command = (sys.executable, "-m", "segengine.cli.worker")
            crew = Crew(asked.workers, command, engine.share(), str(asked.tokens))
        visits = with_page(engine, asked.modules, asked.customers) if asked.modules else []
        decided = placed(engine, visits)
        told: dict[str, object] = {
            "visits": [
                [base64.b64encode(request_of(visit)).decode(), placements]
                for visit, placements in zip(visits, decided, strict=True)
            ],
            "as_of": engine.as_of.isoformat(),
            "table_bytes": sum(engine.memory()["total_bytes"].to_pylist()),
        }
        told["metrics_port"] = metrics = _free_port()
        tokens = Tokens(asked.tokens, clock.now)
        # As `segengine serve` does.
        with what_is_there_kept():
            serve(
                engine, port=0, tokens=tokens, crew=crew, metrics_port=metrics, limits=limits,
                ready=lambda _, port: _ready({"port": port, **told}),
            )  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _echo(asked: argparse.Namespace) -> None:
    reply = asked.reply.read_bytes()
    shared = {"port": asked.port, "reuse_port": asked.reuse_port}
    with what_is_there_kept():
        if asked.floor:
            tokens = Tokens(asked.tokens, clock.now)
            serve_floor(reply, tokens, asked.tokens.parent, _listens, **shared)
        else:
            serve_echo(reply, _listens, **shared)


def _listens(port: int) -> None:
    _ready({"port": port})


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.serving")
    kinds = parser.add_subparsers(required=True)
    store = kinds.add_parser("store")
    store.add_argument("--folder", type=Path, required=True)
    store.add_argument("--tokens", type=Path, required=True)
    store.add_argument("--customers", type=int, default=1_000_000)
    store.add_argument("--modules", type=int, default=1_000)
    store.add_argument("--workers", type=int, default=0)
    store.add_argument("--no-refusal", action="store_true")
    store.set_defaults(serve=_store)
    echo = kinds.add_parser("echo")
    echo.add_argument("--tokens", type=Path, required=True)
    echo.add_argument("--reply", type=Path, required=True)
    echo.add_argument("--port", type=int, default=0)
    echo.add_argument("--reuse-port", action="store_true")
    echo.add_argument("--floor", action="store_true")
    echo.set_defaults(serve=_echo)
    asked = parser.parse_args()
    asked.serve(asked)


if __name__ == "__main__":
    main()
