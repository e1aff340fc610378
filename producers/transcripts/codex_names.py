"""What Codex's facts are called: keys within their session, and origins that a fork's copy shares.

A fork's file begins with the history that it goes on from, written again with new times. What both files
have is the id of a turn or, in older versions, everything that was said before: `place` is made of either.
"""

from __future__ import annotations

import hashlib
from collections import Counter

#: Shorter ids count (`call_1`, `2`): they say nothing outside of their session.
_HOSTS_OWN = 16


class Names:
    """The names of one file's facts, which are given in the file's order."""

    def __init__(self) -> None:
        self._keys: Counter[str] = Counter()
        self._origins: Counter[str] = Counter()
        self._history = b""
        self._turn = ""

    def root(self, session: str) -> None:
        """Begin the history of a session; that of a fork is its first ancestor's."""
        self._history, self._turn = _digest(session.encode("utf-8", "replace")), ""

    def turn(self, turn_id: str) -> None:
        """Enter a turn."""
        self._turn = turn_id if len(turn_id) >= _HOSTS_OWN else ""

    def past(self, said: str) -> None:
        """Note what an item of the conversation says, or which call it is of."""
        self._history = _digest(self._history + said.encode("utf-8", "replace"))

    def of(self, what: str, said: str) -> tuple[str, str]:
        """Give the key and the origin of a fact that its words name; equal ones are told apart by order."""
        short = f"{what}:{_digest(said.encode('utf-8', 'replace')).hex()}"
        key = f"{short}.{self._keys[short]}"
        self._keys[short] += 1
        shared = f"{short}@{self._turn or self._history.hex()}"
        origin = f"{shared}.{self._origins[shared]}"
        self._origins[shared] += 1
        return key, origin

    def of_call(self, what: str, call_id: str) -> tuple[str, str]:
        """Give the key and the origin of a call, or of its end."""
        key = f"{what}:{call_id}"
        return key, key if len(call_id) >= _HOSTS_OWN else f"{key}@{self._turn or self._history.hex()}"


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=10).digest()
