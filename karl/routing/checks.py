"""What a promotion needs, check by check, each with the figures that it went by.

`karl.routing.promotion` puts them together. Of two ways to say how alike records are, by session and by the
prompt's words, the one with the lower bound counts.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import msgspec

from karl.intervals import TAIL95, Paired, Share, Verdict, paired_of, share_of
from karl.routing.evidence import Evidence

CheckName = Literal[
    "records", "sessions", "better", "carried", "coverage", "right", "quiet", "fast", "own", "ready"
]


class Bar(NamedTuple):
    """What has to be reached; each is a count, a share, or milliseconds.

    `records` and `sessions` of prompts that asked for a skill, `own` of them by the very router; `skill` of
    one skill. `coverage` is the least share for which one is taken, `right` the share of these that must
    surely be right, `louder` how much more often than the rules one may be taken where none was asked for.
    """

    records: int = 200
    sessions: int = 20
    own: int = 20
    skill: int = 20
    coverage: float = 0.5
    right: float = 0.5
    louder: float = 0.1
    took_ms: float = 50.0
    tail: float = TAIL95


class Check(msgspec.Struct, frozen=True):
    """One thing that a promotion needs; `says` gives the figures."""

    name: CheckName
    passed: bool
    says: str


class Look(NamedTuple):
    """How many records count by now, and the chance to be wrong that this look may use."""

    size: int
    tail: float


def look(n: int, first: int, tail: float = TAIL95) -> Look | None:
    """Give the last of the looks that `n` records allow: at `first`, twice, four times as many; null before.

    The first may be wrong with half of `tail`, each further one with half of what the one before had: all
    together with `tail` at most, however often somebody asks in between.
    """
    if n < first:
        return None
    number = (n // first).bit_length()
    return Look(first << (number - 1), tail / 2**number)


#: What makes records alike.
_GROUPS: tuple[Callable[[Evidence], str], ...] = (lambda row: row.session, lambda row: row.words)
#: What both said of a record: whether the vector router was right, and the rules.
Marks = Callable[[Evidence], tuple[bool, bool]]


def compared(rows: Sequence[Evidence], marks: Marks, tail: float) -> Paired:
    """Compare the vector router with the rules; of the ways to group, the one with the lower bound counts."""
    found = [paired_of((Verdict(group(row), *marks(row)) for row in rows), tail) for group in _GROUPS]
    return min(found, key=lambda one: -1.0 if one.low is None else one.low)


def hits(row: Evidence) -> tuple[bool, bool]:
    """Say whether the vector router was right, and the rules."""
    return row.vector == row.truth, row.regex == row.truth


def counted(name: CheckName, n: int, least: int, what: str) -> Check:
    """There must be so many."""
    return Check(name, n >= least, f"{n:,} {what}; {least:,} are asked for")


def better(asked: Sequence[Evidence], bar: Bar) -> tuple[Paired, Check]:
    """Compare at the look that is due, and, lest what came since speaks against it, by now."""
    now = compared(asked, hits, bar.tail)
    due = look(len(asked), bar.records, bar.tail)
    if due is None:
        return now, Check("better", False, f"{_points(now)}; it counts from {bar.records:,} records on")
    over = compared(asked[: due.size], hits, due.tail)
    passed = above(over.low) and above(now.low)
    text = f"{_points(over)} over the first {due.size:,} (the next look is at {2 * due.size:,})"
    return over, Check("better", passed, f"{text}; {_points(now)} over all")


def carried(asked: Sequence[Evidence], bar: Bar) -> Check:
    """Leave out the session, and the agent, that speaks most for the router: it must do without."""
    helps: dict[str, defaultdict[str, int]] = {"session": defaultdict(int), "agent": defaultdict(int)}
    for row in asked:
        ours, theirs = hits(row)
        helps["session"][row.session] += ours - theirs
        helps["agent"][row.agent] += ours - theirs
    best = {of: max(sums, key=lambda name: (sums[name], name), default="") for of, sums in helps.items()}
    rest = compared([row for row in asked if row.session != best["session"]], hits, bar.tail)
    others = [row for row in asked if row.agent != best["agent"]]
    apart = sum(a - b for a, b in map(hits, others))
    if not rest.n:
        return Check("carried", passed=False, says="without the session that helps most nothing is left")
    says = f"without the session that helps most {_points(rest)}"
    if len(others) >= bar.own:
        says += f"; without {best['agent']} {100 * apart / len(others):+.1f} points over {len(others):,}"
        return Check("carried", above(rest.low) and apart >= 0, says)
    return Check("carried", above(rest.low), f"{says}; nearly all are of {best['agent']}")


def coverage(asked: Sequence[Evidence], bar: Bar) -> Check:
    """It must say something of most prompts that ask for a skill."""
    taken = sum(row.vector is not None for row in asked)
    share = taken / len(asked) if asked else 0.0
    return Check(
        "coverage", share >= bar.coverage, f"takes one for {share:.1%}, of at least {bar.coverage:.0%}"
    )


def right(asked: Sequence[Evidence], bar: Bar) -> Check:
    """What it takes must surely be right more often than not: silent rules are easily beaten."""
    taken = [row for row in asked if row.vector is not None]
    if not taken:
        return Check("right", False, "it took none of these prompts")
    found = [share_of((group(row), row.vector == row.truth, 1) for row in taken) for group in _GROUPS]
    least = min(found, key=lambda one: one.low or 0.0)
    says = f"of what it takes {_percent(least)} is right, surely more than {bar.right:.0%} is asked for"
    return Check("right", (least.low or 0.0) > bar.right and least.groups > 1, says)


def quiet(none: Sequence[Evidence], bar: Bar) -> Check:
    """Where no skill was asked for it must be as quiet as the rules, or nearly."""
    over = compared(none, lambda row: (row.vector is None, row.regex is None), bar.tail)
    if over.low is None or over.difference is None or over.high is None:
        return Check("quiet", False, "no prompts are known that asked for none")
    more = _span(-over.difference, -over.high, -over.low)
    says = (
        f"where none was asked for it takes one {more} more often than the rules, over {over.n:,} prompts; "
        f"surely not {100 * bar.louder:.0f} more is asked for"
    )
    return Check("quiet", over.low >= -bar.louder, says)


def fast(rows: Sequence[Evidence], bar: Bar) -> Check:
    """The agent's prompt waits for it."""
    if not rows:
        return Check("fast", False, "no predictions were timed")
    took = p95_ms(rows)
    return Check(
        "fast", took < bar.took_ms, f"19 of 20 prompts took at most {took:.1f} ms, of {bar.took_ms:.0f}"
    )


