"""Whether rows of one side are on the other as well; the last look at a data set before it is kept.

It shares no code with `karl.learning.groups` and `split`, and compares in another way, so that it can find
their faults.

What counts:
- `session`, `trajectory`: the same id on both sides.
- `row`: the same target after the same messages (`karl.learning.repeats`).
- `prompt`: what a person asked on both sides, in the same or nearly the same words (`karl.learning.overlap`).
- `held-out session`, `held-out prompt`: either of them on one of the sides, though it was held out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from karl.learning.overlap import overlapping, plain_words
from karl.learning.repeats import asked_in, said
from karl.learning.row import Row
from karl.routing.text import asked
from karl.schema.event import Payload
from karl.session.prompts import prompt_kind

#: What is looked for, by name.
CHECKS = ("session", "trajectory", "row", "prompt", "held-out session", "held-out prompt")
#: Examples that are given of each check.
EXAMPLES = 3
#: Words of a prompt that an example shows.
SHOWN = 12
_NOBODYS = Payload()

T = TypeVar("T")


class HeldOut(NamedTuple):
    """What was held out: ids of sessions, and what was asked in them."""

    sessions: frozenset[str] = frozenset()
    prompts: tuple[str, ...] = ()


class Found(NamedTuple):
    """How many rows each check found on both sides, those of `train` (of both, for what was held out).

    `examples` are the first few of each: check, the row (trajectory#step), and what it is the same as.
    """

    counts: dict[str, int]
    examples: tuple[tuple[str, str, str], ...] = ()


NOTHING_HELD = HeldOut()


def check(train: Iterable[Row], valid: Iterable[Row], held: HeldOut = NOTHING_HELD) -> dict[str, int]:
    """Count the rows that are on both sides, by check."""
    return find(train, valid, held).counts


def find(train: Iterable[Row], valid: Iterable[Row], held: HeldOut = NOTHING_HELD) -> Found:
    """Find the rows that are on both sides; each side is read once, train first. Memory: 200 bytes a row."""
    texts = _Texts()
    sides = one, other = _Side(train, texts), _Side(valid, texts)
    kept = frozenset(texts.number(text) for text in held.prompts)
    told = _Told()
    told.same("session", one, one.sessions, other, other.sessions)
    told.same("trajectory", one, one.trajectories, other, other.trajectories)
    told.same("row", one, one.said, other, other.said)
    told.prompts("prompt", one, other.prompts, texts)
    for side in sides:
        for session in sorted(side.sessions.keys() & held.sessions):
            told.tell("held-out session", side.sessions[session], side.first[session], session)
        told.prompts("held-out prompt", side, kept, texts)
    return Found({name: told.counts[name] for name in CHECKS}, tuple(told.examples))


class _Told:
    """What was found so far."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: list[tuple[str, str, str]] = []
        self._given: Counter[str] = Counter()

    def tell(self, name: str, rows: int, one: str, other: str) -> None:
        self.counts[name] += rows
        self._given[name] += 1
        if self._given[name] <= EXAMPLES:
            self.examples.append((name, one, other))

    def same(
        self, name: str, side: _Side, ours: Mapping[T, int], other: _Side, theirs: Mapping[T, int]
    ) -> None:
        """Tell of the rows that have something in common with one of the other side."""
        for key, rows in ours.items():
            if key and key in theirs:
                self.tell(name, rows, side.first[key], other.first[key])

    def prompts(self, name: str, side: _Side, others: frozenset[int], texts: _Texts) -> None:
        """Tell of the rows before which something was asked that is among the others, too."""
        found = overlapping(texts.words, side.prompts, others)
        for numbers, rows in side.asked.items():
            hit = next((number for number in sorted(numbers) if number in found), None)
            if hit is not None:
                self.tell(name, rows, side.first[numbers], " ".join(texts.words[found[hit]][:SHOWN]))


class _Texts:
    """All that was asked, each text once, under a number."""

    def __init__(self) -> None:
        self.words: list[tuple[str, ...]] = []
        self._numbers: dict[tuple[str, ...], int] = {}

    def number(self, text: str) -> int:
        words = plain_words(asked(text))
        number = self._numbers.setdefault(words, len(self.words))
        if number == len(self.words):
            self.words.append(words)
        return number


class _Side:
    """One side: rows by session, by trajectory, by what they say, and by what was asked before them."""

    def __init__(self, rows: Iterable[Row], texts: _Texts) -> None:
        self.sessions: Counter[str] = Counter()
        self.trajectories: Counter[str] = Counter()
        self.said: Counter[bytes] = Counter()
        self.asked: Counter[frozenset[int]] = Counter()
        #: The first row of each of these.
        self.first: dict[Any, str] = {}
        for row in rows:
            self._add(row, texts)
        self.prompts = frozenset(number for one in self.asked for number in one)

    def _add(self, row: Row, texts: _Texts) -> None:
        name = f"{row.karl.trajectory}#{row.karl.step}"
        self._count(self.sessions, row.karl.session, name)
        self._count(self.trajectories, row.karl.trajectory, name)
        self._count(self.said, said(row), name)
        self._count(self.asked, frozenset(texts.number(text) for text in _prompts_of(row)), name)

    def _count(self, counter: Counter[T], key: T, name: str) -> None:
        counter[key] += 1
        self.first.setdefault(key, name)


def _prompts_of(row: Row) -> Iterator[str]:
    """Give what a person asked in a row's history."""
    return (text for text in asked_in(row) if prompt_kind(text, _NOBODYS) == "human")
