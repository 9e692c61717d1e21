"""How do other programs ask? Over gRPC, until told to stop."""

from __future__ import annotations

import gc
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segengine.cli.options import HERE, AsJson, Store, check_store, opened, saved
from segengine.cli.outcome import InputError
from segengine.cli.plain import print_json
from segengine.errors import SegengineError

if TYPE_CHECKING:
    from segengine_server.tls import Tls
    from segengine_server.tokens import Tokens
    from segengine_server.workers import Crew

    from segengine.engine import Engine

MOST_WORKERS = 64

Host = Annotated[str, typer.Option("--host", metavar="HOST", help="The address to listen on.")]
Port = Annotated[
    int, typer.Option("--port", metavar="PORT", help="The port to listen on; 0: any free one.")
]

TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--tokens",
        metavar="FILE",
        help="Who may ask, as `segengine token` writes it; by default tokens.toml of the store.",
    ),
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure", help="Answer whoever reaches the port, without tokens; on loopback alone."
    ),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port", metavar="PORT", help="Answer /metrics for Prometheus there, over HTTP."
    ),
]
MetricsHost = Annotated[
    str,
    typer.Option(
        "--metrics-host",
        metavar="HOST",
        help="The address for /metrics: whoever reaches it needs no token.",
    ),
]
LogJson = Annotated[
    bool, typer.Option("--log-json", help="Log one JSON object a line, with the id of the request.")
]
WorkerCount = Annotated[
    int,
    typer.Option(
        "--workers",
        metavar="N",
        min=0,
        max=MOST_WORKERS,
        help="Decide pages in N processes that read one copy of the tables; 0: in this one.",
    ),
]
_TlsFile = Path | None
TlsCert = Annotated[
    _TlsFile, typer.Option("--tls-cert", metavar="FILE", help="The server's certificate, PEM.")
]
TlsKey = Annotated[_TlsFile, typer.Option("--tls-key", metavar="FILE", help="Its key, PEM.")]
TlsClientCa = Annotated[
    _TlsFile,
    typer.Option(
        "--tls-client-ca",
        metavar="FILE",
        help="Who signs the certificates of clients, PEM; a client without one is not let in.",
    ),
]

_log = logging.getLogger("segengine")


def serve(
    host: Host = "127.0.0.1",
    port: Port = 50051,
    store: Store = HERE,
    tokens: TokenFile = None,
    insecure: Insecure = False,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = "127.0.0.1",
    log_json: LogJson = False,
    workers: WorkerCount = 0,
    as_json: AsJson = False,
) -> None:
    """Answer over gRPC until SIGTERM or Ctrl-C; prints `ready on HOST:PORT` when it can."""
    from segengine_server import serve as answer_until_told
    from segengine_server.app import SERVICES
    from segengine_server.listening import address_of, check_address, check_apart
    from segengine_server.metrics import METRICS
    from segengine_server.opening import not_serving_yet
    from segengine_server.snapshots import snapshots_written

    log_to_stderr(as_json=log_json)

    def ready(at: str, bound: int) -> None:
        if as_json:
            print_json({"ready": True, "host": at, "port": bound})
        else:
            sys.stdout.write(f"ready on {address_of(at, bound)}\n")
        sys.stdout.flush()

    check_store(store)
    check_address(host, port)
    if metrics_port is not None:
        check_address(metrics_host, metrics_port, METRICS)
        check_apart(host, port, metrics_host, metrics_port, METRICS)
    who = _tokens(tokens, store, host, insecure=insecure)
    tls = _tls(tls_cert, tls_key, tls_client_ca)
    with (
        not_serving_yet(host, port, tls, SERVICES) as make_room,
        opened(store, as_kept=True) as engine,
    ):
        engine.claim()
        crew = _crew(engine, workers, who, log_json=log_json)
        _warn_of_no_buyers(engine, store)
        engine.catch_up()
        _ask_everything_once(engine)
        with what_is_there_kept():
            # Not before: until the server itself listens, nobody does.
            make_room()
            with snapshots_written(engine):
                answer_until_told(
                    engine, host, port, ready=ready, tokens=who, insecure=insecure, tls=tls,
                    metrics_port=metrics_port, metrics_host=metrics_host, crew=crew,
                )  # fmt: skip
        _log.info("drained, and gone")


@contextmanager
def what_is_there_kept() -> Iterator[None]:
    """Let the garbage collector not look at what is there before the first caller comes.

    Rules and definitions are some hundred thousand objects that stay: to go through them takes
    tens of milliseconds, in which no page is decided.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        # What is not collected at the end is told to operators as leaked, object by object.
        gc.unfreeze()


def _crew(engine: Engine, count: int, tokens: Tokens | None, *, log_json: bool) -> Crew | None:
    """The workers of a server; None without any."""
    from segengine_server.workers import Crew

    if not count:
        return None
    command = (sys.executable, "-m", "segengine.cli.worker")
    path = None if tokens is None else str(tokens.path)
    return Crew(count, command, engine.share(), path, log_json)


def log_to_stderr(*, as_json: bool, name: str = "") -> None:
    """Log to standard error.  name: of the process, where there are several"""
    from segengine_server.watch import JsonLines

    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(
        JsonLines()
        if as_json
        else logging.Formatter(f"%(asctime)s %(levelname)s {name}%(message)s")
    )
    logging.basicConfig(handlers=[lines], level=logging.INFO)


def _tokens(file: Path | None, store: Path, host: str, *, insecure: bool) -> Tokens | None:
    """Who may ask; None: every program on this machine, as it was told."""
    from segengine_server import clock
    from segengine_server.access import is_loopback
    from segengine_server.tokens import FILE_NAME, Tokens

    path = file or store / FILE_NAME
    makes_one = f"`segengine token create NAME --scope read:page --store {store}` makes one"
    if insecure and file is not None:
        raise InputError("`--insecure` asks for no token, and `--tokens` for one; keep one of them")
    if insecure and not is_loopback(host):
        raise InputError(
            f"`--insecure` is for this machine alone, and `{host}` is reached by others: listen on "
            f"`127.0.0.1`, or ask for tokens; {makes_one}"
        )
    if insecure:
        _log.warning("started with --insecure: every program on this machine may ask, and change")
        return None
    if file is None and not path.exists():
        raise InputError(
            f"a server answers whoever has a token, and there are none at `{path}`: {makes_one}, "
            "`--tokens FILE` names another file, and `--insecure` answers every program on this "
            "machine without any"
        )
    return Tokens(path, clock.now)


def _tls(cert: Path | None, key: Path | None, client_ca: Path | None) -> Tls | None:
    from segengine_server.tls import Tls

    if cert is None and key is None and client_ca is None:
        return None
    if cert is None or key is None:
        raise InputError("TLS needs both `--tls-cert` and `--tls-key`")
    tls = Tls(cert, key, client_ca)
    tls.check()
    return tls


def _warn_of_no_buyers(engine: Engine, store: Path) -> None:
    if engine.vitals()["buyers"][1] == 0:
        _log.warning(
            "the store at `%s` holds no buyers: audiences are empty until some are sent to this "
            "server, or are loaded while it does not run, by `segengine load --store %s`",
            store, store,
        )  # fmt: skip


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
