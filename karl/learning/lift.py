"""What an evaluation found: every figure, computed from what its arms got right, and the verdict.

The verdict may be no. The primary contrast is the advantage arm less the random one of the same size, in how
often the next tool is right. A lift needs five seeds, an interval above 0, and a loss on plain instructions
that is hardly worse than the base's. Whether the arm beats a count table is said whatever the verdict: where
it does not, a table would do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from karl.errors import Unreadable
from karl.intervals import TAIL95, wilson
from karl.learning.resample import Figure, Floats, Sums, interval
from karl.schema.learning import Arm, ArmRun, Contrast, EvaluationBody, Verdict

#: Seeds below which nothing is a lift: one seed alone moves an arm by more than most arms differ.
SEEDS_MIN = 5
#: Sessions and next actions below which nothing is: all of a few may turn out alike by chance.
SESSIONS_MIN, ITEMS_MIN = 10, 30
#: Nats a token by which the loss on plain instructions may be worse than the base's: a perplexity 1.22 times.
GUARD_MARGIN = 0.2
#: Items of a tool below which it is not in the mean over tools.
MACRO_MIN = 5
#: What is compared, and in which figure: more often right is better, a smaller loss is.
METRICS = ("tool", "target", "macro", "nll")
PRIMARY = ("advantage", "random")
CONTRASTS = (
    PRIMARY,
    ("advantage", "all"),
    ("reward", "random"),
    ("advantage", "base"),
    ("advantage", "bigram"),
    ("all", "bigram"),
)
#: What stands for it where nothing can be said: it may be anything.
_UNKNOWN = Contrast("-".join(PRIMARY), "tool", 0.0, -1.0, 1.0)
#: Arms that are the same whatever the seed.
FIXED = frozenset({"base", "bigram", "majority"})
#: How far a figure may be from the one recorded: other machines add in another order.
_SAME = 1e-6


class ArmFigures(msgspec.Struct, frozen=True):
    """The figures of an arm over its seeds; `positive` counts seeds better than the random arm of that seed.

    An arm that was trained with one seed has none. `nll` is in nats a token, `guard` the same on plain
    instructions.
    """

    name: str
    seeds: int
    rows: int
    ess: float
    tool: Figure | None
    target: Figure | None
    macro: Figure | None
    nll: Figure | None
    guard: float | None


class Difference(msgspec.Struct, frozen=True):
    """The first arm less the second in one metric; `positive` of `seeds` seeds are above 0."""

    first: str
    second: str
    metric: str
    figure: Figure
    positive: int
    seeds: int

    @property
    def name(self) -> str:
        """Both arms."""
        return f"{self.first}-{self.second}"


class Found(NamedTuple):
    """All that follows from the arms of an evaluation."""

    arms: list[ArmFigures]
    differences: list[Difference]
    primary: Contrast
    contrasts: tuple[Contrast, ...]
    verdict: Verdict
    why: str


class Asked(NamedTuple):
    """What is judged: the arms, the items of each session, the tool of each item, and the guard's losses."""

    arms: Sequence[Arm]
    sessions: Sequence[int]
    labels: Mapping[str, str]
    guard: Mapping[str, float]


def pack(right: Sequence[bool]) -> str:
    """Give bits in hex, the first the highest of the first byte."""
    return np.packbits(np.asarray(right, dtype=np.bool_)).tobytes().hex()


def unpack(text: str, count: int) -> Floats:
    """Give so many bits as 0 and 1. Raises Unreadable."""
    try:
        raw = np.frombuffer(bytes.fromhex(text), dtype=np.uint8)
    except ValueError:
        raise Unreadable(f"{text[:40]!r} is no hex") from None
    if len(raw) != (count + 7) // 8:
        raise Unreadable(f"{len(raw)} bytes of bits are not those of {count} items")
    bits: Floats = np.unpackbits(raw)[:count].astype(np.float64)
    return bits


def recomputed(body: EvaluationBody) -> Found:
    """Compute everything again from a record's arms. Raises Unreadable where these make no sense."""
    return found(_asked(body))


