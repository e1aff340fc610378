"""Who is told once routing is live, and whether those who are told do better: an experiment that never ends.

Sessions are drawn by their id: a share of them is told of skills, the rest is compared with. Both have their
suggestions recorded, so what is compared is what was drawn, whether the word arrived in time or not.

Invariants:
- A session stays on its side for as long as routing stays live, whatever else of the policy changes.
- Whoever looks may look as often as he likes: the intervals hold at all times together (`karl.intervals`).
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec

from karl.intervals import always, spread_of, t_of, z_of
from karl.routing.policy import Policy

#: Sessions that each side needs before anything is said.
SESSIONS_MIN = 20
#: The chance that a difference is seen at any time where there is none: reward and corrections, half each.
ALPHA = 0.05
#: What the intervals are narrowest for: so many sessions, whose means spread so far.
_BEST_SESSIONS, _BEST_SPREAD = 200, 0.2
#: The chance that as uneven a draw is an accident, below which it is doubted.
_UNEVEN = 0.001

Finding = Literal["worse", "better", "same", "few", "alone"]


class Suggested(NamedTuple):
    """A prompt for which a skill was picked; `told` whether the agent was. Null is what is not known yet."""

    session: str
    told: bool
    reward: float | None
    corrected: bool | None


class Apart(msgspec.Struct, frozen=True):
    """The means over sessions that are `told` and `others`, and how far apart they are, at all times.

    `sessions` counts both, in this order. Null where a side has too few.
    """

    sessions: tuple[int, int]
    told: float | None
    others: float | None
    difference: float | None
    low: float | None
    high: float | None


class Experiment(msgspec.Struct, frozen=True):
    """What came of telling: the turns' rewards, the share that was corrected, and what to make of it.

    `prompts` counts those compared; `delivered` is the share of those drawn to be told who were. `uneven`
    says that the draw came out as it should not, so that something loses records of one side.
    """

    finding: Finding
    says: str
    prompts: int
    delivered: float | None
    uneven: bool
    reward: Apart
    corrections: Apart


def told(session: str, policy: Policy) -> bool:
    """Say whether a session is one that is told of skills under a policy; in the mode `shadow` none is."""
    return policy.mode == "active" and drawn(session, policy)


def drawn(session: str, policy: Policy) -> bool:
    """Say on which side a session is, whatever the mode: by its id and the moment when routing went live."""
    name = f"{policy.since_ms}\n{session}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big") < policy.share * 2**64


def compare(rows: Iterable[Suggested], policy: Policy) -> Experiment:
    """Hold the sessions that were drawn to be told against the others, by what is known of their turns."""
    seen = [(drawn(row.session, policy), row) for row in rows]
    best = _BEST_SPREAD * math.sqrt(
        sum(1 / (_BEST_SESSIONS * max(share, 0.01)) for share in (policy.share, 1 - policy.share))
    )
    reward = _apart([(side, row.session, row.reward) for side, row in seen if row.reward is not None], best)
    corrections = _apart(
        [(side, row.session, float(row.corrected)) for side, row in seen if row.corrected is not None], best
    )
    ours = [row.told for side, row in seen if side]
    uneven = _uneven({row.session: side for side, row in seen}.values(), policy.share)
    finding, says = _finding(reward, corrections, policy, uneven=uneven)
    delivered = sum(ours) / len(ours) if ours else None
    return Experiment(finding, says, len(seen), delivered, uneven, reward, corrections)


def _apart(values: Sequence[tuple[bool, str, float]], best: float) -> Apart:
    """Compare the means of sessions, each of which counts once: a session's turns are alike."""
    sides: dict[bool, defaultdict[str, list[float]]] = {True: defaultdict(list), False: defaultdict(list)}
    for side, session, value in values:
        sides[side][session].append(value)
    means = {
        side: [math.fsum(one) / len(one) for one in sessions.values()] for side, sessions in sides.items()
    }
    counts = len(means[True]), len(means[False])
    middles = {side: math.fsum(one) / len(one) if one else None for side, one in means.items()}
    ours, others = middles[True], middles[False]
    if ours is None or others is None or min(counts) < SESSIONS_MIN:
        return Apart(counts, ours, others, None, None, None)
    error = max(_separate(means.values()), _pooled(means.values()))
    # The error is itself estimated, from the smaller side most of all.
    tail = ALPHA / 4
    half = always(error, best, ALPHA) * t_of(min(counts) - 1, tail) / z_of(tail)
    difference = ours - others
    return Apart(counts, ours, others, difference, difference - half, difference + half)


def _separate(sides: Iterable[Sequence[float]]) -> float:
    """Give the standard error of a difference of means, each side's spread being its own."""
    return math.sqrt(sum(spread**2 / len(side) for side in sides if (spread := spread_of(side))))


def _pooled(sides: Iterable[Sequence[float]]) -> float:
    """Give the same as if both sides were alike: a few of what is seldom say too little of their spread."""
    both = list(sides)
    spread = spread_of([value for side in both for value in side])
    return spread * math.sqrt(sum(1 / len(side) for side in both)) if spread else 0.0


def _uneven(sides: Iterable[bool], share: float) -> bool:
    """Say whether the draw gave a share that it does not give once in a thousand draws."""
    found = list(sides)
    spread = math.sqrt(len(found) * share * (1 - share))
    off = abs(sum(found) - len(found) * share)
    return len(found) >= 2 * SESSIONS_MIN and off > z_of(_UNEVEN / 2) * max(spread, 0.5)


def _finding(reward: Apart, corrections: Apart, policy: Policy, *, uneven: bool) -> tuple[Finding, str]:
    if not 0 < policy.share < 1:
        return "alone", "all sessions are on one side, so nothing can be compared (KARL_ROUTING_SHARE)"
    if reward.high is not None and reward.high < 0:
        return "worse", f"turns of sessions that are told have a lower reward: at most {reward.high:+.4f}"
    if corrections.low is not None and corrections.low > 0:
        return (
            "worse",
            f"turns of sessions that are told are corrected more often: {corrections.low:+.4f} at least",
        )
    if reward.difference is None:
        few = min(reward.sessions)
        return "few", f"the smaller side has {few} sessions whose turns have closed; it needs {SESSIONS_MIN}"
    if reward.low is not None and reward.low > 0:
        if uneven:
            return (
                "same",
                "rewards are higher, but the sides are not as large as they were drawn: look why first",
            )
        return "better", f"turns of sessions that are told have a higher reward: {reward.low:+.4f} at least"
    return "same", "no difference shows that could not be an accident"
