"""Pairs of what was accepted and what was not, where both answer the very same messages.

Two places have such pairs: a turn that was corrected and the next one, in which a person asked the same again
(`redo`); and a history and prompt that were answered twice, in sessions that were resumed or wound back
(`fork`). Both sides are followed to the first step in which they differ: that step is the pair, what came
before it the prompt. Where anything else differs first (another result of the same call, say), there is none.

Invariants:
- Nothing is compared that a model would read differently: the prompt of a pair is one list of messages.
- What is no pair is counted by reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Literal, NamedTuple

import msgspec

from karl.export.budget import Budget, taken_apart
from karl.export.pieces import LeftOut
from karl.export.rows import Detail, rows
from karl.export.selection import Chosen, Group
from karl.learning.row import About, Row
from karl.learning.shingles import words

NO_REDO = "corrected turns whose next prompt asks for something else"
NOT_ACCEPTED = "corrected turns that were asked again, and nobody accepted that either"
SAME = "pairs whose steps are all the same"
RESULTS_DIFFER = "pairs in which the same call had another result"
FAILED = "pairs whose accepted step failed"
ENDED = "pairs of which one side ended where the other went on"
PROMPT_DIFFERS = "pairs whose system prompt differs"
TOO_LONG = "pairs that are too long (--max-tokens)"

Why = Literal["redo", "fork"]

#: Share of the words of two prompts that are in both, from which on they ask the same.
_SAME_WORDS = 0.8

#: Words that may stand in front of a prompt that is said again ("no, that's wrong, revert that:"), and the
#: fewest that it must have itself.
_IN_FRONT, _TELLING = 8, 6


class Pair(NamedTuple):
    """One prompt, the step that was accepted and the one that was not; what is known of both."""

    why: Why
    prompt: list[dict[str, Any]]
    accepted: dict[str, Any]
    refused: dict[str, Any]
    chosen: About
    rejected: About
    tools: list[dict[str, Any]]

    def dpo(self) -> Iterator[dict[str, Any]]:
        """Give it as DPO trainers read it."""
        yield {
            "prompt": self.prompt,
            "chosen": [self.accepted],
            "rejected": [self.refused],
            "tools": self.tools,
            "karl": {"why": self.why, "chosen": self.chosen, "rejected": self.rejected},
        }

    def kto(self) -> Iterator[dict[str, Any]]:
        """Give it as KTO trainers read it: two answers, each with a thumb."""
        for message, about, label in (
            (self.accepted, self.chosen, True),
            (self.refused, self.rejected, False),
        ):
            known = {**msgspec.structs.asdict(about), "why": self.why}
            yield {"prompt": self.prompt, "completion": [message], "label": label, "tools": self.tools,
                   "karl": known}  # fmt: skip


class _Turn(NamedTuple):
    """A turn's rows, and what became of it. `past` names all that was said and done in its session before."""

    rows: list[Row]
    asked: str
    project: str
    accepted: bool
    refused: bool
    past: bytes


def is_accepted(turn: Chosen) -> bool:
    """Say whether a turn came to its end and nobody said anything against it later."""
    known, flags = turn.body.trajectory.outcome, turn.row.flags
    against = any(flags.get(name) is True for name in ("correction_detected", "redo_detected", "reverted"))
    return known.completed is True and not against and flags.get("label") is not False


def is_refused(turn: Chosen) -> bool:
    """Say whether a turn was corrected, undone or asked again, or a person said that it was not done."""
    flags = turn.row.flags
    against = any(flags.get(name) is True for name in ("correction_detected", "redo_detected", "reverted"))
    return against or flags.get("label") is False


def pairs(groups: Iterator[Group], detail: Detail, budget: Budget | None) -> Iterator[Pair | LeftOut]:
    """Give the pairs of all sessions; a group is a whole session. Turns that may be forks stay in memory."""
    forks: dict[bytes, list[_Turn]] = {}
    for group in groups:
        before: _Turn | None = None
        for turn in _turns(group, detail):
            if before is not None and before.refused:
                yield _redo(before, turn, budget)
            if turn.rows and (turn.accepted or turn.refused):
                yield from _forked(forks.setdefault(_key(turn), []), turn, budget)
            before = turn


