"""The process behind the endpoint: settings in, exit code out.

Invariants:
- An event of what was picked is left in the spool before the hook is answered, and after the hook left the
  prompt's: so it comes behind the prompt and before all that the agent does then, in the prompt's turn. What
  can not be left is not told either.
- Redis is asked every REFRESH_S, by a thread of its own, and never while an agent waits.
"""

from __future__ import annotations

import logging
import threading
import time
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
from producers.redact import Redactor
from producers.spool_writer import leave
from workers.line import line_client
from workers.opened import Latest

#: Seconds between two looks at what is published.
REFRESH_S = 2.0

_log = logging.getLogger("karl")


def run_routing(settings: Settings, *, supervised: bool = False) -> int:
    """Answer hooks until told to stop; gives the exit code. Raises Refused where another one does already."""
    log_to_stderr(settings.log_level)
    stop = stop_on_signals()
    if supervised:
        stop_without_parent(stop)
    path = _free(socket_of(settings.data_dir))
    redis = line_client(settings, "karl-routing")
    latest = Latest(redis, settings, is_wanted=lambda one: one.policy.mode == "active")
    redactor = Redactor()
    routes = Routes(latest.now, lambda prompt: redactor.text(prompt)[0], time.monotonic)

    def ask(agent: str, body: bytes) -> bytes:
        found: Answer | None = routes.ask(body, project_of)
        if found is None or not _left(settings.spool, agent, found.event):
            return b""
        return found.said

    endpoint = Endpoint(str(path), ask)
    thread = threading.Thread(target=endpoint.run, args=(stop,), name="hooks", daemon=True)
    thread.start()
    _log.info("routing: hooks are answered at %s", path)
    try:
        _keep_fresh(routes, stop)
    finally:
        endpoint.stop()
        thread.join(1.0)
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


def _left(spool: Path, agent: str, event: bytes) -> bool:
    """Leave the event in the spool; what can not be left is logged, and then nothing is told either."""
    try:
        return leave(spool, agent, event)
    except OSError as error:
        _log.warning("routing: an event could not be left in the spool, so nothing is told: %s", error)
        return False


def _keep_fresh(routes: Routes, stop: threading.Event) -> None:
    away = False
    while not stop.is_set():
        try:
            routes.refresh()
            away = False
        except (RedisError, KarlError, OSError) as error:
            if not away:
                _log.warning("routing: nothing new can be read: %s; what was read last counts", error)
            away = True
        stop.wait(REFRESH_S)
