"""Which ids and which lines a check has come past, in little memory."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator


class SeenIds:
    """A set of ids as 8-byte hashes in open addressing: 16 to 32 bytes for each.

    Two of ten million ids share a hash by chance about once in 400,000 ledgers.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * 1024))
        self._count = 0

    def add(self, text: str) -> bool:
        """Put an id in; False when it was there."""
        key = _hash(text)
        slot = self._slot(self._slots, key)
        if self._slots[slot]:
            return False
        self._slots[slot] = key
        self._count += 1
        if 2 * self._count > len(self._slots):
            self._grow()
        return True

    def __contains__(self, text: str) -> bool:
        return self._slots[self._slot(self._slots, _hash(text))] != 0

    def __len__(self) -> int:
        return self._count

    @staticmethod
    def _slot(slots: array[int], key: int) -> int:
        mask = len(slots) - 1
        slot = key & mask
        while slots[slot] not in {0, key}:
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        larger = array("Q", bytes(16 * len(self._slots)))
        for key in self._slots:
            if key:
                larger[self._slot(larger, key)] = key
        self._slots = larger


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") or 1  # 0 marks a free slot


class Spans:
    """A set of whole numbers as spans: what is added mostly follows what was added before."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, int]] = []

    def add(self, first: int, last: int) -> None:
        """Put in all numbers from `first` to `last`."""
        if self._spans and self._spans[-1][0] <= first <= self._spans[-1][1] + 1:
            self._spans[-1] = (self._spans[-1][0], max(last, self._spans[-1][1]))
        else:
            self._spans.append((first, last))

    def __bool__(self) -> bool:
        return bool(self._spans)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._spans)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self._spans)

    def missing_in(self, other: Spans) -> tuple[int, int] | None:
        """Give the first and the last number here that `other` does not have; null when it has all."""
        has = _joined(other)
        starts = [first for first, _ in has]
        lacking: list[int] = []
        for first, last in _joined(self):
            at = first
            while at <= last:
                place = bisect_right(starts, at) - 1
                if place < 0 or has[place][1] < at:
                    stop = min(last, starts[place + 1] - 1) if place + 1 < len(starts) else last
                    lacking += [at, stop]
                    at = stop + 1
                else:
                    at = has[place][1] + 1
        return (lacking[0], lacking[-1]) if lacking else None


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined = Spans()
    for first, last in sorted(spans):
        joined.add(first, last)
    return list(joined)
