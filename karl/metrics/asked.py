"""A question that the figures need an answer to: asked seldom, and never waited for long.

Invariants:
- It is asked when somebody looks, at most once in `every_s`, however many look.
- An answer that takes longer than `patience_s`, or an error, leaves its figures out and holds nobody up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from karl.metrics.metric import Gauge, Sample

#: Seconds for which an answer serves, and that one is waited for.
EVERY_S, PATIENCE_S = 3.0, 2.0

Watch = Callable[[], Sequence[Sample]]


class Asked:
    """A watcher whose answer comes from elsewhere; `up` tells whether it came.

    `failures` are the errors that count as no answer; any other is a defect, and ends the look.
    """

    def __init__(
        self,
        question: Watch,
        up: Gauge,
        failures: tuple[type[Exception], ...],
        *,
        every_s: float = EVERY_S,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._question = question
        self._up = up
        self._failures = failures
        self._every_s = every_s
        self._patience_s = patience_s
        self._clock = clock
        self._lock = threading.Lock()
        self._answered = threading.Event()
        self._answered.set()
        self._asked_at = float("-inf")
        self._answer: list[Sample] | None = None

    def __call__(self) -> list[Sample]:
        """Give the answer that there is, asking for a new one where it is old."""
        with self._lock:
            if self._answered.is_set() and self._clock() - self._asked_at >= self._every_s:
                self._answered.clear()
                self._asked_at = self._clock()
                # A daemon: a server that hangs must not keep the process from ending.
                threading.Thread(target=self._ask, name="metrics-ask", daemon=True).start()
        answer = self._answer if self._answered.wait(self._patience_s) else None
        return [*(answer or ()), Sample(self._up, float(answer is not None))]

    def _ask(self) -> None:
        self._answer = None
        try:
            self._answer = list(self._question())
        except self._failures:
            self._answer = None  # told as `up` 0; the worker itself says more in its log
        finally:
            self._answered.set()
