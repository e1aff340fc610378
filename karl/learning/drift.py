"""Whether agents do otherwise than when an adapter's data was exported, and whether to train anew. Pure.

Rewards are compared as distributions, not by their means: a mean that moved may be chance, and one that
stayed may hide that half got better and half worse. The test permutes whole sessions, since turns of one are
alike: under "nothing changed" it does not matter which sessions came before. Sessions are only ever exchanged
within one agent and one domain, so that another mix of agents or domains is no drift. The chances of several
domains, and of all together, are corrected by Holm (1979).

Invariants:
- Scores of different versions of the reward are never compared.
- The same turns and the same seed give the same figures.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from karl.intervals import Share, mean_of, share_of, t_of

#: Sessions that each side needs to be compared at all, and that it needs of an agent in a domain to count.
SESSIONS_MIN, PART_MIN = 8, 2
#: A change is spoken of below this chance that there is none.
ALPHA = 0.05
PERMUTATIONS = 4000
#: Values at which two distributions are compared at most.
_POINTS = 200
#: Numbers that are permuted in one go.
_HELD = 1 << 21
#: Sessions that make a domain or an agent worth training with that was not.
GAP_SESSIONS = 5
#: New sessions, as a share of those trained with and at least so many, that are worth training with.
GROWN_SHARE, GROWN_MIN = 0.5, 20
#: Share of calls to tools that the training never saw which its lower bound must exceed.
UNSEEN_SHARE = 0.05

Verdict = Literal["retrain", "wait", "nothing trained yet"]
Floats = NDArray[np.float64]


class Turn(NamedTuple):
    """A turn: where it belongs, and its reward; `tools` counts its calls."""

    session: str
    agent: str
    domain: str
    reward: float
    tools: Mapping[str, int]


class Side(msgspec.Struct, frozen=True):
    """Rewards of one side: turns, sessions, and their mean with its 95 % interval over sessions."""

    turns: int
    sessions: int
    mean: float | None
    low: float | None
    high: float | None


class Change(msgspec.Struct, frozen=True):
    """Rewards of a domain (empty for all) before and since.

    `difference` is that of the means, since less before, with its 95 % interval; `p` the chance of as large a
    difference of distributions where nothing changed, `holm` the same corrected for all domains; null where
    a side has too few sessions. `has_changed` follows from `holm`.
    """

    domain: str
    before: Side
    since: Side
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    holm: float | None = None
    has_changed: bool = False


class Gap(msgspec.Struct, frozen=True):
    """A domain, or an agent, that was not in the training's data: its turns and sessions since."""

    kind: Literal["domain", "agent"]
    name: str
    turns: int
    sessions: int


class Drift(msgspec.Struct, frozen=True):
    """What there is since a training. `overall` is the test within all agents and domains together.

    `turns` and `sessions` are new, `continued` counts the turns of sessions that the training had already.
    `unseen` is the share of calls since then to tools that its data never called.
    """

    turns: int
    sessions: int
    continued: int
    trained_sessions: int
    overall: Change
    domains: list[Change]
    untrained: list[Gap]
    unseen: Share
    unseen_tools: dict[str, int]


class Advice(msgspec.Struct, frozen=True):
    """What to do, and why: `reasons` speak for training anew, `waits` for not doing so."""

    verdict: Verdict
    reasons: list[str]
    waits: list[str]


def drift_of(
    before: Sequence[Turn], since: Sequence[Turn], seed: int = 0, permutations: int = PERMUTATIONS
) -> Drift:
    """Compare what was trained with and what came since; a session of both sides counts as before only."""
    trained = {turn.session for turn in before}
    new = [turn for turn in since if turn.session not in trained]
    known = {turn.domain for turn in before}
    seen = {tool for turn in before for tool in turn.tools}
    strata = _strata(before, new)
    domains = sorted({domain for _, domain in strata if domain in known})
    changes = [
        _change(domain, [part for (_, at), part in strata.items() if at == domain], seed, permutations)
        for domain in domains
    ]
    whole = _change("", [part for (_, at), part in strata.items() if at in known], seed, permutations)
    overall, *changes = _corrected([whole, *changes])
    return Drift(
        turns=len(new),
        sessions=len({turn.session for turn in new}),
        continued=len(since) - len(new),
        trained_sessions=len(trained),
        overall=overall,
        domains=changes,
        untrained=[*_gaps("agent", before, new), *_gaps("domain", before, new)],
        unseen=share_of(
            (turn.session, _strange(turn, seen).total(), sum(turn.tools.values())) for turn in new
        ),
        unseen_tools=dict(sum((_strange(turn, seen) for turn in new), Counter[str]()).most_common()),
    )