def primary_at(body: EvaluationBody, tail: float) -> Contrast:
    """Give the primary contrast with an interval that leaves out `tail` on each side. Raises Unreadable.

    Who looks often finds a lift by chance: the more looks, the wider the interval of each must be.
    """
    one = _difference(_Cells(_asked(body)), *PRIMARY, "tool", tail)
    return _contrast(one) if one is not None and one.figure.low is not None else _UNKNOWN


def _asked(body: EvaluationBody) -> Asked:
    if sum(body.sessions) != body.items:
        raise Unreadable(f"the sessions have {sum(body.sessions)} items, and not {body.items}")
    return Asked(body.arms, body.sessions, body.labels, body.guard)


def differs(body: EvaluationBody, again: Found | None = None) -> list[str]:
    """Say what a record has otherwise than its arms say; nothing where they agree.

    `again` is what `recomputed` gave of it, where that is known already.
    """
    again = again or recomputed(body)
    said = [] if body.verdict == again.verdict else [f"the verdict is {again.verdict}, not {body.verdict}"]
    recorded = {(one.name, one.metric): one for one in (body.primary, *body.contrasts)}
    for one in (again.primary, *again.contrasts):
        there = recorded.pop((one.name, one.metric), None)
        if there is None:
            said.append(f"{one.name} in {one.metric} is not in the record")
        elif not _same(one, there):
            said.append(f"{one.name} in {one.metric} is {_signed(one)}, not {_signed(there)}")
    said += [f"{name} in {metric} does not follow from the arms" for name, metric in recorded]
    if again.primary.name != body.primary.name or again.primary.metric != body.primary.metric:
        said.append("the primary contrast is another one")
    return said if said or body.why == again.why else ["the reasons given are others"]


def found(asked: Asked) -> Found:
    """Give all figures and the verdict. Raises Unreadable."""
    cells = _Cells(asked)
    arms = [_arm(cells, arm, asked.guard.get(arm.name)) for arm in asked.arms]
    differences = [
        one
        for first, second in CONTRASTS
        for metric in METRICS
        if (one := _difference(cells, first, second, metric)) is not None
    ]
    contrasts = tuple(_contrast(one) for one in differences if one.figure.low is not None)
    primary = next((one for one in contrasts if _is_primary(one)), _UNKNOWN)
    verdict, why = _judged(asked, differences, primary)
    rest = tuple(one for one in contrasts if not _is_primary(one))
    return Found(arms, differences, primary, rest, verdict, why)


