"""`make torture`: a line under faults for as long as it takes, and then the checker.

    python -m tests.faults.torture [--faults N] [--seed S] [--pace EVENTS_PER_SECOND] [--keep FOLDER]

A run that fails prints the seed that repeats it.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from redis.exceptions import RedisError

from tests.faults import checker
from tests.faults.feed import Feed
from tests.faults.line import RealLine
from tests.faults.nemesis import Nemesis

#: Seconds in which a line that nobody harms any more must have taken everything in.
SETTLE_S = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did and what it broke."""

    events: int
    faults: Counter[str]
    broken: list[str]
    settled_s: float


def torture(
    folder: Path,
    *,
    seed: int,
    faults: int,
    events_between: float = 25,
    pace_s: float = 0.001,
    say: Callable[[str], None] = lambda _text: None,
) -> Outcome:
    """Feed a line, and harm it so many times, with about so many events between two faults."""
    chance = random.Random(seed)
    feed = Feed(random.Random(chance.random()))
    with RealLine(folder) as line:
        nemesis = Nemesis(line, chance)
        struck = 0
        for payload in feed:
            line.hook(payload)
            nemesis.tick()
            if chance.random() < 1 / events_between:
                name = nemesis.strike()
                struck += 1
                say(f"{struck:4} of {faults}: {name} (event {len(feed.sent)})")
            if struck >= faults:
                break
            time.sleep(pace_s)
        nemesis.rest()
        for payload in feed.last_words():
            line.hook(payload)
        started = time.monotonic()
        broken = _settle(line, started + SETTLE_S)
        took = time.monotonic() - started
        broken += [f"{name} ended by itself with {code}" for name, code in line.ended().items()]
        broken += checker.broken_promises(folder, line.redis, feed.sent)
    return Outcome(len(feed.sent), nemesis.done, broken, took)


def _settle(line: RealLine, deadline: float) -> list[str]:
    """Wait until nothing is under way and the views are at the ledger's end."""
    while time.monotonic() < deadline:
        try:
            if not any(checker.waiting(line.folder, line.redis).values()) and checker.views_are_there(
                line.folder
            ):
                return []
        except RedisError:
            pass  # the server is on its way back
        time.sleep(0.05)
    return ["the line did not take everything in"]


def main(arguments: list[str]) -> int:
    """Run, report, and exit 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--between", type=float, default=25, help="events between two faults, about")
    parser.add_argument("--keep", type=Path, help="keep the line's folder here")
    given = parser.parse_args(arguments)
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="karl-torture-") as scratch:
        folder = given.keep or Path(scratch) / "data"
        done = torture(
            folder,
            seed=given.seed,
            faults=given.faults,
            events_between=given.between,
            say=lambda text: print(text, flush=True),
        )
    print(f"{done.events} events, settled in {done.settled_s:.1f} s; {dict(done.faults)}")
    for promise in done.broken:
        print(f"BROKEN: {promise}")
    print(f"{'broken' if done.broken else 'kept'}: repeat with --seed {given.seed} --faults {given.faults}")
    return 1 if done.broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
