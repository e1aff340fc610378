"""What a turn's own calls say of git: whether what it edited was committed."""

from __future__ import annotations

from collections.abc import Sequence

from karl.schema.trajectory import ToolCall

#: A commit that may hold nothing is no sign that anything was done.
_EMPTY = "--allow-empty"
#: One that only says what it would do is none.
_DRY = "--dry-run"
_CHANGES = frozenset({"edit", "delete"})


def committed(calls: Sequence[ToolCall]) -> bool | None:
    """Say true of a turn that edited something, committed after that, and did not throw it away again.

    Null for any other: whoever has not committed yet may do it a turn later. A commit counts only where its
    own end is known to be good.
    """
    edited = pending = kept = False
    for call in calls:
        for act in call.acts:
            does = act.does
            if does in _CHANGES and act.ok is not False:
                edited = pending = True
            elif does == "commit" and act.ok and pending and not _is_empty(call):
                pending, kept = False, True
            elif does == "revert" and act.ok is not False and act.path is None:
                kept = False  # of the whole tree, or of a commit
    return True if edited and kept else None


def _is_empty(call: ToolCall) -> bool:
    """Say whether a call's commit may have held nothing."""
    command = call.key_params.get("command")
    return isinstance(command, str) and (_EMPTY in command or _DRY in command)
