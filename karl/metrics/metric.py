"""The three kinds of metric: counters, gauges and histograms, each a few numbers in memory.

Invariants:
- Counting costs a dictionary's addition, whether anybody looks or not: it is done once a batch, never once
  an event. The library that speaks to Prometheus is loaded by `karl.metrics.serve`, and only there.
- A counter never falls while its process lives.
- No two threads add to a metric at the same time; others may read it meanwhile.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

#: Upper bounds of the buckets of durations, in seconds: from a memory's write to a disk that hangs.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

#: The same of what may take hours.
LONG_SECONDS = (0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)


class Metric:
    """What is told under one name: `of` names the processes that tell it, all if empty."""

    kind = ""

    def __init__(self, of: str, name: str, meaning: str, *labels: str) -> None:
        self.of = frozenset(of.split())
        self.name = name
        self.meaning = meaning
        self.labels = labels


class Counter(Metric):
    """What only grows, by its labels; without labels it begins at 0."""

    kind = "counter"

    def __init__(self, of: str, name: str, meaning: str, *labels: str) -> None:
        super().__init__(of, name, meaning, *labels)
        self.values: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}

    def add(self, amount: float = 1, *labels: str) -> None:
        """Count so many more."""
        self.values[labels] = self.values.get(labels, 0.0) + amount


class Gauge(Metric):
    """What rises and falls; it is told from when it was set first, or by a watcher (see `Sample`)."""

    kind = "gauge"

    def __init__(self, of: str, name: str, meaning: str, *labels: str) -> None:
        super().__init__(of, name, meaning, *labels)
        self.values: dict[tuple[str, ...], float] = {}

    def set(self, value: float) -> None:
        """Say how much it is now."""
        self.values[()] = value


class Histogram(Metric):
    """How long things took, in seconds."""

    kind = "histogram"

    def __init__(self, of: str, name: str, meaning: str, bounds: tuple[float, ...] = SECONDS) -> None:
        super().__init__(of, name, meaning)
        self.bounds = bounds
        #: Observations by bucket, not added up; the last bucket is for what is above all bounds.
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one that took so long."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Observe how long the block takes, also when it fails."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.observe(time.perf_counter() - started)


class Sample(NamedTuple):
    """What a watcher says of a counter or a gauge at the moment when somebody looks."""

    metric: Counter | Gauge
    value: float
    labels: tuple[str, ...] = ()
