"""The table's numbers as Prometheus reads them; loads prometheus_client, which who is not asked need not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)

from karl.metrics.asked import Watch
from karl.metrics.metric import Counter, Gauge, Histogram, Metric, Sample
from karl.metrics.table import BUILD_INFO, told_by

_Values = dict[tuple[str, ...], float]


def registry_of(process: str, version: str, node: str, watchers: Sequence[Watch] = ()) -> CollectorRegistry:
    """Give what a process tells: its rows of the table, its watchers' samples, and the process itself."""
    registry = CollectorRegistry(auto_describe=False)
    build = Sample(BUILD_INFO, 1, (version, process, node))
    registry.register(_Table(told_by(process), [lambda: [build], *watchers]))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


class _Table:
    """The rows of one process as a collector."""

    def __init__(self, rows: Sequence[Metric], watchers: Sequence[Watch]) -> None:
        self._rows = rows
        self._watchers = watchers

    def collect(self) -> Iterator[Family]:
        """Give a family for each row that has a value."""
        watched: dict[str, _Values] = {}
        for watcher in self._watchers:
            for sample in watcher():
                watched.setdefault(sample.metric.name, {})[sample.labels] = sample.value
        for row in self._rows:
            if isinstance(row, Histogram):
                yield _histogram(row)
            elif isinstance(row, Counter | Gauge):
                values = {**row.values, **watched.get(row.name, {})}
                if values:
                    yield _family(row, values.items())


def _family(row: Counter | Gauge, values: Iterable[tuple[tuple[str, ...], float]]) -> Family:
    kind = CounterMetricFamily if isinstance(row, Counter) else GaugeMetricFamily
    family = kind(row.name, row.meaning, labels=row.labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def _histogram(row: Histogram) -> Family:
    sums = list(accumulate(row.counts))
    bounds = [*map(str, row.bounds), "+Inf"]
    family = HistogramMetricFamily(row.name, row.meaning)
    family.add_metric([], buckets=list(zip(bounds, sums, strict=True)), sum_value=row.sum)
    return family
