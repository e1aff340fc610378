"""Task: what makes turns the runs of one task, so that they can be compared with each other."""

from __future__ import annotations

from hashlib import sha256

from karl.schema.trajectory import Trajectory

#: Characters of a prompt below which it names no task: "go on" is asked of everything.
PROMPT_MIN = 40
_ID = 16


def task_of(trajectory: Trajectory, turn: int, project: str) -> str | None:
    """Name a turn's task, or give null where it is none that could come again.

    A task is what somebody asks of an agent first in a session (`turn` 0): the same words, but for spaces
    and case, in the same project. What a machine asks on a schedule is other work each time.
    """
    context = trajectory.context
    if turn or context.human_prompt is False or not context.prompt_text:
        return None
    words = " ".join(context.prompt_text.split()).casefold()
    if len(words) < PROMPT_MIN:
        return None
    return sha256(f"{project}\0{words}".encode("utf-8", "surrogatepass")).hexdigest()[:_ID]
