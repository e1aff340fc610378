"""Workers of other queues, started beside a jobs worker while something waits there, and let go when idle.

    none --- something waits, or was left by who died ---> running --- idle for IDLE_S ---> none

Invariants:
- One process a queue: what works on a queue is a worker of that queue alone, as `karl worker jobs QUEUE` is.
- A process never outlives who started it: it ends when the pipe to it closes.
- While nothing waits it costs a look at the queues, one round trip, each time that it is asked to look.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from karl.jobs import keys

if TYPE_CHECKING:
    from redis import Redis

#: Seconds without a job after which a worker that was started here ends by itself.
IDLE_S = 120
#: Seconds for a clean end: a jobs worker gives its job ten.
STOP_S = 14.0
#: Seconds before one that failed is started again: doubled from the first to the last.
_AGAIN_S, _AGAIN_MAX_S = 2.0, 60.0

_log = logging.getLogger("karl")


class Others:
    """Starts workers of `queues`; `environ` is what they get. `clock` gives seconds that only grow."""

    def __init__(
        self,
        redis: Redis,
        queues: Sequence[str],
        environ: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._queues = queues
        # A port is one process's, and these come and go.
        self._environ = {**environ, "KARL_METRICS_PORT": "0"}
        self._clock = clock
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._failed: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._ending = False

    def look(self) -> None:
        """Start a worker wherever something waits and none of ours works. Raises the client's error."""
        if self._ending:
            return
        self._bury()
        now = self._clock()
        idle = [name for name in self._queues if name not in self._running]
        for queue in self._wanted([name for name in idle if now >= self._not_before.get(name, now)]):
            self._start(queue)

    def ask_to_end(self) -> None:
        """Have all of them end."""
        if not self._ending:
            self._ending = True
            for process in self._running.values():
                process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """End all of them, and wait until they have."""
        self.ask_to_end()
        end = self._clock() + STOP_S
        for queue, process in self._running.items():
            try:
                process.wait(max(0.0, end - self._clock()))
            except subprocess.TimeoutExpired:
                _log.warning("jobs: the worker of %s did not end; killing it", queue)
                process.kill()
                process.wait()
            assert process.stdin is not None
            process.stdin.close()
        self._running.clear()

    def _wanted(self, names: Sequence[str]) -> list[str]:
        if not names:
            return []
        pipe = self._redis.pipeline(transaction=False)
        now = time.time()
        for name in names:
            pipe.llen(keys.queue_key(name))
            pipe.zrangebyscore(keys.state_key(keys.SCHEDULED, name), "-inf", now, start=0, num=1)
            pipe.llen(keys.moved_key(name))
            pipe.zcard(keys.state_key(keys.WIP, name))
        found = pipe.execute()
        wanted = []
        for name, (waits, due, moved, runs) in zip(names, zip(*[iter(found)] * 4, strict=True), strict=True):
            # What runs elsewhere is its worker's; what was left by a dead one needs somebody to take it up.
            if waits or due or ((moved or runs) and not self._has_worker(name)):
                wanted.append(name)
        return wanted

    def _has_worker(self, queue: str) -> bool:
        return any(self._redis.exists(worker) for worker in self._redis.smembers(keys.workers_key(queue)))

    def _start(self, queue: str) -> None:
        words = ("worker", "jobs", queue, "--supervised", "--until-idle", str(IDLE_S))
        # -P: the folder that we are started in must not stand before the installed packages.
        self._running[queue] = subprocess.Popen(
            (sys.executable, "-P", "-m", "karl.cli", *words),
            stdin=subprocess.PIPE,
            env=dict(self._environ),
            start_new_session=True,
        )
        _log.info(
            "jobs: something waits in the queue %s; its worker is process %d", queue, self._running[queue].pid
        )

    def _bury(self) -> None:
        for queue, process in list(self._running.items()):
            code = process.poll()
            if code is None:
                continue
            assert process.stdin is not None
            process.stdin.close()
            del self._running[queue]
            failed = self._failed.get(queue, 0) + 1 if code else 0
            self._failed[queue] = failed
            wait_s = min(_AGAIN_MAX_S, _AGAIN_S * 2 ** (failed - 1)) if failed else 0.0
            self._not_before[queue] = self._clock() + wait_s
            if failed:
                how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
                _log.warning(
                    "jobs: the worker of %s ended with %s; another in %g s at the earliest",
                    queue,
                    how,
                    wait_s,
                )
