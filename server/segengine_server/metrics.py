"""What does a monitor see? Calls and the store in numbers over HTTP, as Prometheus reads them.

Whoever reaches the address sees them, without a token and in the clear: so it is loopback unless it
is said otherwise. Numbers and names of methods and tables are all there is: no buyer, no token, no
text of a request.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from segengine_server import clock
from segengine_server.engine_api import Engine
from segengine_server.errors import ListenError

LOOPBACK = "127.0.0.1"
METRICS = " for metrics"
"""What an address is for, as errors say it."""
_AGES = {
    "as_of_seconds": ("clock_lag_seconds", "How far answers are behind the clock."),
    "latest_event_seconds": ("ingest_lag_seconds", "Since the latest event."),
    "snapshot_seconds": ("snapshot_age_seconds", "Since the snapshot in use was written."),
}


class OfStore(Collector):
    """The store as it is when it is asked: nothing is counted in between."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """A value each for what the store holds and how fresh it is."""
        now = clock.now().timestamp()
        for name, (said, value) in self._engine.vitals().items():
            if value is None:
                continue
            yield GaugeMetricFamily(f"segengine_{name}", said, value=value)
            if name in _AGES:
                age, words = _AGES[name]
                yield GaugeMetricFamily(f"segengine_{age}", words, value=now - value)
        held = self._engine.memory()
        memory = GaugeMetricFamily("segengine_memory_bytes", "Bytes held.", labels=("table",))
        for each in held.group_by("table").aggregate([("total_bytes", "sum")]).to_pylist():
            memory.add_metric((str(each["table"]),), each["total_bytes_sum"])
        yield memory


def registry_of(engine: Engine) -> CollectorRegistry:
    """A registry with the metrics of an engine's store."""
    registry = CollectorRegistry()
    registry.register(OfStore(engine))
    ProcessCollector(registry=registry)
    return registry


@contextmanager
def scraped(registry: CollectorRegistry, host: str, port: int) -> Iterator[int]:
    """Answer `/metrics` until the block ends; the port that it listens on.

    `ListenError` where that cannot be.
    """
    try:
        server: Any
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise ListenError(
            f"cannot listen on `{host}`, port `{port}` for metrics: {error.strerror or error}",
            field="metrics_port",
        ) from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
