"""Which texts say nearly the same: by pairs of neighbouring words, rare ones weighing more, exactly.

A text is like another when, of the weight of the shorter one's pairs, at least ALIKE is in the other: so a
prefix, an added paragraph, another case or one changed word in ten make no other text. What TEMPLATE texts
and more have in common is a template's: a text that goes on for some words of its own is those alone. No
two texts that could be alike are left out, but for texts that are made of nothing but what more than
COMMON_MAX others have: they are held against so many of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Share of the shorter text's weight that two texts must have together.
ALIKE = 0.45
#: Distinct words below which a text says too little to be like another ("go on").
WORDS_MIN = 6
#: Words below which a text may be in another by chance: that takes more, in a text up to TIMES as long.
SHORT, TIMES = 12, 3
ALIKE_SHORT = 0.65
#: Texts, all different, from which on what they share is a template's; more where there are many texts.
TEMPLATE = 20
_OF_ALL = 200
#: Pairs in a row that are a template, where so many texts have each of them; fewer are a turn of phrase.
RUN = 20
#: Pairs in a row that few texts have, from which on a text goes on by itself.
OWN_RUN = 8
#: Texts that stand for all that have a pair of words.
COMMON_MAX = 200
#: Texts that a weight counts with at least: what three of three texts have is not common yet.
_TEXTS_MIN = 1000
#: Sums of the same weights in another order differ by less.
_CLOSE = 1e-6
#: Pairs of texts that are looked at in one go.
_STEP = 1 << 20
#: What an address (of an issue, say) counts for: as a word of a text, and in the weight of its pairs.
ADDRESS = 3
_IS_ADDRESS = ("http://", "https://")
#: Scripts that put no spaces between words: each character counts as one. An address is one, too.
_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"https?://[^\s<>\"')]*\w|[{_ALONE}]|[^\W{_ALONE}]+")

_Ints = NDArray[np.int64]
_Flags = NDArray[np.bool_]


def words(text: str) -> list[str]:
    """Give the words of a text, in one case and one form of each character."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def size(told: Sequence[str]) -> int:
    """Count the different words of a text, an address as ADDRESS of them."""
    different = set(told)
    return len(different) + (ADDRESS - 1) * sum(word.startswith(_IS_ADDRESS) for word in different)


class _Texts(NamedTuple):
    """Texts as pairs of words: those of text t stand at `start[t]` to `start[t + 1]`, the rarest first.

    A pair is the number of it; `weight` is that of each pair, `total` that of each text, `length` its words.
    """

    pairs: _Ints
    start: _Ints
    weight: NDArray[np.float64]
    total: NDArray[np.float64]
    length: _Ints


