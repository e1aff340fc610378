"""Sessions made up for the tests of the fold and the normaliser."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import msgspec

from karl.schema.event import Event, decode_event, encode_event, event_id
from karl.schema.trajectory import Trajectory
from karl.session.fold import Carry, Duplicate, Emission, Held, Limits, OpenSession, Remark, Strays, Turn
from karl.session.turn import normalize_turn

START_MS = 1_760_000_000_000


def held(
    kind: str, number: int, *, time_ms: int | None = None, entry: str | None = None, **fields: Any
) -> Held:
    """One event as the worker holds it: `number` makes its id, its entry and (in seconds) its time."""
    envelope = {name: fields.pop(name) for name in ("project", "agent", "agent_version") if name in fields}
    channel = fields.pop("channel", "hook")
    payload = {"session_id": "s1", "hook_event_name": kind, "cwd": "/w/shop", **fields}
    event = Event(
        id=event_id("test", str(number)),
        kind=kind,
        session="s1",
        payload=msgspec.Raw(json.dumps(payload).encode()),
        time_ms=START_MS + number * 1000 if time_ms is None else time_ms if time_ms >= 0 else None,
        source=channel,
        **envelope,
    )
    raw = encode_event(event)
    return Held(entry or f"{number + 1}-0", raw, decode_event(raw))


class Script:
    """Writes a session event by event and folds it; `now` advances with the events."""

    def __init__(self, carry: Carry | None = None, limits: Limits | None = None) -> None:
        self.session = OpenSession("s1", carry or Carry(), {}, limits or Limits())
        self.sent: list[Held] = []
        self.out: list[Emission] = []
        self._numbers = count()

    def say(self, kind: str, **fields: Any) -> Held:
        item = held(kind, next(self._numbers), **fields)
        self.sent.append(item)
        self.out += self.session.add(item, START_MS + len(self.sent) * 1000)
        return item

    def prompt(self, text: Any = "add a test", **fields: Any) -> Held:
        return self.say("UserPromptSubmit", prompt=text, **fields)

    def pre(self, call: str | None = None, tool: Any = "Bash", given: Any = None, **fields: Any) -> Held:
        return self._tool("PreToolUse", call, tool, given, fields)

    def post(
        self,
        call: str | None = None,
        tool: Any = "Bash",
        response: Any = None,
        given: Any = None,
        **fields: Any,
    ) -> Held:
        said = {"stdout": "", "stderr": "", "interrupted": False} if response is None else response
        return self._tool("PostToolUse", call, tool, given, {"tool_response": said, **fields})

    def fail(self, call: str | None = None, tool: Any = "Bash", given: Any = None, **fields: Any) -> Held:
        return self._tool("PostToolUseFailure", call, tool, given, fields)

    def stop(self, **fields: Any) -> Held:
        return self.say("Stop", **{"stop_hook_active": False, **fields})

    def _tool(self, kind: str, call: str | None, tool: Any, given: Any, fields: dict[str, Any]) -> Held:
        named = {} if call is None else {"tool_use_id": call}
        return self.say(
            kind, tool_name=tool, tool_input={"command": "ls"} if given is None else given, **named, **fields
        )

    @property
    def turns(self) -> list[Turn]:
        return [one for one in self.out if isinstance(one, Turn)]

    @property
    def strays(self) -> list[Strays]:
        return [one for one in self.out if isinstance(one, Strays)]

    @property
    def remarks(self) -> list[Remark]:
        return [one for one in self.out if isinstance(one, Remark)]

    @property
    def duplicates(self) -> list[Duplicate]:
        return [one for one in self.out if isinstance(one, Duplicate)]

    def read(self) -> Trajectory:
        """The one turn of this script, normalised; an open one is closed first."""
        if not self.turns:
            self.out += self.session.close("import_end")
        (turn,) = self.turns
        return normalize_turn(turn)


def kinds(one: Turn | Strays) -> list[str]:
    return [item.event.kind for item in one.held]
