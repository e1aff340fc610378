"""What a router was trained with, as its record names it: a turn's prompt, an exemplar, what a skill says.

trajectory:ID:SKILL    a turn's prompt, for the skill that it counted for; for none without a skill
exemplar:ID            what somebody gave
skill:NAME:DIGEST      what a skill says of itself, as it was
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Source(NamedTuple):
    """A source taken apart: `kind`, the id or name of it, and the skill or digest behind that."""

    kind: str
    name: str
    more: str = ""


def of_turn(trajectory: str, skill: str | None) -> str:
    """Name a turn's prompt as a source."""
    return f"trajectory:{trajectory}:{skill or ''}"


def of_exemplar(exemplar: str) -> str:
    """Name what somebody gave as a source."""
    return f"exemplar:{exemplar}"


def of_skill(name: str, digest: str) -> str:
    """Name what a skill says of itself as a source; its name may have colons."""
    return f"skill:{name}:{digest}"


def parse(source: str) -> Source:
    """Take a source apart."""
    kind, _, rest = source.partition(":")
    if kind == "exemplar":
        return Source(kind, rest)
    name, _, more = rest.rpartition(":") if kind == "skill" else rest.partition(":")
    return Source(kind, name, more)


def turns_of(sources: Iterable[str]) -> frozenset[str]:
    """Name the trajectories among sources."""
    told = map(parse, sources)
    return frozenset(one.name for one in told if one.kind == "trajectory" and one.name)
