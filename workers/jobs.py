"""The jobs worker: takes the jobs of one queue, one after the other, each in a process of its own.

    idle --- a job came ---> working --- it ended, was cancelled or took too long ---> idle
    working --- signal, and not done in its grace ---> given back ---> ended

Invariants:
- It alone changes the state of a job that it has; the job's process knows nothing of queues. A job whose run
  was silent for the lease belongs to another worker, and what came of it here is dropped.
- A job's process never outlives it: it ends when the pipe to it closes, with all that it started.
- Its chores are seen to while it waits and while a job runs; what goes wrong with them ends no job.
- On a queue whose jobs need a node for themselves it takes one only under the node's lease, and ends it
  when the lease is lost: what waits costs no attempt, and what is ended is given back.
- While nothing waits it wakes every WAIT_S.
"""

from __future__ import annotations

import logging
import math
import os
import platform
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from redis.exceptions import RedisError

from karl.jobs import keys, presence, table, upkeep, working
from karl.jobs.alone import Alone
from karl.jobs.queues import Claim, given
from karl.ledger.segments import list_segments
from karl.metrics import table as metrics
from karl.settings import Settings
from workers.job_process import JobProcess
from workers.loop import BACKOFF_S, every
from workers.one_job import Order

if TYPE_CHECKING:
    from redis import Redis

#: Seconds to wait for a job; the longest that a signal is not heeded while idle.
WAIT_S = 1.0
#: Seconds between two looks at a job that runs, and between two words to Redis about it.
LOOK_S, BEAT_S = 0.5, 1.0
#: Leases of the line that a silent run and a silent worker live, and the seconds that they live at least.
_LEASES, _LEASE_MIN_S = 3, 3
#: Lives of a run that the lease of a node lasts: a short absence of the server must not end a training.
_NODE_LEASES = 2
_TIDY_S = 60.0

_log = logging.getLogger("karl")


class End(NamedTuple):
    """How a run ended, in words, and what keeps that; it gives false when the run was not ours."""

    said: str
    keep: Callable[[], bool]

    @property
    def how(self) -> str:
        """One of few words, as metrics need it: done, failed, cancelled or back."""
        return self.said.partition(":")[0].split()[-1] if self.said else "lost"


class Chore(Protocol):
    """What a worker sees to beside its jobs, about once a second; each look takes a moment at most."""

    def look(self) -> None:
        """See to it. Raises the client's error."""

    def ask_to_end(self) -> None:
        """Begin to end what runs of it; called again and again from when the worker shall end."""

    def close(self) -> None:
        """End it, and wait for that."""


