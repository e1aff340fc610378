"""What a format gives for a group of trajectories: documents, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from karl.export.selection import Chosen
from karl.schema.trajectory import Trajectory


class Piece(NamedTuple):
    """One document. `name` says which session it is of; `messages` and `calls` count what is in it."""

    name: str
    data: dict[str, Any] | Trajectory
    trajectories: int
    messages: int
    calls: int


class LeftOut(NamedTuple):
    """Trajectories, or conversations of subagents, that a format has no place for."""

    reason: str
    number: int = 1


def about_all(turns: Sequence[Chosen]) -> dict[str, Any]:
    """Say of a document what KARL knows: of one trajectory all, of several also their means."""
    if len(turns) == 1:
        return turns[0].about
    each = [turn.about for turn in turns]
    return {
        "schema": each[0]["schema"],
        "session": each[0]["session"],
        "reward": mean([one["reward"] for one in each]),
        "signals": {
            name: mean([one["signals"][name] for one in each if one["signals"].get(name) is not None])
            for name in each[0]["signals"]
        },
        "advantage": mean([one["advantage"] for one in each]),
        "trajectories": each,
    }


def mean(values: Sequence[float]) -> float | None:
    """Give a mean with four decimals; null of none."""
    return round(sum(values) / len(values), 4) if values else None


def encode(data: dict[str, Any] | Trajectory) -> bytes:
    """Write a document as one line of JSON, with its line end."""
    return msgspec.json.encode(data) + b"\n"
