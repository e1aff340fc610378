"""The reader of acts: feed it a turn's calls in order, and it says what each of them did.

Invariants:
- Pure, and never raises: inputs and outputs come from other programs and may be anything.
- What a call means may hang on earlier calls of the turn (a script that was written and is run later), so
  one reader reads one turn, in order.
"""

from __future__ import annotations

from typing import NamedTuple

from karl.schema.act import Act, Doing

#: Raised by one whenever the same call would give other acts.
READER = 1

_NATIVE: dict[str, Doing] = {
    "Read": "read",
    "Edit": "edit",
    "Write": "edit",
    "NotebookEdit": "edit",
    "Grep": "search",
    "Glob": "list",
}


class Given(NamedTuple):
    """What is known of a call. `tool` is the canonical name, `original` the agent's own if another.

    `params` and `output` are as the agent's hook told them, of any shape; `output` may be cut.
    """

    tool: str
    params: object
    output: object = None
    success: bool | None = None
    exit_code: int | None = None
    cwd: str | None = None
    original: str | None = None


class Reader:
    """Reads the calls of one turn; `cwd` is the folder that it began in, where known."""

    def __init__(self, cwd: str | None = None) -> None:
        self._cwd = cwd

    def acts(self, call: Given) -> list[Act]:
        """Say what a call did, in the order of doing; empty when nothing is known of it."""
        does = _NATIVE.get(call.tool)
        if does is None or not isinstance(call.params, dict):
            return []
        path = call.params.get("file_path")
        return [Act(does, path if isinstance(path, str) else None, call.success)]
