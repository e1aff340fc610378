"""The process behind the endpoint: settings in, exit code out.

Invariants:
- An event of what was picked is left in the spool, a moment after the hook left the prompt's: the fold puts
  it into the prompt's turn. What was not left when the process dies is not known to anybody, and counts as
  never picked.
- Redis is asked every REFRESH_S, by a thread of its own, and never while an agent waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from pathlib import Path

from redis.exceptions import RedisError

from karl.errors import KarlError, Refused
from karl.live.answer import Answer
from karl.live.endpoint import Endpoint
from karl.live.routes import Routes
from karl.process import log_to_stderr, stop_on_signals, stop_without_parent
from karl.settings import Settings
from karl.stream.server import is_heard, require_private
from producers.hook_line import socket_of
from producers.project import project_of
from producers.spool_writer import leave
from workers.line import line_client
from workers.loop import every
from workers.opened import Latest

#: Seconds between two looks at what is published, and for which an event waits for the prompt's to be first.
REFRESH_S, BEHIND_S = 2.0, 1.0

_log = logging.getLogger("karl")


class Suggestions:
    """Events that wait to be left in the spool, each until the prompt's own is there."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._waiting: deque[tuple[float, str, bytes]] = deque()

    def add(self, agent: str, event: bytes, now: float) -> None:
        """Take an event; `now` is monotonic."""
        self._waiting.append((now + BEHIND_S, agent, event))

    def leave_due(self, now: float) -> None:
        """Leave what has waited long enough; what the spool does not take is lost, and logged."""
        while self._waiting and self._waiting[0][0] <= now:
            _, agent, event = self._waiting.popleft()
            try:
                leave(self._spool, agent, event)
            except OSError as error:
                _log.warning("routing: an event could not be left in the spool: %s", error)


def run_routing(settings: Settings, *, supervised: bool = False) -> int:
    """Answer hooks until told to stop; gives the exit code. Raises Refused where another one does already."""
    log_to_stderr(settings.log_level)
    stop = stop_on_signals()
    if supervised:
        stop_without_parent(stop)
    path = _free(socket_of(settings.data_dir))
    redis = line_client(settings, "karl-routing")
    latest = Latest(redis, settings, is_wanted=lambda one: one.policy.mode == "active")
    routes = Routes(latest.now, time.monotonic)
    left = Suggestions(settings.spool)

    def ask(agent: str, body: bytes) -> bytes:
        found: Answer | None = routes.ask(body, project_of)
        if found is None:
            return b""
        left.add(agent, found.event, time.monotonic())
        return found.said

    endpoint = Endpoint(str(path), ask)
    thread = threading.Thread(target=endpoint.run, args=(stop,), name="hooks", daemon=True)
    thread.start()
    _log.info("routing: hooks are answered at %s", path)
    try:
        _keep_fresh(routes, left, stop)
    finally:
        endpoint.stop()
        thread.join(1.0)
        left.leave_due(float("inf"))
        path.unlink(missing_ok=True)
        redis.close()
    return 0


def _free(path: Path) -> Path:
    """Give the path, with nobody there. Raises Refused, and LineDown for a folder that is not ours."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    require_private(path.parent)
    if is_heard(path):
        raise Refused(f"hooks are answered at {path} already; is `karl up` running?")
    path.unlink(missing_ok=True)  # of a process that was killed
    return path


def _keep_fresh(routes: Routes, left: Suggestions, stop: threading.Event) -> None:
    refresh_due, away = every(REFRESH_S, time.monotonic), False
    while not stop.is_set():
        if refresh_due():
            try:
                routes.refresh()
                away = False
            except (RedisError, KarlError, OSError) as error:
                if not away:
                    _log.warning("routing: nothing new can be read: %s; what was read last counts", error)
                away = True
        left.leave_due(time.monotonic())
        stop.wait(BEHIND_S / 2)
