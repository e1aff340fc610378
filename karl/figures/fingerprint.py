"""How an agent works: what it does, in which order, and whether it works now as it did before.

Made from acts (karl.acts), so that `cat f` in a shell and a Read are one thing, whatever the agent's tools
are called. Steps are pairs of deeds that follow each other in a turn, its beginning and end included. Two
sets of turns differ by the Jensen-Shannon divergence of their steps: 0 the same, 1 nothing in common.
"""

from __future__ import annotations

import math
import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from karl.figures.numbers import divergence, quantile, standing
from karl.intervals import Mean, Share, mean_of, share_of
from karl.reward.deeds import acts_of
from karl.schema.act import Act, Doing
from karl.schema.trajectory import Trajectory

#: Each letter of a signature, and what it stands for.
LETTERS = {
    "r": "read",
    "s": "search",
    "e": "edit",
    "c": "check",
    "x": "run",
    "v": "version control",
    "o": "other",
}
_LETTER: dict[Doing, str] = {
    "read": "r",
    "search": "s",
    "list": "s",
    "edit": "e",
    "delete": "e",
    "check": "c",
    "run": "x",
    "install": "x",
    "commit": "v",
    "push": "v",
    "revert": "v",
    "vcs": "v",
    "other": "o",
}
_BEGIN, _END = "^", "$"
#: Fewer sessions on a side say nothing about drift.
SESSIONS_MIN = 5
#: Steps of a session below which its distance from others says how short it is, and nothing else.
STEPS_MIN = 10
#: Draws of the test for drift.
DRAWS = 500
#: The most frequent steps that are named, and those that changed most.
NAMED = 6
ALPHA = 0.05


class Trace(NamedTuple):
    """One turn in letters, with what is counted of it: (hits, of) by name, `length` in acts."""

    session: str
    time_ms: int
    letters: str
    counts: dict[str, tuple[int, int]]


class Fingerprint(msgspec.Struct, frozen=True):
    """`deeds` are shares by letter, `acts` the mean number of a turn, `steps` shares of the frequent pairs.

    `shares`: edited files that were read before (`read_first`), edits with a check later in the turn
    (`checked`), failed acts after which the same kind of act went well in the turn (`recovered`), acts before
    the first edit, in turns with one (`looking`). `scope` is how much of their paths a turn's edited files
    have in common, 0 to 1.
    """

    turns: int
    sessions: int
    signature: str
    deeds: dict[str, Share]
    acts: Mean
    shares: dict[str, Share]
    files: Mean
    scope: Mean
    steps: dict[str, float]


class Drift(msgspec.Struct, frozen=True):
    """How far recent sessions are from earlier ones; `p` is the chance of as much if nothing had changed.

    `usual` is what as many sessions differ by chance, on average. Null where a side has fewer than five.
    `changed` holds the steps that changed most, with their shares before and now.
    """

    recent: int
    earlier: int
    distance: float | None
    usual: float | None
    p: float | None
    drifted: bool
    changed: dict[str, tuple[float, float]]


class Compared(msgspec.Struct, frozen=True):
    """One session against its agent's others: its distance, and where that stands among theirs (0 to 1).

    Sessions of fewer than ten steps are left out; null where this one is, or fewer than five others are left.
    """

    others: int
    distance: float | None
    place: float | None


def trace_of(session: str, time_ms: int, trajectory: Trajectory) -> Trace:
    """Put a turn into letters."""
    acts = [act for one in acts_of(trajectory) for act in one]
    letters = "".join(_LETTER[act.does] for act in acts)
    return Trace(session, time_ms, letters, {**_order(acts), **_ends(acts), **_files(acts)})


def fingerprint_of(traces: Sequence[Trace]) -> Fingerprint:
    """Put turns of one agent together."""
    spread = {
        letter: share_of((one.session, one.letters.count(letter), len(one.letters)) for one in traces)
        for letter in LETTERS
    }
    steps = _steps(traces)
    total = steps.total()
    return Fingerprint(
        turns=len(traces),
        sessions=len({one.session for one in traces}),
        signature=" ".join(
            f"{letter}{round(100 * share.share)}"
            for letter, share in spread.items()
            if share.share is not None and share.share >= 0.005
        ),
        deeds=spread,
        acts=mean_of((one.session, float(len(one.letters))) for one in traces),
        shares={
            name: share_of((one.session, *one.counts[name]) for one in traces)
            for name in ("read_first", "checked", "recovered", "looking")
        },
        files=mean_of((one.session, float(one.counts["files"][0])) for one in traces),
        scope=mean_of(
            (
                (one.session, one.counts["scope"][0] / one.counts["scope"][1])
                for one in traces
                if one.counts["scope"][1]
            ),
            (0.0, 1.0),
        ),
        steps={step: count / total for step, count in steps.most_common(NAMED)},
    )


