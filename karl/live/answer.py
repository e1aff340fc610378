"""What an agent is told of a prompt, and the event that says so. Pure.

Invariants:
- Nothing is told unless routing is live, a skill was picked, and the agent may start that skill by itself.
- The same sessions are told of skills for as long as a policy counts; the others are what they are compared
  with. Of both an event is left: what was picked, and whether it was told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from karl.routing.experiment import told
from karl.routing.policy import Policy
from karl.routing.predict import Prediction
from karl.schema.event import SKILL_SUGGESTED, Payload
from karl.schema.routing import SkillEntry

#: What the name of a skill that an agent is told of is made of: it comes from a file, and goes to a model.
_NAME = re.compile(r"[\w][\w:./-]{0,199}")


class Answer(NamedTuple):
    """What the hook prints (empty: nothing), and the event for the spool."""

    said: bytes
    event: bytes


def answer(
    payload: Payload, prediction: Prediction, policy: Policy, skills: Mapping[str, SkillEntry]
) -> Answer | None:
    """Say what becomes of a prompt; null where no skill would be told in any session."""
    skill, session = prediction.picked, payload.session_id
    if policy.mode != "active" or skill is None or not isinstance(session, str):
        return None
    entry = skills.get(skill)
    if entry is None or not entry.model_invocable or not _NAME.fullmatch(skill):
        return None
    tells = told(session, policy)
    ranked = prediction.choice.ranked if prediction.choice else ()
    chance = next((one.chance for one in ranked if one.skill == skill), None)
    event: dict[str, object] = {
        "hook_event_name": SKILL_SUGGESTED,
        "session_id": session,
        "skill": skill,
        "policy": policy.id,
        "told": tells,
    }
    if chance is not None:
        event["chance"] = round(chance, 4)
    for name in ("prompt_id", "cwd"):
        if isinstance(value := getattr(payload, name), str):
            event[name] = value
    return Answer(_said(skill) if tells else b"", msgspec.json.encode(event))


def _said(skill: str) -> bytes:
    """Give what the agent reads: a fact, for an order from a hook is taken for somebody's trick."""
    # Not that it is there: another machine may have told of it.
    fact = f"KARL's router matched this request to the skill `{skill}`."
    told = {"hookEventName": "UserPromptSubmit", "additionalContext": fact}
    return msgspec.json.encode({"hookSpecificOutput": told})
