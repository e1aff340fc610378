"""Groups of sessions that must stay on one side of a split: who learned of one, knows of the others.

Sessions are tied by prompts that are nearly the same (`karl.learning.shingles`), and those that are tied to
one are tied to each other. `karl.learning.split` gives each group its side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from karl.learning.shingles import WORDS_MIN, Ties, alike, size, words
from karl.routing.text import asked

#: What a group is at least: a session, or all sessions of a repository.
GroupBy = Literal["session", "repository"]


class Item(NamedTuple):
    """A session as a split looks at it. Times are Unix time in ms; `rows` is what it weighs.

    `prompts` are what a person asked in it, in order; `project` is empty where nobody knows. `moments` name
    each with its time: the same words at the same time in two sessions are one session's, told twice.
    `handed` are what its agent handed on to subagents, which may be what a person asked elsewhere.
    """

    session: str
    project: str
    prompts: tuple[str, ...]
    started_ms: int = 0
    last_ms: int = 0
    rows: int = 1
    moments: tuple[str, ...] = ()
    handed: tuple[str, ...] = ()


def groups(items: Sequence[Item], group_by: GroupBy = "session") -> list[list[int]]:
    """Give the places of the items by group: each once, those of a group in the order of their start.

    The groups are the same in whatever order the items come; they stand in the order of their oldest session.
    """
    ties = Ties(len(items))
    of, texts = _texts(items)
    for one, other in alike(texts):
        ties.tie(of[one], of[other])
    _tie_same(ties, [item.session for item in items])
    told = [(at, moment) for at, item in enumerate(items) for moment in item.moments]
    _tie_same(ties, [moment for _, moment in told], [at for at, _ in told])
    if group_by == "repository":
        _tie_same(ties, [item.project for item in items])
    found: dict[int, list[int]] = {}
    for at in sorted(range(len(items)), key=lambda at: age_of(items[at])):
        found.setdefault(ties.of(at), []).append(at)
    return sorted(found.values(), key=lambda group: age_of(items[group[0]]))


def age_of(item: Item) -> tuple[int, str]:
    """Give what sessions are ordered by, the oldest first."""
    return item.started_ms, item.session


def _texts(items: Sequence[Item]) -> tuple[list[int], list[str]]:
    """Give all texts that may tie, and whose they are: prompts, or, where all are short, all as one."""
    of, texts = [], []
    for at, item in enumerate(items):
        said = [text for text in map(asked, item.prompts) if text]
        if said and all(size(words(text)) < WORDS_MIN for text in said):
            said = [" ".join(said)]
        said += [text for text in map(asked, item.handed) if text]
        of += [at] * len(said)
        texts += said
    return of, texts


def _tie_same(ties: Ties, names: Sequence[str], of: Sequence[int] = ()) -> None:
    """Tie those that have a name in common; `of` says whose each name is, where some have several."""
    first: dict[str, int] = {}
    for at, name in zip(of or range(len(names)), names, strict=True):
        if name:
            ties.tie(first.setdefault(name, at), at)