class _Cells:
    """The sums of every run by session: right tools, right targets, losses, and right tools tool by tool."""

    def __init__(self, asked: Asked) -> None:
        self.sizes = np.asarray(asked.sessions, dtype=np.float64)[:, None]
        items = int(self.sizes.sum())
        self._place = np.repeat(np.arange(len(asked.sessions)), np.asarray(asked.sessions, dtype=np.int64))
        self._items = items
        labels = [unpack(bits, items) for _, bits in sorted(asked.labels.items())]
        self._labels = [one for one in labels if one.sum() >= MACRO_MIN]
        if len(self._labels) < 2:
            self._labels = []  # the mean over one tool says nothing of any other
        self.tool_sizes = self._stacked([self._by_session(one) for one in self._labels])
        self._runs = {arm.name: {run.seed: run for run in arm.runs} for arm in asked.arms}
        if len(self._runs) < len(asked.arms):
            raise Unreadable("an arm is there twice")
        if twice := [arm.name for arm in asked.arms if len(self._runs[arm.name]) < len(arm.runs)]:
            raise Unreadable(f"the arm {twice[0]} has a seed twice")

    def pairs(self, first: str, second: str) -> list[tuple[ArmRun, ArmRun]]:
        """Give the runs of two arms, seed by seed; one that is the same for all seeds stands beside each."""
        one, other = self._runs.get(first, {}), self._runs.get(second, {})
        seeds = set(one) if second in FIXED else set(other) if first in FIXED else set(one) & set(other)
        return [(_of(one, seed, first), _of(other, seed, second)) for seed in sorted(seeds) if one and other]

    def of(self, run: ArmRun, metric: str) -> Floats | None:
        """Give the sums of a run, (sessions, kinds); null where it has none of that metric."""
        if metric == "nll":
            if not run.nll:
                return None
            if len(run.nll) != len(self.sizes):
                raise Unreadable(f"{len(run.nll)} losses are not those of {len(self.sizes)} sessions")
            return np.asarray(run.nll, dtype=np.float64)[:, None] * self.sizes
        bits = unpack(run.targets if metric == "target" else run.tools, self._items)
        if metric != "macro":
            return self._by_session(bits)[:, None]
        return self._stacked([self._by_session(bits * one) for one in self._labels]) if self._labels else None

    def figure(
        self, values: list[Floats | None], metric: str, *, one_run: bool, tail: float = TAIL95
    ) -> Figure | None:
        """Give the figure of the runs of an arm, or of their differences."""
        if not values or any(one is None for one in values):
            return None
        sizes = self.tool_sizes if metric == "macro" else self.sizes
        bounds = (-math.inf, math.inf) if metric == "nll" else (-1.0, 1.0)
        sums = Sums(np.stack([one for one in values if one is not None]), sizes)
        return interval(sums, bounds, one_run=one_run, tail=tail)

    def _by_session(self, values: Floats) -> Floats:
        return np.bincount(self._place, weights=values, minlength=len(self.sizes)).astype(np.float64)

    def _stacked(self, columns: list[Floats]) -> Floats:
        return np.stack(columns, axis=1) if columns else np.zeros((len(self.sizes), 0))


def _of(runs: Mapping[int, ArmRun], seed: int, name: str) -> ArmRun:
    return next(iter(runs.values())) if name in FIXED else runs[seed]


def _arm(cells: _Cells, arm: Arm, guard: float | None) -> ArmFigures:
    fixed = arm.name in FIXED
    figures: dict[str, Figure | None] = {}
    for metric in METRICS:
        values = [cells.of(run, metric) for run in arm.runs]
        made = cells.figure(values, metric, one_run=fixed)
        figures[metric] = (
            _kept(made, metric, len(cells.sizes)) if made and (fixed or len(arm.runs) > 1) else None
        )
    return ArmFigures(
        name=arm.name,
        seeds=len(arm.runs),
        rows=max((run.rows for run in arm.runs), default=0),
        ess=math.fsum(run.ess for run in arm.runs) / max(1, len(arm.runs)),
        guard=guard if fixed or len(arm.runs) > 1 else None,
        **figures,
    )


def _kept(figure: Figure, metric: str, sessions: int) -> Figure:
    """Keep a share's interval within 0 and 1, a loss's above 0.

    Where all were right, or none, draws show no chance: then a session counts as one item (Wilson 1927).
    """
    if figure.low is None or figure.high is None:
        return figure
    if metric == "nll":
        return figure._replace(low=max(0.0, figure.low))
    if figure.value in (0.0, 1.0):
        return Figure(figure.value, *wilson(figure.value * sessions, sessions))
    return Figure(figure.value, max(0.0, figure.low), min(1.0, figure.high))


def _difference(
    cells: _Cells, first: str, second: str, metric: str, tail: float = TAIL95
) -> Difference | None:
    pairs = cells.pairs(first, second)
    values: list[Floats | None] = []
    for one, other in pairs:
        this, that = cells.of(one, metric), cells.of(other, metric)
        values.append(None if this is None or that is None else this - that)
    figure = cells.figure(values, metric, one_run=first in FIXED and second in FIXED, tail=tail)
    if figure is None or len(pairs) < 2:
        return None
    sign = -1 if metric == "nll" else 1
    better = sum(1 for one in values if one is not None and sign * float(one.sum()) > 0)
    return Difference(first, second, metric, figure, better, len(pairs))


def _contrast(one: Difference) -> Contrast:
    assert one.figure.low is not None
    assert one.figure.high is not None
    return Contrast(one.name, one.metric, one.figure.value, one.figure.low, one.figure.high)