def _strange(turn: Turn, seen: set[str]) -> Counter[str]:
    """Count a turn's calls to tools that were not seen."""
    return Counter({tool: count for tool, count in turn.tools.items() if tool not in seen})


def advise(drift: Drift) -> Advice:
    """Say whether to train anew, with the figures that say so."""
    reasons, waits = [], []
    changed = [one for one in drift.domains if one.has_changed]
    if drift.overall.has_changed:
        reasons.append(f"rewards changed: {_told(drift.overall)}")
    reasons += [f"rewards of {one.domain or 'no domain'} changed: {_told(one)}" for one in changed]
    if not drift.overall.has_changed and not changed:
        waits.append(f"no change of rewards can be told from chance: {_told(drift.overall)}")
    for gap in drift.untrained:
        name = f"{gap.kind} {gap.name or '(none)'}"
        said = f"{name} was not trained with: {gap.sessions} sessions, {gap.turns} turns"
        (reasons if gap.sessions >= GAP_SESSIONS else waits).append(said)
    wanted = max(GROWN_MIN, GROWN_SHARE * drift.trained_sessions)
    grown = f"{drift.sessions} sessions are new, {drift.trained_sessions} were trained with"
    (reasons if drift.sessions >= wanted else waits).append(grown)
    if (drift.unseen.low or 0.0) > UNSEEN_SHARE:
        reasons.append(
            f"{drift.unseen.share:.1%} of calls are to tools that it never saw "
            f"({drift.unseen.low:.1%} to {drift.unseen.high:.1%})"
        )
    return Advice("retrain" if reasons else "wait", reasons, waits)


def _told(change: Change) -> str:
    if change.p is None or change.difference is None:
        return f"{change.before.sessions} sessions before and {change.since.sessions} since are too few"
    chance = change.p if change.holm is None else change.holm
    within = "" if change.low is None else f" ({change.low:+.3f} to {change.high:+.3f})"
    return (
        f"mean {change.difference:+.3f}{within}, p {chance:.4f}, "
        f"{change.before.sessions} sessions before and {change.since.sessions} since"
    )


class _Part(NamedTuple):
    """One agent in one domain: the rewards of each session, by side."""

    before: list[list[float]]
    since: list[list[float]]


def _strata(before: Iterable[Turn], since: Iterable[Turn]) -> dict[tuple[str, str], _Part]:
    """Group sessions by agent and by the domain that most of their turns are in."""
    parts: dict[tuple[str, str], _Part] = {}
    for side, turns in enumerate((before, since)):
        sessions: defaultdict[str, list[Turn]] = defaultdict(list)
        for turn in turns:
            sessions[turn.session].append(turn)
        for name in sorted(sessions):
            most = Counter((turn.agent, turn.domain) for turn in sessions[name])
            where = min(most, key=lambda one: (-most[one], one))
            parts.setdefault(where, _Part([], []))[side].append([turn.reward for turn in sessions[name]])
    return dict(sorted(parts.items()))


def _change(domain: str, parts: Sequence[_Part], seed: int, permutations: int) -> Change:
    """Compare one domain, or all, over the agents that have enough sessions on both sides."""
    made = Change(
        domain,
        _side([rewards for part in parts for rewards in part.before]),
        _side([rewards for part in parts for rewards in part.since]),
    )
    usable = [part for part in parts if min(len(part.before), len(part.since)) >= PART_MIN]
    if min(sum(len(part[side]) for part in usable) for side in (0, 1)) < SESSIONS_MIN:
        return made
    p = _chance(usable, np.random.default_rng([seed, *domain.encode("utf-8", "replace")]), permutations)
    difference, low, high = _difference(usable)
    return msgspec.structs.replace(made, difference=difference, low=low, high=high, p=p)


def _side(sessions: Sequence[Sequence[float]]) -> Side:
    mean = mean_of(
        ((at, reward) for at, rewards in enumerate(sessions) for reward in rewards), bounds=(0.0, 1.0)
    )
    return Side(mean.n, mean.groups, mean.mean, mean.low, mean.high)


