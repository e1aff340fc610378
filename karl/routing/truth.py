"""Which skill a prompt was for, as a turn and what followed it tell: never what a router said.

    called     the agent called the skill in that turn, or opened the file of one that is installed
    typed      a person typed /name
    corrected  the turn was corrected, and the next one used another skill
    label      a person said so
    unused     the turn came to its end and used no skill: the prompt asked for none, as far as anybody knows

A truth has a weight: how sure it is. The heaviest one of a prompt counts. Agents have commands of their own
(/clear), which are no skills: a typed name counts where it is known as one, from a catalogue or a call.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Literal, NamedTuple

from karl.schema.trajectory import ToolCall, Trajectory

TruthSource = Literal["label", "corrected", "typed", "called", "unused"]

#: How sure each is, from 0 to 1.
WEIGHTS: dict[TruthSource, float] = {
    "label": 1.0,
    "corrected": 0.9,
    "typed": 0.9,
    "called": 0.7,
    "unused": 0.3,
}
#: What is left of `called` and `typed` where the person corrected the turn.
CORRECTED_SHARE = 0.5

#: The agent whose turns name their skill themselves (producers.python_api).
_NAMES_ITS_SKILL = "python"
#: Characters of a skill's name.
_NAME_MAX = 200
_TYPED = re.compile(r"\s{0,8}[/$]([A-Za-z0-9][\w.:-]{0,199})(?:\s|$)")
#: The tool by which agents call a skill, its parameters that may name one, and how a refused call ends.
_TOOL = "Skill"
_FIELDS = ("skill", "command", "skill_name", "name")
_REFUSED = frozenset({"denied", "interrupted_or_denied"})
#: Agents that always use the tool; others open the file of a skill that is installed to follow it.
_HAVE_A_TOOL = frozenset({"claude-code", _NAMES_ITS_SKILL})
_FILE = "/SKILL.md"


class Truth(NamedTuple):
    """A skill, null for none, with who says so and how sure that is."""

    skill: str | None
    source: TruthSource
    weight: float


class Signs(NamedTuple):
    """What a turn itself tells: skills that were called, in order; what a person typed as /name.

    `person`: a person wrote the prompt. `without`: the turn came to its own end, and nobody tried a skill.
    """

    called: tuple[str, ...] = ()
    typed: str | None = None
    person: bool = False
    without: bool = False

    def used(self, known: Container[str]) -> tuple[str, ...]:
        """Give all skills that the turn used, in their order; what was typed where it is known as a skill."""
        typed = (self.typed,) if self.typed is not None and self.typed in known else ()
        return tuple(dict.fromkeys((*typed, *self.called)))


def signs_of(trajectory: Trajectory) -> Signs:
    """Read what a turn tells of skills."""
    calls = trajectory.trajectory.events
    tried = [call for call in calls if call.tool_name == _TOOL]
    called = [name for call in tried if (name := _called(call))]
    if not tried and trajectory.source == _NAMES_ITS_SKILL and trajectory.skill.name:
        called = [trajectory.skill.name[:_NAME_MAX]]
    if not tried and trajectory.source not in _HAVE_A_TOOL:
        called += _opened(calls)
    typed = _TYPED.match(trajectory.context.prompt_text or "")
    return Signs(
        tuple(dict.fromkeys(called)),
        typed.group(1) if typed else None,
        trajectory.context.human_prompt is True,
        trajectory.outcome.completed is True and not tried and not called,
    )


def truths(
    signs: Signs,
    known: Container[str],
    *,
    corrected: bool | None = None,
    then: Signs | None = None,
    label: str | None = None,
) -> list[Truth]:
    """Give all truths about a prompt, the heaviest first.

    `known` are the names of skills, `then` what the session's next turn tells, `label` a person's word (empty
    for no skill, null where nobody spoke). Of a prompt that no person wrote only a label speaks.
    """
    found = [] if label is None else [Truth(label or None, "label", WEIGHTS["label"])]
    if not signs.person:
        return found
    share = CORRECTED_SHARE if corrected else 1.0
    used = signs.used(known)
    if corrected and then is not None:
        after = then.used(known)
        if after and after[0] not in used:
            found.append(Truth(after[0], "corrected", WEIGHTS["corrected"]))
    if signs.typed is not None and signs.typed in known:
        found.append(Truth(signs.typed, "typed", WEIGHTS["typed"] * share))
    if signs.called:
        found.append(Truth(signs.called[0], "called", WEIGHTS["called"] * share))
    if signs.without and signs.typed is None:
        found.append(Truth(None, "unused", WEIGHTS["unused"]))
    return sorted(found, key=lambda truth: -truth.weight)


def _called(call: ToolCall) -> str | None:
    """Name the skill that a call of the tool used; null for a failed or refused one, and a subagent's."""
    if call.success is False or call.status in _REFUSED or call.agent_id is not None:
        return None
    given = next((value for name in _FIELDS if isinstance(value := call.key_params.get(name), str)), "")
    words = given[:_NAME_MAX].removeprefix("/").split()
    return words[0] if words else None


def _opened(calls: list[ToolCall]) -> list[str]:
    """Name the installed skills whose files were read; none where somebody works on such files."""
    own = (act for call in calls if call.agent_id is None for act in call.acts)
    files = [act for act in own if act.path is not None and act.path.endswith(_FILE)]
    if any(act.does not in {"read", "search", "list"} for act in files):
        return []
    read = (_installed(act.path or "") for act in files if act.does == "read" and act.ok is not False)
    return [name[:_NAME_MAX] for name in read if name]


def _installed(path: str) -> str | None:
    """Name the skill whose file lies in a folder `skills` under a hidden one, where agents have theirs."""
    parts = path.split("/")
    hidden = next(
        (at for at, part in enumerate(parts) if part.startswith(".") and part.strip(".")), len(parts)
    )
    return parts[-2] if "skills" in parts[hidden:-2] else None
