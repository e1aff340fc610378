"""What reward to expect of an agent in a domain, and how far above it one trajectory came.

One definition, for views and exports alike: the mean of the agent's rewards in that domain, drawn toward the
mean of all of its rewards while there are few; where other runs of the same task are known, their mean,
drawn to that. The advantage is the distance from it in spreads. Nothing is compared over agents: they
differ in what can be observed of them, so their rewards do not mean the same.

Invariants:
- Sums are whole numbers, so they do not depend on the order of adding, and taking out what was
  put in leaves nothing behind: a view kept up to date equals one that was rebuilt.
"""

from __future__ import annotations

import math
from typing import NamedTuple

#: A reward is summed in units of its fourth and last decimal.
UNITS = 10_000

#: The agent's mean counts as much as this many trajectories of the domain.
PRIOR_N = 10
#: The domain's counts as much as this many runs of the task; fewer runs than the minimum are no group.
TASK_PRIOR_N = 2
RUNS_MIN = 2
#: With fewer trajectories than this, a domain or a task has no spread of its own.
SPREAD_MIN_N = 5
#: A smaller spread is noise of the fourth decimal, and would blow advantages up.
SPREAD_FLOOR = 0.02
#: What to expect before there is any trajectory: the middle of the scale.
NO_DATA_MEAN = 0.5


class Sums(NamedTuple):
    """What is kept of a group of rewards: their number, sum (1e-4) and sum of squares (1e-8)."""

    n: int = 0
    total: int = 0
    squares: int = 0

    def add(self, reward: float) -> Sums:
        """Put a reward in. It counts with four decimals; one that is not finite is a ValueError."""
        units = _units(reward)
        return Sums(self.n + 1, self.total + units, self.squares + units * units)

    def remove(self, reward: float) -> Sums:
        """Take out a reward that was put in before, as when a trajectory is scored again."""
        units = _units(reward)
        return Sums(self.n - 1, self.total - units, self.squares - units * units)

    @property
    def mean(self) -> float:
        """The mean reward; 0.5 of none."""
        return self.total / (self.n * UNITS) if self.n > 0 else NO_DATA_MEAN

    @property
    def spread(self) -> float:
        """The population standard deviation, exact before the root; 0 of none."""
        if self.n <= 0:
            return 0.0
        return math.sqrt(max(0, self.n * self.squares - self.total * self.total)) / (self.n * UNITS)


_NONE = Sums()


class Baseline(NamedTuple):
    """The reward to expect, and the distance that counts as 1 advantage (at least 0.02)."""

    mean: float
    spread: float


def baseline(domain: Sums, agent: Sums, task: Sums = _NONE) -> Baseline:
    """Say what one agent's reward is expected to be in a domain; `agent` sums up all of its rewards.

    `task` sums up the runs of the turn's own task, this one too, where the task is known.
    """
    mean = _drawn(domain, agent.mean, PRIOR_N)
    spread = domain.spread if domain.n >= SPREAD_MIN_N else agent.spread
    if task.n >= RUNS_MIN:
        mean = _drawn(task, mean, TASK_PRIOR_N)
        spread = task.spread if task.n >= SPREAD_MIN_N else spread
    return Baseline(mean, max(SPREAD_FLOOR, spread))


def _drawn(group: Sums, to: float, weight: int) -> float:
    """Give a group's mean, drawn to another that counts as much as `weight` of its members."""
    n = max(0, group.n)
    return (n * group.mean + weight * to) / (n + weight)


def advantage(reward: float, expected: Baseline) -> float:
    """Give the distance of a reward from its baseline, in spreads."""
    return (reward - expected.mean) / expected.spread


def _units(reward: float) -> int:
    if not math.isfinite(reward):
        raise ValueError(f"a reward is a finite number, not {reward}")
    return round(reward * UNITS)
