"""What a decision, or a training, needs of the world: settings, Redis, the time, and how to wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from karl.jobs.table import Progress

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings


def untold(_done: int, _total: int, _where: object) -> None:
    """Tell nobody how far it is."""


class Doors(NamedTuple):
    """`now_ms` gives Unix time in ms, `wait` sleeps for seconds; `progress` hears how far it is."""

    settings: Settings
    redis: Redis
    progress: Progress = untold
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    wait: Callable[[float], None] = time.sleep
