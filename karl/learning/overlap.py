"""Which texts of one set go on for long with the same words, in the same order, as one of another set.

A text overlaps another when runs of at least RUN words, in the same order in both, make up at least SHARE of
the shorter one; a word weighs the more, the fewer texts have it. What many texts have word for word is a
template, and is not looked at.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
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
#: Texts that one is held against at most, those that share the most rare words.
LIKELY = 50
#: The rarest words of a text, of which another has to have some to be looked at; and how often a rare word
#: may be there.
_RARE, _SHARED, _RARE_MAX = 16, 4, 300
#: Texts that a weight counts with at least.
_TEXTS_MIN = 1000
_WORD = re.compile(r"[^\W_]+")
#: Scripts without spaces between words, whose characters are words.
_UNSPACED = re.compile(r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff])")


def plain_words(text: str) -> tuple[str, ...]:
    """Give a text's words in one case, without spaces and punctuation."""
    return tuple(_WORD.findall(_UNSPACED.sub(r" \1 ", text.casefold())))


def overlapping(
    texts: Sequence[tuple[str, ...]], ours: AbstractSet[int], theirs: AbstractSet[int]
) -> Iterator[tuple[int, int]]:
    """Give each of our texts, by its place, that overlaps one of theirs, with the first such one."""
    there = sorted(theirs)
    for one in sorted(ours & theirs):
        if len(set(texts[one])) >= SAME_MIN:
            yield one, one
    places = sorted(ours | theirs)
    own = dict(zip(places, _without_templates([texts[at] for at in places]), strict=True))
    index = _Index({at: words for at, words in own.items() if len(words) >= NEAR_MIN}, frozenset(there))
    for one in sorted(ours - theirs):
        for other in index.near(one):
            if _overlaps(own[one], own[other], index.weight):
                yield one, other
                break


class _Index:
    """Texts by their rare words: those of others that may overlap one."""

    def __init__(self, texts: dict[int, tuple[str, ...]], others: AbstractSet[int]) -> None:
        """Take all texts by place, and the places of those that are looked for."""
        self._others = others
        self._held = Counter(word for words in texts.values() for word in set(words))
        self._rare = {at: self._rarest(words) for at, words in texts.items()}
        self._words = {at: frozenset(words) for at, words in texts.items()}
        self._with: dict[str, list[int]] = defaultdict(list)
        self._rare_with: dict[str, list[int]] = defaultdict(list)
        for at in sorted(others & texts.keys()):
            for word in self._words[at]:
                if self._held[word] <= _RARE_MAX:
                    self._with[word].append(at)
            for word in self._rare[at]:
                self._rare_with[word].append(at)

    def near(self, one: int) -> list[int]:
        """Give the places of others that may overlap, the likeliest first, at most LIKELY of them.

        Either text has some of the other's rare words.
        """
        if one not in self._rare:
            return []
        mine = Counter(at for word in self._rare[one] for at in self._with[word])
        of_them = Counter(
            at for word in self._words[one] if word in self._rare_with for at in self._rare_with[word]
        )
        enough = min(_SHARED, len(self._rare[one]))
        found = {at for at, many in mine.items() if many >= enough}
        found |= {at for at, many in of_them.items() if many >= min(_SHARED, len(self._rare[at]))}
        return sorted(found - {one}, key=lambda at: (-mine[at] - of_them[at], at))[:LIKELY]

    def weight(self, word: str) -> float:
        """Say how much a word tells: the more, the fewer texts have it."""
        return math.log1p(max(len(self._words), _TEXTS_MIN) / max(1, self._held[word]))

    def _rarest(self, words: tuple[str, ...]) -> list[str]:
        """Give the rarest words that another text has, too."""
        shared = sorted((self._held[word], word) for word in set(words) if self._held[word] > 1)
        return [word for held, word in shared[:_RARE] if held <= _RARE_MAX or len(shared) < _RARE]


def _overlaps(one: tuple[str, ...], other: tuple[str, ...], weight: Callable[[str], float]) -> bool:
    shorter, longer = sorted((one, other), key=len)
    wanted = SHARE * sum(map(weight, shorter))
    if sum(weight(word) * many for word, many in (Counter(shorter) & Counter(longer)).items()) < wanted:
        return False
    blocks = SequenceMatcher(None, longer, shorter, autojunk=False).get_matching_blocks()
    runs = (shorter[block.b : block.b + block.size] for block in blocks if block.size >= RUN)
    return sum(weight(word) for run in runs for word in run) >= wanted


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
