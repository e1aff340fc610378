"""What goes wrong, and when: a seed decides, so that a run can be repeated."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from redis.exceptions import RedisError

from tests.faults.line import COMMANDS, LEASE_S, USERS, WRITERS, RealLine
from tests.faults.page import DEATH, ERROR, SHORT
from tests.faults.proxy import Proxy

#: Seconds after which a server that syncs every second has synced what it was given, and was asked again.
FORGOTTEN_S = 8.0
#: How far a clock jumps, in seconds: an hour to two days, forth or back.
JUMP_MIN_S, JUMP_MAX_S = 3600.0, 2 * 86400.0


class Nemesis:
    """Does harm to a line; `done` counts it by kind. What lasts, lasts for a while and is then taken back."""

    def __init__(self, line: RealLine, chance: random.Random, *, only: str = "", skip: str = "") -> None:
        self._line = line
        self._chance = chance
        line.meanwhile = self._let_go  # a wire that is dead would keep a process from ending
        self._lasting: dict[str, tuple[float, Callable[[], object]]] = {}
        self._whom = ""
        self._spool_harmed_until = 0.0
        self.done: Counter[str] = Counter()
        disks = self._disks() if line.disks else []
        every = [*self._processes(), *self._wires(), *self._inside(), *disks]
        self._faults = [fault for fault in every if only in fault[1] and not (skip and skip in fault[1])]

    def _processes(self) -> list[tuple[int, str, Callable[[], object]]]:
        return [
            (6, "kill", lambda: self._line.kill(self._anyone())),
            (3, "restart", lambda: self._line.restart(self._anyone())),
            (4, "pause", lambda: self._pause(self._anyone())),
            (1, "kill all workers", self._kill_all),
            (1, "kill the server", self._kill_server),
            (1, "restart the server", lambda: self._end_server(partial(self._line.restart, "server"))),
            (1, "pause the server", lambda: self._pause("server")),
            (3, "cut the server's power", self._cut_power),
        ]

    def _wires(self) -> list[tuple[int, str, Callable[[], object]]]:
        return [
            (2, "cut connections", self._cut),
            (3, "cut a reply in its middle", self._cut_reply),
            (1, "slow wire", self._slow_wire),
            (4, "wire dead in one direction", self._deaf_wire),
        ]

    def _inside(self) -> list[tuple[int, str, Callable[[], object]]]:
        return [
            (3, "torn write", self._torn),
            (2, "failing fsync", self._failing_fsync),
            (2, "slow fsync", self._slow_fsync),
            (3, "clock jump", self._jump),
        ]

    def _disks(self) -> list[tuple[int, str, Callable[[], object]]]:
        return [
            *(
                (2 if name == "ledger" else 1, f"{name}'s disk full", partial(self._fill, name))
                for name in USERS
            ),
            *((1, f"{name}'s disk read-only", partial(self._read_only, name)) for name in USERS),
        ]

    def strike(self) -> str:
        """Do one thing; gives its name, and to whom it was done."""
        weights = [weight for weight, _, _ in self._faults]
        ((_, name, fault),) = self._chance.choices(self._faults, weights)
        self._whom = ""
        fault()
        self.done[name] += 1
        return f"{name} ({self._whom})" if self._whom else name

    def tick(self) -> None:
        """Take back what lasted long enough, and start again what ended by itself."""
        self._let_go()
        self._line.tend()

    def _let_go(self) -> None:
        now = time.monotonic()
        for what in [what for what, (until, _) in self._lasting.items() if now >= until]:
            if what in self._lasting:
                self._lasting.pop(what)[1]()

    def rest(self) -> None:
        """Do no more harm."""
        while self._lasting:
            self._lasting.popitem()[1][1]()
        for page in self._line.pages.values():
            page.put("torn", -1)
            page.put("fail", 0)

    @property
    def spares_the_spool(self) -> bool:
        """Say whether the spool's disk takes whatever it is given."""
        return not any(what.startswith("disk spool") for what in self._lasting)

    def _last(self, what: str, longest_s: float, undo: Callable[[], object]) -> None:
        if what in self._lasting:
            self._lasting.pop(what)[1]()
        self._lasting[what] = (time.monotonic() + self._chance.uniform(0.05, longest_s), undo)

    # --- processes ---

    def _is_paused(self, name: str) -> bool:
        return f"pause {name}" in self._lasting

    def _anyone(self) -> str:
        self._whom = self._chance.choice([name for name in COMMANDS if not self._is_paused(name)])
        return self._whom

    def _pause(self, name: str) -> None:
        paused = [name for name in COMMANDS if self._is_paused(name)]
        if not self._is_paused(name) and len(paused) < len(COMMANDS) - 2:
            self._line.pause(name)
            longest = 0.5 if name == "server" else 2.5 * LEASE_S
            self._last(f"pause {name}", longest, partial(self._line.resume, name))

    def _kill_all(self) -> None:
        for name in COMMANDS:
            self._lasting.pop(f"pause {name}", None)
            self._line.kill(name)

    def _end_server(self, how: Callable[[], object]) -> None:
        # While its end is waited for, what is due is done: a power cut then would start a second server.
        for due in ("pause server", "power"):
            self._lasting.pop(due, None)
        how()

    def _kill_server(self) -> None:
        self._end_server(partial(self._line.kill, "server"))

    def _cut_power(self) -> None:
        """Soon, and not at once: what the server says to be on its disk is a second behind what it has."""
        self._last("power", 1.5, partial(self._end_server, self._cut_power_now))

    def _cut_power_now(self) -> None:
        if self._line.fsync != "always" and time.monotonic() < self._spool_harmed_until:
            # The shipper had no room to keep what it sent a moment before: the one case of which
            # docs/guarantees.md says that a power cut loses events.
            self._line.kill("server")
            return
        lost = self._line.cut_power_of_the_server(self._chance)
        self.done["(bytes of the append-only file lost)"] += lost

    # --- wires ---

    def _cut(self) -> None:
        if self._is_paused("server"):
            for wire in self._line.wires.values():
                wire.cut_all(keep=0.5, chance=self._chance)
            return
        try:
            self._line.cut_connections()
        except RedisError:
            self.done["(in vain)"] += 1

    def _cut_reply(self) -> None:
        count = self._chance.choice([0, 1, 3, 10, 100, 1000, 20_000])
        for wire in self._some_wires().values():
            wire.cut_reply_after(count)
        self._whom += f", after {count} bytes"

    def _slow_wire(self) -> None:
        delay = self._chance.uniform(0.005, 0.2)
        for name, wire in self._some_wires().items():
            wire.delay_s = delay
            self._last(f"wire {name}", 1.0, wire.heal)

    def _deaf_wire(self) -> None:
        wires = self._some_wires()
        direction = self._chance.choice(["up", "up", "down"])
        self._whom += f", {direction}"
        # Late: what was asked under a lease that has ended meanwhile arrives at last.
        late = self._chance.random() < 0.6
        for name, wire in wires.items():
            wire.stall(direction)
            self._last(f"wire {name}", 3 * LEASE_S, partial(wire.heal, late=late))

    def _some_wires(self) -> dict[str, Proxy]:
        """Choose one process's wire, or all."""
        if self._chance.random() < 0.3:
            self._whom = "all"
            return self._line.wires
        return {(name := self._anyone()): self._line.wires[name]}

    # --- what only the process itself can be made to see ---

    def _torn(self) -> None:
        how = self._chance.choice([ERROR, DEATH, SHORT])
        at = self._chance.choice([0, 1, 5, 11, self._chance.randrange(2000), self._chance.randrange(200_000)])
        for name in WRITERS:
            self._line.pages[name].put("how", how)
            self._line.pages[name].put("torn", at)
        self._whom = f"{('error', 'death', 'short')[int(how)]} after {at}"

    def _failing_fsync(self) -> None:
        times, lose = self._chance.choice([1, 1, 2, 3]), self._chance.choice([0, 1])
        for name in WRITERS:
            self._line.pages[name].put("lose", lose)
            self._line.pages[name].put("fail", times)

    def _slow_fsync(self) -> None:
        slow = self._chance.choice([0.01, 0.3, 1.5 * LEASE_S])
        for name in WRITERS:
            self._line.pages[name].put("slow_s", slow)
        self._last("slow", 1.5, partial(self._all_pages, "slow_s", 0))

    def _all_pages(self, field: str, value: float) -> None:
        for page in self._line.pages.values():
            page.put(field, value)

    def _jump(self) -> None:
        jump = self._chance.choice([-1, 1]) * self._chance.uniform(JUMP_MIN_S, JUMP_MAX_S)
        whom = self._anyone()
        page = self._line.pages[whom]
        page.put("clock_s", 0 if page.get("clock_s") and self._chance.random() < 0.5 else jump)
        self._whom = f"{whom} to {page.get('clock_s') / 3600:+.1f} h"

    # --- disks ---

    def _fill(self, name: str) -> None:
        disk = self._line.disks[name]
        if f"disk {name}" in self._lasting:
            return
        disk.fill(self._chance.choice([0, 0, 4096, 40_960]))
        self._last(f"disk {name}", 2.0, disk.make_room)
        if name == "spool":
            self._spool_harmed_until = self._lasting[f"disk {name}"][0] + FORGOTTEN_S

    def _read_only(self, name: str) -> None:
        """The kernel lets no file be open for writing on such a disk, so its users are started anew, as after a reboot."""
        disk = self._line.disks[name]
        if f"disk {name}" in self._lasting:
            return
        for user in USERS[name]:
            self._lasting.pop(f"pause {user}", None)
            self._line.end(user)
        if not disk.read_only():
            self.done["(in vain)"] += 1
        for user in USERS[name]:
            self._line.start(user)
        self._last(f"disk {name}", 2.0, disk.writable)
