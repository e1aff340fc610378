"""Phrases found in a person's words: a small language for tables of them, and its search.

A phrase is words with single spaces. In place of a word there may be `a|b` (either), `!a|b` (any word but
these), `?a` (may be missing), `*` (any word), `$` (the end of what is looked at), or a mark of
punctuation. It counts wherever it stands; after `^`, at the beginning only, with words of hesitation
passed over. In a table, a line end or a
slash between spaces parts a phrase from the next. Apostrophes and accents are left out on both sides: "don't"
is `dont`.

Invariant: time is linear in the text. A phrase has a few words, and no word repeats.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

#: Words that may stand before what a prompt begins with.
_HESITATION = frozenset(
    {
        "ugh", "argh", "hm", "hmm", "hmmm", "um", "emm", "ok", "okay", "sorry", "well", "but", "and", "hey",
        "oh", "ah", "wait", "please", "yeah", "so", "also", "then", "actually", "just", "now", "again",
        ",", ".", "!", "…", "aber", "und", "ja", "mais", "et", "pero", "y", "mas", "e", "но", "а", "ну",
    }
)  # fmt: skip
_HESITATIONS_MAX = 5
_WORD = re.compile(r"\w+(?:[./@+-]\w+)*|[?!.,;:…]")
_LEFT_OUT = "'’‘`\"“”"
_ACCENT = re.compile("[\u0300-\u036f]")


class _Place(NamedTuple):
    """What may stand in one place of a phrase; no `words` means any."""

    words: frozenset[str]
    denied: bool
    optional: bool


class _Phrase(NamedTuple):
    name: str
    places: tuple[_Place, ...]


#: Phrases by their first word, then by their second one ("" where it may be any).
_Index = dict[str, dict[str, list[_Phrase]]]


class Phrases:
    """A table of phrases, by the first two words that they may begin with."""

    def __init__(self, table: Iterable[tuple[str, str]]) -> None:
        self._opening: _Index = {}
        self._anywhere: _Index = {}
        for name, lines in table:
            for line in lines.replace("\n", " / ").split(" / "):
                if line.strip():
                    self._add(name, line)

    def _add(self, name: str, line: str) -> None:
        words = folded(line).split()
        opens = words[0] == "^"
        phrase = _Phrase(name, tuple(_place(word) for word in words[opens:]))
        index = self._opening if opens else self._anywhere
        for first, at in _beginnings(phrase.places, 0):
            for second, _ in _beginnings(phrase.places, at) or [("", 0)]:
                index.setdefault(first, {}).setdefault(second, []).append(phrase)

    def found(self, words: list[str]) -> set[str]:
        """Give the names of the phrases that the words hold."""
        names: set[str] = set()
        last = len(words) - 1
        opening = _opening(words)
        for at, word in enumerate(words):
            following = words[at + 1] if at < last else "$"
            for index in (self._opening, self._anywhere) if at <= opening else (self._anywhere,):
                after = index.get(word)
                if after is None:
                    continue
                for second in (following, ""):
                    for phrase in after.get(second, ()):
                        if phrase.name not in names and _fits(phrase.places, words, at):
                            names.add(phrase.name)
        return names


def _beginnings(places: tuple[_Place, ...], at: int) -> list[tuple[str, int]]:
    """Give the words that may stand first from a place on, each with the place after it.

    "" stands for any word, and for no more words.
    """
    out: list[tuple[str, int]] = []
    for number in range(at, len(places)):
        place = places[number]
        words = ("",) if place.denied or not place.words else place.words
        out += [(word, number + 1) for word in words]
        if not place.optional:
            return out
    return [*out, ("", len(places))]


def folded(text: str) -> str:
    """Give a text in the form that phrases are compared in."""
    text = text.lower()
    for mark in _LEFT_OUT:
        text = text.replace(mark, "")
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _ACCENT.sub("", unicodedata.normalize("NFKD", text)))


def words_of(text: str) -> list[str]:
    """Give the words of a folded text, and its punctuation, one by one."""
    return _WORD.findall(text)


def _place(word: str) -> _Place:
    optional, denied = word.startswith("?") and len(word) > 1, word.startswith("!") and len(word) > 1
    word = word[1:] if optional or denied else word
    return _Place(frozenset() if word == "*" else frozenset(word.split("|")), denied, optional)


def _opening(words: list[str]) -> int:
    """Give the place of the last word that a prompt may be said to begin with."""
    for at, word in enumerate(words[:_HESITATIONS_MAX]):
        if word not in _HESITATION:
            return at
    return min(_HESITATIONS_MAX, len(words))


def _fits(places: tuple[_Place, ...], words: list[str], at: int) -> bool:
    for number, (allowed, denied, optional) in enumerate(places):
        word = words[at] if at < len(words) else "$"
        fits = (word in allowed) is not denied or not allowed
        if word == "$":
            fits = not denied and "$" in allowed
        if optional and fits and _fits(places[number + 1 :], words, at + 1):
            return True
        if optional:
            continue
        if not fits:
            return False
        at += 1
    return True
