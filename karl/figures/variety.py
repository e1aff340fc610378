"""How varied an agent's work is: tools, files, prompts, projects; and how much of it was asked before.

Hill's number of order 1, the exponential of the entropy: how many kinds, all equally frequent, would be as
varied. Its interval is a jackknife over sessions.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from zlib import crc32

import msgspec

from karl.figures.numbers import effective_number
from karl.intervals import Share, share_of, t95
from karl.views.figures import Measured

#: Parts of the sessions that the jackknife leaves out one at a time.
PARTS = 40
#: Kinds that are named, the most frequent first.
NAMED = 5
#: Words below which a prompt is too short to be like another ("go on").
WORDS_MIN = 5
#: Shingles (runs of three words) that two prompts must share, of those that either has.
ALIKE = 0.8
#: The newest prompts that are compared with each other.
COMPARED_MAX = 20_000
_BINS, _ROWS = 64, 4
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+")


class Variety(msgspec.Struct, frozen=True):
    """`n` things of `kinds`; `effective` with its interval (null of few sessions); the most frequent."""

    n: int
    kinds: int
    effective: float | None
    low: float | None
    high: float | None
    most: dict[str, int]


class Prompts(msgspec.Struct, frozen=True):
    """Of the prompts of five words and more that were `compared`: those that came again with the same words,
    and those that came again nearly so (four fifths of their runs of three words, numbers aside).
    """

    compared: int
    same: Share
    alike: Share


def variety_of(sessions: Iterable[Counter[str]]) -> Variety:
    """Measure the variety of what was counted, one counter a session."""
    parts = [one for one in sessions if one]
    total: Counter[str] = Counter()
    for one in parts:
        total.update(one)
    if not total:
        return Variety(0, 0, None, None, None, {})
    whole = effective_number(total.values())
    half = _jackknife(parts, total)
    most = dict(sorted(total.items(), key=lambda item: (-item[1], item[0]))[:NAMED])
    low, high = (None, None) if half is None else (max(1.0, whole - half), whole + half)
    return Variety(total.total(), len(total), whole, low, high, most)


def _jackknife(parts: Sequence[Counter[str]], total: Counter[str]) -> float | None:
    """Give half the width of the interval, leaving out a part of the sessions at a time."""
    groups = min(PARTS, len(parts))
    if groups < 3:
        return None
    left = []
    for at in range(groups):
        rest = total.copy()
        for one in parts[at::groups]:
            rest.subtract(one)
        left.append(effective_number(rest.values()))
    mean = math.fsum(left) / groups
    variance = (groups - 1) / groups * math.fsum((value - mean) ** 2 for value in left)
    return t95(groups - 1) * math.sqrt(variance)


def prompts_of(rows: Sequence[Measured]) -> Prompts:
    """Say how many prompts were the same as another, and how many nearly so."""
    newest = sorted(
        (row for row in rows if row.words and len(_WORD.findall(row.words)) >= WORDS_MIN),
        key=lambda row: -row.time_ms,
    )[:COMPARED_MAX]
    same = Counter(row.words for row in newest)
    alike = alike_of([row.words or "" for row in newest])
    return Prompts(
        len(newest),
        share_of((row.session, int(same[row.words] > 1), 1) for row in newest),
        share_of((row.session, int(at in alike), 1) for at, row in enumerate(newest)),
    )


def alike_of(texts: Sequence[str]) -> set[int]:
    """Give the places of texts that are nearly the same as another one.

    Candidates share a part of their one-permutation MinHash (Li, Owen, Zhang 2012); they are compared whole.
    """
    shingles = [_shingles(text) for text in texts]
    buckets: dict[tuple[int, ...], list[int]] = {}
    found: set[int] = set()
    for at, own in enumerate(shingles):
        hashed = _minima(own)
        for band in range(0, _BINS, _ROWS):
            there = buckets.setdefault((band, *hashed[band : band + _ROWS]), [])
            for other in there:
                if not (at in found and other in found) and _is_alike(own, shingles[other]):
                    found |= {at, other}
            if len(there) < _ROWS:  # a few stand for all: the same text a thousand times is no work
                there.append(at)
    return found


def _shingles(text: str) -> frozenset[int]:
    words = _NUMBER.sub("0", text).split()
    runs = (" ".join(words[at : at + 3]) for at in range(max(1, len(words) - 2)))
    return frozenset(crc32(run.encode("utf-8", "surrogatepass")) for run in runs)


def _minima(shingles: frozenset[int]) -> list[int]:
    """Give the least hash of each bin; an empty one takes the next one's."""
    least: list[int | None] = [None] * _BINS
    for value in shingles:
        at, rest = value % _BINS, value // _BINS
        known = least[at]
        if known is None or rest < known:
            least[at] = rest
    out: list[int] = []
    filled = [at for at, value in enumerate(least) if value is not None]
    for at in range(_BINS):
        step = next((one for one in filled if one >= at), filled[0] + _BINS)
        out.append((least[step % _BINS] or 0) + (step - at) * 0x9E3779B1)
    return out


def _is_alike(one: frozenset[int], other: frozenset[int]) -> bool:
    return len(one & other) >= ALIKE * len(one | other)
