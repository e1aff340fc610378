"""Which rows each arm of an evaluation learns from, and which held-out steps all of them are judged by.

    base        none: the model as it is
    all         every row, each once, of weight 1
    random      k rows, whole trajectories in an order drawn for the seed, of weight 1
    reward      k rows of the trajectories with the best reward, of weight 1
    advantage   k rows of the trajectories with the best advantage, weighted by it (karl.learning.weights),
                without steps that failed or were corrected

All arms start from one model and take as many iterations with batches of one size, in an order drawn in one
way from the seed. What is not the same: `all` sees more rows, each less often; k rows of one arm may have
more words than those of another; the last trajectory of a choice is cut where k is reached.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec

from karl.errors import Refused
from karl.learning.row import Row
from karl.learning.weights import BETA, W_MAX, awr, ess, masked

#: Arms that are trained, in the order in which they run: the primary contrast's first.
TRAINED = ("advantage", "random", "all", "reward")
#: Arms of which one run stands for all seeds.
COUNTED = ("bigram", "majority")
#: Share of the rows that random, reward and advantage learn from.
SHARE = 0.5


class Options(msgspec.Struct, frozen=True):
    """How arms are chosen. With `exported` the advantage arm has all rows, weighted as in the export."""

    share: float = SHARE
    beta: float = BETA
    w_max: float = W_MAX
    exported: bool = False


class Chosen(NamedTuple):
    """What an arm learns from: places of rows in the order of the data set, with their weights, of mean 1."""

    places: list[int]
    weights: list[float]

    @property
    def ess(self) -> float:
        """The effective sample size."""
        return ess(self.weights)


class Arms:
    """The arms of one data set. Raises Refused where there is nothing to choose from."""

    def __init__(self, rows: Sequence[Row], options: Options) -> None:
        self._rows, self._options = rows, options
        #: Places of rows, each once: an export with copies has some more often.
        self.once = _once(rows)
        real = [at for at in self.once if not rows[at].karl.synthetic]
        self._good = _trajectories(rows, (at for at in real if not masked(rows[at])))
        self._real = _trajectories(rows, real)
        #: Steps that are no target of the advantage arm.
        self.masked = sum(masked(rows[at]) for at in real)
        most = len(real) - self.masked
        self.count = min(most, max(1, round(options.share * len(real))))
        if len(self._good) < 2:
            raise Refused(
                f"{len(self._good)} turns have steps to learn from, which leaves no choice between them; "
                "export more"
            )

    def choose(self, name: str, seed: int) -> Chosen:
        """Give what an arm learns from with a seed; of equals, chance decides."""
        if name == "all" or (self._options.exported and name == "random"):
            return _even(self.once)
        if name == "advantage" and self._options.exported:
            return Chosen(list(range(len(self._rows))), [row.weight for row in self._rows])
        if name == "random":
            return _even(self._best(self._real, seed, lambda _: 0.0))
        if name == "reward":
            return _even(self._best(self._real, seed, lambda row: row.karl.reward))
        if name != "advantage":
            raise Refused(f"{name!r} is no arm that is trained; there are {', '.join(TRAINED)}")
        places = self._best(self._good, seed, lambda row: row.karl.advantage)
        advantages = [self._rows[at].karl.advantage for at in places]
        return Chosen(places, awr(advantages, self._options.beta, self._options.w_max))

    def _best(self, of: Mapping[str, list[int]], seed: int, worth: Callable[[Row], float]) -> list[int]:
        """Give `count` places of the trajectories that are worth most on average."""

        def order(name: str) -> tuple[float, bytes]:
            places = of[name]
            return -math.fsum(worth(self._rows[at]) for at in places) / len(places), _chance(seed, name)

        taken = [at for name in sorted(of, key=order) for at in of[name]]
        return sorted(taken[: self.count])


def items(rows: Sequence[Row], most: int, seed: int) -> list[int]:
    """Give the places of the held-out steps that arms are judged by, session by session.

    Those that call a tool, did not fail and were not corrected, for these are not what should be done. Of
    more than `most`, every session keeps as many as others, if it has them, by chance: it is sessions that
    make a figure sure.
    """
    of: defaultdict[str, list[int]] = defaultdict(list)
    for at in _once(rows):
        row = rows[at]
        if row.karl.tool and not masked(row) and not row.karl.synthetic:
            of[row.karl.session].append(at)
    if most < len(of):
        kept = sorted(of, key=lambda name: _chance(seed, name))[:most]
        of = defaultdict(list, {name: of[name] for name in of if name in set(kept)})
    limit = _limit([len(places) for places in of.values()], most)
    return [at for places in of.values() for at in _some(rows, places, limit, seed)]


def _some(rows: Sequence[Row], places: list[int], limit: int, seed: int) -> list[int]:
    def chance(at: int) -> bytes:
        return _chance(seed, f"{rows[at].karl.trajectory}\0{rows[at].karl.step}\0{at}")

    return sorted(sorted(places, key=chance)[:limit])


def _limit(counts: Sequence[int], most: int) -> int:
    """Give the largest number for each of several, at least 1, with which they are not more than `most`."""
    limit = 1
    while sum(min(count, limit + 1) for count in counts) <= most and limit < max(counts, default=0):
        limit += 1
    return limit


def _even(places: list[int]) -> Chosen:
    return Chosen(places, [1.0] * len(places))


def _trajectories(rows: Sequence[Row], places: Iterable[int]) -> dict[str, list[int]]:
    found: defaultdict[str, list[int]] = defaultdict(list)
    for at in places:
        found[rows[at].karl.trajectory].append(at)
    for of in found.values():
        of.sort(key=lambda at: rows[at].karl.step)
    return dict(found)


def _once(rows: Sequence[Row]) -> list[int]:
    """Give the first place of every row that is not another's copy."""
    seen: dict[bytes, int] = {}
    for at, row in enumerate(rows):
        seen.setdefault(sha256(msgspec.json.encode((row.messages, row.karl))).digest(), at)
    return sorted(seen.values())


def _chance(seed: int, name: str) -> bytes:
    return sha256(f"{seed}\0{name}".encode("utf-8", "surrogatepass")).digest()