def _difference(parts: Sequence[_Part]) -> tuple[float, float, float]:
    """Give the difference of the means of sessions, part by part, with an interval (Welch's within each)."""
    total = sum(_weight(part) for part in parts)
    value = variance = 0.0
    freedom = 0
    for part in parts:
        share = _weight(part) / total
        means = [np.array([np.mean(rewards) for rewards in side]) for side in part]
        value += share * float(means[1].mean() - means[0].mean())
        variance += share**2 * float(sum(side.var(ddof=1) / len(side) for side in means))
        freedom += min(len(side) for side in means) - 1
    half = t_of(freedom, 0.025) * variance**0.5
    return value, value - half, value + half


def _weight(part: _Part) -> float:
    return len(part.before) * len(part.since) / (len(part.before) + len(part.since))


def _chance(parts: Sequence[_Part], chance: np.random.Generator, permutations: int) -> float:
    """Give the chance of a difference as large, by permuting sessions within each part.

    The difference is the energy distance (Szekely and Rizzo 2013) of the two mean distributions of sessions,
    each of which counts once, however long it is; a part weighs as the harmonic mean of its sessions.
    """
    total = sum(_weight(part) for part in parts)
    pooled = np.concatenate([rewards for part in parts for side in part for rewards in side])
    points = np.unique(pooled)
    if len(points) > _POINTS:
        points = np.unique(np.quantile(pooled, np.linspace(0, 1, _POINTS), method="nearest"))
    apart = np.zeros((permutations + 1, len(points)))
    for part in parts:
        below = np.array([_below(rewards, points) for side in part for rewards in side])
        old, new = len(part.before), len(part.since)
        signs = np.repeat([-1.0 / old, 1.0 / new], [old, new])
        weight = _weight(part) / total
        apart[0] += weight * (signs @ below)
        step = max(1, _HELD // len(signs))
        for start in range(1, permutations + 1, step):
            many = min(step, permutations + 1 - start)
            drawn = chance.permuted(np.tile(signs, (many, 1)), axis=1)
            apart[start : start + many] += weight * (drawn @ below)
    found = np.square(apart[:, :-1]) @ np.diff(points)
    return float((1 + np.count_nonzero(found[1:] >= found[0] * (1 - 1e-9))) / (permutations + 1))


def _below(rewards: Sequence[float], points: Floats) -> Floats:
    """Give the share of a session's rewards that are at most so large, for each point."""
    below: Floats = np.searchsorted(np.sort(rewards), points, side="right") / len(rewards)
    return below


def _corrected(changes: Sequence[Change]) -> list[Change]:
    """Correct chances by Holm's step-down; the first is of all together, the others of a domain each."""
    tested = [at for at, one in enumerate(changes) if one.p is not None]
    if len(tested) == 2:  # one domain is all there is: both are one question, asked once
        tested, again = tested[:1], tested[1]
    else:
        again = None
    corrected: dict[int, float] = {}
    largest = 0.0
    for rank, (p, at) in enumerate(sorted((changes[at].p or 0.0, at) for at in tested)):
        largest = max(largest, min(1.0, p * (len(tested) - rank)))
        corrected[at] = largest
    made = list(changes)
    for at, holm in corrected.items():
        made[at] = msgspec.structs.replace(made[at], holm=holm, has_changed=holm < ALPHA)
    if again is not None:
        whole = made[tested[0]]
        made[again] = msgspec.structs.replace(
            made[again], p=whole.p, holm=whole.holm, has_changed=whole.has_changed
        )
    return made


def _gaps(kind: Literal["domain", "agent"], before: Iterable[Turn], new: Iterable[Turn]) -> list[Gap]:
    """List the names that are new, those of most sessions first."""
    known = {getattr(turn, kind) for turn in before}
    turns: Counter[str] = Counter()
    sessions: defaultdict[str, set[str]] = defaultdict(set)
    for turn in new:
        name: str = getattr(turn, kind)
        if name not in known:
            turns[name] += 1
            sessions[name].add(turn.session)
    gaps = [Gap(kind, name, count, len(sessions[name])) for name, count in turns.items()]
    return sorted(gaps, key=lambda gap: (-gap.sessions, gap.name))
