"""How often `karl drift` says that rewards changed: where nothing did, and where they fell.

Sessions are made up as real ones are: one to sixty turns, rewards in [0, 1] that a session shares a part of,
domains of different sizes and levels, two agents, rewards that come in steps. Beside it, the rule of the
system that KARL supersedes: a mean of the last turns 0.08 below that of those before.
"""

from __future__ import annotations

import sys

import numpy as np

from karl.intervals import wilson
from karl.learning.drift import Turn, drift_of

#: Made-up ledgers for each figure.
TRIALS = 1000
PERMUTATIONS = 1000
#: Sessions of each side, and what rewards fall by.
SIZES, FALLS = (20, 60, 200), (0.0, 0.03, 0.08, 0.15)
_DOMAINS = (("shop", 0.62, 0.6), ("site", 0.45, 0.3), ("tools", 0.7, 0.1))
_OLD_RULE = 0.08


def main() -> int:
    """Print a row for each size and fall."""
    print(f"{TRIALS} trials each; share of them in which it is said that rewards changed (95 % interval)")
    print(f"{'sessions':>9} {'fall':>5}   {'karl drift':<24} {'means 0.08 apart':<24}")
    for size in SIZES:
        for fall in FALLS:
            chance = np.random.default_rng([size, int(1000 * fall)])
            ours = theirs = 0
            for _ in range(TRIALS):
                before, since = _turns(chance, size, 0.0, "b"), _turns(chance, size, fall, "s")
                found = drift_of(before, since, seed=1, permutations=PERMUTATIONS)
                ours += found.overall.has_changed or any(one.has_changed for one in found.domains)
                apart = np.mean([one.reward for one in before]) - np.mean([one.reward for one in since])
                theirs += bool(apart > _OLD_RULE)
            print(f"{size:>9} {fall:>5}   {_told(ours):<24} {_told(theirs):<24}", flush=True)
    return 0


def _told(hits: int) -> str:
    low, high = wilson(hits, TRIALS)
    return f"{hits / TRIALS:.3f} ({low:.3f} to {high:.3f})"


def _turns(chance: np.random.Generator, sessions: int, fall: float, side: str) -> list[Turn]:
    """Make one side's turns: the session's own level weighs as much as the turn's."""
    turns = []
    for at in range(sessions):
        domain, level, _ = _DOMAINS[chance.choice(len(_DOMAINS), p=[share for *_, share in _DOMAINS])]
        agent = "claude-code" if chance.random() < 0.8 else "codex"
        middle = level - fall + 0.12 * chance.standard_normal() - 0.05 * (agent == "codex")
        for _ in range(min(60, int(chance.geometric(0.15)))):
            reward = round(float(np.clip(middle + 0.12 * chance.standard_normal(), 0, 1)) * 40) / 40
            turns.append(Turn(f"{side}{at}", agent, domain, reward, {"Bash": 1}))
    return turns


if __name__ == "__main__":
    sys.exit(main())