class JobsWorker:
    """Works on one queue. `environ` is what its jobs' processes get; `owner` no other process is.

    `also` are the queues for which a chore starts workers. With `until_idle_s` it ends when it has had no job
    for so long. `about` is what it says of itself besides.
    """

    def __init__(
        self,
        redis: Redis,
        queue: table.Queue,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        owner: str,
        chores: Sequence[Chore] = (),
        also: Sequence[str] = (),
        until_idle_s: float = math.inf,
        about: Mapping[str, str] | None = None,
    ) -> None:
        self.name = "jobs"
        self._redis = redis
        self._queue = queue
        self._settings = settings
        # Its jobs need the line, and have no business in the queues.
        self._environ = {name: value for name, value in environ.items() if name != "KARL_RQ_URL"}
        self._owner = owner
        self._lease_s = max(_LEASE_MIN_S, math.ceil(_LEASES * settings.lease_ttl_s))
        self._sweeper = upkeep.Sweeper(redis, queue.name, owner, self._lease_s)
        self._sweep_due = every(self._lease_s / 2, time.monotonic)
        self._tidy_due = every(_TIDY_S, time.monotonic)
        self._about = {**_about(), "also": ",".join(also), **(about or {})}
        ttl_s = _NODE_LEASES * self._lease_s
        self._alone = Alone(redis, settings.node, owner, ttl_s, time.monotonic) if queue.alone else None
        self._holder: str | None = None
        self._chores = chores
        self._undone: set[Chore] = set()
        self._until_idle_s = until_idle_s
        self._worked_s = time.monotonic()
        self._ready: bool | None = None
        self._away = False

    def run_once(self, stop: threading.Event) -> None:
        """Do the next job, or wait a moment for one."""
        self._keep_up()
        if not self._may_begin():
            stop.wait(WAIT_S)
        elif claim := working.claim(
            self._redis, self._queue.name, self._owner, lease_s=self._lease_s, wait_s=WAIT_S
        ):
            self._say("busy")
            self._work(claim, stop)
            self._worked_s = time.monotonic()
        if self._alone and self._alone.trusted():
            self._alone.release()
        if time.monotonic() - self._worked_s > self._until_idle_s:
            _log.info("jobs: nothing waits in the queue %s any more", self._queue.name)
            stop.set()

    def forget(self, *, defect: bool = False) -> None:
        """Start over: what it had is in Redis, and given to who asks when its lease is over."""
        del defect
        self._ready = None

    def close(self) -> None:
        """End its chores, and say that it is gone."""
        for chore in self._chores:
            chore.close()
        presence.leave(self._redis, self._owner, self._queue.name)

    def _keep_up(self) -> None:
        self._say("idle")
        upkeep.due(self._redis, self._queue.name, time.time())
        if self._sweep_due() and (count := self._sweeper.sweep(time.monotonic())):
            _log.warning("jobs: took up %d that a worker which is gone had left", count)
        if self._tidy_due():
            upkeep.tidy(self._redis, self._queue.name, time.time())
        self._see_to_chores()

    def _say(self, state: str) -> None:
        about = {**self._about, "state": state}
        presence.say(self._redis, self._owner, self._queue.name, about, self._lease_s)

    def _see_to_chores(self) -> None:
        """See to each chore: one whose server is away must keep no job waiting."""
        for chore in self._chores:
            try:
                chore.look()
            except (RedisError, OSError) as error:
                if chore not in self._undone:
                    _log.warning(
                        "jobs: could not see to %s: %s; trying again", type(chore).__name__.lower(), error
                    )
                self._undone.add(chore)
            else:
                self._undone.discard(chore)

    def _may_begin(self) -> bool:
        """Say whether this node has what the queue's jobs need."""
        has = self._queue.where != table.AT_LEDGER or bool(list_segments(self._settings.ledger))
        if has != self._ready:
            if has:
                _log.info("jobs: ready, for the queue %s", self._queue.name)
            else:
                _log.info("jobs: there is no ledger in %s yet; waiting for one", self._settings.ledger)
        self._ready = has
        return has and self._has_node()

    def _has_node(self) -> bool:
        """Say whether a job may begin here as far as other workers of this node go."""
        if self._alone is None:
            return True
        if not self._redis.llen(keys.queue_key(self._queue.name)):
            return False
        holder = self._alone.take()
        if holder and holder != self._holder:
            _log.info("jobs: %a works on %s alone; waiting for it", holder, self._settings.node)
        self._holder = holder
        return holder is None

    # --- one job ---

    def _work(self, claim: Claim, stop: threading.Event) -> None:
        _log.info("jobs: %s begins: %s", claim.id, claim.made.description)
        began = time.monotonic()
        order = Order(claim.asked.job.name, given(claim.asked.arguments), claim.id)
        with JobProcess(order, self._environ) as process:
            end = self._watch(claim, process, stop)
        kept = self._kept(end, stop)
        took = time.monotonic() - began
        metrics.JOB_DURATION.observe(took)
        metrics.JOBS_ENDED.add(1, end.how if kept else "lost")
        _log.info(
            "jobs: %s %s after %.1f s", claim.id, end.said if kept else "belongs to another worker", took
        )

    def _watch(self, claim: Claim, process: JobProcess, stop: threading.Event) -> End:
        """Wait for the end of a job's process, or for a reason to end it."""
        began = time.monotonic()
        stop_at = math.inf
        beat_due = every(BEAT_S, time.monotonic)
        while process.listen(LOOK_S):
            now = time.monotonic()
            if stop.is_set():
                stop_at = min(stop_at, now + claim.asked.job.grace_s)
                for chore in self._chores:
                    chore.ask_to_end()
            if now >= stop_at:
                return End("was given back", lambda: working.give_back(claim))
            if now - began > claim.asked.job.timeout_s:
                return self._failed(claim, f"not done within {claim.asked.job.timeout_s} s", again=True)
            if beat_due() and (end := self._told_to_end(claim, process)):
                return end
        if process.progress is not None:
            self._beat(claim, process)  # how far it was at last
        return self._ended(claim, process)

    def _let_end(self, process: JobProcess, seconds: float) -> None:
        """Let a job that was cancelled leave word, for so many seconds at most."""
        if not seconds:
            return
        process.ask_to_end()
        end = time.monotonic() + seconds
        while process.listen(LOOK_S) and time.monotonic() < end:
            pass

    def _told_to_end(self, claim: Claim, process: JobProcess) -> End | None:
        """Say that the job lives; gives how it ends where somebody wants that, or it is not ours any more."""
        shall_end = self._beat(claim, process)
        if self._alone and not self._alone.trusted():
            _log.warning("jobs: this node is not ours alone any more; %s is ended, to go on later", claim.id)
            return End("was given back", lambda: working.give_back(claim))
        if shall_end is None:
            return End("", lambda: False)
        if shall_end:
            self._let_end(process, claim.asked.job.cancel_s)
            return End("was cancelled", lambda: working.stop(claim, self._owner))
        return None

    def _ended(self, claim: Claim, process: JobProcess) -> End:
        last = process.last
        if last is None:
            return self._failed(claim, process.how_it_ended(), again=True)
        if last.failed is not None:
            return self._failed(claim, last.failed, again=last.again)
        if last.reason is not None:
            return self._failed(claim, last.reason, again=False, report=last.result)
        return End("is done", lambda: working.succeed(claim, self._owner, last.result))

    def _failed(self, claim: Claim, reason: str, *, again: bool, report: Any = None) -> End:
        said = f"failed: {' '.join(reason.split())[-300:]!a}"
        return End(said, lambda: working.fail(claim, self._owner, reason, again=again, report=report))

    def _beat(self, claim: Claim, process: JobProcess) -> bool | None:
        at = process.progress
        progress = {"done": at.done, "total": at.total, "where": at.where} if at else None
        if at and progress is not None and at.figures:
            progress["progress"] = at.figures
        try:
            if self._alone:
                self._alone.take()
            shall_end = working.beat(claim, self._owner, self._lease_s, progress)
        except (RedisError, OSError) as error:
            if not self._away:
                _log.warning("jobs: the server does not answer: %s; the job goes on", error)
            self._away = True
            return False
        self._away = False
        self._see_to_chores()
        return shall_end

    def _kept(self, end: End, stop: threading.Event) -> bool:
        """Write how a run ended, once the server lets us. Raises its error when we shall end before that."""
        failures = 0
        while True:
            try:
                kept = end.keep()
            except (RedisError, OSError) as error:
                if not failures:
                    _log.warning("jobs: what came of a job can not be kept yet: %s; trying again", error)
                if stop.wait(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]):
                    raise
                failures += 1
            else:
                return kept


def _about() -> dict[str, str]:
    """Give what RQ's workers say of themselves."""
    return {
        "birth": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "pid": str(os.getpid()),
        "hostname": socket.gethostname(),
        "ip_address": "unknown",
        "version": version("rq"),
        "python_version": platform.python_version(),
    }
