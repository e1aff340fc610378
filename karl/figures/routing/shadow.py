"""Predictions as they are: how many, by whom, how soon and how fast; whether they were right is elsewhere."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from karl.figures.numbers import quantile
from karl.figures.routing.chosen import able, counted, pick
from karl.figures.routing.shares import part
from karl.intervals import Share
from karl.views.routing_rows import ShadowRow


class Spread(msgspec.Struct, frozen=True):
    """Times in milliseconds; null of none."""

    n: int
    mean: float | None
    p50: float | None
    p95: float | None
    max: float | None


class Counts(msgspec.Struct, frozen=True):
    """How often a skill was the vector router's `first`, was `taken` by it, was picked by the rules
    (`regex`), by the policy (`picked`), and how many prompts turned out to ask for it.
    """

    skill: str
    first: int
    taken: int
    regex: int
    picked: int
    asked: int


class Shadowed(msgspec.Struct, frozen=True):
    """All predictions that fit. Times are Unix time (ms); null where there are none.

    `known` are those whose truth is known by now. `vector` and `regex` are the shares of prompts for which
    either takes a skill, of those that it saw; `agree` how often both take the same, of those for which both
    take one. `delay` is from a prompt to its prediction, by two machines' clocks (`ahead` prompts seem to
    come after theirs, and are not in it); `took` is both routers' and the encoder's time for a prompt, in a
    batch the batch's share.
    """

    prompts: int
    sessions: int
    known: int
    first_ms: int | None
    last_ms: int | None
    vector: Share
    regex: Share
    picked: Share
    agree: Share
    delay: Spread
    ahead: int
    took: Spread
    skills: list[Counts]
    routers: dict[str, int]
    encoders: dict[str, int]
    agents: dict[str, int]


def shadowed_of(rows: Sequence[ShadowRow]) -> Shadowed:
    """Sum predictions up."""
    vector, regex = able(rows, "vector"), able(rows, "regex")
    both = [row for row in able(vector, "regex") if row.takes and row.regex is not None]
    delays = [row.made_ms - row.time_ms for row in rows if row.source == "live"]
    times = [row.time_ms for row in rows]
    return Shadowed(
        len(rows),
        len({row.session for row in rows}),
        sum(row.truth_source is not None for row in rows),
        min(times, default=None),
        max(times, default=None),
        part((row, row.takes) for row in vector),
        part((row, row.regex is not None) for row in regex),
        part((row, row.picked is not None) for row in rows),
        part((row, row.vector == row.regex) for row in both),
        _spread(delay for delay in delays if delay >= 0),
        sum(delay < 0 for delay in delays),
        _spread(row.took_us / 1000 for row in rows),
        _skills(rows),
        counted(row.router for row in rows),
        counted(row.encoder for row in rows),
        counted(row.agent for row in rows),
    )


def _spread(values: Iterable[float]) -> Spread:
    """Give mean, median, 95th percentile and maximum."""
    ordered = sorted(values)
    if not ordered:
        return Spread(0, None, None, None, None)
    mean = math.fsum(ordered) / len(ordered)
    found = (mean, quantile(ordered, 0.5), quantile(ordered, 0.95), float(ordered[-1]))
    return Spread(len(ordered), *(round(one, 3) for one in found))


def _skills(rows: Sequence[ShadowRow]) -> list[Counts]:
    counts = {
        "first": Counter(row.vector for row in rows),
        "taken": Counter(pick(row, "vector") for row in rows),
        "regex": Counter(row.regex for row in rows),
        "picked": Counter(row.picked for row in rows),
        "asked": Counter(row.truth for row in rows if row.truth_source is not None),
    }
    names = {name for one in counts.values() for name in one if name is not None}
    found = [Counts(name, **{what: one[name] for what, one in counts.items()}) for name in names]
    return sorted(found, key=lambda one: (-max(one.taken, one.regex, one.asked), -one.first, one.skill))
