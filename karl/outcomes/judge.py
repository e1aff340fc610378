"""Judge: which commits hold a turn's work, and what became of it.

Definitions, for a turn whose files changed in this repository:

- *held*: a line that the turn wrote, and that was there at its end, is held by the first commit that brings
  an equal line (but for its indentation) into the same file, from five minutes before the turn's start to
  HELD_DAYS after its end. Lines in which too little stands to know them again are not counted.
- *committed*: at least half of its lines are held; or git told the turn the hash of a commit that touches its
  files; or a commit made meanwhile touches them and names the agent as co-author. Not committed: HELD_DAYS
  have passed, and less than half is held.
- *survived*: N days after what holds them had come to HEAD, at least half of the held lines stood in their
  files, beyond as many equal ones as had been there before.
- *reverted*: a later commit on HEAD says "This reverts commit" of commits that hold half of the lines, and
  was not reverted itself; or, N days after, or now, files that hold half of them have the content that they
  had before.

What can not be known yet is null: nothing is said of a time that this clone may not have seen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from karl.outcomes.history import Commit, History
from karl.outcomes.repository import Found
from karl.outcomes.work import Piece, Work

DAY_S = 86_400
HELD_DAYS = 14
#: A commit may seem this much older than the turn that made it: clocks differ.
EARLY_S = 300
#: The share of lines that decides.
HALF = 0.5
#: How agents are called where they are named as co-authors.
_AGENTS = {
    "claude-code": "claude",
    "codex": "codex",
    "copilot": "copilot",
    "gemini": "gemini",
    "cursor": "cursor",
}

#: The telling lines that commits brought, by commit and path.
Added = Mapping[str, Mapping[str, Counter[str]]]
#: Gives a file in a commit, null where it is not there.
Look = Callable[[str, str], Found | None]


class Finding(msgspec.Struct, frozen=True):
    """What was found of one turn. Null is not known (yet).

    `lines` it wrote, of which commits hold `held`, of which `left` were there N days after. `commits` hold
    them, the first one first; `landed` is where on HEAD's way (`History.main`) the last of them came to it.
    """

    trajectory: str
    session: str
    committed: bool | None
    survived: bool | None
    reverted: bool | None
    lines: int
    held: int
    left: int | None
    commits: list[str]
    landed: int | None


class Sources(NamedTuple):
    """Where it is looked up: the commits, the lines they brought, and files as they were."""

    history: History
    added: Added
    look: Look


class _Held(NamedTuple):
    """Lines of one path that one commit holds."""

    commit: Commit
    path: str
    lines: Counter[str]


def candidates(work: Work, files: Mapping[str, Piece], by_path: Mapping[str, list[Commit]]) -> list[Commit]:
    """List the commits that may hold a turn's work."""
    first, last = work.started_s - EARLY_S, work.ended_s + HELD_DAYS * DAY_S
    found = {commit.name: commit for path in files for commit in by_path.get(path, ())}
    return [
        one for one in found.values() if max(one.time_s, one.written_s) >= first and one.written_s <= last
    ]


def judge(
    work: Work,
    files: Mapping[str, Piece],
    near: Iterable[Commit],
    sources: Sources,
    *,
    days: int,
    seen_s: float,
) -> Finding:
    """Say what became of a turn's work. `near` are its candidates; up to `seen_s` (Unix time) all is known.

    `days` is the N of the definitions.
    """
    history, added, look = sources
    order = sorted(near, key=lambda one: (history.landed.get(one.name, len(history.main)), one.time_s))
    named = {name for beginning in work.commits if (name := history.named(beginning))}
    own = [one for one in order if one.name in named or _names(one, work)]
    held = list(_held(files, order, added)) + list(_unseen(files, own, added))
    lines = sum(piece.lines.total() for piece in files.values())
    count = sum(each.lines.total() for each in held)
    commits = list(dict.fromkeys([*(each.commit.name for each in held), *(one.name for one in own)]))
    committed = _committed(work, bool(own), lines, count, seen_s)
    nothing = Finding(work.trajectory, work.session, committed, None, None, lines, count, None, commits, None)
    landed = [history.landed[name] for name in commits if name in history.landed]
    if not committed or not landed:
        return nothing
    place = max(landed)
    end_s = history.main[place].time_s + days * DAY_S
    until = max(place, history.at(min(end_s, seen_s)))
    on_head = [each for each in held if each.commit.name in history.landed]
    left = _left(on_head, history, until, look) if seen_s >= end_s and on_head else None
    return msgspec.structs.replace(
        nothing,
        survived=None if left is None else left >= HALF * sum(each.lines.total() for each in on_head),
        reverted=_reverted(on_head, history, until, look) or (False if seen_s >= end_s and on_head else None),
        left=left,
        landed=place,
    )


