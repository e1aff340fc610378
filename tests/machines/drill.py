"""A team's line on machines of its own whose network fails, again and again; and then the checker.

    python -m tests.machines.drill [--faults N] [--seed S] [--between EVENTS] [--lease SECONDS] [--hooks]
        [--keep FOLDER]

Machines are cut off, one way or both, packets are lost or late, links are slow, the server vanishes without a
word, processes die behind a cut. A run that fails prints the seed that repeats it.
"""

from __future__ import annotations

import argparse
import random
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.feed import Feed
from tests.machines.network import Network, NoNamespaces
from tests.machines.team import LEASE_S, NODES, PROGRAMS, STANDBY, Team

#: Machines that the server is cut off from, one at a time.
OTHERS = tuple(node for node in NODES if node != "server")
MOST_AT_ONCE = 3
SETTLE_S = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did and what it broke."""

    events: int
    faults: Counter[str]
    packets: dict[str, int]
    broken: list[str]
    settled_s: float


class Weather:
    """What is wrong with the network just now; a seed decides what, and for how long."""

    def __init__(self, team: Team, chance: random.Random) -> None:
        self._team = team
        self._chance = chance
        self._ends: list[tuple[float, Callable[[], None]]] = []
        self.done: Counter[str] = Counter()

    def strike(self) -> str:
        """Let one more thing go wrong; gives its name, empty when enough is wrong already."""
        faults = (
            (4, "cut off", self._cut),
            (2, "cut one way", self._one_way),
            (2, "lost packets", lambda: self._spoil(loss=self._chance.uniform(0.05, 0.4))),
            (2, "a slow link", lambda: self._spoil(rate=self._chance.uniform(20_000, 200_000), delay_s=0.1)),
            (1, "all cut off", self._all),
            (1, "the server vanishes", self._vanish),
            (2, "a death behind a cut", self._die),
        )
        if len(self._ends) >= MOST_AT_ONCE:
            return ""
        ((_, name, fault),) = self._chance.choices(faults, [weight for weight, _, _ in faults])
        fault()
        self.done[name] += 1
        return name

    def tick(self) -> None:
        """Let what has lasted long enough be over."""
        now = time.monotonic()
        over = [end for at, end in self._ends if at <= now]
        self._ends = [(at, end) for at, end in self._ends if at > now]
        for end in over:
            end()

    def clear(self) -> None:
        """Let everything be over."""
        for _, end in self._ends:
            end()
        self._ends = []
        self._team.network.heal()

    def _for_a_while(self, end: Callable[[], None]) -> None:
        self._ends.append((time.monotonic() + self._chance.uniform(0.1, 3 * LEASE_S), end))

    def _cut(self, node: str = "") -> str:
        node = node or self._chance.choice(OTHERS)
        self._team.network.between(node, "server", cut=True)
        self._for_a_while(lambda: self._team.network.between(node, "server"))
        return node

    def _one_way(self) -> None:
        ends = [self._chance.choice(OTHERS), "server"]
        self._chance.shuffle(ends)
        self._team.network.way(*ends, cut=True)
        self._for_a_while(lambda: self._team.network.way(*ends))

    def _spoil(self, **rules: Any) -> None:
        self._team.network.everywhere(**rules)
        self._for_a_while(self._team.network.heal)

    def _all(self) -> None:
        self._team.network.cut("server")
        self._for_a_while(self._team.network.heal)

    def _vanish(self) -> None:
        self._team.network.cut("server")
        self._team.kill_server()
        self._team.start_server()
        self._for_a_while(self._team.network.heal)

    def _die(self) -> None:
        name = self._chance.choice([*(PROGRAMS | STANDBY)])
        self._cut((PROGRAMS | STANDBY)[name][0])
        self._team.network.send_signal(name, signal.SIGKILL)
        self._team.until(lambda: self._team.network.codes()[name] is not None, f"{name} is dead")
        self._team.start(name)


def drill(
    folder: Path,
    *,
    seed: int,
    faults: int,
    events_between: float = 25,
    lease_s: float = LEASE_S,
    pace_s: float = 0.002,
    hooks: bool = False,
    say: Callable[[str], None] = lambda _text: None,
) -> Outcome:
    """Feed a line whose network fails so many times; with `hooks` each event by the real hook. Raises NoNamespaces."""
    chance = random.Random(seed)
    feed = Feed(random.Random(chance.random()))
    with Network(NODES, seed) as network, Team(folder, network, standby=True, lease_s=lease_s) as team:
        weather = Weather(team, chance)
        for number, payload in enumerate(feed):
            team.hook(payload) if hooks else team.say([payload])
            weather.tick()
            if chance.random() < 1 / events_between and (name := weather.strike()):
                say(f"{weather.done.total():4} of {faults}: {name} (event {number})")
            if weather.done.total() >= faults:
                break
            time.sleep(pace_s)
        weather.clear()
        team.say(feed.last_words())
        started = time.monotonic()
        try:
            team.settle(SETTLE_S)
            broken = team.broken()
        except AssertionError as error:
            broken = [str(error), *team.broken()]
        return Outcome(len(team.told), weather.done, network.counted(), broken, time.monotonic() - started)


def main(arguments: list[str]) -> int:
    """Run, report, and exit 1 when a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="drill", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--between", type=float, default=100, help="events between two faults, about")
    parser.add_argument("--lease", type=float, default=LEASE_S, help="life of a lease in seconds")
    parser.add_argument(
        "--hooks", action="store_true", help="give every event to the real hook, one right after the other"
    )
    parser.add_argument("--keep", type=Path, help="keep the machines' folders here")
    given = parser.parse_args(arguments)
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="karl-drill-") as scratch:
        try:
            done = drill(
                given.keep or Path(scratch) / "team",
                seed=given.seed,
                faults=given.faults,
                events_between=given.between,
                lease_s=given.lease,
                hooks=given.hooks,
                say=lambda text: print(text, flush=True),
            )
        except NoNamespaces as error:
            print(error)
            return 1
    print(
        f"{done.events} events, settled in {done.settled_s:.1f} s; {dict(done.faults)}; packets: {done.packets}"
    )
    for promise in done.broken:
        print(f"BROKEN: {promise}")
    print(f"{'broken' if done.broken else 'kept'}: repeat with --seed {given.seed} --faults {given.faults}")
    return 1 if done.broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
