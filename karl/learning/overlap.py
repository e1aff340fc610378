"""Which texts of one set go on for long with the same words, in the same order, as one of another set.

A text overlaps another when runs of at least RUN words, in the same order in both, make up at least SHARE of
the shorter one; a word weighs the more, the fewer texts have it. What many texts have word for word is a
template, and is not looked at.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from difflib import SequenceMatcher

#: Share of the shorter text that must be in the other, in runs of so many words.
SHARE, RUN = 0.7, 3
#: Distinct words from which on the same text is the same by more than chance.
SAME_MIN = 6
#: Words from which on a text is held against others that are not the same: shorter ones say much alike.
NEAR_MIN = 12
#: A template: so many texts have so many words in a row.
TEMPLATE_TEXTS, TEMPLATE_WORDS = 20, 8
#: Rarest words of a text, of which another has to have half to be looked at; texts that one may be in.
_RARE, _RARE_MAX = 16, 300
#: Texts that a weight counts with at least.
_TEXTS_MIN = 1000
_WORD = re.compile(r"[^\W_]+")
_ADDRESS = re.compile(r"https?://[^\s\"'<>)\]}]+")
#: Scripts without spaces between words, whose characters are words.
_UNSPACED = re.compile(r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff])")


def plain_words(text: str) -> tuple[str, ...]:
    """Give a text's words in one case, without spaces and punctuation; an address is one word."""
    plain = _ADDRESS.sub(lambda found: "".join(_WORD.findall(found[0])), text.casefold())
    return tuple(_WORD.findall(_UNSPACED.sub(r" \1 ", plain)))


def overlapping(
    texts: Sequence[tuple[str, ...]], ours: AbstractSet[int], theirs: AbstractSet[int]
) -> dict[int, int]:
    """Give each of our texts, by its place, that overlaps one of theirs, with the first such one."""
    found = {one: one for one in ours & theirs if len(set(texts[one])) >= SAME_MIN}
    places = sorted(ours | theirs)
    own = dict(zip(places, _without_templates([texts[at] for at in places]), strict=True))
    index = _Index({at: words for at, words in own.items() if len(words) >= NEAR_MIN})
    few, many = sorted((ours, theirs), key=len)
    index.fill(many)
    for one in sorted(few):
        for other in index.near(one):
            our, their = (one, other) if few is ours else (other, one)
            if our not in found and index.overlap(one, other):
                found[our] = their
    return found


class _Index:
    """Texts by their rare words, and how much each word tells."""

    def __init__(self, texts: dict[int, tuple[str, ...]]) -> None:
        """Take all texts by place."""
        self._texts = texts
        self._held = Counter(word for words in texts.values() for word in set(words))
        most = max(len(texts), _TEXTS_MIN)
        self._weight = {word: math.log1p(most / held) for word, held in self._held.items()}
        self._total = {at: sum(self._weight[word] for word in words) for at, words in texts.items()}
        self._rare = {at: self._rarest(words) for at, words in texts.items()}
        self._with: dict[str, list[int]] = defaultdict(list)
        self._rare_with: dict[str, list[int]] = defaultdict(list)

    def fill(self, places: AbstractSet[int]) -> None:
        """Take the places of texts that are to be found."""
        for at in sorted(places & self._texts.keys()):
            for word in set(self._texts[at]):
                if self._held[word] <= _RARE_MAX:
                    self._with[word].append(at)
            for word in self._rare[at]:
                self._rare_with[word].append(at)

    def near(self, one: int) -> list[int]:
        """Give the places of texts that may overlap: either has half of the other's rare words."""
        if one not in self._rare:
            return []
        mine = Counter(at for word in self._rare[one] for at in self._with[word])
        of_them = Counter(
            at for word in set(self._texts[one]) if word in self._rare_with for at in self._rare_with[word]
        )
        found = {at for at, many in mine.items() if 2 * many >= len(self._rare[one])}
        found |= {at for at, many in of_them.items() if 2 * many >= len(self._rare[at])}
        return sorted(found - {one})

    def overlap(self, one: int, other: int) -> bool:
        """Say whether two texts overlap."""
        shorter, longer = sorted((self._texts[one], self._texts[other]), key=len)
        wanted = SHARE * self._total[one if shorter is self._texts[one] else other]
        there = frozenset(longer)
        if sum(self._weight[word] for word in shorter if word in there) < wanted:
            return False
        blocks = SequenceMatcher(None, longer, shorter, autojunk=False).get_matching_blocks()
        runs = (shorter[block.b : block.b + block.size] for block in blocks if block.size >= RUN)
        return sum(self._weight[word] for run in runs for word in run) >= wanted

    def _rarest(self, words: tuple[str, ...]) -> list[str]:
        """Give the rarest words that another text has, too."""
        shared = sorted((self._held[word], word) for word in set(words) if self._held[word] > 1)
        return [word for held, word in shared[:_RARE] if held <= _RARE_MAX or len(shared) < _RARE]


def _without_templates(texts: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Take out of each text what many have, where enough is left."""
    if len(texts) < TEMPLATE_TEXTS:
        return list(texts)
    held: Counter[int] = Counter()
    for words in texts:
        held.update({hash(run) for _, run in _runs(words)})
    common = {run for run, many in held.items() if many >= TEMPLATE_TEXTS}
    return [_stripped(words, common) for words in texts] if common else list(texts)


def _stripped(words: tuple[str, ...], common: AbstractSet[int]) -> tuple[str, ...]:
    keep = [True] * len(words)
    for at, run in _runs(words):
        if hash(run) in common:
            keep[at : at + TEMPLATE_WORDS] = [False] * TEMPLATE_WORDS
    left = tuple(word for word, kept in zip(words, keep, strict=True) if kept)
    return left if len(left) >= NEAR_MIN else words


def _runs(words: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    for at in range(len(words) - TEMPLATE_WORDS + 1):
        yield at, words[at : at + TEMPLATE_WORDS]