def alike(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Give places of texts that are alike, enough of them to tie together all that are.

    A text that came before is given with its first place; the rest follows from the texts alone.
    """
    first: dict[tuple[str, ...], int] = {}
    for at, text in enumerate(texts):
        told = tuple(words(text))
        if size(told) < WORDS_MIN:
            continue
        known = first.setdefault(told, at)
        if known != at:
            yield known, at
    distinct = sorted(first)
    for one, other in _near(distinct):
        yield first[distinct[one]], first[distinct[other]]


def _near(texts: Sequence[tuple[str, ...]]) -> Iterator[tuple[int, int]]:
    """Give places of texts, all different, that are alike."""
    if len(texts) < 2:
        return
    known = _weighed(texts)
    sets: dict[int, frozenset[int]] = {}
    tied = Ties(len(texts))
    for shorter, longer in _candidates(known):
        if tied.of(shorter) == tied.of(longer):
            continue
        for one in (shorter, longer):
            if one not in sets:
                sets[one] = frozenset(known.pairs[known.start[one] : known.start[one + 1]].tolist())
        both = sets[shorter] & sets[longer]
        least = ALIKE if known.length[shorter] >= SHORT else ALIKE_SHORT
        if known.weight[list(both)].sum() >= least * known.total[shorter] - _CLOSE:
            tied.tie(shorter, longer)
            yield shorter, longer


def _weighed(texts: Sequence[tuple[str, ...]]) -> _Texts:
    of, pair, counts_for = _pairs(texts)
    own = _own(of, pair, len(texts))
    kinds = pair.max() + 1
    of, pair = np.divmod(_once(of[own] * kinds + pair[own]), kinds)  # each pair once a text
    held = np.bincount(pair, minlength=len(counts_for))
    weight = counts_for * np.log1p(max(len(texts), _TEXTS_MIN) / np.maximum(held, 1.0))
    order = np.lexsort((pair, -weight[pair], of))
    of, pair = of[order], pair[order]
    start = np.searchsorted(of, np.arange(len(texts) + 1))
    total = np.bincount(of, weight[pair], len(texts)).astype(np.float64)
    length = np.array([len(one) for one in texts], np.int64)
    return _Texts(pair, start, weight, total, length)


def _pairs(texts: Sequence[tuple[str, ...]]) -> tuple[_Ints, _Ints, NDArray[np.float64]]:
    """Give the pairs of neighbouring words, as numbers, in their order: whose they are, and which.

    The third are what each number's pair counts for.
    """
    length = np.array([len(one) for one in texts], np.int64)
    number = {word: at for at, word in enumerate(sorted({word for one in texts for word in one}))}
    flat = np.fromiter((number[word] for one in texts for word in one), np.int64, int(length.sum()))
    inner = np.ones(len(flat) - 1, bool)
    inner[np.cumsum(length)[:-1] - 1] = False  # the last word of a text and the first of the next are no pair
    kinds, pair = np.unique((flat[:-1] * len(number) + flat[1:])[inner], return_inverse=True)
    is_address = np.fromiter((word.startswith(_IS_ADDRESS) for word in number), np.bool_, len(number))
    has_one = is_address[kinds // len(number)] | is_address[kinds % len(number)]
    return np.repeat(np.arange(len(texts)), length - 1), pair, np.where(has_one, float(ADDRESS), 1.0)


def _own(of: _Ints, pair: _Ints, count: int) -> _Flags:
    """Say which pairs stand for their text: all but a template's, or all where that leaves too little."""
    kinds = pair.max() + 1
    held = np.bincount(_once(of * kinds + pair) % kinds)
    common = held[pair] >= max(TEMPLATE, count // _OF_ALL)
    begins = np.flatnonzero(np.diff(common, prepend=~common[:1]) | (np.diff(of, prepend=-1) > 0))
    width = np.diff(begins, append=len(common))
    own = ~(common & (np.repeat(width, width) >= RUN))
    # A word that was changed in a text that many have makes two rare pairs; it does not go on by itself.
    goes_on = np.bincount(of, ~common & (np.repeat(width, width) >= OWN_RUN), count) > 0
    enough = np.bincount(of, ~common, count) >= SHORT
    return own | ~(goes_on & enough)[of]


def _candidates(known: _Texts) -> Iterator[tuple[int, int]]:
    """Give pairs of texts that may be alike, the one of less weight first.

    Who shares ALIKE of a text's weight shares one of its rarest pairs: those that make up the rest of it.
    """
    counts = np.diff(known.start)
    of = np.repeat(np.arange(len(counts)), counts)
    own = known.weight[known.pairs]
    before = np.cumsum(own) - own
    before -= np.repeat(before[known.start[:-1]], counts)
    rare = before <= (1 - ALIKE) * np.repeat(known.total, counts) + _CLOSE
    order = np.lexsort((of, known.pairs))
    holders, begin = of[order], np.searchsorted(known.pairs[order], np.arange(len(known.weight) + 1))
    asking, asked = of[rare], known.pairs[rare]
    many = np.minimum(begin[asked + 1] - begin[asked], COMMON_MAX)
    asking, asked, many = asking[many > 1], asked[many > 1], many[many > 1]
    cuts = np.flatnonzero(np.diff(np.cumsum(many) // _STEP)) + 1
    for part in np.split(np.arange(len(asking)), cuts):
        if not len(part):
            continue
        width = many[part]
        left = np.repeat(asking[part], width)
        step = np.arange(int(width.sum())) - np.repeat(np.cumsum(width) - width, width)
        right = holders[np.repeat(begin[asked[part]], width) + step]
        yield from _comparable(known, left, right)


def _comparable(known: _Texts, left: _Ints, right: _Ints) -> Iterator[tuple[int, int]]:
    """Leave out the pairs that need not be looked at, and those that were given before."""
    is_less = (known.total[left] < known.total[right]) | (
        (known.total[left] == known.total[right]) & (left < right)
    )
    long_enough = (known.length[left] >= SHORT) | (known.length[right] <= TIMES * known.length[left])
    keep = is_less & long_enough
    found = _once(left[keep] * len(known.total) + right[keep])
    yield from zip((found // len(known.total)).tolist(), (found % len(known.total)).tolist(), strict=True)


def _once(values: _Ints) -> _Ints:
    """Give each value once, sorted: in half the time and memory that np.unique takes, which hashes."""
    values = np.sort(values)
    return values[np.flatnonzero(np.diff(values, prepend=-1))]


class Ties:
    """Which of so many things are tied together, directly or through others."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def of(self, one: int) -> int:
        """Give the one that stands for all that this one is tied to: the first of them."""
        above = self._above
        while above[one] != one:
            above[one] = above[above[one]]
            one = above[one]
        return one

    def tie(self, one: int, other: int) -> None:
        """Tie two together."""
        low, high = sorted((self.of(one), self.of(other)))
        self._above[high] = low
