"""What have several processes counted together? The sum, as if there were one.

A worker tells what it counted so far; what one that is gone had counted stays in the sum, so that
no counter ever falls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

Counted = Sequence[Sequence[Any]]
"""Samples, each a name, labels and a value."""
_Key = tuple[str, tuple[tuple[str, str], ...]]


def samples_of(registry: CollectorRegistry) -> list[list[Any]]:
    """What a registry has counted, as JSON has it."""
    return [
        [sample.name, sample.labels, sample.value]
        for metric in registry.collect()
        for sample in metric.samples
        if not sample.name.endswith("_created")
    ]


def _by_key(counted: Counted) -> dict[_Key, float]:
    return {(name, tuple(sorted(labels.items()))): value for name, labels, value in counted}


class Summed(Collector):
    """What this process has counted, and its workers."""

    def __init__(self, own: CollectorRegistry) -> None:
        self._own = own
        self._counted: dict[int, dict[_Key, float]] = {}
        self._gone: dict[_Key, float] = {}
        self._answering: dict[int, bool] = {}
        self._begun: dict[int, int] = {}

    def begins(self, worker: int) -> None:
        """A worker is begun, for the first time or again."""
        self._begun[worker] = self._begun.get(worker, 0) + 1
        self._answering[worker] = False

    def answers(self, worker: int) -> None:
        """A worker takes calls."""
        self._answering[worker] = True

    def take(self, worker: int, counted: Counted) -> None:
        """What a worker has counted since it began."""
        self._counted[worker] = _by_key(counted)

    def ended(self, worker: int) -> None:
        """A worker is gone; what was in flight there is not any more."""
        self._answering[worker] = False
        for key, value in self._counted.pop(worker, {}).items():
            if not key[0].endswith("_in_flight"):
                self._gone[key] = self._gone.get(key, 0.0) + value

    def collect(self) -> Iterator[Metric]:
        """The sums, and how the workers are."""
        left: dict[_Key, float] = {}
        for each in (*self._counted.values(), self._gone):
            for key, value in each.items():
                left[key] = left.get(key, 0.0) + value
        for metric in self._own.collect():
            yield _with(metric, left)
        up = GaugeMetricFamily(
            "segengine_worker_up", "Whether a worker takes calls.", labels=("worker",)
        )
        begun = GaugeMetricFamily(
            "segengine_worker_starts", "How often a worker was begun.", labels=("worker",)
        )
        for worker, starts in sorted(self._begun.items()):
            up.add_metric((str(worker),), float(self._answering[worker]))
            begun.add_metric((str(worker),), starts)
        yield up
        yield begun


def _with(metric: Metric, others: dict[_Key, float]) -> Metric:
    """A metric with what others have counted of it; of those that they alone have, too."""
    made = Metric(metric.name, metric.documentation, metric.type, metric.unit)
    names = {metric.name} | {metric.name + suffix for suffix in _suffixes(metric.type)}
    for sample in metric.samples:
        key = (sample.name, tuple(sorted(sample.labels.items())))
        made.samples.append(sample._replace(value=sample.value + others.pop(key, 0.0)))
    for key in [key for key in others if key[0] in names]:
        made.samples.append(Sample(key[0], dict(key[1]), others.pop(key)))
    if metric.type == "histogram":
        made.samples.sort(key=_place)
    return made


def _suffixes(kind: str) -> Iterable[str]:
    return {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(kind, ())


def _place(sample: Sample) -> tuple[tuple[tuple[str, str], ...], int, float]:
    """A histogram's samples by labels, its buckets by size before count and sum."""
    labels = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
    bound = float(sample.labels.get("le", "inf"))
    return labels, 0 if sample.name.endswith("_bucket") else 1, bound
