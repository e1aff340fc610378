"""Words that are looked for in a text, each behind its rarest character. Pure.

To see that a text lacks a character costs a tenth of looking for a word, and most texts lack most words.
"""

from __future__ import annotations

from collections.abc import Iterable

#: Characters as texts have them, the commonest first; what is not here counts as common.
_COMMON = " etaoinsrhldcumfpgwybvk._:,ETAOINSRHLDCUMFPGWYBVK|#!"

#: Words, each behind its rarest character.
Words = tuple[tuple[str, str], ...]


def rarest(word: str) -> str:
    """Give a word's rarest character."""
    return max(word, key=_COMMON.find)


def with_rarest(words: Iterable[str]) -> Words:
    """Give words as `has_one` takes them."""
    return tuple((rarest(word), word) for word in words)


def has_one(text: str, words: Words) -> bool:
    """Say whether one of the words stands in a text."""
    for rare, word in words:  # noqa: SIM110 - a generator would cost as much again
        if rare in text and word in text:
            return True
    return False
