"""What hooks and transcripts both tell: the names by which one fact is known in two tellings.

The same fact has the same name whoever tells it, so a transcript that is imported after hooks had
recorded the session adds only what they could not see, and the two make one session.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal, NamedTuple

from karl.schema.event import Event, Payload
from karl.session.calls import AGENT_TOOLS
from karl.session.glance import Glance, started_agent, text
from karl.session.moments import RESULTS

#: A prompt without an id is the same one when its text is and the clocks differ by less than this.
PROMPT_MS = 60_000
_TEXT_MAX = 2000
_BEGINS = frozenset({"PreToolUse", "PermissionRequest"})

#: Who tells: the hooks, as it happens, or the agent's transcript.
Teller = Literal["live", "told"]
TELLERS: tuple[Teller, Teller] = ("live", "told")

#: A fact's name: what it is (`call`, `end`, `agent`, a `prompt` by its id, or `said` in a minute), and of
#: which id or words.
Name = tuple[str, str]


class Twins(NamedTuple):
    """Names that tie an event to another telling.

    Whoever has told of one of `same` has told this fact; the turn of one of `near` is this event's turn.
    """

    same: tuple[Name, ...] = ()
    near: tuple[Name, ...] = ()

    @property
    def calls(self) -> tuple[Name, ...]:
        """The names that are of one call, whoever tells of it."""
        return tuple(name for name in (*self.same, *self.near) if name[0] in ("call", "end"))


_NONE = Twins()


def names_of(event: Event, step: str, seen: Glance | Payload) -> tuple[Name, ...]:
    """Give the names under which an event is remembered when it leaves."""
    if step in RESULTS:
        call, tool = text(seen.tool_use_id), seen.tool_name
        ended: tuple[Name, ...] = (("end", call),) if call else ()
        is_agents = step == "PostToolUse" and isinstance(tool, str) and tool in AGENT_TOOLS
        agent = started_agent(event) if is_agents else None
        return (*ended, ("agent", agent)) if agent else ended
    if step in _BEGINS:
        call = text(seen.tool_use_id)
        return (("call", call),) if call else ()
    if step == "UserPromptSubmit" and not seen.agent_id:
        return _prompt_names(event, seen, (0,))
    if step in ("SubagentStart", "SubagentStop"):
        agent = text(seen.agent_id)
        return (("agent", agent),) if agent else ()
    return ()


def twins_of(event: Event, step: str, seen: Glance) -> Twins:
    """Give the names under which an event, or its turn, may be known already."""
    call, agent = text(seen.tool_use_id), text(seen.agent_id)
    of_agent: tuple[Name, ...] = (("agent", agent),) if agent else ()
    if call:
        begun, ended = ("call", call), ("end", call)
        if step in _BEGINS:
            return Twins((begun,), (ended, *of_agent))
        if step in RESULTS:
            return Twins((ended,), (begun, *of_agent))
        return Twins((), (begun, ended, *of_agent))
    if step == "UserPromptSubmit" and not agent:
        return Twins(_prompt_names(event, seen, (0, -1, 1)))
    return Twins((), of_agent) if of_agent else _NONE


def mark(teller: Teller, name: Name) -> bytes:
    """Give the 8 bytes by which a fact that was told is remembered."""
    data = f"{teller}\n{name[0]}\n{name[1]}".encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=8).digest()


def _prompt_names(event: Event, seen: Glance | Payload, minutes: tuple[int, ...]) -> tuple[Name, ...]:
    """Name a prompt by its id and words (agents give one id to several prompts), and by words and minute."""
    if not isinstance(seen.prompt, str):
        return ()
    said, named = seen.prompt[:_TEXT_MAX].strip(), text(seen.prompt_id)
    names: tuple[Name, ...] = ((f"prompt {named}", said),) if named else ()
    if event.time_ms is None:
        return names
    minute = event.time_ms // PROMPT_MS
    return (*names, *((f"said {minute + step}", said) for step in minutes))