def _committed(work: Work, own: bool, lines: int, held: int, seen_s: float) -> bool | None:
    if own or (lines and held >= HALF * lines):
        return True
    return False if lines and seen_s >= work.ended_s + HELD_DAYS * DAY_S else None


def _names(commit: Commit, work: Work) -> bool:
    """Say whether a commit was made while the turn ran, and names its agent."""
    agent = _AGENTS.get(work.agent, work.agent).casefold()
    during = work.started_s - EARLY_S <= commit.written_s <= work.ended_s + EARLY_S
    return during and any(re.search(rf"\b{re.escape(agent)}\b", each.casefold()) for each in commit.helpers)


def _held(files: Mapping[str, Piece], order: Iterable[Commit], added: Added) -> Iterable[_Held]:
    """Give each line to the first commit that brings it."""
    missing = {path: Counter(piece.lines) for path, piece in files.items()}
    for commit in order:
        for change in commit.changes:
            wanted = missing.get(change.path) or missing.get(change.was)
            brought = added.get(commit.name, {}).get(change.path)
            if wanted and brought and (both := wanted & brought):
                wanted -= both
                missing[change.path if change.path in missing else change.was] = wanted
                yield _Held(commit, change.path, both)


def _unseen(files: Mapping[str, Piece], own: Iterable[Commit], added: Added) -> Iterable[_Held]:
    """Give what the turn's own commits brought into files of which nobody knows what it wrote."""
    for commit in own:
        for change in commit.changes:
            piece = files.get(change.path) or files.get(change.was)
            brought = added.get(commit.name, {}).get(change.path)
            if piece is not None and not piece.lines and brought:
                yield _Held(commit, change.path, Counter(brought))


def _left(held: list[_Held], history: History, until: int, look: Look) -> int:
    """Count the held lines that are in their files, beyond the equal ones that were there before."""
    left = 0
    for path, those in _by_path(held).items():
        wanted = sum((each.lines for each in those), Counter[str]())
        there, _ = history.follow(path, history.landed[those[0].commit.name], until)
        now = _lines(look(history.main[until].name, there))
        parents = those[0].commit.parents
        was = next(change.was for change in those[0].commit.changes if change.path == path)
        now -= _lines(look(parents[0], was)) if parents else Counter[str]()
        left += (now & wanted).total()
    return left


def _lines(found: Found | None) -> Counter[str]:
    text = found.text if found else None
    return Piece.of(text).lines if text else Counter()


def _by_path(held: Iterable[_Held]) -> dict[str, list[_Held]]:
    """Gather what is held by path, the first that landed first."""
    found: dict[str, list[_Held]] = {}
    for each in held:
        found.setdefault(each.path, []).append(each)
    return found


def _reverted(held: list[_Held], history: History, until: int, look: Look) -> bool:
    total = sum(each.lines.total() for each in held)
    said = sum(each.lines.total() for each in held if history.is_reverted(each.commit.name))
    restored = 0
    for path, those in _by_path(held).items():
        before = next(change.before for change in those[0].commit.changes if change.path == path)
        last = max(history.landed[each.commit.name] for each in those)
        there, change = history.follow(path, last, until)
        if change is not None:
            found = look(history.main[until].name, there)
            restored += (
                sum(each.lines.total() for each in those) if (found.blob if found else "") == before else 0
            )
    return total > 0 and max(said, restored) >= HALF * total
