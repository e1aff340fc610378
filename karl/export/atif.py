"""Sessions in ATIF v1.8, the Agent Trajectory Interchange Format: one document a session.

What it asks of a writer, and readers check:
- there is a step at least; steps are numbered from 1 without a gap;
- model, calls, metrics and reasoning are on agent steps only;
- a result names a call of the same step, so parallel results stand with the step that made the calls;
- `prompt_tokens` has in it what the cache gave and took;
- a subagent is a trajectory of its own inside its parent's, and the call's result refers to it.
What the format has no field for is in `extra.karl`; how a call ended, also in its result's `extra`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from karl.export.conversation import Asked, Conversation, Item, Made, Note, Reply
from karl.export.pieces import LeftOut, Piece, about_all
from karl.export.selection import Chosen, Group
from karl.export.tools import definitions
from karl.schema.trajectory import Usage
from karl.session.moments import iso

VERSION = "ATIF-v1.8"
_NOTE = {
    "interrupt": "[interrupted by the user]",
    "error": "[the turn failed]",
    "compaction": "[compacted]",
    "nothing": "[nothing was recorded]",
}


def pieces(group: Group) -> Iterator[Piece | LeftOut]:
    """Give the document of a group."""
    document = _Document(group)
    data = document.write()
    yield Piece(group.turns[0].row.session, data, len(group.turns), document.steps, document.calls)


class _Document:
    """One session while it is written; `steps` and `calls` count all of it, subagents' included."""

    def __init__(self, group: Group) -> None:
        self.steps = self.calls = 0
        self._group = group
        self._row = group.turns[-1].row
        self._names: set[str] = set()
        self._places = [_places(turn) for turn in group.turns]

    def write(self) -> dict[str, Any]:
        group, row = self._group, self._row
        steps = _Steps()
        if group.opening.system_prompt:
            steps.system(group.opening.system_prompt)
        subagents: list[dict[str, Any]] = []
        for turn, places in zip(group.turns, self._places, strict=True):
            names = {agent: self._name(agent, turn) for agent in places}
            opens = {"karl": {"trajectory": turn.row.id, "turn": turn.row.turn}}
            steps.add(turn.transcript.main.items, names, row.session, opens)
            subagents += self._below("", turn, places, names)
        tools = definitions(group.opening.tools, ()) or None
        model = next((turn.row.model for turn in reversed(group.turns) if turn.row.model), None)
        return self._trajectory(
            steps,
            row.session,
            model,
            subagents,
            tools=tools,
            about=about_all(group.turns),
            cwd=next((cwd for turn in group.turns if (cwd := turn.body.trajectory.context.cwd)), None),
            notes=self._notes(),
        )

    def _below(
        self, parent: str, turn: Chosen, places: dict[str, str], names: dict[str, str]
    ) -> list[dict[str, Any]]:
        """Write the subagents that one conversation started, each with its own inside."""
        return [
            self._subagent(turn.transcript.agents[agent], turn, places, names)
            for agent, owner in places.items()
            if owner == parent
        ]

    def _subagent(
        self, conversation: Conversation, turn: Chosen, places: dict[str, str], names: dict[str, str]
    ) -> dict[str, Any]:
        agent = conversation.agent_id
        steps = _Steps()
        steps.add(conversation.items, names, self._row.session, None)
        about = {"trajectory": turn.row.id, "agent_id": agent, "agent_type": conversation.agent_type,
                 "parent_call": conversation.parent}  # fmt: skip
        model = next((reply.model for reply in conversation.replies if reply.model), turn.row.model)
        below = self._below(agent, turn, places, names)
        kind = conversation.agent_type
        return self._trajectory(steps, names[agent], model, below, about=_known(about), kind=kind)

    def _trajectory(
        self,
        steps: _Steps,
        name: str,
        model: str | None,
        subagents: list[dict[str, Any]],
        *,
        about: dict[str, Any],
        kind: str | None = None,
        cwd: str | None = None,
        tools: list[dict[str, Any]] | None = None,
        notes: str | None = None,
    ) -> dict[str, Any]:
        if not steps.written:
            steps.note("nothing")
        self.steps += len(steps.written)
        self.calls += steps.calls
        agent = {"name": kind or self._row.agent, "version": self._row.agent_version or "unknown",
                 "model_name": model, "tool_definitions": tools}  # fmt: skip
        return _known(
            {
                "schema_version": VERSION,
                "session_id": self._row.session,
                "trajectory_id": name,
                "agent": _known(agent),
                "steps": steps.written,
                "notes": notes,
                "final_metrics": steps.final(),
                "extra": _known({"cwd": cwd, "karl": about}),
                "subagent_trajectories": subagents or None,
            }
        )

    def _name(self, agent: str, turn: Chosen) -> str:
        """Name a subagent's trajectory; one that worked in several turns has one in each."""
        name = agent if agent not in self._names else f"{agent}.{turn.row.turn}"
        while name in self._names:
            name += "'"
        self._names.add(name)
        return name

    def _notes(self) -> str | None:
        turns = self._group.turns
        cuts = sum(_cuts(turn) for turn in turns)
        orphans = sum(one.parent is None for turn in turns for one in turn.transcript.agents.values())
        told = (
            (cuts, "texts were cut when they were recorded: head, tail, length and hash are kept"),
            (orphans, "subagents of which nobody said which call started them"),
        )
        return "; ".join(f"{count} {what}" for count, what in told if count) or None


