"""A turn as rows to learn from: one a step, the step the last message, what came before it its history.

Two details. `full` has what was said and done: system prompt, prompts, calls with their arguments, results.
`brief` has the actions alone: a call is `{"tool":"Bash","target":"pytest -q"}`, its result one short line.

Invariants:
- Messages of a row depend on the turn alone, never on its score: no reward stands in a message.
- Every step is a row, also one that failed; who learns from rows leaves those out (`weights.masked`).
- Steps are numbered over the whole turn, subagents' behind its own: trajectory and step name a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from karl.export.chats import NO_PROMPT, NO_REPLY, answer
from karl.export.conversation import Asked, Conversation, Item, Made, Reply
from karl.export.pieces import LeftOut
from karl.export.selection import Chosen, Opening
from karl.export.targets import target_of
from karl.export.tools import definitions
from karl.learning.action import action
from karl.learning.row import About, Row
from karl.session.prompts import without_context

Detail = Literal["full", "brief"]

SUBAGENTS = "conversations of subagents (--subagents makes rows of them)"
WORDS_ALONE = "steps of words alone, without a call (--detail full has them)"

#: Characters of a brief prompt, and of the line that a failed call brought.
PROMPT_MAX, LINE_MAX = 800, 80
#: Characters of history in a row where no model says how much is too long.
HISTORY_MAX = 200_000
#: Calls that nobody let through, or that were stopped: no model should learn to make them.
_STOPPED = frozenset({"failed", "denied", "interrupted", "interrupted_or_denied"})
_NOTHING = Opening()


class _Step(NamedTuple):
    """What the agent did at once: its message, what came back, and the calls in it."""

    said: dict[str, Any]
    back: list[dict[str, Any]]
    calls: Sequence[Made]
    time_ms: int


def rows(
    chosen: Chosen, detail: Detail, *, opening: Opening = _NOTHING, subagents: bool = False
) -> Iterator[Row | LeftOut]:
    """Give the rows of a turn, and what is none, by reason. `opening` is what its session began with."""
    step = 0
    made = _of_conversation(chosen, chosen.transcript.main, opening, detail, step)
    for one in made:
        step += isinstance(one, Row)
        yield one
    others = list(chosen.transcript.agents.values())
    if others and not subagents:
        yield LeftOut(SUBAGENTS, len(others))
        return
    for conversation in others:
        for one in _of_conversation(chosen, conversation, _NOTHING, detail, step):
            step += isinstance(one, Row)
            yield one


def _of_conversation(
    chosen: Chosen, conversation: Conversation, opening: Opening, detail: Detail, first: int
) -> Iterator[Row | LeftOut]:
    items = [item for item in conversation.items if _says_something(item)]
    if not any(isinstance(item, Reply) for item in items):
        yield LeftOut(NO_REPLY)
        return
    if not isinstance(items[0], Asked):
        yield LeftOut(NO_PROMPT)
        return
    teller: _Full | _Brief = _Full(opening) if detail == "full" else _Brief(chosen)
    previous, number = "", first
    for item in items:
        if isinstance(item, Asked):
            teller.asked(item.text)
        elif isinstance(item, Reply):
            if detail == "brief" and not item.calls:
                yield LeftOut(WORDS_ALONE)
            for step in teller.steps(item):
                about = _about(chosen, step, number, previous)
                yield Row(messages=[*teller.history(), step.said], karl=about, tools=teller.tools)
                previous = about.tool or previous
                if step.calls:
                    previous = step.calls[-1].call.tool_name
                number += 1
                teller.did(step)


def _says_something(item: Item) -> bool:
    return isinstance(item, Asked) or (isinstance(item, Reply) and bool(item.text or item.calls))


def _about(chosen: Chosen, step: _Step, number: int, previous: str) -> About:
    row = chosen.row
    call = step.calls[0].call if step.calls else None
    return About(
        trajectory=row.id,
        session=row.session,
        project=str(chosen.about["project"] or ""),
        agent=row.agent,
        turn=row.turn,
        step=number,
        time_ms=step.time_ms,
        tool=call.tool_name if call else "",
        target=_target(chosen, step.calls[0]) if call else "",
        previous=previous,
        failed=any(made.call.success is False or made.call.status in _STOPPED for made in step.calls),
        corrected=row.flags.get("correction_detected") is True,
        reward=chosen.score.reward,
        advantage=row.advantage,
    )


def _target(chosen: Chosen, made: Made) -> str:
    return target_of(made.call.key_params, chosen.body.trajectory.context.cwd)


class _History:
    """Messages so far: what opened the conversation, and what came after it, the oldest dropped first.

    What is dropped is whole steps: a result never stands without the call that it is of.
    """

    def __init__(self) -> None:
        self.opened: list[dict[str, Any]] = []
        self.tools: list[dict[str, Any]] = []
        self._later: list[list[dict[str, Any]]] = []
        self._sizes: list[int] = []
        self._size = 0

    def history(self) -> list[dict[str, Any]]:
        return [*self.opened, *(message for group in self._later for message in group)]

    def add(self, group: list[dict[str, Any]]) -> None:
        size = sum(_size(message) for message in group)
        self._later.append(group)
        self._sizes.append(size)
        self._size += size
        while self._size > HISTORY_MAX and len(self._later) > 1:
            self._later.pop(0)
            self._size -= self._sizes.pop(0)

    def last(self) -> list[dict[str, Any]]:
        return self._later[-1] if self._later else self.opened


class _Full(_History):
    """What was said and done, as it was."""

    def __init__(self, opening: Opening) -> None:
        super().__init__()
        if opening.system_prompt:
            self.opened.append({"role": "system", "content": opening.system_prompt})
        # Tools that are known from calls alone are not told: they would give away which are called next.
        self.tools = definitions(opening.tools, ())

    def asked(self, text: str) -> None:
        message = {"role": "user", "content": text}
        if not self._later and all(one["role"] == "system" for one in self.opened):
            self.opened.append(message)
        else:
            self.add([message])

    def steps(self, reply: Reply) -> Iterator[_Step]:
        said: dict[str, Any] = {"role": "assistant", "content": reply.text}
        if reply.calls:
            said["tool_calls"] = [
                {"id": made.id, "type": "function",
                 "function": {"name": made.name, "arguments": made.arguments}}
                for made in reply.calls
            ]  # fmt: skip
        back = [
            {"role": "tool", "tool_call_id": made.id, "name": made.name, "content": answer(made)}
            for made in reply.calls
        ]
        yield _Step(said, back, reply.calls, reply.time_ms or 0)

    def did(self, step: _Step) -> None:
        self.add([step.said, *step.back])


class _Brief(_History):
    """The actions alone; a person's and a tool's turn and the agent's alternate strictly."""

    def __init__(self, chosen: Chosen) -> None:
        super().__init__()
        self._chosen = chosen

    def asked(self, text: str) -> None:
        short = _prompt(text)
        if not self.opened:
            self.opened.append({"role": "user", "content": short})
            return
        last = self.last()
        said = last[-1]
        last[-1] = {**said, "content": f"{said['content']}\n{short}"}

    def steps(self, reply: Reply) -> Iterator[_Step]:
        for made in reply.calls:
            text = action(made.call.tool_name, _target(self._chosen, made))
            said = {"role": "assistant", "content": text}
            back = {"role": "user", "content": _result(made)}
            yield _Step(said, [back], [made], reply.time_ms or 0)

    def did(self, step: _Step) -> None:
        self.add([step.said, *step.back])


def _prompt(text: str) -> str:
    """Give a prompt without what an editor put in front, within 800 characters."""
    asked = without_context(text).strip()
    return asked if len(asked) <= PROMPT_MAX else f"{asked[: PROMPT_MAX - 1].rstrip()}…"


def _result(made: Made) -> str:
    """Say in a line what a call brought: that it worked, or how it failed, not what it gave."""
    call = made.call
    if call.success is False or call.status == "failed":
        why = _first_line(call.error or made.answer or "")
        return f"failed: {why}" if why else "failed"
    if call.status in _STOPPED:
        return call.status.replace("_", " ")
    return "ok" if call.success or made.answer is not None else "no result"


def _first_line(text: str) -> str:
    """Give the first line that says something: an exit code alone does not."""
    lines = [flat for line in text.splitlines() if (flat := " ".join(line.split()))]
    telling = next((line for line in lines if not line.lower().startswith("exit code")), None)
    line = telling or next(iter(lines), "")
    return line if len(line) <= LINE_MAX else f"{line[: LINE_MAX - 1]}…"


def _size(message: dict[str, Any]) -> int:
    calls = message.get("tool_calls", ())
    return len(message["content"]) + sum(len(str(call["function"]["arguments"])) for call in calls)