def drift_of(traces: Sequence[Trace], since_ms: int, shuffle: Callable[[list[int]], None]) -> Drift:
    """Compare sessions that began since a moment with those before; `shuffle` puts a list into random order.

    The test draws sessions, which are what is independent, into two sets of the same sizes.
    """
    sessions = _by_session(traces)
    began = {name: min(one.time_ms for one in traces_) for name, traces_ in sessions.items()}
    steps = [_steps(some) for some in sessions.values()]
    now = [at for at, name in enumerate(sessions) if began[name] >= since_ms]
    recent, earlier = len(now), len(steps) - len(now)
    if min(recent, earlier) < SESSIONS_MIN:
        return Drift(recent, earlier, None, None, None, drifted=False, changed={})
    whole = _sum(steps)
    mine = _sum([steps[at] for at in now])
    distance = _apart(mine, whole) or 0.0
    drawn, places = [], list(range(len(steps)))
    for _ in range(DRAWS):
        shuffle(places)
        drawn.append(_apart(_sum([steps[at] for at in places[:recent]]), whole) or 0.0)
    p = (1 + sum(one >= distance for one in drawn)) / (1 + DRAWS)
    changed = _changed(mine, whole - mine)
    return Drift(recent, earlier, distance, math.fsum(drawn) / DRAWS, p, drifted=p < ALPHA, changed=changed)


def compare(traces: Sequence[Trace], session: str) -> Compared:
    """Say how far a session is from its agent's others, and whether that is far for them."""
    steps = {name: _steps(some) for name, some in _by_session(traces).items()}
    whole = _sum(list(steps.values()))
    apart = {name: _apart(own, whole) for name, own in steps.items() if own.total() >= STEPS_MIN}
    mine = apart.pop(session, None)
    others = sorted(one for one in apart.values() if one is not None)
    place = standing(others, mine) if mine is not None and len(others) >= SESSIONS_MIN else None
    return Compared(len(others), mine, place)


def middle_time(traces: Sequence[Trace]) -> int:
    """Give the time at which half of the sessions had begun: where drift is looked for by default."""
    began = [float(min(one.time_ms for one in some)) for some in _by_session(traces).values()]
    return math.ceil(quantile(sorted(began), 0.5))


def _by_session(traces: Iterable[Trace]) -> dict[str, list[Trace]]:
    sessions: dict[str, list[Trace]] = {}
    for one in traces:
        sessions.setdefault(one.session, []).append(one)
    return sessions


def _steps(traces: Iterable[Trace]) -> Counter[str]:
    steps: Counter[str] = Counter()
    for one in traces:
        if one.letters:
            steps.update(map("".join, pairwise(_BEGIN + one.letters + _END)))
    return steps


def _sum(steps: Sequence[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in steps:
        total.update(one)
    return total


def _apart(some: Counter[str], whole: Counter[str]) -> float | None:
    """Give the divergence of some sessions from all others."""
    return divergence(dict(some), dict(whole - some))


def _changed(now: Counter[str], before: Counter[str]) -> dict[str, tuple[float, float]]:
    new, old = now.total() or 1, before.total() or 1
    shares = {step: (before[step] / old, now[step] / new) for step in now.keys() | before.keys()}
    order = sorted(shares.items(), key=lambda item: (-abs(item[1][1] - item[1][0]), item[0]))
    return dict(order[:NAMED])


def _order(acts: Sequence[Act]) -> dict[str, tuple[int, int]]:
    """Count files read before they were edited, and edits with a check after them."""
    read: set[str] = set()
    first: dict[str, bool] = {}
    for act in acts:
        if act.does == "read" and act.path:
            read.add(act.path)
        elif act.does == "edit" and act.path:
            first.setdefault(act.path, act.path in read)
    places = [at for at, act in enumerate(acts) if act.does == "edit"]
    last = max((at for at, act in enumerate(acts) if act.does == "check"), default=-1)
    return {
        "read_first": (sum(first.values()), len(first)),
        "checked": (sum(at < last for at in places), len(places)),
        "looking": (places[0], len(acts)) if places else (0, 0),
    }


def _ends(acts: Sequence[Act]) -> dict[str, tuple[int, int]]:
    """Count failed acts after which the same kind of act went well."""
    failed = [at for at, act in enumerate(acts) if act.ok is False]
    well: Mapping[str, int] = {act.does: at for at, act in enumerate(acts) if act.ok}
    return {"recovered": (sum(well.get(acts[at].does, -1) > at for at in failed), len(failed))}


def _files(acts: Sequence[Act]) -> dict[str, tuple[int, int]]:
    """Count edited files, and the folders that all of them share of the deepest one's."""
    edited = sorted({act.path for act in acts if act.does == "edit" and act.path})
    folders = [posixpath.dirname(path).split("/") for path in edited]
    shared = 0
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        shared += 1
    deepest = max(map(len, folders), default=0)
    return {"files": (len(edited), 1), "scope": (shared, deepest) if len(edited) > 1 else (0, 0)}