def _places(turn: Chosen) -> dict[str, str]:
    """Say for each subagent whose call started it: another's id, or empty for the session's agent.

    Where two would be inside each other, the first of them is taken for the session's own.
    """
    agents = turn.transcript.agents
    makers = {
        made.id: agent for agent, one in agents.items() for reply in one.replies for made in reply.calls
    }
    owners = {agent: makers.get(one.parent or "", "") for agent, one in agents.items()}
    for agent, owner in owners.items():
        seen, at = {agent}, owner
        while at and at not in seen:
            seen.add(at)
            at = owners[at]
        if at:
            owners[at] = ""
    return owners


class _Steps:
    """The steps of one trajectory."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []
        self.calls = 0
        self._usage: list[Usage] = []

    def system(self, text: str) -> None:
        """Add the system prompt."""
        self._step("system", text, None)

    def note(self, what: str, text: str = "", time_ms: int | None = None) -> None:
        """Add what nobody said, but happened."""
        self._step("system", text or _NOTE.get(what, ""), time_ms, extra={"karl": {"note": what}})

    def add(
        self, items: Sequence[Item], names: dict[str, str], session: str, opens: dict[str, Any] | None
    ) -> None:
        """Add a conversation; `opens` is the extra of its first step."""
        first = len(self.written)
        for item in items:
            if isinstance(item, Asked):
                self._step("user", item.text, item.time_ms, extra={"karl": {"prompt": item.kind}})
            elif isinstance(item, Note):
                self.note(item.what, item.text, item.time_ms)
            else:
                self._reply(item, names, session)
        if opens and len(self.written) > first:
            extra = self.written[first].setdefault("extra", {"karl": {}})
            extra["karl"].update(opens["karl"])

    def final(self) -> dict[str, Any]:
        """Add up; tokens are left out where nobody counted them."""
        total = {"total_steps": len(self.written)}
        if self._usage:
            counted = [_metrics(usage) for usage in self._usage]
            for name in ("prompt_tokens", "completion_tokens", "cached_tokens"):
                total[f"total_{name}"] = sum(one[name] for one in counted)
        return total

    def _reply(self, reply: Reply, names: dict[str, str], session: str) -> None:
        self.calls += len(reply.calls)
        if reply.usage:
            self._usage.append(reply.usage)
        results = [result for made in reply.calls if (result := _result(made, names, session))]
        self._step(
            "agent",
            reply.text,
            reply.time_ms,
            model_name=reply.model,
            reasoning_content=reply.thinking or None,
            tool_calls=[_call(made) for made in reply.calls] or None,
            observation={"results": results} if results else None,
            metrics=_metrics(reply.usage) if reply.usage else None,
            llm_call_count=1 if reply.told else None,
            extra={"karl": {"message_id": reply.message_id}} if reply.message_id else None,
        )

    def _step(self, source: str, message: str, time_ms: int | None, **fields: Any) -> None:
        step = {"step_id": len(self.written) + 1, "timestamp": iso(time_ms), "source": source,
                "message": message, **fields}  # fmt: skip
        self.written.append(_known(step))


def _call(made: Made) -> dict[str, Any]:
    read = made.call
    about = {
        "tool": read.tool_name,
        "status": read.status,
        "success": read.success,
        "exit_code": read.exit_code,
        "duration_ms": read.duration_ms,
        "started_at": read.ts or None,
    }
    return {
        "tool_call_id": made.id,
        "function_name": made.name,
        "arguments": made.arguments,
        "extra": {"karl": _known(about)},
    }


def _result(made: Made, names: dict[str, str], session: str) -> dict[str, Any] | None:
    """Give what came back; a call that nothing came back from has none, and its status says why."""
    refs = [{"trajectory_id": names[agent], "session_id": session} for agent in made.agents if agent in names]
    if made.answer is None and not refs:
        return None
    read = made.call
    extra = {
        "is_error": True if read.success is False else None,
        "success": read.success,
        "exit_code": read.exit_code,
        "duration_ms": read.duration_ms,
    }
    return _known(
        {
            "source_call_id": made.id,
            "content": made.answer,
            "subagent_trajectory_ref": refs or None,
            "extra": _known(extra) or None,
        }
    )


def _metrics(usage: Usage) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        "prompt_tokens": usage.input + usage.cache_read + usage.cache_write,
        "completion_tokens": usage.output,
        "cached_tokens": usage.cache_read,
    }
    if usage.cache_write:
        metrics["extra"] = {"cache_creation_input_tokens": usage.cache_write}
    return metrics


class _Cuts(msgspec.Struct, frozen=True):
    cuts: int = 0


_cut = msgspec.json.Decoder(_Cuts).decode


def _cuts(turn: Chosen) -> int:
    return sum(_cut(raw).cuts for raw in turn.body.events)


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out what nobody said."""
    return {name: value for name, value in fields.items() if value is not None}
