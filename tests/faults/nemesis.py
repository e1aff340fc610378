"""What goes wrong, and when: a seed decides, so that a run can be repeated."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable

from redis.exceptions import RedisError

from tests.faults.line import COMMANDS, LEASE_S, RealLine


class Nemesis:
    """Does harm to a line; `done` counts it by kind. A process that is paused stays so for a while."""

    def __init__(self, line: RealLine, chance: random.Random) -> None:
        self._line = line
        self._chance = chance
        self._paused: dict[str, float] = {}
        self.done: Counter[str] = Counter()
        self._faults: list[tuple[int, str, Callable[[], None]]] = [
            (6, "kill", lambda: self._line.kill(self._anyone())),
            (3, "restart", lambda: self._line.restart(self._anyone())),
            (4, "pause", lambda: self._pause(self._anyone())),
            (1, "kill the server", lambda: self._line.kill("server")),
            (1, "restart the server", lambda: self._line.restart("server")),
            (1, "pause the server", lambda: self._pause("server")),
            (2, "cut connections", self._cut),
            (1, "kill all workers", self._kill_all),
        ]

    def strike(self) -> str:
        """Do one thing; gives its name."""
        weights = [weight for weight, _, _ in self._faults]
        ((_, name, fault),) = self._chance.choices(self._faults, weights)
        fault()
        self.done[name] += 1
        return name

    def tick(self) -> None:
        """Let go on what was paused for long enough."""
        now = time.monotonic()
        for name in [name for name, until in self._paused.items() if now >= until]:
            del self._paused[name]
            self._line.resume(name)

    def rest(self) -> None:
        """Do no more harm."""
        for name in self._paused:
            self._line.resume(name)
        self._paused.clear()

    def _anyone(self) -> str:
        return self._chance.choice([name for name in COMMANDS if name not in self._paused])

    def _pause(self, name: str) -> None:
        if name not in self._paused and len(self._paused) < len(COMMANDS) - 2:
            self._line.pause(name)
            longest = 0.5 if name == "server" else 2.5 * LEASE_S
            self._paused[name] = time.monotonic() + self._chance.uniform(0.05, longest)

    def _cut(self) -> None:
        if "server" not in self._paused:
            try:
                self._line.cut_connections()
            except RedisError:
                self.done["cut connections, in vain"] += 1

    def _kill_all(self) -> None:
        for name in COMMANDS:
            self._paused.pop(name, None)
            self._line.kill(name)
