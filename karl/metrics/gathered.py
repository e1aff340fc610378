"""The figures of several processes in one page: each asked at its port, told apart by a label, put together.

Invariants:
- A name is described once, whoever tells it; a sample says which process told it.
- A process that does not answer holds nobody up for longer than PATIENCE_S.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import httpx
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from karl.metrics.metric import Counter, Sample
from karl.metrics.serve import Place

#: Seconds that one process is waited for.
PATIENCE_S = 2.0
#: By which samples of several processes are told apart.
PROCESS = "process"


def told_at(place: Place) -> list[Metric] | None:
    """Ask one process for its figures; null where it does not answer, or says what are none."""
    try:
        answer = httpx.get(place.url, timeout=PATIENCE_S, trust_env=False, follow_redirects=False)
        if answer.status_code != httpx.codes.OK:
            return None
        return list(text_string_to_metric_families(answer.text))
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None  # told as `up` 0 by who asks


def together(by_process: Mapping[str, Iterable[Metric]]) -> list[Metric]:
    """Put families of one name together, each sample with the label of its process."""
    merged: dict[str, Metric] = {}
    for process, families in by_process.items():
        for family in families:
            into = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                labels = {**sample.labels, PROCESS: sample.labels.get(PROCESS, process)}
                into.samples.append(sample._replace(labels=labels))
    return [merged[name] for name in sorted(merged)]


def families_of(samples: Iterable[Sample]) -> list[Metric]:
    """Give samples of our own table as families."""
    made: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
    for sample in samples:
        row = sample.metric
        kind = CounterMetricFamily if isinstance(row, Counter) else GaugeMetricFamily
        family = made.setdefault(row.name, kind(row.name, row.meaning, labels=row.labels))
        family.add_metric(sample.labels, sample.value)
    return list(made.values())


def text_of(families: Sequence[Metric]) -> str:
    """Give families in Prometheus' text form."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(families))
    return generate_latest(registry).decode("utf-8")


class _Given(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families