def own(mine: Sequence[Evidence], bar: Bar) -> Check:
    """What its predecessors showed speaks for it as long as it shows nothing else itself."""
    apart = sum(a - b for a, b in map(hits, mine))
    says = f"{len(mine):,} of them by the very router; {bar.own:,} are asked for"
    if mine:
        says += f"; {100 * apart / len(mine):+.1f} points"
    return Check("own", len(mine) >= bar.own and apart >= 0, says)


def p95_ms(rows: Sequence[Evidence]) -> float:
    """Give the time, in ms, that 95 % of the predictions kept to."""
    ordered = sorted(row.took_us for row in rows)
    return ordered[math.ceil(0.95 * len(ordered)) - 1] / 1000


def above(low: float | None) -> bool:
    """Say whether a lower bound is known and above 0."""
    return low is not None and low > 0


def _points(over: Paired) -> str:
    if over.difference is None or over.low is None or over.high is None:
        return "nothing to compare"
    return _span(over.difference, over.low, over.high) + f" ({over.n:,} prompts, {over.groups:,} groups)"


def _span(value: float, low: float, high: float) -> str:
    return f"{100 * value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"


def _percent(share: Share) -> str:
    if share.share is None or share.low is None or share.high is None:
        return "nothing is known"
    return f"{share.share:.1%} ({share.low:.1%} to {share.high:.1%})"
