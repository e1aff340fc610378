"""The shapes in which the evidence for a score is told, whatever version of the reward made it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

#: A file, a tool or a word that stands for itself is cut to this.
NAME_MAX = 200


class Because(msgspec.Struct, frozen=True):
    """Some calls, and what they have in common. `what` may hold words of the agent's."""

    what: str
    calls: list[int]


class Part(msgspec.Struct, frozen=True):
    """One component: its value, what it means here in a sentence, and the calls that made it so."""

    component: str
    value: float
    means: str
    because: list[Because] = []


class Evidence(msgspec.Struct, frozen=True):
    """What one signal was made of. `formula` says how, in the names of the components.

    `left_out` says of each component that does not apply here, or of the whole signal, why it does not.
    """

    formula: str
    parts: list[Part]
    left_out: list[str] = []


def because(what: str, calls: Iterable[int]) -> list[Because]:
    """Name some calls by their numbers; nothing where there are none."""
    numbers = list(calls)
    return [Because(what, numbers)] if numbers else []


def many(count: int, what: str) -> str:
    """Give a count with its noun."""
    return f"{count} {what}{'s' * (count != 1)}"
