"""Rows on disk until it is known which of them go where: their places are in memory, not they.

Invariant: a row costs about 100 bytes of memory, whatever is in it.
"""

from __future__ import annotations

from array import array
from collections import Counter
from pathlib import Path
from typing import BinaryIO, Self

#: Bytes of what a row says.
_SAID = 16


class Spill:
    """Lines in the order in which they came, each with its session and the advantage of its turn."""

    def __init__(self, path: Path) -> None:
        self.advantages, self.tokens = array("d"), array("L")
        self.others: dict[int, str] = {}
        self._starts, self._sizes, self._of = array("Q"), array("L"), array("L")
        self._sessions: dict[str, int] = {}
        self._said: list[bytes] = []
        self._end = 0
        self._file: BinaryIO = path.open("x+b")
        path.unlink()  # it goes with this process, however that ends

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._starts)

    def add(
        self,
        session: str,
        advantage: float,
        data: bytes,
        *,
        said: bytes = b"",
        other: str = "",
        tokens: int = 0,
    ) -> None:
        """Put a line behind the others; `other` is a second session that it is of.

        `said` is what it says, 16 bytes for each of its rows (karl.learning.repeats); `tokens` counts those
        of a model, where one was named.
        """
        if other and other != session:
            self.others[len(self)] = other
        self._starts.append(self._end)
        self._sizes.append(len(data))
        self._of.append(self._sessions.setdefault(session, len(self._sessions)))
        self.advantages.append(advantage)
        self.tokens.append(tokens)
        self._said.append(said)
        self._end += len(data)
        self._file.write(data)

    def read(self, at: int) -> bytes:
        """Give a line by its number."""
        self._file.seek(self._starts[at])
        return self._file.read(self._sizes[at])

    @property
    def sessions(self) -> list[str]:
        """Give the sessions, the first that came first."""
        return list(self._sessions)

    def counts(self) -> Counter[str]:
        """Count the lines of each session."""
        names = self.sessions
        return Counter({names[at]: number for at, number in Counter(self._of).items()})

    def said(self, at: int) -> list[bytes]:
        """Give what the rows of a line say."""
        whole = self._said[at]
        return [whole[start : start + _SAID] for start in range(0, len(whole), _SAID)]

    def places(self, sessions: frozenset[str]) -> list[int]:
        """Give the numbers of the lines of some sessions, in their order."""
        wanted = {number for name, number in self._sessions.items() if name in sessions}
        return [at for at, number in enumerate(self._of) if number in wanted]