def _turns(group: Group, detail: Detail) -> Iterator[_Turn]:
    past = b""
    for chosen in group.turns:
        made = [one for one in rows(chosen, detail, opening=group.opening) if isinstance(one, Row)]
        asked = chosen.body.trajectory.context.prompt_text or ""
        yield _Turn(made, asked, chosen.row.project, is_accepted(chosen), is_refused(chosen), past)
        said = [_bare(message) for message in made[-1].messages] if made else [asked]
        past = sha256(past + msgspec.json.encode(said)).digest()


def _redo(before: _Turn, turn: _Turn, budget: Budget | None) -> Pair | LeftOut:
    if not before.rows or not turn.rows or not asks_the_same(before.asked, turn.asked):
        return LeftOut(NO_REDO)
    if not turn.accepted:
        return LeftOut(NOT_ACCEPTED)
    return _pair("redo", turn, before, budget)


def _forked(others: list[_Turn], turn: _Turn, budget: Budget | None) -> Iterator[Pair | LeftOut]:
    for other in others:
        if other.accepted and turn.refused:
            yield _pair("fork", other, turn, budget)
        elif turn.accepted and other.refused:
            yield _pair("fork", turn, other, budget)
    others.append(turn)


def _key(turn: _Turn) -> bytes:
    said = msgspec.json.encode([turn.project, " ".join(turn.asked.split())])
    return sha256(turn.past + said).digest()


def _pair(why: Why, accepted: _Turn, refused: _Turn, budget: Budget | None) -> Pair | LeftOut:
    """Follow both sides to the first step in which they differ."""
    if _system(accepted) != _system(refused):
        return LeftOut(PROMPT_DIFFERS)
    for good, bad in zip(accepted.rows, refused.rows, strict=False):
        # The prompts were found to ask the same; the pair has the words of the side that was not accepted.
        if _done(good) != _done(bad):
            return LeftOut(RESULTS_DIFFER)
        if _bare(good.messages[-1]) == _bare(bad.messages[-1]):
            continue
        if good.karl.failed:
            return LeftOut(FAILED)
        found = Pair(
            why, bad.messages[:-1], good.messages[-1], bad.messages[-1], good.karl, bad.karl, bad.tools
        )
        return found if budget is None else _fitted(found, budget)
    return LeftOut(SAME if len(accepted.rows) == len(refused.rows) else ENDED)


def _fitted(pair: Pair, budget: Budget) -> Pair | LeftOut:
    """Give a pair as the model reads it; one that is too long is none, so that both sides keep one prompt."""
    sides = []
    for message, about in ((pair.accepted, pair.chosen), (pair.refused, pair.rejected)):
        row = budget.fit(Row([*pair.prompt, message], about, tools=pair.tools))
        if isinstance(row, LeftOut) or row.cut:
            return LeftOut(TOO_LONG)
        sides.append(row.row.messages)
    return pair._replace(prompt=sides[0][:-1], accepted=sides[0][-1], refused=sides[1][-1])


def asks_the_same(one: str, other: str) -> bool:
    """Say whether two prompts have nearly the same words, or the second is the first behind a few others."""
    said, again = words(one), words(other)
    if len(said) >= _TELLING and again[-len(said) :] == said and len(again) - len(said) <= _IN_FRONT:
        return True
    mine, theirs = set(said), set(again)
    return bool(mine | theirs) and len(mine & theirs) >= _SAME_WORDS * len(mine | theirs)


def _system(turn: _Turn) -> list[dict[str, Any]]:
    return [message for message in turn.rows[0].messages[:1] if message["role"] == "system"]


def _done(row: Row) -> list[dict[str, Any]]:
    """Give the history of a row behind what opened it."""
    _opening, steps, _target = taken_apart(row.messages)
    return [_bare(message) for step in steps for message in step]


def _bare(message: dict[str, Any]) -> dict[str, Any]:
    """Give what a message says, without the names of calls, which are other ones each time."""
    bare = {name: value for name, value in message.items() if name not in ("tool_call_id", "tool_calls")}
    return bare | {"calls": [call["function"] for call in message.get("tool_calls", ())]}
