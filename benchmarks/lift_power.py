"""How often an evaluation of adapters says lift, by how large the effect is and how much a seed moves an arm.

    python -m benchmarks.lift_power [EVALUATIONS]

Evaluations are made up: items of uneven difficulty in sessions of uneven length, each arm moved by its seed and by
its sessions, the advantage arm right more often by the effect. Each is judged as a real one. `false` is the share
of lifts, and of harms, where there is no effect, 2.5 % each if intervals are what they say; `covers` the share of
intervals that hold the effect.
"""

from __future__ import annotations

import sys
import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from karl.intervals import wilson
from karl.learning.resample import Sums, interval

EVALUATIONS = 400
ITEMS, SESSIONS = 150, 40
#: How far a seed moves an arm (standard deviation, points); the pilot's arms moved by 14 to 25 points.
SEEDS_MOVE = (0, 3, 7)
#: How far a session moves the difference of two arms.
SESSIONS_MOVE = 5
EFFECTS = (0, 5, 10, 20)
_BASE = 0.4


class Design(NamedTuple):
    """What is made up. Effects and standard deviations are in points."""

    seeds: int
    effect: float
    seeds_move: float
    items: int = ITEMS
    sessions: int = SESSIONS


def _sizes(design: Design, chance: np.random.Generator) -> NDArray[np.int64]:
    share = chance.dirichlet(np.ones(design.sessions))
    return 1 + chance.multinomial(design.items - design.sessions, share)


def _arm(
    design: Design,
    shift: float,
    hard: NDArray[np.float64],
    place: NDArray[np.int64],
    chance: np.random.Generator,
) -> NDArray[np.float64]:
    """Whether each item was right, (seeds, items)."""
    session = chance.normal(0, SESSIONS_MOVE / 100, design.sessions)[place]
    seed = chance.normal(0, design.seeds_move / 100, (design.seeds, 1))
    right = _BASE + shift / 100 + hard + session + seed
    return (chance.random((design.seeds, len(hard))) < right).astype(np.float64)


def evaluated(design: Design, chance: np.random.Generator) -> tuple[float, float]:
    """The interval of one evaluation's primary contrast."""
    sizes = _sizes(design, chance)
    place = np.repeat(np.arange(design.sessions), sizes)
    hard = chance.uniform(-0.18, 0.18, design.items)  # no chance leaves 0 to 1: effects are what they say
    first = _arm(design, design.effect, hard, place, chance)
    second = _arm(design, 0, hard, place, chance)
    sums = np.stack([np.bincount(place, one, design.sessions) for one in first - second])[:, :, None]
    figure = interval(Sums(sums, sizes[:, None].astype(np.float64)), (-1, 1))
    assert figure.low is not None
    assert figure.high is not None
    return figure.low, figure.high


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else EVALUATIONS
    began = time.monotonic()
    print(
        f"{count} evaluations a line, {ITEMS} items of {SESSIONS} sessions; points; 95 % intervals of the shares"
    )
    print(
        f"{'seeds':>5} {'a seed moves':>12} {'effect':>6} {'lift':>20} {'harm':>7} {'covers':>7} {'width':>6}"
    )
    for seeds in (5, 10):
        for move in SEEDS_MOVE:
            for effect in EFFECTS:
                design = Design(seeds, effect, move)
                chance = np.random.default_rng([seeds, move, effect])
                found = np.array([evaluated(design, chance) for _ in range(count)])
                lifts, harms = int((found[:, 0] > 0).sum()), int((found[:, 1] < 0).sum())
                covers = ((found[:, 0] <= effect / 100) & (effect / 100 <= found[:, 1])).mean()
                low, high = wilson(lifts, count)
                lift = f"{100 * lifts / count:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
                width = 100 * (found[:, 1] - found[:, 0]).mean()
                print(
                    f"{seeds:>5} {move:>12} {effect:>6} {lift:>20} {100 * harms / count:>5.1f} % "
                    f"{100 * covers:>5.1f} % {width:>6.1f}",
                    flush=True,
                )
    print(f"{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
