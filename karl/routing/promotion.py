"""Whether a router has earned to route: held against the rules, on prompts whose truth came afterwards.

What is judged is evidence (`karl.routing.evidence`), and nothing else can be given. Each check says what it
found; a promotion needs all of them, and a router that passes routes the skills that it has earned, no more.

Invariants:
- The same evidence gives the same judgement, in whatever order it comes.
- It may be asked at any interval: the comparison with the rules is made at the first 200 records, 400, 800
  and so on alone, each time with half of what is left of the chance to be wrong (`checks.look`).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from karl.intervals import Paired, Share, share_of
from karl.routing import checks
from karl.routing.checks import Bar, Check
from karl.routing.evidence import Evidence, Lineage
from karl.routing.policy import Policy, decide
from karl.routing.router import Choice, Ranked
from karl.schema.routing import Way

_BAR = Bar()
#: Parts into which sessions are drawn where what is chosen must not be judged on what chose it.
FOLDS = 5


class SkillJudged(msgspec.Struct, frozen=True):
    """How both routers do on one skill: on prompts that asked for it, and on those for which either took it.

    `n` prompts asked for it, in `sessions`; `vector` and `regex` of these got it. `over` is how much more
    often the vector router is right, yes and no, than the rules, with the bounds at the level that counted.
    """

    skill: str
    n: int
    sessions: int
    vector: int
    regex: int
    over: Paired | None
    ready: bool
    says: str


class Judgement(msgspec.Struct, frozen=True):
    """What evidence says of a router. `over` is the comparison with the rules that counted."""

    router: str
    checks: tuple[Check, ...]
    over: Paired
    skills: tuple[SkillJudged, ...]
    measured: dict[str, float]

    @property
    def passed(self) -> bool:
        """Say whether everything is reached."""
        return all(check.passed for check in self.checks)

    @property
    def ready(self) -> tuple[str, ...]:
        """The skills that the router has earned."""
        return tuple(one.skill for one in self.skills if one.ready)


class Mixture(msgspec.Struct, frozen=True):
    """What each way comes to on sessions that did not choose which skills are ready.

    `right` are shares of the prompts that asked for a skill, `loud` of those that asked for none.
    """

    right: dict[str, Share]
    loud: dict[str, Share]


def judge(evidence: Iterable[Evidence], lineage: Lineage, policy: Policy, bar: Bar = _BAR) -> Judgement:
    """Judge the router of a lineage. Evidence that is not of it does not count."""
    rows = sorted(
        (row for row in evidence if lineage.has(row.router)), key=lambda row: (row.time_ms, row.event)
    )
    asked = [row for row in rows if row.truth is not None]
    none = [row for row in rows if row.truth is None]
    skills = judge_skills(rows, bar)
    over, is_better = checks.better(asked, bar)
    found = (
        checks.counted("records", len(asked), bar.records, "prompts that asked for a skill"),
        checks.counted(
            "sessions", len({row.session for row in asked}), bar.sessions, "sessions with such prompts"
        ),
        is_better,
        checks.carried(asked, bar),
        checks.coverage(asked, bar),
        checks.right(asked, bar),
        checks.quiet(none, bar),
        checks.fast(rows, bar),
        checks.own([row for row in asked if row.router in lineage.own], bar),
        _ready(skills, policy),
    )
    return Judgement(lineage.router, found, over, skills, _measured(rows, asked, none, over))


def judge_skills(rows: Sequence[Evidence], bar: Bar) -> tuple[SkillJudged, ...]:
    """Judge each skill that was asked for, by what the look that is due shows. `rows` are in order of time.

    The chance to be wrong is shared by the skills that there is enough of (Holm 1979): that any of them is
    called ready by accident is as improbable as it is of one.
    """
    asked = [row for row in rows if row.truth is not None]
    due = checks.look(len(asked), bar.records, bar.tail)
    seen = [row for row in rows if _order(row) <= _order(asked[due.size - 1])] if due else []
    all_of, seen_of = _touched(rows), _touched(seen)
    counts = Counter(row.truth for row in seen)
    left = {skill for skill in seen_of if counts[skill] >= bar.skill}
    found: dict[str, Paired] = {}
    passed: set[str] = set()
    while due and left:
        tail = due.tail / len(left)
        found |= {skill: checks.compared(seen_of[skill], _marks(skill), tail) for skill in left}
        fresh = {skill for skill in left if checks.above(found[skill].low)}
        if not fresh:
            break
        passed |= fresh
        left -= fresh
    judged = [_skill(skill, mine, bar, found.get(skill), skill in passed) for skill, mine in all_of.items()]
    return tuple(sorted((one for one in judged if one.n), key=lambda one: (-one.n, one.skill)))


def mixture(evidence: Iterable[Evidence], policy: Policy, bar: Bar = _BAR) -> Mixture:
    """Say what the vector router, the rules and both together, skill by skill, come to.

    Which skills are ready is chosen on four fifths of the sessions and judged on the last, five times.
    """
    rows = sorted(evidence, key=_order)
    smaller = bar._replace(records=bar.records * (FOLDS - 1) // FOLDS)
    folds = [_fold(row.session) for row in rows]
    picked: list[str | None] = [None] * len(rows)
    for fold in range(FOLDS):
        rest = [row for row, of in zip(rows, folds, strict=True) if of != fold]
        ready = tuple(one.skill for one in judge_skills(rest, smaller) if one.ready)
        chosen = msgspec.structs.replace(policy, mode="active", ready=ready)
        for place, of in enumerate(folds):
            if of == fold:
                picked[place] = pick(chosen, rows[place])
    all_ways = {
        "vector": [row.vector for row in rows],
        "regex": [row.regex for row in rows],
        "mixture": picked,
    }
    return Mixture(
        {way: _shares(rows, picks, asked=True) for way, picks in all_ways.items()},
        {way: _shares(rows, picks, asked=False) for way, picks in all_ways.items()},
    )


def pick(policy: Policy, row: Evidence) -> str | None:
    """Say what a policy would have picked."""
    choice = Choice((Ranked(row.vector, 1.0),), 0.0, takes=True) if row.vector is not None else None
    return decide(policy, row.regex, choice)


def ways(skills: Iterable[str], policy: Policy, ready: Iterable[str]) -> dict[str, Way]:
    """Say which router would decide about each skill, were these ready."""
    would = msgspec.structs.replace(policy, ready=tuple(ready))
    return {skill: would.way(skill) for skill in skills}


def _order(row: Evidence) -> tuple[int, str]:
    return row.time_ms, row.event


def _shares(rows: Sequence[Evidence], picks: Sequence[str | None], *, asked: bool) -> Share:
    pairs = [(row, one) for row, one in zip(rows, picks, strict=True) if (row.truth is not None) == asked]
    return share_of((row.session, (one == row.truth) == asked, 1) for row, one in pairs)


def _fold(session: str) -> int:
    return int(hashlib.sha256(session.encode("utf-8", "surrogatepass")).hexdigest()[:8], 16) % FOLDS


def _ready(skills: Sequence[SkillJudged], policy: Policy) -> Check:
    ready = [one.skill for one in skills if one.ready]
    routed = [
        name for name, way in ways({*ready, *policy.overrides}, policy, ready).items() if way == "vector"
    ]
    says = f"{len(ready)} of {len(skills)} skills are ready, {len(routed)} would be routed"
    return Check("ready", bool(routed), says)


def _touched(rows: Sequence[Evidence]) -> dict[str, list[Evidence]]:
    """Give for each skill the prompts that asked for it, and those for which either router took it."""
    touched: defaultdict[str, list[Evidence]] = defaultdict(list)
    for row in rows:
        for skill in {row.truth, row.vector, row.regex}:
            if skill is not None:
                touched[skill].append(row)
    return touched


def _marks(skill: str) -> checks.Marks:
    """Say of a prompt whether either router was right about this skill, yes or no."""

    def marks(row: Evidence) -> tuple[bool, bool]:
        mine = row.truth == skill
        return (row.vector == skill) == mine, (row.regex == skill) == mine

    return marks


def _skill(skill: str, rows: Sequence[Evidence], bar: Bar, over: Paired | None, passed: bool) -> SkillJudged:
    asked = [row for row in rows if row.truth == skill]
    apart = sum(ours - theirs for ours, theirs in map(_marks(skill), rows))
    if over is None:
        says = f"{len(asked)} of {bar.skill} prompts" if len(asked) < bar.skill else "counts at the next look"
    elif passed and apart <= 0:
        says = "better at the look, not any more since"
    else:
        says = "better than the rules" if passed else "not surely better than the rules"
    return SkillJudged(
        skill,
        len(asked),
        len({row.session for row in asked}),
        sum(row.vector == skill for row in asked),
        sum(row.regex == skill for row in asked),
        over,
        passed and apart > 0,
        says,
    )


def _measured(
    rows: Sequence[Evidence], asked: Sequence[Evidence], none: Sequence[Evidence], over: Paired
) -> dict[str, float]:
    """Give the figures that a decision keeps."""
    found: Mapping[str, float | None] = {
        "records": float(len(asked)),
        "sessions": float(len({row.session for row in asked})),
        "none": float(len(none)),
        "compared": float(over.n),
        "vector": over.first_share,
        "regex": over.second_share,
        "difference": over.difference,
        "low": over.low,
        "high": over.high,
        "coverage": sum(row.vector is not None for row in asked) / len(asked) if asked else None,
        "loud_vector": sum(row.vector is not None for row in none) / len(none) if none else None,
        "loud_regex": sum(row.regex is not None for row in none) / len(none) if none else None,
        "p95_ms": checks.p95_ms(rows) if rows else None,
    }
    return {name: round(value, 6) for name, value in found.items() if value is not None}
