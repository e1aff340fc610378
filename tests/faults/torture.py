"""`make torture`: a line under faults for as long as it takes, and then the checker.

    python -m tests.faults.torture [--faults N] [--seed S] [--between EVENTS] [--only WORDS] [--skip WORDS]
        [--fsync always|everysec] [--keep FOLDER]

A run that fails prints the seed that repeats its choices, and keeps the line's folder.
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from redis.exceptions import RedisError

from tests.faults import checker
from tests.faults.disks import NO_MOUNT, may_mount
from tests.faults.feed import Feed
from tests.faults.line import RealLine
from tests.faults.nemesis import Nemesis

#: Seconds in which a line that nobody harms any more must have taken everything in.
SETTLE_S = 120.0
#: The sessions whose events are left by the real hook; those of the others are left faster.
HOOKED = ("s-0", "s-1")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did and what it broke."""

    events: int
    faults: Counter[str]
    broken: list[str]
    settled_s: float
    died: Counter[str] = field(default_factory=Counter)


class _Agents:
    """Those whose hooks feed the line; `told` says what was accepted."""

    def __init__(self, line: RealLine, chance: random.Random) -> None:
        self._line = line
        self._chance = chance
        self._copies: list[Path] = []
        self.told = checker.Told()

    def say(self, payload: dict[str, object], *, doubtful: bool) -> None:
        """Let a hook leave an event; sometimes the same payload comes in two, sometimes an old file once more."""
        if payload["session_id"] in HOOKED:
            self._line.real_hook(payload)
            (self.told.perhaps if doubtful else self.told.accepted)(payload)
            return
        for _ in range(2 if self._chance.random() < 0.02 else 1):
            if self._line.hook(payload):
                self.told.accepted(payload)
        if not doubtful and self._chance.random() < 0.02:
            self._keep_copy()
        if not doubtful and self._copies and self._chance.random() < 0.01:
            self._send_again()

    def _keep_copy(self) -> None:
        """Keep the last event's file, with its name and its time; it may have been shipped already."""
        kept = self._line.folder / "copies"
        kept.mkdir(exist_ok=True)
        try:
            self._copies.append(Path(shutil.copy2(self._line.last_event, kept)))
        except FileNotFoundError:
            return

    def _send_again(self) -> None:
        """Put an old file back into the spool: the same name, time and bytes are the same event."""
        copy = self._copies.pop(0)
        hidden = self._line.spool / ".incoming"
        try:
            shutil.copy2(copy, hidden)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            hidden.unlink()  # the spool is full just now, and what is not whole there has no name
            return
        hidden.rename(self._line.spool / copy.name)


def torture(
    folder: Path,
    *,
    seed: int,
    faults: int,
    events_between: float = 40,
    pace_s: float = 0.002,
    only: str = "",
    skip: str = "",
    fsync: str = "always",
    say: Callable[[str], None] = lambda _text: None,
) -> Outcome:
    """Feed a line, and harm it so many times, with about so many events between two faults."""
    chance = random.Random(seed)
    feed = Feed(random.Random(chance.random()))
    with RealLine(folder, disks=may_mount(), fsync=fsync) as line:
        nemesis = Nemesis(line, chance, only=only, skip=skip)
        agents = _Agents(line, random.Random(chance.random()))
        struck = 0
        _await_line(line)
        for payload in feed:
            agents.say(payload, doubtful=not nemesis.spares_the_spool)
            nemesis.tick()
            if chance.random() < 1 / events_between:
                name = nemesis.strike()
                struck += 1
                say(f"{struck:4} of {faults}: {name} (event {len(agents.told)})")
            if struck >= faults:
                break
            time.sleep(pace_s)
        nemesis.rest()
        for payload in feed.last_words():
            agents.say(payload, doubtful=False)
        say("no more harm; waiting until everything has come to its end")
        started = time.monotonic()
        broken = settle(line)
        took = time.monotonic() - started
        broken += checker.broken_promises(folder, line.redis, agents.told, environment=line.environment)
        broken += _defects(folder / "log")
        return Outcome(len(agents.told), nemesis.done, broken, took, line.died)


def _defects(log: Path) -> list[str]:
    """Find what nobody had foreseen: a traceback in what the processes said, by its last line."""
    found, inside = Counter[str](), False
    for line in log.read_text("utf-8", "replace").splitlines():
        if line.startswith("Traceback"):
            inside = True
        elif inside and not line.startswith(" "):
            found[line] += 1
            inside = False
    return [f"a process did not foresee ({count} times): {what}" for what, count in found.items()]


def _await_line(line: RealLine) -> None:
    """Wait until somebody folds and somebody writes: harm to what has not begun proves little."""
    deadline = time.monotonic() + SETTLE_S
    while line.redis.exists("karl:workers", "karl:ledger:lease") != 2 and time.monotonic() < deadline:
        time.sleep(0.02)


def settle(line: RealLine) -> list[str]:
    """Wait until nothing is under way and the views are at the ledger's end; say so if that does not come."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        line.tend()
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
    parser.add_argument("--between", type=float, default=40, help="events between two faults, about")
    parser.add_argument("--only", default="", help="only faults with these words in their names")
    parser.add_argument("--skip", default="", help="no faults with these words in their names")
    parser.add_argument("--fsync", default="always", help="the server's appendfsync: always or everysec")
    parser.add_argument("--keep", type=Path, help="keep the line's folder here")
    given = parser.parse_args(arguments)
    _go_where_one_may_mount()
    print(f"seed {given.seed}" + ("" if may_mount() else f"; no harm to whole disks: {NO_MOUNT}"), flush=True)
    scratch = Path(tempfile.mkdtemp(prefix="karl-torture-"))
    folder = given.keep or scratch / "data"
    done = torture(
        folder,
        seed=given.seed,
        faults=given.faults,
        events_between=given.between,
        only=given.only,
        skip=given.skip,
        fsync=given.fsync,
        say=lambda text: print(text, flush=True),
    )
    print(f"{done.events} events, settled in {done.settled_s:.1f} s; {dict(done.faults.most_common())}")
    print(f"started again: {dict(done.died) or 'nothing'}")
    for promise in done.broken:
        print(f"BROKEN: {promise}")
    if done.broken:
        print(f"the line's folder is {folder}")
    else:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{'broken' if done.broken else 'kept'}: repeat with --seed {given.seed} --faults {given.faults}")
    return 1 if done.broken else 0


def _go_where_one_may_mount() -> None:
    """Go on in a namespace of our own: what is mounted there goes away with us, and everybody may mount there."""
    if "TORTURE_INSIDE" in os.environ or not shutil.which("unshare"):
        return
    rights = ["--mount"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--mount"]
    os.environ["TORTURE_INSIDE"] = "1"
    if os.spawnlp(os.P_WAIT, "unshare", "unshare", *rights, "true") == 0:
        os.execlp("unshare", "unshare", *rights, sys.executable, "-m", "tests.faults.torture", *sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
