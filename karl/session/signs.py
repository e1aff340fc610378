"""What happened in a turn that tells, in any language, how content the person at it was.

Interruptions, calls that were refused, edits that were changed or taken back: read from the events of a
turn as it closes and carried on to the prompt that follows. Pure; a field of an unexpected shape says
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from karl.schema.event import ASSISTANT_MESSAGE, Payload
from karl.session.corrections import Signs
from karl.session.emissions import Held
from karl.session.glance import payload_of
from karl.session.moments import moment
from karl.session.prompts import prompt_kind
from karl.session.verdicts import of_denial, of_failure

#: What says nothing here; most events are of these kinds.
_SILENT = frozenset({"PreToolUse", "PermissionRequest", "Notification", "SessionStart", "SubagentStart"})
#: A person refused the call; a classifier's refusal is none of theirs.
_BY_A_PERSON = re.compile(
    r"[Tt]he user (?:doesn't want|rejected|declined|denied)|User (?:rejected|declined|denied)"
)
_INTERRUPTED = "[Request interrupted by user"
_BASH_INPUT = "<bash-input>"
_TAKES_BACK = re.compile(
    r"\bgit (?:checkout (?:HEAD |-f )?(?:--|\.)|restore\b|revert\b|reset --(?:hard|merge)|clean -\w*f"
    r"|stash(?: push)?\s*(?:$|<|-))"
)
#: Characters of a text that are looked at.
_LOOKED_AT = 500


def signs_of(held: Iterable[Held], before: Signs | None = None) -> Signs:
    """Read the signs of a turn's events. `before` is its first part's, when it was cut by size."""
    seen = before or Signs()
    calls, refused, refused_last = seen.calls, seen.refused, seen.refused_last
    interrupted, asked, edited, reverted = seen.interrupted, seen.asked, seen.edited, seen.reverted
    for item in held:
        step = moment(item.event.kind)
        if step in _SILENT:
            continue
        payload = item.payload or payload_of(item)
        if step == "PostToolUse":
            calls, refused_last = calls + 1, False
            edited = edited or _was_edited(payload)
        elif step in ("PostToolUseFailure", "PermissionDenied"):
            was = _end_of(step, payload)
            if was == "refused":
                refused, refused_last = refused + 1, True
            else:
                calls, refused_last = calls + 1, False
                interrupted = interrupted or was == "interrupted"
        elif step == "Interrupt":
            interrupted = True
        elif step == "UserPromptSubmit":
            interrupted = interrupted or _is_interruption(payload)
            reverted = reverted or _takes_back(payload)
        elif not payload.agent_id and (said := _said(step, payload)):
            asked = said.rstrip()[-_LOOKED_AT:].rstrip("`\"'*_ )").endswith(("?", "？"))
    return Signs(
        calls=calls,
        refused=refused,
        refused_last=refused_last,
        interrupted=interrupted,
        asked=asked,
        edited=edited,
        reverted=reverted,
    )


def _end_of(step: str, payload: Payload) -> str:
    """Say whether a call that did not go well was refused by a person, cut off, or merely failed."""
    denial = step == "PermissionDenied"
    was = of_denial(payload.reason) if denial else of_failure(payload.error, payload.is_interrupt)
    if was.status == "interrupted":
        return "interrupted"
    by_a_person = was.status == "denied" and _BY_A_PERSON.search((was.error or "")[:_LOOKED_AT])
    return "refused" if by_a_person else "failed"


def _was_edited(payload: Payload) -> bool:
    """Say whether a person changed what the agent was about to write."""
    response = payload.tool_response
    return isinstance(response, dict) and response.get("userModified") is True


def _is_interruption(payload: Payload) -> bool:
    prompt = payload.prompt
    return isinstance(prompt, str) and prompt.lstrip()[: len(_INTERRUPTED)] == _INTERRUPTED


def _takes_back(payload: Payload) -> bool:
    """Say whether a person's own command at the agent's prompt took changes back."""
    prompt = payload.prompt
    if not isinstance(prompt, str) or not prompt.startswith(_BASH_INPUT):
        return False
    return prompt_kind(prompt, payload) == "note" and _TAKES_BACK.search(prompt[:_LOOKED_AT]) is not None


def _said(step: str, payload: Payload) -> str | None:
    """Give the agent's words, where an event carries them."""
    said = payload.text if step == ASSISTANT_MESSAGE else payload.last_assistant_message
    return said if isinstance(said, str) and said else None