def _is_primary(one: Contrast) -> bool:
    return one.name == "-".join(PRIMARY) and one.metric == "tool"


def _judged(asked: Asked, differences: Sequence[Difference], primary: Contrast) -> tuple[Verdict, str]:
    """Give the verdict, and why in a sentence or two."""
    by_name = {(one.name, one.metric): one for one in differences}
    decides = by_name.get((primary.name, "tool"))
    table = _against_table(by_name.get(("advantage-bigram", "tool")))
    if few := _too_few(asked):
        return "no lift", f"{few}{table}"
    assert decides is not None
    assert decides.figure.low is not None
    assert decides.figure.high is not None
    told = (
        f"the arm chosen by advantage is right about the next tool {_signed(primary)} more often than a "
        f"random one of the same size, {decides.positive} of {decides.seeds} seeds being better"
    )
    base, arm = asked.guard.get("base"), asked.guard.get("advantage")
    if base is None or arm is None:
        return "no lift", f"the loss on plain instructions was not measured; {told}{table}"
    if not arm - base <= GUARD_MARGIN:  # also where it is no number
        return "harm", (
            f"on plain instructions the arm loses {arm - base:+z.2f} nats a token against the base, and "
            f"{GUARD_MARGIN:g} are allowed; {told}{table}"
        )
    if decides.figure.low > 0:
        return "lift", f"{told}{table}"
    if decides.figure.high < 0:
        return "harm", f"{told}, which is less often{table}"
    return "no lift", f"{told}: the interval holds 0{table}"


def _too_few(asked: Asked) -> str:
    """Say what there is too little of for any verdict; empty where there is enough."""
    seeds = [{run.seed for run in arm.runs} for arm in asked.arms if arm.name in PRIMARY]
    if len(seeds) < len(PRIMARY):
        return f"the arms {' and '.join(PRIMARY)} were not both judged"
    shared = len(seeds[0] & seeds[1])
    if (different := min(_different(arm) for arm in asked.arms if arm.name in PRIMARY)) < min(
        shared, SEEDS_MIN
    ):
        return f"of {shared} seeds {different} differ: runs that are the same in all count as one"
    if shared < SEEDS_MIN:
        return (
            f"{shared} seed{' is' if shared == 1 else 's are'} too few: one seed alone moves an arm by more "
            f"than most arms differ; at least {SEEDS_MIN} are needed"
        )
    sessions, items = len(asked.sessions), sum(asked.sessions)
    if sessions < SESSIONS_MIN or items < ITEMS_MIN:
        return (
            f"{items} next actions of {sessions} sessions are too few for a verdict; at least {ITEMS_MIN} "
            f"of {SESSIONS_MIN} are needed"
        )
    return ""


def _different(arm: Arm) -> int:
    """Count the runs of an arm that are not the same in every answer and loss."""
    return len({(run.tools, run.targets, run.nll) for run in arm.runs})


def _against_table(one: Difference | None) -> str:
    """Say whether a count table is beaten."""
    if one is None or one.figure.low is None or one.figure.high is None:
        return "; it was not held against the table of tool after tool"
    points = _signed(_contrast(one))
    if one.figure.low > 0:
        return f"; it beats the table that only counts which tool follows which ({points})"
    if one.figure.high < 0:
        return f"; the table that only counts which tool follows which beats it ({points})"
    return f"; it is not told apart from the table that only counts which tool follows which ({points})"


def _signed(one: Contrast) -> str:
    """Give a difference with its interval, as people read it: points, or nats."""
    if one.metric == "nll":
        return f"{one.difference:+z.3f} nats ({one.low:+z.3f} to {one.high:+z.3f})"
    return f"{100 * one.difference:+z.1f} points ({100 * one.low:+z.1f} to {100 * one.high:+z.1f})"


def _same(one: Contrast, other: Contrast) -> bool:
    parts = ((one.difference, other.difference), (one.low, other.low), (one.high, other.high))
    return all(abs(this - that) <= _SAME for this, that in parts)
