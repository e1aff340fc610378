"""Which rows of the training part are written, how often, and what each weighs.

The split comes before: nothing here looks at rows of another part, so no copy can cross.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from karl.export.options import DataSetOptions
from karl.learning.weights import awr, copies, ess, positive, tiers
from karl.schema.learning import Weighed

#: Decimals of a weight: what a machine's own exp gives beyond them is not the same everywhere.
_DECIMALS = 6
#: Bounds of the classes that weights are counted in.
_CLASSES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)


class Weighing(NamedTuple):
    """Rows by their place, as they are to be written, and the weight of each place that is."""

    order: list[int]
    weights: dict[int, float]
    weighed: Weighed
    classes: dict[str, int]
    padding: int


def weigh(how: DataSetOptions, places: Sequence[int], advantages: Sequence[float], masked: int) -> Weighing:
    """Weigh rows, copy them where that was asked for, and shuffle them by the seed; unweighted for `none`."""
    each = _weights(how, advantages)
    times = _times(how, each)
    order = [place for place, number in zip(places, times, strict=True) for _ in range(number)]
    shuffled = _shuffled(order, how.split.seed)
    padding = -len(shuffled) % how.batch if how.copies and shuffled else 0
    shuffled += [shuffled[at % len(shuffled)] for at in range(padding)]
    weights = {
        place: 1.0 if how.copies else round(weight, _DECIMALS)
        for place, weight, number in zip(places, each, times, strict=True)
        if number
    }
    weighed = Weighed(
        way=how.weights,
        beta=how.beta if how.weights == "awr" else 0.0,
        w_max=how.w_max if how.weights == "awr" else 0.0,
        rows=len(each),
        ess=round(ess(each), 3),
        masked=masked,
        copies={str(number): rows for number, rows in sorted(Counter(times).items())} if how.copies else {},
    )
    return Weighing(shuffled, weights, weighed, _classes(each), padding)


def _weights(how: DataSetOptions, advantages: Sequence[float]) -> list[float]:
    """Give the weight of each row, of mean 1 over those that weigh anything where none has copies."""
    if how.weights == "awr":
        return awr(advantages, how.beta, how.w_max)
    if how.weights == "none":
        return [1.0] * len(advantages)
    raw = tiers(advantages) if how.weights == "tiers" else [int(one) for one in positive(advantages)]
    if how.copies:
        return [float(one) for one in raw]
    kept = [one for one in raw if one]
    mean = sum(kept) / len(kept) if kept else 1.0
    return [one / mean for one in raw]


def _times(how: DataSetOptions, weights: Sequence[float]) -> list[int]:
    if not how.copies:
        return [int(weight > 0) for weight in weights]
    return copies(weights, how.split.seed)


def _shuffled(order: Sequence[int], seed: int) -> list[int]:
    """Put rows into an order that follows from the seed alone, on every machine and in every version."""
    seen: Counter[int] = Counter()
    keys: list[tuple[bytes, int]] = []
    for place in order:
        keys.append((sha256(f"{seed}\0{place}\0{seen[place]}".encode()).digest()[:12], place))
        seen[place] += 1
    return [place for _, place in sorted(keys)]


def _classes(weights: Sequence[float]) -> dict[str, int]:
    """Count weights by class, for whoever wants to see how uneven they are."""
    found: Counter[str] = Counter()
    for weight in weights:
        above = [one for one in _CLASSES if weight >= one]
        low = above[-1]
        high = next((one for one in _CLASSES if one > low), None)
        found[
            "weight 0" if weight == 0 else f"weight {low:g} to {high:g}" if high else f"weight {low:g} on"
        ] += 1
    return dict(sorted(found.items(), key=lambda one: float(one[0].split()[1])))
